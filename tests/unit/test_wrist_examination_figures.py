"""What whole examinations come to, from how far each is off."""

import pytest

pytest.importorskip("onnxruntime", reason="ONNX Runtime is only in the training environment (training/requirements.txt)")

from training.wrist_hand.examinations import summary

ONE = {"found": 15, "wrong": [], "grade_a": 14, "grade_c": 1}


def test_errors_of_area_and_flattening_are_told_apart_and_what_was_not_measured_is_not_counted() -> None:
    found = summary(
        [
            {**ONE, "area_error": 0.02, "flattening_error": -0.3},
            {**ONE, "area_error": -0.12, "flattening_error": -0.1},
            {**ONE, "area_error": None, "flattening_error": 0.08},
        ]
    )
    assert (found["nerve_area_measured"], found["nerve_area_within_10_percent"]) == (2, 1)
    assert found["nerve_area_median_absolute_error_percent"] == pytest.approx(7.0)
    assert found["nerve_area_mean_error_percent"] == pytest.approx(-5.0)
    assert (found["nerve_flattening_measured"], found["nerve_flattening_within_10_percent"]) == (3, 2)
    assert found["nerve_flattening_median_absolute_error_percent"] == pytest.approx(10.0)
    assert found["nerve_flattening_largest_absolute_error_percent"] == pytest.approx(30.0)


def test_examinations_without_a_nerve_have_no_error() -> None:
    found = summary([{**ONE, "area_error": None, "flattening_error": None}])
    assert found["nerve_area_measured"] == 0
    assert found["nerve_area_median_absolute_error_percent"] is None
