"""When a unit discharged, read from its twitch train without a network: the same for every rival and the oracle."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt
from scipy import ndimage, signal

from service.core.measure.motor_trains import NEAREST_S, Seconds

Values = npt.NDArray[np.floating]

_SECOND = 2


@dataclass(frozen=True, slots=True)
class Reading:
    """Peaks of a train, of its rise or of its bend (minus the second derivative), smoothed first."""

    derivative: int = 1
    smoothed_s: float = 0.004
    #: A peak stands out by this share of the usual range (10th to 90th percentile).
    prominence: float = 0.2

    @property
    def name(self) -> str:
        """As results tell it."""
        return f"{('train', 'rise', 'bend')[self.derivative]}, {1000 * self.smoothed_s:g} ms, {self.prominence:g}"

    def firings(self, twitch: Values, frame_rate_hz: float) -> Seconds:
        """Seconds since the first frame of a train (T,), rising; off from the discharges by a constant lag."""
        sigma = self.smoothed_s * frame_rate_hz
        changed = ndimage.gaussian_filter1d(np.asarray(twitch, np.float64), sigma, order=self.derivative)
        shown = -changed if self.derivative == _SECOND else changed
        low, high = np.quantile(shown, [0.1, 0.9])
        if high <= low:
            return np.zeros(0)
        apart = max(1, round(NEAREST_S * frame_rate_hz))
        peaks, _ = signal.find_peaks(shown, distance=apart, prominence=self.prominence * (high - low))
        return np.asarray(peaks / frame_rate_hz, np.float64)


#: That with which stICA agrees best with the truth on validation muscles (`training.motor_units.rivals --readings`).
READING = Reading()


def readings() -> Iterator[Reading]:
    """All that are tried."""
    for derivative, smoothed_s, prominence in product((0, 1, 2), (0.004, 0.008, 0.012), (0.1, 0.15, 0.2, 0.3)):
        yield Reading(derivative, smoothed_s, prominence)
