"""Masks of a cine: in the place where they were drawn, kept small, and given back as they were."""

import json
from dataclasses import replace

import numpy as np
import pytest

from service.core.analyses.muscle_architecture import SEGMENTS, MuscleArchitecture
from service.core.analyses.wrist_hand import WristHand
from service.core.cine import Box
from service.core.masks import MaskIndex, MaskKeeper, Masks, unpack_lines
from service.core.wrist_planes import STRUCTURES, structure_number
from simulator.wrist import WristFrame, draw_volunteer
from tests.phantoms import Muscle, described, muscle_cine, scripted
from tests.wrist_parts import analyse, cine_of, knowing, pictures, well


@pytest.fixture(scope="module")
def shown() -> list[WristFrame]:
    """A picture of no wrist between two of a plane."""
    return pictures(draw_volunteer(11), *well("S11", 1), ("elsewhere", "S11"), *well("S11", 1))


@pytest.fixture(scope="module")
def masks(shown: list[WristFrame]) -> Masks:
    keeper = MaskKeeper()
    analyse(shown, keep=keeper)
    kept = keeper.kept()
    assert kept is not None
    return kept


def test_masks_lie_where_the_structures_are(shown: list[WristFrame], masks: Masks) -> None:
    nerve, layout = STRUCTURES.index("median_nerve"), masks.layout
    number, maps = next(iter(masks))
    drawn, truth = layout.in_frame(maps[nerve]), shown[number - 1].labels == structure_number("median_nerve")
    assert drawn.shape == truth.shape
    assert 2 * (drawn & truth).sum() / (drawn.sum() + truth.sum()) > 0.95


def test_masks_of_a_region_inside_the_frame_are_moved_with_it(shown: list[WristFrame], masks: Masks) -> None:
    cine = cine_of(shown)
    box = Box(40, 25, 40 + cine.columns, 25 + cine.rows)
    inside = replace(cine, rows=cine.rows + 50, columns=cine.columns + 60, region=replace(cine.region, box=box))
    keeper = MaskKeeper()
    WristHand().analyse(inside, knowing(shown), described, keeper)
    moved = keeper.kept()
    assert moved is not None
    (_, here), (_, there) = next(iter(masks)), next(iter(moved))
    nerve = STRUCTURES.index("median_nerve")
    expected = np.pad(masks.layout.in_frame(here[nerve]), ((25, 25), (40, 20)))
    assert np.array_equal(moved.layout.in_frame(there[nerve]), expected)


def test_frames_in_which_nothing_is_drawn_are_not_kept(masks: Masks) -> None:
    assert [number for number, _ in masks] == [1, 3]


def test_masks_from_their_bytes_are_the_same(masks: Masks) -> None:
    again = Masks.from_bytes(masks.to_bytes())
    assert again == masks
    assert all(np.array_equal(one, other) for (_, one), (_, other) in zip(masks, again, strict=True))
    assert len(masks.to_bytes()) < 5_000 * len(masks.frames)


def test_masks_of_a_muscle_are_what_is_at_least_as_probable_as_not() -> None:
    muscle, keeper = Muscle(), MaskKeeper()
    answer = muscle.answer()
    MuscleArchitecture().analyse(muscle_cine([muscle] * 2), scripted([answer] * 2), described, keeper)
    kept = keeper.kept()
    assert kept is not None
    assert kept.layout.segments == SEGMENTS
    for _, maps in kept:
        assert maps.sum() == (answer >= 128).sum()


def test_lines_of_every_frame_are_kept_where_they_were_measured() -> None:
    muscles = [Muscle(thickness_mm=16), Muscle(thickness_mm=19)]
    keeper = MaskKeeper()
    MuscleArchitecture().analyse(muscle_cine(muscles, left=30), scripted(one.answer() for one in muscles), described, keeper)
    kept = keeper.kept()
    assert kept is not None
    again = Masks.from_bytes(kept.to_bytes())
    assert again.lines == kept.lines
    for (number, packed), muscle in zip(again.lines, muscles, strict=True):
        lines = unpack_lines(packed, number)
        (deep,) = [line for line in lines if line.label == "deep_aponeurosis"]
        assert [row for _, row in deep.points] == pytest.approx([80 + 10 * muscle.thickness_mm] * len(deep.points), abs=2)
        assert min(column for column, _ in deep.points) > 25
        assert {line.frame for line in lines} == {number}
    # Of 400 frames that is less than the report itself.
    assert sum(len(packed) for _, packed in kept.lines) < 1000 * len(kept.lines)


def test_index_alone_tells_where_a_frame_s_bytes_lie(masks: Masks) -> None:
    content = masks.to_bytes()
    index = MaskIndex.from_bytes(content[: MaskIndex.length(content[:4])])
    for number, packed in masks.frames:
        start, length = index.frames[number]
        assert content[start : start + length] == packed


def test_masks_that_were_kept_before_there_were_lines_are_read(masks: Masks) -> None:
    content = masks.to_bytes()
    length = MaskIndex.length(content[:4])
    head = json.loads(content[4:length])
    del head["lines"]
    older = json.dumps(head).encode()
    assert Masks.from_bytes(len(older).to_bytes(4) + older + content[length:]) == masks


def test_analysis_that_draws_nothing_keeps_nothing() -> None:
    assert MaskKeeper().kept() is None
