"""Contractions in a cine: from rest to peak, by the smoothed pennation, and how far thickness and fascicles go with it.

What the pennation does tells shortening from rest; it does not tell whether the muscle shortened by itself or was moved.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from service.core.measure.smoothing import BAND_DEVIATIONS, Smoothed

#: An excursion counts when it exceeds so many standard deviations of itself, as the band gives them.
CLEARLY = 4.0
#: The pennation of a muscle at rest wanders less than this between frames; people measure it no better than that either.
SMALLEST_EXCURSION_DEG = 2.0
#: A contraction has ended when the pennation has fallen by this share of its rise; less is a tremor on its plateau.
_RELAXED_SHARE = 1 / 3
#: Frames beside an extreme within so many standard deviations of it are as good as it: noise draws extremes outwards.
_ALIKE = 3.0


@dataclass(frozen=True, slots=True)
class Change:
    """From rest to peak; `deviation` is that of the difference."""

    rest: float
    peak: float
    deviation: float

    @property
    def excursion(self) -> float:
        """Peak less rest."""
        return self.peak - self.rest

    @property
    def is_clear(self) -> bool:
        """More than noise gives."""
        return abs(self.excursion) > CLEARLY * self.deviation


@dataclass(frozen=True, slots=True)
class Shortening:
    """The greatest speed of the fascicles' shortening, in their unit a second, and where."""

    speed: float
    deviation: float
    index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Contraction:
    """One rise of the pennation; `rest` and `peak` are indices of frames. Without `has_ended` the peak may lie after the cine."""

    rest: int
    peak: int
    has_ended: bool
    pennation: Change
    thickness: Change | None
    fascicle_length: Change | None
    shortening: Shortening | None


def smallest_excursion(pennation: Smoothed) -> float:
    """What the pennation must rise by in this cine to count as a contraction, degrees."""
    deviations = [one for one in pennation.deviations if one is not None]
    return max(SMALLEST_EXCURSION_DEG, CLEARLY * math.sqrt(2) * float(np.median(deviations)))


def find_contractions(
    pennation: Smoothed, thickness: Smoothed | None, fascicle_length: Smoothed | None, *, has_time: bool
) -> tuple[Contraction, ...]:
    """All that the cine shows from rest to peak, in order. Without time there is no speed."""
    found = []
    for rest, peak, has_ended in _rises(pennation.values, smallest_excursion(pennation)):
        plateaus = _plateau(pennation, rest), _plateau(pennation, peak)
        change = _change(pennation, *plateaus)
        if change is None:
            continue
        contraction = Contraction(
            rest=rest,
            peak=peak,
            has_ended=has_ended,
            pennation=change,
            thickness=_change(thickness, *plateaus),
            fascicle_length=_change(fascicle_length, *plateaus),
            shortening=_shortening(fascicle_length, rest, peak) if has_time else None,
        )
        found.append(contraction)
    return tuple(found)


def _rises(values: Sequence[float | None], height: float) -> list[tuple[int, int, bool]]:
    """Foot and top of each rise by more than `height`, and whether it falls off again before the end."""
    course = [(index, value) for index, value in enumerate(values) if value is not None]
    rises: list[tuple[int, int, bool]] = []
    foot = top = course[0]
    for index, value in course:
        rise = top[1] - foot[1]
        if rise > height and top[1] - value > max(height, _RELAXED_SHARE * rise):
            rises.append((foot[0], top[0], True))
            foot = top = index, value
        elif value > top[1]:
            top = index, value
        elif value < foot[1] and rise <= height:
            foot = top = index, value
    if top[1] - foot[1] > height:
        rises.append((foot[0], top[0], False))
    return rises


def _plateau(curve: Smoothed, extreme: int) -> slice:
    """The frames around an extreme that cannot be told from it."""
    level, deviation = curve.values[extreme], curve.deviations[extreme]
    if level is None or deviation is None:
        return slice(extreme, extreme + 1)
    alike = [value is not None and abs(value - level) <= _ALIKE * deviation for value in curve.values]
    first = last = extreme
    while first > 0 and alike[first - 1]:
        first -= 1
    while last + 1 < len(alike) and alike[last + 1]:
        last += 1
    return slice(first, last + 1)


def _change(curve: Smoothed | None, rest: slice, peak: slice) -> Change | None:
    if curve is None:
        return None
    levels = [_mean(curve.values[place]) for place in (rest, peak)]
    deviations = [_mean(curve.deviations[place]) for place in (rest, peak)]
    before, after = levels
    if before is None or after is None:
        return None
    return Change(before, after, math.hypot(*(one for one in deviations if one is not None)))


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _shortening(length: Smoothed | None, rest: int, peak: int) -> Shortening | None:
    """None where the greatest speed is not clearly one."""
    if length is None:
        return None
    slopes = zip(length.slopes[rest : peak + 1], length.slope_deviations[rest : peak + 1], strict=True)
    speeds = [
        Shortening(-slope, deviation, rest + index)
        for index, (slope, deviation) in enumerate(slopes)
        if slope is not None and deviation is not None
    ]
    fastest = max(speeds, key=lambda one: one.speed, default=None)
    return fastest if fastest is not None and fastest.speed > BAND_DEVIATIONS * fastest.deviation else None
