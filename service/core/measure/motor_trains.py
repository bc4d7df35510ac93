"""Of motor units: the traces that the network `mu_twitch` is given, and when a unit discharged by what it answers."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import ndimage, signal

from service.core.measure.motor_band import BAND_HZ, RATE_HZ
from service.core.measure.motor_maps import Floats, Mask
from service.core.measure.motor_unmixing import unmixed

Values = npt.NDArray[np.floating]
Seconds = npt.NDArray[np.float64]

#: Unmixed from those of the others, over its territory, over its rim, and at seven places.
TRACES = 10
#: A discharge is at least so probable; chosen on validation muscles (`training.motor_units.evaluate`).
LEAST_PROBABILITY = 0.35

_RIM_PIXELS = 3
_PLACES = TRACES - 3
_LEAST_FRAMES = 64
#: Two discharges of low force are no nearer than so.
NEAREST_S = 0.045


def traces(velocity: Floats, masks: Sequence[Mask]) -> Floats:
    """(N, 10, T) of velocity (T, H, W) within the band of twitches, for the territories of all N units that are known in it.

    Of each unit: its train unmixed from those of the others, the mean over its territory and over its rim, and seven pixels.
    Raises ValueError without a mask, or for an empty one.
    """
    if not masks or not all(mask.any() for mask in masks):
        raise ValueError("without a territory, or in one without a pixel, there are no traces")
    trains = unmixed(velocity, masks)
    return np.stack([np.vstack([train, _seen(velocity, mask)]) for train, mask in zip(trains, masks, strict=True)])


def within_band(velocity: Values, frame_rate_hz: float) -> Floats:
    """(T, ...) without what is slower or faster than twitches, in the same phase. Raises ValueError for fewer than 64 frames."""
    if len(velocity) < _LEAST_FRAMES:
        raise ValueError(f"{len(velocity)} frames are too few to filter: at least {_LEAST_FRAMES} are needed")
    stages = signal.butter(2, BAND_HZ, "bandpass", fs=frame_rate_hz, output="sos")
    return np.asarray(signal.sosfiltfilt(stages, velocity, axis=0), np.float32)


def discharges(logits: Values, least: float = LEAST_PROBABILITY) -> Seconds:
    """Seconds since the first frame, rising, of the peaks of the network's logits (T,) at 250 Hz."""
    probability = ndimage.gaussian_filter1d(1 / (1 + np.exp(-np.clip(logits, -30, 30))), 1.0)
    peaks, _ = signal.find_peaks(probability, height=least, distance=round(NEAREST_S * RATE_HZ))
    return np.asarray(peaks / RATE_HZ, np.float64)


def _seen(velocity: Floats, mask: Mask) -> Floats:
    """(9, T): over the territory, beside it, and at seven of its pixels from the middle outwards."""
    rim = ndimage.binary_dilation(mask, iterations=_RIM_PIXELS) & ~mask
    rows, columns = np.nonzero(mask)
    from_middle = np.hypot(rows - rows.mean(), columns - columns.mean())
    chosen = np.argsort(from_middle, kind="stable")[np.linspace(0, len(rows) - 1, _PLACES).round().astype(int)]
    beside = velocity[:, rim].mean(1) if rim.any() else np.zeros(len(velocity), np.float32)
    return np.stack([velocity[:, mask].mean(1), beside, *velocity[:, rows[chosen], columns[chosen]].T])
