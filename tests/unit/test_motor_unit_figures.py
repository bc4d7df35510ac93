"""What the cards of the motor-unit networks tell: every rival, where one is ahead, and how was chosen what is read."""

import json
from typing import Any

import pytest

from service.core.measure.motor_maps import LEAST_HEAT
from service.core.measure.motor_trains import LEAST_PROBABILITY
from tests.running import ROOT
from training.motor_units.figures import ahead, told


@pytest.fixture(scope="module")
def results() -> dict[str, Any]:
    read: dict[str, Any] = json.loads((ROOT / "bench/results/motor_units.json").read_text(encoding="utf-8"))
    return read


def cell(networks: dict[str, float], deflation: dict[str, float]) -> dict[str, Any]:
    return {
        name: {"sequences": 4, **{figure: {"value": value} for figure, value in some.items()}}
        for name, some in (("networks", networks), ("deflation", deflation))
    }


def test_rival_is_ahead_with_more_agreement_or_less_error() -> None:
    cells = {
        "easy": cell({"F1": 0.9, "NRMSE": 0.03}, {"F1": 0.8, "NRMSE": 0.02}),
        "hard": cell({"F1": 0.7, "NRMSE": 0.05}, {"F1": 0.6, "NRMSE": 0.06}),
    }
    assert list(ahead(cells)) == ["- deflation: NRMSE in 1 of 2 cells (easy: 0.020 against 0.030)"]
    assert list(ahead({"hard": cells["hard"]})) == ["- deflation: nothing"]


def test_cards_tell_every_rival_and_the_oracle_of_every_cell(results: dict[str, Any]) -> None:
    for model in ("mu_seg", "mu_twitch"):
        card = (ROOT / "model_repository" / model / "model_card.md").read_text(encoding="utf-8")
        assert told(results).strip() in card
        for name in results["networks on test"]["cells"]:
            for what in ("networks", "deflation", "PCA", "ICA", "oracle"):
                assert f"|{name}|{what}|" in card
        assert "deflation: NRMSE in 6 of 10 cells" in card
        assert "twitch r in 1 of 10 cells" in card


def test_what_is_read_from_the_networks_is_the_best_that_was_tried_on_validation(results: dict[str, Any]) -> None:
    tried = results["networks on validation"]["tried"]
    for name, used in (("F1 by least heat", LEAST_HEAT), ("rate of agreement by least probability", LEAST_PROBABILITY)):
        assert tried[name][str(used)] == max(tried[name].values())
