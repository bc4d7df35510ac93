"""Scores of planes and structures on answers whose scores are known."""

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn is only in the training environment (training/requirements.txt)")

from service.core.wrist_planes import STRUCTURES, structure_number
from training.wrist_hand.scores import calibration_error, hausdorff_95, plane_scores, structure_scores
from training.wrist_hand.volunteers import NAMES

PLANES = np.tile(np.arange(len(NAMES), dtype=np.uint8), 4)
VOLUNTEERS = np.repeat(np.arange(4), len(NAMES))


def sure_of(called: np.ndarray[tuple[int], np.dtype[np.uint8]], sure: float) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    found = np.full((len(called), len(NAMES)), (1 - sure) / (len(NAMES) - 1))
    found[np.arange(len(called)), called] = sure
    return found


def test_planes_all_right_have_an_f1_of_one_and_a_calibration_error_of_what_is_left() -> None:
    found = plane_scores(PLANES, sure_of(PLANES, 0.9), VOLUNTEERS)
    assert found["macro_f1"] == {"value": 1.0, "low": 1.0, "high": 1.0}
    assert found["expected_calibration_error"] == pytest.approx(0.1)
    assert np.array_equal(np.array(found["confusion"]), 4 * np.eye(len(NAMES)))


def test_one_plane_always_taken_for_another_costs_both() -> None:
    called = np.where(PLANES == 3, 4, PLANES).astype(np.uint8)
    planes = plane_scores(PLANES, sure_of(called, 0.9), VOLUNTEERS)["planes"]
    assert isinstance(planes, dict)
    assert planes["S3"]["f1"] == 0
    assert planes["S4"]["recall"] == 1
    assert planes["S4"]["precision"] == pytest.approx(0.5)


def test_calibration_error_is_none_where_answers_are_as_often_right_as_they_are_sure() -> None:
    plane = np.zeros(10, np.uint8)
    called = np.array([0] * 8 + [1] * 2, np.uint8)
    assert calibration_error(plane, sure_of(called, 0.8)) == pytest.approx(0, abs=1e-9)


def test_structure_that_is_drawn_one_pixel_aside_has_the_dice_and_distance_of_that() -> None:
    truth = np.zeros((4, 40, 40), np.uint8)
    truth[:, 10:20, 10:30] = structure_number("median_nerve")
    drawn = np.roll(truth, 1, axis=1)
    found = structure_scores(truth, drawn, np.arange(4), np.full(4, 0.2))
    nerve = found["median_nerve_dice"]
    assert isinstance(nerve, dict)
    assert nerve["value"] == pytest.approx(0.9)
    structures = found["structures"]
    assert isinstance(structures, dict)
    assert structures["median_nerve"]["hd95_mm"] == pytest.approx(0.2)
    assert structures[STRUCTURES[0]]["hd95_mm"] is None


def test_hausdorff_distance_of_equal_outlines_is_nothing() -> None:
    mask = np.zeros((20, 20), np.bool_)
    mask[5:10, 5:10] = True
    assert hausdorff_95(mask, mask) == 0
