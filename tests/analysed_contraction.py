"""What the analysis says of a drawn contraction; for tests of what is made of findings."""

from functools import cache

import numpy as np

from service.core.analyses.muscle_architecture import MuscleArchitecture
from service.core.findings import Finding
from tests.phantoms import Muscle, described, muscle_cine, scripted

SOP_INSTANCE_UID = "2.25.4711"
FRAMES = 16


@cache
def contraction_findings() -> tuple[Finding, ...]:
    """Pennation 14 to 26 degrees and back within 16 frames."""
    lean = 20 - 6 * np.cos(2 * np.pi * np.arange(FRAMES) / (FRAMES - 1))
    muscles = [Muscle(fascicle_angle_deg=float(angle), deep_angle_deg=0.0) for angle in lean]
    return MuscleArchitecture().analyse(muscle_cine(muscles), scripted(muscle.answer() for muscle in muscles), described)
