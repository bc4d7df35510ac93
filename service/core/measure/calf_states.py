"""One frame of a calf and the network's answer: states, what they may be off by, and the lines they were read between."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from service.core.calf_lines import NoLines
from service.core.calf_patches import CalfPatches
from service.core.measure.plane import Floats

#: Half the width of a 90 % interval of a normal distribution, in standard deviations, and its probability.
BAND_DEVIATIONS, BAND = 1.6449, 0.90
#: What the network tells, in its order: degrees (positive is plantarflexion), square roots of shares of the strongest
#: contraction, newton metres.
STATES = ("joint_angle", "activity_gastrocnemius", "activity_soleus", "joint_moment")
#: Least and most of each length that training saw (simulator's calf states 1.0.0), and by how much of it more is let pass.
_TRAINED_ON = ((9.5, 26.5), (8.0, 31.1), (1.7, 8.7), (5.7, 8.9), (38.3, 48.1))
_BEYOND = 0.25
#: An electrode can show more than it did at the strongest contraction: in the people simulated, half as much again (the middle
#: gain and two standard deviations of EMG_GAIN_SPREAD). More than that no network has seen, and none can tell.
MOST_ACTIVITY_PERCENT = 150.0


class Unread(StrEnum):
    """Why a frame's states could not be told, where it is not for the lines alone."""

    DO_NOT_FIT = "lines_leave_the_picture"
    UNLIKE_TRAINING = "lengths_unlike_training"


@dataclass(frozen=True, slots=True)
class FrameStates:
    """Of one frame. What was not read has a reason and nothing else."""

    number: int
    reason: NoLines | Unread | None = None
    #: (4,), in the order and units of STATES, and standard deviations of what they are off by.
    mean: npt.NDArray[np.float64] | None = None
    deviation: npt.NDArray[np.float64] | None = None
    #: Of the gastrocnemius, as `muscle_architecture` measures it, degrees.
    pennation_deg: float | None = None
    #: Rows of the region at the sector's columns (3, columns), thinned.
    lines: Floats | None = None

    def answered(self, state: npt.NDArray[np.floating], log_variance: npt.NDArray[np.floating]) -> "FrameStates":
        """The same with what the network said (4,), (4,)."""
        deviation = np.exp(0.5 * log_variance.astype(np.float64))
        return FrameStates(self.number, None, state.astype(np.float64), deviation, self.pennation_deg, self.lines)

    def away(self, deviations: float) -> npt.NDArray[np.float64] | None:
        """The states (4,), so many standard deviations from the mean; None where either is not known."""
        if deviations == 0 or self.mean is None:
            return self.mean
        return None if self.deviation is None else self.mean + deviations * self.deviation


def is_like_training(patches: CalfPatches) -> bool:
    """Whether each length lies where training saw it, or a quarter beyond; without a scale nobody knows, and it counts as so."""
    if np.isnan(patches.scalars).any():
        return True
    pairs = zip(patches.scalars.tolist(), _TRAINED_ON, strict=True)
    return all(low * (1 - _BEYOND) <= value <= high * (1 + _BEYOND) for value, (low, high) in pairs)


def activity_percent(root: float) -> float:
    """Of the strongest contraction, 0 to MOST_ACTIVITY_PERCENT, from its square root's prediction, which may lie beyond both."""
    return min(100 * max(root, 0.0) ** 2, MOST_ACTIVITY_PERCENT)
