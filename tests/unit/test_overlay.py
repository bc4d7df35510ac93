"""Lines drawn over a frame."""

import io

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from service.core.findings import Finding, Polyline
from service.core.render.overlay import LINE_COLOURS, colour_of, draw_lines, shown_lines
from tests.calf_report import cine_findings

Pixels = npt.NDArray[np.uint8]


def grey(rows: int = 240, columns: int = 320) -> Pixels:
    return np.full((rows, columns, 3), 60, dtype=np.uint8)


def drawn(picture: Pixels, *lines: Polyline) -> Pixels:
    return np.asarray(Image.open(io.BytesIO(draw_lines(picture, lines))))


def line(label: str = "fascicle", points: tuple[tuple[float, float], ...] = ((20, 120), (300, 120))) -> Polyline:
    return Polyline(label=label, frame=1, points=points)


@pytest.mark.parametrize("label", ["superficial_aponeurosis", "deep_aponeurosis", "fascicle", "something_new"])
def test_draw_lines_puts_the_colour_where_the_line_is(label: str) -> None:
    picture = drawn(grey(), line(label))
    assert picture[120, 200] == pytest.approx(colour_of(label), abs=3)


def test_shown_lines_are_those_of_the_frame_that_shows_most_structures() -> None:
    thickness, pennation, length = cine_findings()[:3]

    def seen(finding: Finding, frame: int, *labels: str) -> Finding:
        lines = tuple(line(label).model_copy(update={"frame": frame}) for label in labels)
        return finding.model_copy(update={"evidence": finding.evidence.model_copy(update={"lines": lines})})

    found = [
        seen(thickness, 25, "superficial_aponeurosis", "deep_aponeurosis"),
        seen(pennation, 12, "deep_aponeurosis", "fascicle", "fascicle"),
        seen(length, 13, "superficial_aponeurosis", "deep_aponeurosis", "fascicle"),
    ]
    assert {one.frame for one in shown_lines(found)} == {13}
    assert {one.frame for one in shown_lines(found[:2])} == {25}
    assert shown_lines([]) == ()


def test_draw_lines_leaves_the_frame_as_it_is_elsewhere() -> None:
    picture = drawn(grey(), line())
    assert picture.shape == grey().shape
    assert (picture[140:210] == 60).all()
    assert (picture[:80] == 60).all()


def test_draw_lines_names_the_line_above_it() -> None:
    picture = drawn(grey(), line())
    beside = picture[100:116, :120].astype(int)
    assert (np.abs(beside - colour_of("fascicle")) < 20).all(axis=2).any()


def test_draw_lines_carries_the_research_banner() -> None:
    assert (drawn(grey())[-20:] != 60).any()


def test_draw_lines_beyond_the_edge_is_cut_and_named_inside() -> None:
    picture = drawn(grey(), line(points=((-400, 30), (900, 40))), line("deep_aponeurosis", ((900, 900), (1000, 1000))))
    assert (picture != 60).any()


def test_draw_lines_of_a_small_frame_works() -> None:
    assert drawn(grey(32, 48), line(points=((2, 2), (40, 20)))).shape == (32, 48, 3)


def test_draw_lines_twice_gives_the_same_bytes() -> None:
    assert draw_lines(grey(), [line()]) == draw_lines(grey(), [line()])


def test_colours_of_lines_are_distinct() -> None:
    assert len({*LINE_COLOURS.values(), colour_of("something_new")}) == len(LINE_COLOURS) + 1
