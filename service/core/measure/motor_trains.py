"""Of one motor unit: the traces that the network `mu_twitch` is given, and when the unit discharged by what it answers."""

import numpy as np
import numpy.typing as npt
from scipy import ndimage, signal

from service.core.measure.motor_band import BAND_HZ, RATE_HZ
from service.core.measure.motor_maps import Floats, Mask

Values = npt.NDArray[np.floating]
Seconds = npt.NDArray[np.float64]

#: Over its territory, over its rim, and at seven places.
TRACES = 9
#: A discharge is at least so probable; chosen on validation muscles (`training.motor_units.evaluate`).
LEAST_PROBABILITY = 0.35

_RIM_PIXELS = 3
_PLACES = TRACES - 2
_LEAST_FRAMES = 64
_SMOOTHED_S = 0.008
#: Two discharges of low force are no nearer than so.
_NEAREST_S = 0.045
#: A swell rises over what is round it by this share of the train's usual range (10th to 90th percentile).
_PROMINENCE = 0.3


def traces(velocity: Floats, mask: Mask) -> Floats:
    """(9, T) of velocity (T, H, W), within the band of twitches: mean over the territory, over its rim, and seven of its pixels.

    Raises ValueError for an empty mask.
    """
    if not mask.any():
        raise ValueError("a territory without a pixel has no traces")
    rim = ndimage.binary_dilation(mask, iterations=_RIM_PIXELS) & ~mask
    rows, columns = np.nonzero(mask)
    from_middle = np.hypot(rows - rows.mean(), columns - columns.mean())
    chosen = np.argsort(from_middle, kind="stable")[np.linspace(0, len(rows) - 1, _PLACES).round().astype(int)]
    beside = velocity[:, rim].mean(1) if rim.any() else np.zeros(len(velocity), np.float32)
    taken = np.stack([velocity[:, mask].mean(1), beside, *velocity[:, rows[chosen], columns[chosen]].T], axis=1)
    return np.asarray(within_band(taken, RATE_HZ).T, np.float32)


def within_band(velocity: Values, frame_rate_hz: float) -> Floats:
    """(T, ...) without what is slower or faster than twitches, in the same phase. Raises ValueError for fewer than 64 frames."""
    if len(velocity) < _LEAST_FRAMES:
        raise ValueError(f"{len(velocity)} frames are too few to filter: at least {_LEAST_FRAMES} are needed")
    stages = signal.butter(2, BAND_HZ, "bandpass", fs=frame_rate_hz, output="sos")
    return np.asarray(signal.sosfiltfilt(stages, velocity, axis=0), np.float32)


def discharges(logits: Values, least: float = LEAST_PROBABILITY) -> Seconds:
    """Seconds since the first frame, rising, of the peaks of the network's logits (T,) at 250 Hz."""
    probability = ndimage.gaussian_filter1d(1 / (1 + np.exp(-np.clip(logits, -30, 30))), 1.0)
    peaks, _ = signal.find_peaks(probability, height=least, distance=round(_NEAREST_S * RATE_HZ))
    return np.asarray(peaks / RATE_HZ, np.float64)


def swells(twitch: Values, frame_rate_hz: float) -> Seconds:
    """Without a network: the peaks of a train (T,), seconds since the first frame, later than discharges by a constant lag."""
    smooth = ndimage.gaussian_filter1d(np.asarray(twitch, np.float64), _SMOOTHED_S * frame_rate_hz)
    low, high = np.quantile(smooth, [0.1, 0.9])
    if high <= low:
        return np.zeros(0)
    apart = max(1, round(_NEAREST_S * frame_rate_hz))
    peaks, _ = signal.find_peaks(smooth, distance=apart, prominence=_PROMINENCE * (high - low))
    return np.asarray(peaks / frame_rate_hz, np.float64)
