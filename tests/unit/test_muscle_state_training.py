"""Training of muscle states: who is held out of what, frames, scores by person, what needs no picture."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from simulator.calf_in_motion import draw_state_subject
from training.muscle_state.frames import Frames, frames_of, joined
from training.muscle_state.people import CINE_PEOPLE, FOLDS, PEOPLE, SPLITS, geometry, held_out_in, states_of, targets
from training.muscle_state.scores import coverage, r2, slope, spread, without_offset
from training.muscle_state.trivial import held_out_predictions, mean_of_others, ridge


@pytest.fixture(scope="module")
def frames() -> Frames:
    """Three people of eight moments each."""
    return joined([frames_of(seed, count=8) for seed in (501, 502, 503)])


def test_folds_hold_out_each_person_once_in_pairs() -> None:
    held = [seed for fold in range(FOLDS) for seed in held_out_in(fold)]
    assert sorted(held) == list(PEOPLE)
    assert len(PEOPLE) == 2 * FOLDS == 32


def test_no_person_is_in_two_splits_and_only_the_held_out_devices_are_held_out() -> None:
    seeds = [seed for split in SPLITS.values() for seed in split.seeds] + list(CINE_PEOPLE)
    assert len(seeds) == len(set(seeds))
    assert {split.name for split in SPLITS.values() if split.device_group == "held-out"} == {"held-out-device"}
    assert draw_state_subject(SPLITS["held-out-device"].seeds[0], "held-out").device.frequency_mhz < 6


def test_frames_of_a_person_are_patches_lengths_and_states_of_the_same_moments(frames: Frames) -> None:
    assert frames.patches.shape == (24, 2, 64, 128)
    first = frames.of((502,))
    assert first.targets == pytest.approx(targets(states_of(502, 8)), abs=1e-4)
    assert first.geometry == pytest.approx(geometry(states_of(502, 8)), abs=1e-3)
    # The lines are off as a segmentation's are, so the thickness that is measured is near the true one, and not the same.
    apart = first.scalars[:, :2] - first.geometry[:, 2:]
    assert 0.01 < np.abs(apart).mean() < 1.0
    assert set(frames.without((502,)).person.tolist()) == {501, 503}


def test_r2_of_a_person_is_one_when_right_and_nought_for_that_persons_mean() -> None:
    truth = np.random.default_rng(1).normal(size=(50, 4)) * 3 + 7
    assert r2(truth, truth).tolist() == [1.0] * 4
    assert r2(truth, np.repeat(truth.mean(0)[None], 50, 0)) == pytest.approx(np.zeros(4))
    assert np.all(r2(truth, truth + 10) < 0)
    assert r2(truth, without_offset(truth, truth + 10)) == pytest.approx(np.ones(4))
    assert slope(truth, 0.3 * truth + 2) == pytest.approx(np.full(4, 0.3))


def test_coverage_of_the_right_deviation_is_ninety_percent_and_of_half_of_it_less() -> None:
    random = np.random.default_rng(2)
    truth = random.normal(size=(20_000, 1)) * 5
    predicted, deviation = np.zeros_like(truth), np.full_like(truth, 5.0)
    assert coverage(truth, predicted, deviation)[0] == pytest.approx(0.9, abs=0.01)
    assert coverage(truth, predicted, deviation / 2)[0] == pytest.approx(0.59, abs=0.02)


def test_spread_interval_holds_the_mean_and_narrows_with_people() -> None:
    values = np.random.default_rng(3).normal(0.5, 0.1, 64)
    few, many = spread(values[:8]), spread(values)
    assert many.low < many.mean < many.high
    assert many.high - many.low < few.high - few.low
    assert (few.people, many.people) == (8, 64)


def test_ridge_finds_a_straight_line_and_the_mean_looks_at_nothing() -> None:
    random = np.random.default_rng(4)
    seen, asked = random.normal(size=(400, 3)) * [1, 10, 0.1], random.normal(size=(20, 3)) * [1, 10, 0.1]
    weights = np.array([[1.0, -2], [0.1, 0], [5, 3]])
    told = seen @ weights + [4, 5]
    assert ridge(seen, told, asked) == pytest.approx(asked @ weights + [4, 5], abs=0.05)
    assert mean_of_others(seen, told, asked) == pytest.approx(np.repeat(told.mean(0)[None], 20, 0))


def test_predictors_without_pictures_leave_room_in_every_state() -> None:
    known = {seed: states_of(seed, 40) for seed in PEOPLE}
    wanted, found = held_out_predictions(known, geometry, ridge)
    reached = np.mean([r2(*pair) for pair in zip(wanted, found, strict=True)], axis=0)
    assert len(wanted) == len(PEOPLE)
    assert np.all((reached > 0.05) & (reached < 0.6))


def test_card_of_the_simulator_holds_the_table_that_the_command_prints() -> None:
    command = [sys.executable, "-m", "training.muscle_state.trivial"]
    rows = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[3:]
    card = (Path(__file__).parents[2] / "simulator" / "CARD.md").read_text(encoding="utf-8").splitlines()
    assert len(rows) == 6
    for row in rows:
        (published,) = [line for line in card if line.startswith(row[: row.index("|", 1)] + "|")]
        printed, known = ([float(number) for number in re.findall(r"-?\d+\.\d+", line)] for line in (row, published))
        assert len(known) == 24
        assert printed == pytest.approx(known, abs=0.011)
