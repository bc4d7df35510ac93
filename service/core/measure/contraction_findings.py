"""What the contractions of a cine come to as findings: how many, and the largest of them in numbers.

The noise between frames is the smaller part of what may be wrong: a model that reads steep fascicles as less steep does so in
every frame. That part is known from simulated contractions only, and added to every interval here.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from service.core import wording
from service.core.findings import Change, Contraction, Finding, FindingKind, Interval
from service.core.measure import events
from service.core.measure.basis import Basis
from service.core.measure.intervals import load_calibration
from service.core.measure.smoothing import BAND, BAND_DEVIATIONS, Smoothed

_PENNATION, _THICKNESS, _FASCICLE = "pennation_excursion", "thickness_excursion", "fascicle_excursion"
_VELOCITY = "shortening_velocity"


@dataclass(frozen=True, slots=True)
class Course:
    """The smoothed curves in which contractions are looked for; None where there were too few frames."""

    pennation: Smoothed | None
    thickness: Smoothed | None
    fascicle_length: Smoothed | None


def contraction_findings(basis: Basis, course: Course) -> tuple[Finding, ...]:
    """`contraction_count`, and of the largest what is clear; nothing where the pennation has no course over time."""
    if course.pennation is None:
        return ()
    has_speed = basis.seconds() is not None and basis.scale.unit == "mm"
    found = events.find_contractions(course.pennation, course.thickness, course.fascicle_length, has_time=has_speed)
    smallest = events.smallest_excursion(course.pennation)
    count = _count(basis, found, smallest)
    if not found:
        return (count,)
    largest = max(found, key=lambda one: one.pennation.excursion)
    return (count, *_excursions(basis, largest), *_velocity(basis, largest))


def _count(basis: Basis, found: Sequence[events.Contraction], smallest: float) -> Finding:
    return Finding(
        **basis.common("contraction_count"),
        kind=FindingKind.MEASUREMENT,
        value=float(len(found)),
        unit="1",
        flags=_time_flags(basis),
        text=_count_text(basis, found, smallest),
        evidence=basis.evidence(),
        contractions=tuple(_listed(basis, one) for one in found),
    )


def _count_text(basis: Basis, found: Sequence[events.Contraction], smallest: float) -> str:
    limit = wording.quantity(smallest, "deg")
    if not found:
        return f"No contraction: the pennation does not rise by more than {limit}, which noise could give."
    counted = "One contraction" if len(found) == 1 else f"{len(found)} contractions"
    courses = "; ".join(
        f"{wording.quantity(one.pennation.rest, 'deg')} to {wording.quantity(one.pennation.peak, 'deg')}, {_span(basis, one)}"
        for one in found
    )
    open_end = "" if found[-1].has_ended else " The last had not ended when the cine did."
    return f"{counted}, with a rise of the pennation by more than {limit}: {courses}.{open_end}"


def _span(basis: Basis, one: events.Contraction) -> str:
    """`frame 8 (0.28 s) to frame 31 (1.20 s)`."""
    frames = [basis.frames[index] for index in (one.rest, one.peak)]
    times = [basis.cine.time_axis.at(frame.number) for frame in frames]
    return " to ".join(
        f"frame {frame.number}" + ("" if time is None else f" ({wording.quantity(time, 's')})")
        for frame, time in zip(frames, times, strict=True)
    )


@dataclass(frozen=True, slots=True)
class _Estimate:
    """A value and the standard deviation of all that may be wrong with it, where that is known."""

    value: float
    deviation: float | None

    @property
    def interval(self) -> Interval | None:
        """Of 95 %."""
        if self.deviation is None:
            return None
        reach = BAND_DEVIATIONS * self.deviation
        return Interval(low=self.value - reach, high=self.value + reach, level=BAND)


def _estimate(basis: Basis, name: str, value: float, noise: float) -> _Estimate:
    """Without a scale the picture's aspect is only assumed, and nothing but thickness, which lies along the beam, is bounded."""
    is_bounded = basis.scale.unit == "mm" or name == _THICKNESS
    share = load_calibration().excursion_share(name, basis.model.sha256) if is_bounded else None
    return _Estimate(value, None if share is None else math.hypot(noise, share * value))


def _excursions(basis: Basis, one: events.Contraction) -> list[Finding]:
    """Of pennation, thickness and fascicles, those that are clear; shortening counts as positive."""
    length = basis.scale.unit
    changes = (
        (_PENNATION, one.pennation, "deg", 1.0),
        (_THICKNESS, one.thickness, length, 1.0),
        (_FASCICLE, one.fascicle_length, length, -1.0),
    )
    return [
        _finding(basis, one, name, _estimate(basis, name, sign * change.excursion, change.deviation), unit)
        for name, change, unit, sign in changes
        if change is not None and change.is_clear
    ]


def _velocity(basis: Basis, one: events.Contraction) -> list[Finding]:
    fastest = one.shortening
    if fastest is None or one.fascicle_length is None or not one.fascicle_length.is_clear:
        return []
    return [_finding(basis, one, _VELOCITY, _speed(basis, fastest), "mm/s", fastest.index)]


def _speed(basis: Basis, fastest: events.Shortening) -> _Estimate:
    return _estimate(basis, _VELOCITY, fastest.speed, fastest.deviation)


def _finding(basis: Basis, one: events.Contraction, name: str, estimate: _Estimate, unit: str, at: int | None = None) -> Finding:
    """Of the largest contraction; `at` is the index of the frame that shows it, where that is not rest and peak."""
    interval = estimate.interval
    around = f" (95 %: {wording.quantity_range(interval.low, interval.high, unit)})" if interval else ""
    said = f"{wording.label(name)} {wording.quantity(estimate.value, unit)}{around}"
    lengths = _lengths(estimate.value, one) if unit == "mm/s" else ""
    where = _span(basis, one) if at is None else f"in frame {basis.frames[at].number}"
    shown = (one.rest, one.peak) if at is None else (at,)
    return Finding(
        **basis.common(name),
        kind=FindingKind.MEASUREMENT,
        value=estimate.value,
        unit=unit,
        interval=interval,
        flags=(*_interval_flags(interval), *_scale_flags(basis, unit), *_time_flags(basis), *_end_flags(one)),
        text=f"{said}{lengths}, {where}.",
        evidence=basis.evidence(*(basis.frames[index] for index in shown)),
    )


def _lengths(speed: float, one: events.Contraction) -> str:
    return f", {speed / one.fascicle_length.rest:.1f} of their lengths a second" if one.fascicle_length else ""


def _interval_flags(interval: Interval | None) -> tuple[str, ...]:
    return ("interval_from_simulation",) if interval else ()


def _scale_flags(basis: Basis, unit: str) -> tuple[str, ...]:
    if basis.scale.unit == "mm":
        return ()
    return ("square_pixels_assumed",) if unit == "deg" else ("not_calibrated",)


def _time_flags(basis: Basis) -> tuple[str, ...]:
    return ("nominal_time",) if basis.cine.time_axis.is_nominal else ()


def _end_flags(one: events.Contraction) -> tuple[str, ...]:
    return () if one.has_ended else ("contraction_not_ended",)


def _listed(basis: Basis, one: events.Contraction) -> Contraction:
    """As the report carries it."""
    time_axis, unit = basis.cine.time_axis, basis.scale.unit
    rest, peak = (basis.frames[index].number for index in (one.rest, one.peak))
    fastest = _speed(basis, one.shortening) if one.shortening else None
    band = fastest.interval if fastest else None
    return Contraction(
        rest_frame=rest,
        peak_frame=peak,
        rest_seconds=time_axis.at(rest),
        peak_seconds=time_axis.at(peak),
        has_ended=one.has_ended,
        pennation=_change(basis, _PENNATION, one.pennation, "deg"),
        thickness=_change(basis, _THICKNESS, one.thickness, unit) if one.thickness else None,
        fascicle_length=_change(basis, _FASCICLE, one.fascicle_length, unit) if one.fascicle_length else None,
        shortening_velocity=round(fastest.value, 3) if fastest else None,
        shortening_velocity_low=round(band.low, 3) if band else None,
        shortening_velocity_high=round(band.high, 3) if band else None,
    )


def _change(basis: Basis, name: str, change: events.Change, unit: str) -> Change:
    interval = _estimate(basis, name, change.excursion, change.deviation).interval
    return Change(
        rest=round(change.rest, 4),
        peak=round(change.peak, 4),
        excursion=round(change.excursion, 4),
        low=round(interval.low, 4) if interval else None,
        high=round(interval.high, 4) if interval else None,
        unit=unit,
    )
