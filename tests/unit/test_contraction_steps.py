"""Activity against the step of a contraction: which pictures count, and how a leg is told."""

import pytest

pytest.importorskip("torch", reason="torch is only in the training environment (training/requirements.txt)")

import numpy as np

from bench.labelled_images import StepPicture
from simulator.calf import simulate_calf
from tests.running import ROOT
from training.muscle_state.contraction_steps import legs_table, of_legs, told
from training.muscle_state.model import StateNetwork
from training.muscle_state.served import open_segmentation


def test_leg_is_ranked_over_the_pictures_that_both_answer() -> None:
    calf = simulate_calf(3)
    frames = [frame.sector for frame in calf.frames()]
    rest, peak = (int(pick(calf.truth.pennation_deg)) for pick in (np.argmin, np.argmax))
    between = [round(rest + (peak - rest) * share) for share in (0.0, 0.5, 1.0)]
    pictures = [StepPicture("S1", "L", 100 * number, frames[index]) for number, index in enumerate(between)]
    nothing = StepPicture("S1", "L", 300, np.zeros_like(frames[0]))
    states = [StateNetwork(), StateNetwork()]
    (leg,) = of_legs([*pictures, nothing], states, open_segmentation(ROOT / "model_repository"))
    assert (leg.leg, leg.pictures, leg.answered) == ("S1 L", 4, 3)
    assert leg.pennation == pytest.approx(1.0)
    assert leg.pennation_to_superficial == pytest.approx(1.0)
    assert len(leg.activity_of_each) == len(states)
    found = told([leg])
    assert found["median"]["activity_of_each"] == list(leg.activity_of_each)
    assert "|S1 L|3 of 4|" in legs_table(found)
