"""When each motor unit of a recording fired, as one small SVG: a row a unit, a stroke a firing."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from service.core.findings import Finding, MotorUnit
from service.core.render.language import ENGLISH, Language
from service.core.render.overlay import colour_of
from service.core.render.page import templates
from service.core.render.plot import nice_ticks
from service.core.wording import motor_unit_name, quantity

_WIDTH, _LEFT, _RIGHT, _TOP, _BOTTOM = 560.0, 34.0, 62.0, 26.0, 40.0
_ROW, _STROKE = 20.0, 13.0
_TICKS = 6


@dataclass(frozen=True, slots=True)
class _Row:
    """One unit: its number as written, its rate, where its strokes stand, and the colour of its mark."""

    number: int
    rate: str
    y: float
    strokes: tuple[float, ...]
    colour: str


def plot_firings(findings: Sequence[Finding], language: Language = ENGLISH) -> Markup | None:
    """An SVG of the findings that are motor units, in their order; None without any. Time is in seconds of the cine."""
    shown = [(finding.motor_unit, finding) for finding in findings if finding.motor_unit is not None]
    if not shown:
        return None
    end = max(_end_of(finding, unit) for unit, finding in shown)
    rows = [_row(place, unit, end) for place, (unit, _) in enumerate(shown)]
    bottom = _TOP + _ROW * len(rows)
    ticks = [(_x(tick, end), f"{tick:g}") for tick in nice_ticks(0.0, end, _TICKS) if tick <= end]
    svg = (
        templates()
        .get_template("raster.svg")
        .render(
            width=_WIDTH,
            height=bottom + _BOTTOM,
            left=_LEFT,
            right=_WIDTH - _RIGHT,
            top=_TOP,
            bottom=bottom,
            half=_STROKE / 2,
            rows=rows,
            ticks=ticks,
            say=language.text,
        )
    )
    return Markup(svg)  # noqa: S704 - rendered by an autoescaping template


def _end_of(finding: Finding, unit: MotorUnit) -> float:
    times = [] if finding.series is None else [time for time in finding.series.time_seconds if time is not None]
    return max([*times[-1:], *unit.firings_seconds, 1e-9])


def _row(place: int, unit: MotorUnit, end: float) -> _Row:
    return _Row(
        number=unit.number,
        rate=quantity(unit.rate_hz, "Hz"),
        y=_TOP + _ROW * (place + 0.5),
        strokes=tuple(_x(time, end) for time in unit.firings_seconds),
        colour="#{:02x}{:02x}{:02x}".format(*colour_of(motor_unit_name(unit.number))),
    )


def _x(time: float, end: float) -> float:
    return round(_LEFT + time / end * (_WIDTH - _LEFT - _RIGHT), 2)
