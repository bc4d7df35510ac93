"""What needs no training: units found in simulated muscles, and discharges in drawn trains."""

import json
from pathlib import Path

import numpy as np
import pytest

from service.core.measure.motor_maps import matched
from service.core.measure.motor_trains import within_band
from simulator.motor_units import FRAME_RATE_HZ, Conditions, MotorSequence, simulate_sequence
from tests.running import ROOT
from training.motor_units.scores import rate_of_agreement

pytest.importorskip("sklearn", reason="scikit-learn is only in the training environment (training/requirements.txt)")

from training.motor_units.baselines import ALPHA, BASELINES, Candidate, distinct, oracle, truth_of
from training.motor_units.figures import table
from training.motor_units.firings import READING, readings
from training.motor_units.rivals import COLUMNS, keep_rows, kept_rows, summary, tallies
from training.motor_units.scores import score


@pytest.fixture(scope="module")
def muscle() -> MotorSequence:
    """Five units with little noise."""
    return simulate_sequence(21, Conditions(5, 20.0, "linear"))


def test_discharges_are_read_from_a_train_that_lies_on_drift_and_noise() -> None:
    moments = np.arange(512) / FRAME_RATE_HZ
    true = np.cumsum(np.random.default_rng(1).normal(0.1, 0.012, 18))
    train = sum(np.exp(-(((moments - time) / 0.02) ** 2)) for time in true)
    drifting = train + 3 * np.sin(2 * np.pi * 0.3 * moments) + 0.05 * np.random.default_rng(2).standard_normal(512)
    assert rate_of_agreement(true, READING.firings(within_band(drifting, FRAME_RATE_HZ), FRAME_RATE_HZ)) > 0.9


def test_train_that_never_changes_has_no_discharge() -> None:
    assert len(READING.firings(np.zeros(512), FRAME_RATE_HZ)) == 0


def test_too_few_frames_to_filter_are_refused() -> None:
    with pytest.raises(ValueError, match="20 frames are too few to filter"):
        within_band(np.zeros(20), FRAME_RATE_HZ)


@pytest.mark.parametrize("name", sorted(BASELINES))
def test_every_baseline_has_most_units_among_its_candidates(name: str, muscle: MotorSequence) -> None:
    found = BASELINES[name](muscle.velocity)
    pairs = matched([unit.mask for unit in muscle.units], [one.mask for one in found])
    assert len(pairs) >= 3
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)


def test_oracle_knows_the_territories_and_nearly_the_trains(muscle: MotorSequence) -> None:
    whole = score(truth_of(muscle.units), oracle(muscle))
    assert len(whole.pairs) == len(muscle.units)
    assert all(pair.dice == 1 for pair in whole.pairs)
    assert np.mean([pair.twitch_r for pair in whole.pairs]) > 0.8


def test_candidates_of_one_place_are_one_unit() -> None:
    mask = np.zeros((64, 64), np.bool_)
    mask[10:20, 10:20] = True
    train = np.sin(np.arange(512) / 5)
    kept = distinct([Candidate(mask, train, 1.0), Candidate(mask, train, 2.0), Candidate(np.roll(mask, 30, 1), train, 0.5)])
    assert [one.score for one in kept] == [2.0, 0.5]


def test_table_tells_each_figure_with_its_interval(muscle: MotorSequence) -> None:
    truth = truth_of(muscle.units)
    found = summary(tallies([score(truth, oracle(muscle)), score(truth, [])]))
    assert found["recall"] == {"value": 0.5, "low": 0.0, "high": 1.0}
    assert "0.50 (0.00 to 1.00)" in table({"a cell": {"oracle": found}})


def test_rows_are_read_as_they_were_kept(muscle: MotorSequence, tmp_path: Path) -> None:
    truth = truth_of(muscle.units)
    rows = tallies([score(truth, oracle(muscle)), score(truth, [])])
    path = tmp_path / "results.json"
    keep_rows(path, "test", "a cell", {"oracle": rows})
    keep_rows(path, "test", "a cell", {"networks": rows[:1]})
    kept = kept_rows(json.loads(path.read_text(encoding="utf-8")), "test", "a cell")
    assert rows.shape == (2, len(COLUMNS))
    assert np.array_equal(kept["oracle"], rows)
    assert len(kept["networks"]) == 1


def test_weight_of_space_is_the_best_that_was_tried_on_validation_muscles() -> None:
    results = json.loads((ROOT / "bench/results/motor_units.json").read_text(encoding="utf-8"))
    sums = {weight: sum(found.values()) for weight, found in results["stICA on validation, by weight of space"].items()}
    assert sums[str(ALPHA)] == max(sums.values())


def test_reading_of_the_rivals_firings_is_the_best_that_was_tried_on_validation_muscles() -> None:
    results = json.loads((ROOT / "bench/results/motor_units.json").read_text(encoding="utf-8"))
    agreement = results["stICA on validation, rate of agreement by reading"]
    assert set(agreement) == {reading.name for reading in readings()}
    assert agreement[READING.name] == max(agreement.values())
