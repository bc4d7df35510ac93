"""What the benchmark of the clips says of curves that are known, and the picture that it draws."""

from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from bench.clip_to_dicom import MM_PER_PIXEL
from bench.clips import ANGLE, GAP, Clip, compare, smoothed, typical_change
from bench.small_multiples import Panel, write_small_multiples
from service.core.findings import Series

FRAMES = 60
TIMES = tuple(index / 61 for index in range(FRAMES))
READINGS = {10: ((20.0, -2.0, 200.0), (22.0, -2.0, 210.0)), 40: ((30.0, -1.0, 190.0), (28.0, -1.0, 190.0))}


def series(values: list[float | None], left_out: tuple[int, ...] = ()) -> Series:
    like = Series(time_seconds=TIMES, values=(), unit="deg", left_out=left_out)
    return smoothed(values, [1.0] * len(values), like)


def clip(values: list[float | None]) -> Clip:
    return Clip(name="one", frames=(), series={ANGLE: series(values), GAP: series(values)}, readings=READINGS)


def test_comparison_of_a_course_that_is_known_gives_its_distance_from_the_observers_mean() -> None:
    found = compare(clip([23.0 + 0.001 * (index % 2) for index in range(FRAMES)]), ANGLE)
    assert found["errors"] == pytest.approx([0.0, 7.0], abs=0.01)
    assert found["bias"] == pytest.approx(-3.5, abs=0.01)
    assert found["human"] == pytest.approx(2.0)


def test_comparison_of_gaps_is_a_share_of_what_was_read_in_millimetres() -> None:
    found = compare(clip([190 * MM_PER_PIXEL] * FRAMES), GAP)
    assert found["unit"] == "%"
    assert found["errors"] == pytest.approx([100 * 15 / 205, 0.0], abs=0.01)


def test_comparison_of_a_frame_without_a_curve_leaves_it_out_and_counts_it() -> None:
    values: list[float | None] = [23.0] * 15 + [None] * (FRAMES - 15)
    found = compare(clip(values), ANGLE)
    assert (found["labelled_frames"], found["answered"]) == (2, 1)


def test_smoothing_of_a_left_out_frame_does_not_follow_it() -> None:
    values: list[float | None] = [20.0 + 0.1 * np.sin(index) for index in range(FRAMES)]
    values[30] = 80.0
    curve = series(values, left_out=(31,)).smoothed
    assert curve[30] == pytest.approx(20, abs=0.2)


def test_typical_change_beside_a_gap_counts_neighbours_only() -> None:
    assert typical_change([1.0, 2.0, None, 9.0, 9.5]) == pytest.approx(0.75)
    assert typical_change([1.0, None]) is None


def test_small_multiples_of_a_broken_curve_draw_each_piece_and_each_reading(tmp_path: Path) -> None:
    values = tuple(None if 20 <= index < 30 else 10.0 + index / 10 for index in range(FRAMES))
    low, high = (tuple(None if value is None else value + by for value in values) for by in (-1, 1))
    curve = Series(time_seconds=TIMES, values=values, unit="deg", smoothed=values, low=low, high=high)
    panel = Panel(label="degrees", curves={"ours": curve}, readings=[(0.2, (11.0, 13.0))])
    path = tmp_path / "picture.svg"
    write_small_multiples(path, {"one <clip>": [panel]}, title="t", names=("ours", "theirs", "observers"), notes=("n",))
    drawn = ET.fromstring(path.read_text())  # noqa: S314 - our own
    names = [element.tag.rpartition("}")[2] for element in drawn.iter()]
    assert (names.count("polyline"), names.count("polygon")) == (2, 2)
    assert names.count("circle") == 2  # one reading, and the one of the legend
    assert [element.get("d", "").count("M") for element in drawn.iter() if element.tag.endswith("path")] == [50]
    assert "one <clip>" in [element.text for element in drawn.iter()]
