"""A state of a calf against time: the network's number of each frame, a smoothed course, and the band of 90 % round it."""

from collections.abc import Sequence

from service.core.findings import Series
from service.core.measure.calf_states import BAND
from service.core.measure.smoothing import smooth

#: One a frame; None where the frame was not read.
Values = Sequence[float | None]
#: Limits of what is not limited.
ANYTHING = (float("-inf"), float("inf"))


def series_of(
    values: Values, times: Values, *, unit: str, band: tuple[Values, Values] | None, limits: tuple[float, float]
) -> Series:
    """The values as they are; the course through them, and the band's edges moved with that, within what can be.

    `band` has the edges, low and high, of each value; without it the series has none. What is drawn is what stands here.
    """
    known = tuple(time for time in times if time is not None)
    curve = smooth(values, [1.0] * len(values), known if len(known) == len(times) else None)
    course = _within(limits, values if curve is None else curve.values)
    low, high = (_within(limits, _moved(course, values, edge)) for edge in band) if band else ((), ())
    return Series(
        time_seconds=tuple(times),
        values=_rounded(values),
        unit=unit,
        smoothed=_rounded(course),
        low=_rounded(low),
        high=_rounded(high),
        level=None if band is None else BAND,
    )


def _moved(course: Values, values: Values, edge: Values) -> Values:
    """The edge of the band, as far from the course as it was from the value of its frame."""
    moved = zip(course, values, edge, strict=True)
    return [None if at is None or value is None or one is None else at + one - value for at, value, one in moved]


def _within(limits: tuple[float, float], values: Values) -> Values:
    low, high = limits
    return [None if value is None else min(max(value, low), high) for value in values]


def _rounded(values: Values) -> tuple[float | None, ...]:
    return tuple(None if value is None else round(value, 4) for value in values)
