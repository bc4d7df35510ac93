"""What the cards of the motor-unit networks tell: every rival, where one is not surely behind, how was chosen what is read."""

import json
from typing import Any

import pytest

from service.core.measure.motor_maps import LEAST_HEAT
from service.core.measure.motor_trains import LEAST_PROBABILITY
from tests.running import ROOT
from training.motor_units.figures import FIGURES, told, unsure


@pytest.fixture(scope="module")
def results() -> dict[str, Any]:
    read: dict[str, Any] = json.loads((ROOT / "bench/results/motor_units.json").read_text(encoding="utf-8"))
    return read


def around(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 0.02, "high": value + 0.02}


def test_networks_are_surely_better_where_the_interval_is_all_on_their_side() -> None:
    better, same, worse = around(0.1), around(0.01), around(-0.1)
    figures = dict.fromkeys(FIGURES, better) | {"NRMSE": worse, "CoV error": worse}
    less = {"PCA": {"easy": figures | {"NRMSE": same}, "hard": figures | {"Dice": worse}}, "deflation": {"hard": figures}}
    assert list(unsure(less)) == [
        "- deflation: nothing",
        (
            "- PCA: Dice in 1 of 2 cells, behind by the mean in 1, surely in 1 (hard: -0.100 (-0.120 to -0.080)), "
            "NRMSE in 1 of 2 cells, behind by the mean in 1, surely in 0 (easy: +0.010 (-0.010 to +0.030))"
        ),
    ]


def test_cards_tell_every_rival_and_the_oracle_of_every_cell(results: dict[str, Any]) -> None:
    for model in ("mu_seg", "mu_twitch"):
        card = (ROOT / "model_repository" / model / "model_card.md").read_text(encoding="utf-8")
        assert told(results).strip() in card
        for name in results["networks on test"]["cells"]:
            for what in ("networks", "deflation", "PCA", "stICA", "spatial ICA", "oracle"):
                assert f"|{name}|{what}|" in card
        assert "twitch r in 6 of 10 cells, behind by the mean in 0, surely in 0" in card
        assert f"|{next(iter(results['networks on test']['common units']))}|420|+0.003 (+0.001 to +0.005)|" in card


def test_what_is_read_from_the_networks_is_the_best_that_was_tried_on_validation(results: dict[str, Any]) -> None:
    tried = results["networks on validation"]["tried"]
    for name, used in (("F1 by least heat", LEAST_HEAT), ("rate of agreement by least probability", LEAST_PROBABILITY)):
        assert tried[name][str(used)] == max(tried[name].values())
