"""Whether the states that a network tells rise and fall with the pennation that is measured in the same frames."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from service.core.measure.calf_states import FrameStates
from service.core.measure.plane import Floats

#: Fewer frames, or a pennation that moves less (degrees, 5th to 95th percentile), say nothing of agreement.
_FEWEST, _LEAST_MOVEMENT_DEG = 20, 2.0
#: Below this the two contradict one another: pennation rises with plantarflexion and with activity (Maganaris et al. 1998).
_LOW = 0.3


@dataclass(frozen=True, slots=True)
class Agreement:
    """Rank correlations with the pennation, -1 to 1: of joint angle, of the gastrocnemius' activity, of both (0 to 1)."""

    angle: float
    activity: float
    together: float
    frames: int

    @property
    def is_low(self) -> bool:
        """Whether it is a reason to doubt what the network says."""
        return self.together < _LOW


def agreement_of(frames: Sequence[FrameStates]) -> Agreement | None:
    """None where too few frames have both, or the muscle hardly moves."""
    both = ((one.pennation_deg, one.mean) for one in frames)
    rows = [(pennation, *mean[:2].tolist()) for pennation, mean in both if pennation is not None and mean is not None]
    if len(rows) < _FEWEST:
        return None
    pennation, angle, activity = np.array(rows).T
    low, high = np.quantile(pennation, [0.05, 0.95])
    if high - low < _LEAST_MOVEMENT_DEG:
        return None
    of_angle, of_activity = (_ranks(pennation, other) for other in (angle, activity))
    return Agreement(of_angle, of_activity, _multiple(of_angle, of_activity, _ranks(angle, activity)), len(rows))


def _ranks(one: Floats, other: Floats) -> float:
    """Spearman's; 0 where one does not move."""
    first, second = (ranks - ranks.mean() for ranks in map(stats.rankdata, (one, other)))
    size = float(np.sqrt((first**2).sum() * (second**2).sum()))
    return float((first * second).sum()) / size if size else 0.0


def _multiple(first: float, second: float, between: float) -> float:
    """Of two predictors together, each taken with a weight that is not negative: a falling pennation is no agreement."""
    both = (first**2 + second**2 - 2 * first * second * between) / max(1 - between**2, 1e-6)
    weights_rise = first - second * between >= 0 and second - first * between >= 0
    return float(np.sqrt(np.clip(both, 0, 1))) if weights_rise else max(first, second, 0.0)
