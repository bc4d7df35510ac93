"""What the analysis says of a drawn contraction; for tests of what is made of findings."""

from functools import cache

import numpy as np

from service.core.analyses.analysis import ModelSpec
from service.core.analyses.muscle_architecture import MuscleArchitecture
from service.core.findings import Finding, ModelUsed
from service.core.measure.intervals import load_calibration
from tests.phantoms import Muscle, described, muscle_cine, scripted

SOP_INSTANCE_UID = "2.25.4711"
FRAMES = 16


@cache
def contraction_findings() -> tuple[Finding, ...]:
    """Pennation 14 to 26 degrees and back within 16 frames, by the weights that the intervals are calibrated for."""
    return analyse_contraction(load_calibration().weights_sha256)


def analyse_contraction(weights_sha256: str, *, is_calibrated: bool = True) -> tuple[Finding, ...]:
    """The same, by any weights."""
    lean = 20 - 6 * np.cos(2 * np.pi * np.arange(FRAMES) / (FRAMES - 1))
    muscles = [Muscle(fascicle_angle_deg=float(angle), deep_angle_deg=0.0) for angle in lean]
    answers = scripted(muscle.answer() for muscle in muscles)
    cine = muscle_cine(muscles, is_calibrated=is_calibrated)
    return MuscleArchitecture().analyse(cine, answers, lambda model: with_weights(model, weights_sha256))


def with_weights(model: ModelSpec, weights_sha256: str) -> ModelUsed:
    """What a server says of a model that has these weights."""
    return described(model).model_copy(update={"sha256": weights_sha256})
