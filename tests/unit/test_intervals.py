"""Conformal intervals: the right half-width for stills and cines, and none for weights that they were not made with."""

import json
from pathlib import Path

import numpy as np
import pytest

from bench.intervals import Answer, calibrate, conformal_quantile, coverage
from service.core.measure import intervals
from service.core.measure.intervals import Calibration, HalfWidths, Step

STEPS = (Step(1, 3.0), Step(5, 1.0))


def calibration(kind: str = "absolute") -> Calibration:
    return Calibration("aa", 0.9, {"pennation_angle": HalfWidths(kind, STEPS)}, {})  # type: ignore[arg-type] # one of the two words


@pytest.mark.parametrize(("frames", "half"), [(1, 3.0), (4, 3.0), (5, 1.0), (600, 1.0)])
def test_interval_of_a_cine_is_narrower_than_of_a_still(frames: int, half: float) -> None:
    interval = calibration().interval("pennation_angle", 20.0, frames, "aa")
    assert interval is not None
    assert (interval.low, interval.high, interval.level) == (20.0 - half, 20.0 + half, 0.9)


def test_interval_of_a_length_is_a_share_and_never_negative() -> None:
    interval = calibration("relative").interval("pennation_angle", 20.0, 1, "aa")
    assert interval is not None
    assert (interval.low, interval.high) == (0.0, 80.0)


@pytest.mark.parametrize(("name", "weights"), [("echo_intensity", "aa"), ("pennation_angle", "bb")])
def test_interval_of_what_no_errors_were_collected_of_is_none(name: str, weights: str) -> None:
    assert calibration().interval(name, 20.0, 60, weights) is None


def test_conformal_quantile_holds_new_errors_at_its_level() -> None:
    random = np.random.default_rng(1)
    held = []
    for _ in range(400):
        errors = random.exponential(size=101)
        held.append(errors[0] <= conformal_quantile(list(errors[1:]), 0.9))
    assert 0.87 <= np.mean(held) <= 0.94


def test_conformal_quantile_of_few_errors_is_the_largest() -> None:
    assert conformal_quantile([1.0, 3.0, 2.0], 0.9) == 3.0


def test_coverage_of_answers_like_those_of_the_calibration_is_its_level() -> None:
    random = np.random.default_rng(2)

    def made() -> list[Answer]:
        return [
            Answer("pennation_angle", 20.0 + float(random.normal(0, 4.0 if frames == 1 else 1.0)), 20.0, frames, str(subject))
            for subject in range(400)
            for frames in (1, 60)
        ]

    known = intervals.read_calibration(json.dumps(calibrate(made()) | {"excursions": {}}))
    found = coverage(made(), known)
    assert {title: 0.86 <= row["share_held"] <= 0.94 for title, row in found.items()} == {
        "pennation_angle, cines": True,
        "pennation_angle, stills": True,
    }
    assert found["pennation_angle, stills"]["median_half_width"] > 3 * found["pennation_angle, cines"]["median_half_width"]


def test_calibration_that_is_shipped_was_made_with_the_weights_that_are_shipped() -> None:
    table = json.loads(Path(intervals.__file__).with_name(intervals.TABLE).read_text())
    config = Path("model_repository/muscle_segmentation/config.pbtxt").read_text()
    assert table["weights_sha256"] in config
    assert intervals.load_calibration().measurements["thickness"].kind == "relative"
