"""When a unit discharged, from its twitch train: each discharge is one swell of velocity."""

import numpy as np
import numpy.typing as npt
from scipy import ndimage, signal

Values = npt.NDArray[np.floating]

#: Twitches and their trains are within (Hz); what is slower is drift and the pulse's own wave, what is faster is noise.
BAND_HZ = (3.0, 30.0)
_SMOOTHED_S = 0.008
#: Two discharges of low force are no nearer than so.
_NEAREST_S = 0.045
#: A swell rises over what is round it by this share of the train's usual range (10th to 90th percentile).
_PROMINENCE = 0.3


def within_band(velocity: Values, frame_rate_hz: float) -> Values:
    """(T, ...) without what is slower or faster than twitches, in the same phase. Raises ValueError for fewer than 64 frames."""
    if len(velocity) < 64:
        raise ValueError(f"{len(velocity)} frames are too few to filter: at least 64 are needed")
    stages = signal.butter(2, BAND_HZ, "bandpass", fs=frame_rate_hz, output="sos")
    return np.asarray(signal.sosfiltfilt(stages, velocity, axis=0), np.float32)


def discharges_of(twitch: Values, frame_rate_hz: float) -> npt.NDArray[np.float64]:
    """Seconds since the first frame, of the peaks of a train (T,): later than the discharges by a constant lag."""
    smooth = ndimage.gaussian_filter1d(np.asarray(twitch, np.float64), _SMOOTHED_S * frame_rate_hz)
    low, high = np.quantile(smooth, [0.1, 0.9])
    if high <= low:
        return np.zeros(0)
    apart = max(1, round(_NEAREST_S * frame_rate_hz))
    peaks, _ = signal.find_peaks(smooth, distance=apart, prominence=_PROMINENCE * (high - low))
    return np.asarray(peaks / frame_rate_hz)
