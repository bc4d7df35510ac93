"""The benchmark that calibrates contractions, on networks' answers that were drawn."""

from collections.abc import Iterable, Iterator

import numpy as np

from bench.contractions import NAMES, excursions
from service.core.analyses.analysis import ModelSpec, Tensors
from simulator.calf import simulate_calf
from tests.phantoms import Muscle, scripted


def drawn(model: ModelSpec, batches: Iterable[Tensors]) -> Iterator[Tensors]:
    """One contraction, 14 to 26 degrees and back, over the frames of any simulated cine."""
    frames = simulate_calf(1).number_of_frames
    lean = 20 - 6 * np.cos(2 * np.pi * np.arange(frames) / (frames - 1))
    answers = scripted(Muscle(fascicle_angle_deg=float(angle), deep_angle_deg=0.0).answer() for angle in lean)
    return answers(model, batches)


def test_excursions_have_intervals_whatever_weights_answered() -> None:
    found = excursions(2, 1, drawn)
    assert {one.name for one in found} <= set(NAMES)
    assert "pennation_excursion" in {one.name for one in found}
    for one in found:
        assert one.low < one.value < one.high
        assert one.true > 0
