"""A measured series over time to a smooth curve with its uncertainty.

The fixed-interval smoother of Rauch, Tung and Striebel ("Maximum likelihood estimates of linear dynamic systems", AIAA Journal
3 (8), 1965, pp. 1445-1450) for a local linear trend: a level that moves on with a slope, driven by white acceleration. How
noisy one measurement is comes from its neighbourhood (a moving muscle is read less surely than one at rest), how quickly the
muscle moves is chosen by likelihood, and measurements far from the curve lose their weight as under Student's t.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from service.core.measure.plane import Floats

#: Fewer measurements than this are not smoothed: their noise cannot be told from movement.
FEWEST = 5
#: A frame further than this from every measured one has no smoothed value: nobody knows what the muscle did there.
REACH_SECONDS = 0.25
REACH_FRAMES = 5.0
#: The band holds the curve with probability 0.95, if noise is all that is wrong.
BAND = 0.95
BAND_DEVIATIONS = 1.96

#: Cut-off frequencies to choose from, radians a frame: from a straight line over a hundred frames to nearly each frame by itself.
_CUT_OFFS = (0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28)
#: They are those of the noisier frames, in which the muscle moves.
_NOISIEST = 0.9
#: People do not move their muscles to and fro more quickly than this, nor a muscle its own shape.
_FASTEST_HZ = 4.0
#: Rounds of re-weighting.
_ROUNDS = 2
#: Degrees of freedom of Student's t: small ones forgive outliers.
_STUDENT = 4.0
#: Measurements to each side among which an outlier is seen before there is a curve, and among which noise is measured.
_NEIGHBOURS = 3
_NOISE_NEIGHBOURS = 7
#: Evidence counts at least and at most so many times its median.
_EVIDENCE_LIMITS = (0.25, 2.0)
#: From median absolute deviation to standard deviation of a normal distribution.
_MAD = 1.4826
#: No measurement is better than this share of its size; the arithmetic needs some noise, too.
_SMALLEST_NOISE = 1e-3
#: Before the first measurement level and slope are as good as unknown: so many times the square of the values' spread.
_DIFFUSE = 10.0

#: Level, slope, and their variances and covariance: x, v, xx, xv, vv.
_State = tuple[float, float, float, float, float]


@dataclass(frozen=True, slots=True)
class Smoothed:
    """One entry a frame; None where no measurement is near. Slopes are per second, or per frame without a time axis."""

    values: tuple[float | None, ...]
    deviations: tuple[float | None, ...]
    slopes: tuple[float | None, ...]
    slope_deviations: tuple[float | None, ...]
    #: Standard deviation of one measurement in this frame, had it usual evidence.
    noise: tuple[float, ...]

    def low(self) -> tuple[float | None, ...]:
        """The lower edge of the band."""
        return self._edge(-BAND_DEVIATIONS)

    def high(self) -> tuple[float | None, ...]:
        """The upper edge of the band."""
        return self._edge(BAND_DEVIATIONS)

    def _edge(self, deviations: float) -> tuple[float | None, ...]:
        pairs = zip(self.values, self.deviations, strict=True)
        return tuple(None if value is None or one is None else value + deviations * one for value, one in pairs)


def smooth(values: Sequence[float | None], evidence: Sequence[float], seconds: Sequence[float] | None) -> Smoothed | None:
    """The curve through values (N,), the more so the more evidence each has (N,); None with fewer than `FEWEST` values.

    `seconds` (N,) rise from frame to frame; without them frames count as evenly spaced.
    """
    known = np.array([index for index, value in enumerate(values) if value is not None], np.intp)
    if len(known) < FEWEST:
        return None
    times = np.arange(len(values), dtype=np.float64) if seconds is None else np.asarray(seconds, np.float64)
    unit = float(np.median(np.diff(times)))
    y = np.array([value for value in values if value is not None], np.float64)
    trust = _trust(np.asarray(evidence, np.float64)[known])
    noise = _noise(times[known], y, trust)
    series = _Series(times / unit, known, y, noise)
    padded = np.pad(y, _NEIGHBOURS, mode="reflect", reflect_type="odd")  # goes on rising where the values rise
    weights = trust * _student(y - _running_median(padded, _NEIGHBOURS), noise, trust)
    drives = _drives(float(np.quantile(noise, _NOISIEST)), unit if seconds is not None else None)
    drive = _most_likely(drives, partial(series.likelihood, weights))
    curve = series.smoothed(weights, drive)
    for _ in range(_ROUNDS):
        curve = series.smoothed(trust * _student(y - curve[0, known], noise, trust), drive)
    reach = REACH_FRAMES if seconds is None else REACH_SECONDS
    near = _distances(times, times[known]) <= reach * (1 + 1e-9)
    return Smoothed(
        values=_where(near, curve[0]),
        deviations=_where(near, np.sqrt(curve[2])),
        slopes=_where(near, curve[1] / unit),
        slope_deviations=_where(near, np.sqrt(curve[4]) / unit),
        noise=tuple(np.interp(times, times[known], noise).tolist()),
    )


def _where(near: np.typing.NDArray[np.bool_], values: Floats) -> tuple[float | None, ...]:
    return tuple(float(value) if is_near else None for value, is_near in zip(values, near, strict=True))


def _distances(times: Floats, known: Floats) -> Floats:
    """From each time (N,) to the nearest of the known ones (K,)."""
    after = np.clip(np.searchsorted(known, times), 1, len(known) - 1)
    return np.asarray(np.minimum(np.abs(times - known[after - 1]), np.abs(times - known[after])))


def _trust(evidence: Floats) -> Floats:
    usual = float(np.median(evidence))
    return np.clip(evidence / usual, *_EVIDENCE_LIMITS) if usual > 0 else np.ones_like(evidence)


def _noise(times: Floats, y: Floats, trust: Floats) -> Floats:
    """Standard deviation of each measurement (K,): how far those around it lie from straight lines between their neighbours."""
    after = (times[1:-1] - times[:-2]) / (times[2:] - times[:-2])
    residual = y[1:-1] - (1 - after) * y[:-2] - after * y[2:]
    variance = 1 / trust[1:-1] + (1 - after) ** 2 / trust[:-2] + after**2 / trust[2:]
    deviation = np.pad(_MAD * np.abs(residual) / np.sqrt(variance), 1, mode="edge")
    around = min(_NOISE_NEIGHBOURS, (len(y) - 1) // 2)
    floor = max(float(np.median(deviation)), _SMALLEST_NOISE * max(float(np.abs(y).mean()), 1e-6))
    return np.maximum(_running_median(np.pad(deviation, around, mode="reflect"), around), floor)


def _running_median(padded: Floats, around: int) -> Floats:
    """Of values (N + 2 around,), the medians (N,) of each with its neighbours."""
    return np.asarray(np.median(np.lib.stride_tricks.sliding_window_view(padded, 2 * around + 1), axis=1))


def _student(residual: Floats, noise: Floats, trust: Floats) -> Floats:
    squared = (residual / noise) ** 2 * trust
    return np.asarray(np.minimum(1.0, (_STUDENT + 1) / (_STUDENT + squared)))


def _drives(noise: float, frame_seconds: float | None) -> list[float]:
    """Intensities of the white acceleration to choose from, frames as the unit of time."""
    fastest = math.inf if frame_seconds is None else 2 * math.pi * _FASTEST_HZ * frame_seconds
    return [(noise * min(cut_off, fastest) ** 2) ** 2 for cut_off in _CUT_OFFS]


def _most_likely(drives: Sequence[float], likelihood: Callable[[float], float]) -> float:
    """Uphill from the middle: the likelihood has one summit, and each look at it is a pass over the series."""
    place = len(drives) // 2
    best = likelihood(drives[place])
    for step in (-1, 1):
        while 0 <= place + step < len(drives) and (found := likelihood(drives[place + step])) > best:
            place, best = place + step, found
    return drives[place]


@dataclass(frozen=True, slots=True)
class _Series:
    """Measurements `y` (K,) in the frames `known` (K,) of `times` (N,)."""

    times: Floats
    known: np.typing.NDArray[np.intp]
    y: Floats
    noise: Floats

    def likelihood(self, weights: Floats, drive: float) -> float:
        """Logarithm of how likely the measurements are, but for a constant."""
        predicted = np.array(self._filtered(weights, drive)[0])[self.known]  # (K, 5)
        variance = predicted[:, 2] + self.noise**2 / weights
        return float(-np.sum(np.log(variance) + (self.y - predicted[:, 0]) ** 2 / variance)) / 2

    def smoothed(self, weights: Floats, drive: float) -> Floats:
        """States (5, N) after all measurements."""
        predicted, filtered = self._filtered(weights, drive)
        states = [filtered[-1]]
        steps = np.diff(self.times).tolist()
        for index in range(len(filtered) - 2, -1, -1):
            states.append(_looked_back(filtered[index], predicted[index + 1], states[-1], steps[index]))
        found = np.array(states[::-1]).T
        found[[2, 4]] = np.maximum(found[[2, 4]], (_SMALLEST_NOISE * self.noise.min()) ** 2)  # rounding may end below nothing
        return found

    def _filtered(self, weights: Floats, drive: float) -> tuple[list[_State], list[_State]]:
        """Each frame's state before and after its measurement."""
        low, middle, high = np.quantile(self.y, (0.1, 0.5, 0.9)).tolist()
        spread = _DIFFUSE * ((high - low) ** 2 + float(self.noise.max()) ** 2)
        state: _State = (middle, 0.0, spread, 0.0, spread)
        predicted, filtered = [], []
        for step, measured in zip([0.0, *np.diff(self.times).tolist()], self._measured(weights), strict=True):
            state = _moved_on(state, step, drive)
            predicted.append(state)
            if measured is not None:
                state = _corrected(state, *measured)
            filtered.append(state)
        return predicted, filtered

    def _measured(self, weights: Floats) -> list[tuple[float, float] | None]:
        """Value and variance in each frame (N,), None where there is none."""
        found: list[tuple[float, float] | None] = [None] * len(self.times)
        variances = self.noise**2 / weights
        for index, value, variance in zip(self.known.tolist(), self.y.tolist(), variances.tolist(), strict=True):
            found[index] = (value, variance)
        return found


def _moved_on(state: _State, step: float, drive: float) -> _State:
    x, v, xx, xv, vv = state
    driven = drive * step
    reach = xv + step * vv
    return x + step * v, v, xx + step * (xv + reach + driven * step / 3), reach + driven * step / 2, vv + driven


def _corrected(state: _State, value: float, variance: float) -> _State:
    x, v, xx, xv, vv = state
    gain_x, gain_v, surprise = xx / (xx + variance), xv / (xx + variance), value - x
    return x + gain_x * surprise, v + gain_v * surprise, (1 - gain_x) * xx, (1 - gain_x) * xv, vv - gain_v * xv


def _looked_back(filtered: _State, predicted: _State, smoothed: _State, step: float) -> _State:
    """A frame's state, knowing what came after: the equations of Rauch, Tung and Striebel, written out for two numbers."""
    x, v, xx, xv, vv = filtered
    _, _, pxx, pxv, pvv = predicted
    determinant = pxx * pvv - pxv * pxv
    if determinant <= 0:  # only by rounding
        return filtered
    a, c = xx + step * xv, xv + step * vv
    gain_xx, gain_xv = (a * pvv - xv * pxv) / determinant, (xv * pxx - a * pxv) / determinant
    gain_vx, gain_vv = (c * pvv - vv * pxv) / determinant, (vv * pxx - c * pxv) / determinant
    dx, dv = smoothed[0] - predicted[0], smoothed[1] - predicted[1]
    dxx, dxv, dvv = smoothed[2] - pxx, smoothed[3] - pxv, smoothed[4] - pvv
    return (
        x + gain_xx * dx + gain_xv * dv,
        v + gain_vx * dx + gain_vv * dv,
        xx + gain_xx**2 * dxx + 2 * gain_xx * gain_xv * dxv + gain_xv**2 * dvv,
        xv + gain_xx * gain_vx * dxx + (gain_xx * gain_vv + gain_xv * gain_vx) * dxv + gain_xv * gain_vv * dvv,
        vv + gain_vx**2 * dxx + 2 * gain_vx * gain_vv * dxv + gain_vv**2 * dvv,
    )
