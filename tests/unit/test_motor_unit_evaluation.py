"""The networks as they are served, asked as a table of figures asks them."""

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is only in the training environment (training/requirements.txt)")
pytest.importorskip("sklearn", reason="scikit-learn is only in the training environment (training/requirements.txt)")

from service.core.measure.motor_maps import LEAST_HEAT
from service.core.measure.motor_trains import LEAST_PROBABILITY
from simulator.motor_units import Conditions, simulate_sequence
from tests.running import ROOT
from training.motor_units.evaluate import Networks, of_common_units, said_of, tell
from training.motor_units.figures import FIGURES
from training.motor_units.rivals import keep_rows, tallies
from training.motor_units.scores import Agreement, Score
from training.motor_units.sequences import CELLS


def test_served_networks_find_a_muscle_s_units_and_the_differences_are_told(tmp_path: Path) -> None:
    networks = Networks.of(ROOT / "model_repository")
    muscles = [simulate_sequence(seed, Conditions(5, 20.0, "linear")) for seed in (21, 22)]
    scores = [said_of(networks, muscle).read(LEAST_HEAT, LEAST_PROBABILITY) for muscle in muscles]
    ours, common = tallies(scores), of_common_units(scores, scores)
    assert ours[:, 2].sum() >= 8
    path = tmp_path / "results.json"
    for cell in CELLS:
        keep_rows(path, "test", cell.name, {"networks": ours, "stICA": ours, "oracle": ours})
    tell({"common units": {cell.name: common for cell in CELLS}}, "test", len(muscles), path)
    told = json.loads(path.read_text(encoding="utf-8"))["networks on test"]
    assert list(told["less"]) == ["stICA"]
    for name in FIGURES:
        assert told["less"]["stICA"][CELLS[0].name][name] == {"value": 0.0, "low": 0.0, "high": 0.0}
    assert np.isclose(told["cells"][CELLS[0].name]["networks"]["recall"]["value"], ours[:, 2].sum() / ours[:, 0].sum())
    assert told["common units"][CELLS[0].name]["units"] == ours[:, 2].sum()
    assert told["common units"][CELLS[0].name]["twitch r"] == {"value": 0.0, "low": 0.0, "high": 0.0}
    assert "|networks less stICA|" in path.with_suffix(".test.md").read_text(encoding="utf-8")


def test_units_that_only_one_found_are_not_compared() -> None:
    pair = Agreement(dice=0.9, twitch_r=0.98, twitch_nrmse=0.02, rate_of_agreement=1.0, variation_error=0.0)
    worse = Agreement(dice=0.8, twitch_r=0.90, twitch_nrmse=0.06, rate_of_agreement=1.0, variation_error=0.0)
    ours = Score(3, 2, (pair, pair), (0, 2))
    theirs = Score(3, 2, (worse, worse), (2, 1))
    told = of_common_units([ours], [theirs])
    assert told["units"] == 1
    assert told["twitch r"]["value"] == pytest.approx(0.08)
    assert told["NRMSE"]["value"] == pytest.approx(-0.04)
