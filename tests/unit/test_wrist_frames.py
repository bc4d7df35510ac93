"""Frames of an examination one after the other: the plane over time, the best frame of each plane, the nerve's measures."""

import numpy as np
import pytest

from service.core.cine import Box
from service.core.measure.plane import Scale
from service.core.measure.wrist_frames import BestFrames, FrameGrader, GradedFrame, PlaneTracker, measure_nerve
from service.core.measure.wrist_structures import structures_in
from service.core.preprocess import place
from service.core.quality import Fault, Grade, grade_of
from service.core.wrist_planes import PLANES, structure_number

SIZE = 192
MM = Scale(0.2, 0.2, "mm")


def probabilities(plane: int, sure: float = 0.95) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """Index 0 is none."""
    found = np.full(16, (1 - sure) / 15, np.float32)
    found[plane] = sure
    return found


def ellipse(width_mm: float, height_mm: float) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """A median nerve in the middle."""
    y, x = np.mgrid[:SIZE, :SIZE]
    inside = ((x - 95.5) / (width_mm / 2 / MM.x)) ** 2 + ((y - 95.5) / (height_mm / 2 / MM.y)) ** 2 <= 1
    return np.where(inside, structure_number("median_nerve"), 0).astype(np.uint8)


def test_plane_stays_when_a_single_frame_errs() -> None:
    tracker = PlaneTracker()
    shown = [tracker.update(probabilities(plane))[0] for plane in (11, 11, 11, 3, 11)]
    assert [plane.name if plane else None for plane in shown] == ["S11"] * 5


def test_plane_is_none_where_no_plane_or_no_single_one_is_probable() -> None:
    assert PlaneTracker().update(probabilities(0))[0] is None
    assert PlaneTracker().update(probabilities(4, sure=0.4))[0] is None


def test_tracker_follows_to_another_plane_within_a_few_frames() -> None:
    tracker = PlaneTracker()
    for _ in range(20):
        tracker.update(probabilities(1))
    names = [plane.name if (plane := tracker.update(probabilities(2))[0]) else None for _ in range(5)]
    assert names[-1] == "S2"
    assert "S2" in names[:3]


@pytest.mark.parametrize(("width", "height"), [(5.4, 2.0), (6.2, 2.2), (4.0, 2.5)])
def test_nerve_is_measured_as_it_is_drawn(width: float, height: float) -> None:
    numbers = ellipse(width, height)
    nerve = measure_nerve(structures_in(numbers, np.full_like(numbers, 255))["median_nerve"], MM)
    # Its edge is drawn pixel by pixel, 0.2 mm wide.
    assert nerve.area_mm2 == pytest.approx(np.pi / 4 * width * height, rel=0.06)
    assert nerve.flattening == pytest.approx(width / height, rel=0.06)


def test_second_piece_of_nerve_changes_no_measure() -> None:
    alone = ellipse(5.4, 2.0)
    with_another = alone.copy()
    with_another[20:28, 20:40] = structure_number("median_nerve")
    measured = [measure_nerve(structures_in(n, np.full_like(n, 255))["median_nerve"], MM) for n in (alone, with_another)]
    assert measured[0].area_mm2 == measured[1].area_mm2
    assert measured[0].flattening == pytest.approx(measured[1].flattening)


def test_nerve_without_a_scale_has_no_area() -> None:
    numbers = ellipse(5.4, 2.0)
    nerve = measure_nerve(structures_in(numbers, np.full_like(numbers, 255))["median_nerve"], Scale(1.0, 1.0, "{pixels}"))
    assert nerve.area_mm2 is None
    assert nerve.flattening == pytest.approx(2.7, rel=0.05)


def test_nerve_is_measured_in_the_plane_of_the_inlet_only() -> None:
    numbers = ellipse(5.4, 2.0)
    image, sure = np.full_like(numbers, 90), np.full_like(numbers, 255)
    grader = FrameGrader(place(Box(0, 0, SIZE, SIZE), SIZE), MM, {})
    assert grader.grade(1, image, probabilities(11), numbers, sure).nerve is not None
    other = FrameGrader(place(Box(0, 0, SIZE, SIZE), SIZE), MM, {})
    found = other.grade(1, image, probabilities(12), numbers, sure)
    assert found.plane is not None
    assert found.nerve is None


def test_frame_without_a_plane_has_no_grade() -> None:
    numbers = np.zeros((SIZE, SIZE), np.uint8)
    grader = FrameGrader(place(Box(0, 0, SIZE, SIZE), SIZE), MM, {})
    found = grader.grade(1, np.full_like(numbers, 90), probabilities(0), numbers, numbers)
    assert (found.plane, found.grade, found.faults) == (None, None, ())


def test_best_frame_of_a_plane_has_the_best_grade_then_the_fewest_faults_then_the_surest() -> None:
    best = BestFrames()
    light, grave = Fault(reason="light", text="light"), Fault(reason="grave", text="grave", is_grave=True)
    frames = [
        frame(1, 0.99, grave),
        frame(2, 0.70, light, light),
        frame(3, 0.60, light),
        frame(4, 0.80, light),
        frame(5, 0.80, light),
        frame(6, 0.99, light, light),
    ]
    for one in frames:
        best.add(one)
    assert best.by_plane["S11"].number == 4
    best.add(frame(7, 0.55))
    assert best.by_plane["S11"].number == 7
    best.add(GradedFrame(8, None, 0.9, None, (), {}))
    assert [plane.name for plane in best.missing()] == [plane.name for plane in PLANES if plane.name != "S11"]


def frame(number: int, probability: float, *faults: Fault) -> GradedFrame:
    return GradedFrame(number, PLANES[10], probability, grade_of(faults), faults, {})


def test_grades_are_ordered_from_good_to_bad() -> None:
    assert sorted([Grade.C, Grade.A, Grade.B]) == [Grade.A, Grade.B, Grade.C]
