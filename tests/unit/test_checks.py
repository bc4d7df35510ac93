"""Frames that cannot be true."""

from dataclasses import replace

import numpy as np
import pytest

from service.core.measure.architecture import FrameArchitecture
from service.core.measure.checks import THICKNESS, Doubt, find_doubts, find_jumps

FRAME = 0.04


def frame(number: int, **changes: float | tuple[float, ...] | None) -> FrameArchitecture:
    """A sound one: 18 mm between parallel lines, fascicles at 20 degrees."""
    sound = FrameArchitecture(
        number=number,
        thickness=18.0,
        gaps=(18.0, 18.0, 18.0),
        superficial_angle_deg=0.0,
        deep_angle_deg=0.0,
        fascicle_angle_deg=20.0,
        pennation_deg=20.0,
        fascicle_length=18 / np.sin(np.radians(20)),
        extrapolated_share=0.3,
        fragments=8,
    )
    return replace(sound, **changes)  # type: ignore[arg-type]  # of mixed types


def cine(**odd: float | tuple[float, ...] | None) -> list[FrameArchitecture]:
    """30 frames, of which the 13th is odd."""
    return [frame(number, **(odd if number == 13 else {})) for number in range(1, 31)]


def doubts(frames: list[FrameArchitecture]) -> dict[int, frozenset[Doubt]]:
    return dict(find_doubts(frames, [index * FRAME for index in range(len(frames))]))


def test_checks_of_a_sound_cine_doubt_nothing() -> None:
    assert doubts(cine()) == {}


def test_checks_of_a_contraction_doubt_nothing() -> None:
    lean = 20 + 8 * np.sin(np.arange(60) / 6) + np.random.default_rng(0).normal(0, 0.5, 60)
    frames = [
        frame(number, fascicle_angle_deg=one, pennation_deg=one, fascicle_length=18 / np.sin(np.radians(one)))
        for number, one in enumerate(lean.tolist(), start=1)
    ]
    assert doubts(frames) == {}


@pytest.mark.parametrize(
    ("odd", "doubt"),
    [
        ({"gaps": (18.0, 27.0, 18.0), "thickness": 21.0}, Doubt.LINES_OUT_OF_ORDER),
        ({"gaps": (30.0, 30.0, 30.0), "thickness": 30.0, "fascicle_length": 87.7}, Doubt.LINES_JUMP),
        ({"deep_angle_deg": -9.0, "pennation_deg": 29.0, "fascicle_length": 45.0}, Doubt.LINES_JUMP),
        ({"fascicle_angle_deg": -20.0}, Doubt.FASCICLES_TURNED),
        ({"fascicle_angle_deg": 35.0, "pennation_deg": 35.0, "fascicle_length": 31.4}, Doubt.FASCICLES_JUMP),
        ({"fascicle_length": 120.0}, Doubt.LENGTH_CONTRADICTED),
    ],
    ids=["bent line", "other muscle", "turned line", "turned fascicles", "jump", "length"],
)
def test_checks_of_an_impossible_frame_name_it_and_why(odd: dict[str, float | tuple[float, ...]], doubt: Doubt) -> None:
    found = doubts(cine(**odd))
    assert set(found) == {12}
    assert doubt in found[12]


def test_checks_of_a_mirrored_muscle_doubt_nothing() -> None:
    assert doubts([frame(number, fascicle_angle_deg=-20.0) for number in range(1, 31)]) == {}


def test_checks_of_frames_without_fascicles_doubt_nothing() -> None:
    bare = {"fascicle_angle_deg": None, "pennation_deg": None, "fascicle_length": None}
    assert doubts([frame(number, **bare) for number in range(1, 31)]) == {}


def test_checks_of_a_single_frame_look_at_its_geometry_only() -> None:
    assert doubts([frame(1)]) == {}
    assert Doubt.LENGTH_CONTRADICTED in doubts([frame(1, fascicle_length=150.0)])[0]


def test_jump_to_another_level_for_a_while_leaves_out_the_smaller_part() -> None:
    values = [18.0] * 30 + [27.0] * 12 + [18.0] * 20
    assert find_jumps(values, [index * FRAME for index in range(62)], THICKNESS) == list(range(30, 42))


def test_jump_without_time_is_seen_where_it_is_lone() -> None:
    values = [18.0] * 20 + [27.0] + [18.0] * 20
    assert find_jumps(values, None, THICKNESS) == [20]
