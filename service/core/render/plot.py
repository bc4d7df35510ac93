"""Series against time as one small SVG: a panel a measurement, one common axis beneath."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from service.core.findings import Finding, Series
from service.core.render.page import templates
from service.core.wording import label, quantity, symbol

_WIDTH, _PANEL_HEIGHT, _GAP = 560.0, 130.0, 38.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 46.0, 12.0, 22.0, 40.0
_TICKS = 4

Point = tuple[float, float]


def plot_series(findings: Sequence[Finding]) -> Markup | None:
    """An SVG of the findings that have a series of two values or more; None when there is none.

    Gaps stay gaps. A ring marks the frame shown in the picture, a dashed line the summarising value. Time is in seconds, or
    frame numbers where the cine has no time axis.
    """
    drawn = [finding for finding in findings if finding.series and _known(finding.series.values) > 1]
    if not drawn or drawn[0].series is None:
        return None
    axis = _axis_of(drawn[0].series)
    panels = [_panel(finding, axis, _TOP + index * (_PANEL_HEIGHT + _GAP)) for index, finding in enumerate(drawn)]
    bottom = panels[-1].bottom
    svg = (
        templates()
        .get_template("plot.svg")
        .render(
            width=_WIDTH,
            height=bottom + _BOTTOM,
            left=_LEFT,
            right=_WIDTH - _RIGHT,
            bottom=bottom,
            panels=panels,
            axis=axis,
            title=", ".join(label(finding.name).lower() for finding in drawn),
        )
    )
    return Markup(svg)  # noqa: S704 - rendered by an autoescaping template


@dataclass(frozen=True, slots=True)
class _Axis:
    """The common horizontal axis: where each frame stands, and its ticks (x, text)."""

    name: str
    positions: tuple[float, ...]
    ticks: tuple[tuple[float, str], ...]


@dataclass(frozen=True, slots=True)
class _Panel:
    """One measurement, in SVG coordinates."""

    title: str
    top: float
    bottom: float
    runs: tuple[str, ...]
    lone: tuple[Point, ...]
    ticks: tuple[tuple[float, str], ...]
    summary: tuple[float, str] | None
    shown: Point | None


def _known(values: Sequence[float | None]) -> int:
    return sum(value is not None for value in values)


def _axis_of(series: Series) -> _Axis:
    times = [time for time in series.time_seconds if time is not None]
    has_time = len(times) == len(series.values)
    places = times if has_time else [float(number) for number in range(1, len(series.values) + 1)]
    low, high = places[0], max(places[-1], places[0] + 1e-9)

    def x(place: float) -> float:
        return round(_LEFT + (place - low) / (high - low) * (_WIDTH - _LEFT - _RIGHT), 2)

    ticks = tuple((x(tick), f"{tick:g}") for tick in nice_ticks(low, high, 6) if low <= tick <= high)
    return _Axis("Time (s)" if has_time else "Frame", tuple(x(place) for place in places), ticks)


def _panel(finding: Finding, axis: _Axis, top: float) -> _Panel:
    values = finding.series.values if finding.series else ()
    known = [value for value in values if value is not None]
    ticks = nice_ticks(min(known), max(known), _TICKS)
    bottom = top + _PANEL_HEIGHT

    def y(value: float) -> float:
        return round(bottom - (value - ticks[0]) / (ticks[-1] - ticks[0]) * _PANEL_HEIGHT, 2)

    points = [None if value is None else (x, y(value)) for x, value in zip(axis.positions, values, strict=False)]
    runs = _runs(points)
    frame = finding.evidence.frames[0] if finding.evidence.frames else 0
    return _Panel(
        title=f"{label(finding.name)}{_unit(finding.unit)}",
        top=top,
        bottom=bottom,
        runs=tuple(" ".join(f"{x:g},{y:g}" for x, y in run) for run in runs if len(run) > 1),
        lone=tuple(run[0] for run in runs if len(run) == 1),
        ticks=tuple((y(tick), f"{tick:g}".replace("-", "\N{MINUS SIGN}")) for tick in ticks),
        summary=_summary(finding, y(finding.value)) if isinstance(finding.value, float) else None,
        shown=points[frame - 1] if 0 < frame <= len(points) else None,
    )


def _unit(unit: str | None) -> str:
    text = symbol(unit).strip()
    return f" ({text})" if text else ""


def _summary(finding: Finding, y: float) -> tuple[float, str] | None:
    if finding.statistic is None or not isinstance(finding.value, float):
        return None
    return y, f"{finding.statistic} {quantity(finding.value, finding.unit)}"


def _runs(points: Sequence[Point | None]) -> list[list[Point]]:
    """Consecutive points between the gaps."""
    runs: list[list[Point]] = [[]]
    for point in points:
        if point is not None:
            runs[-1].append(point)
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]


def nice_ticks(low: float, high: float, count: int) -> list[float]:
    """About `count` round numbers that span `low` to `high`; at least two, also when both are as good as equal."""
    magnitude = max(abs(low), abs(high), 1.0)
    if high - low < 1e-6 * magnitude:
        low, high = low - 0.05 * magnitude, high + 0.05 * magnitude
    raw = (high - low) / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(one * power for one in (1, 2, 2.5, 5, 10) if one * power >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(number * step, 10) for number in range(first, max(last, first + 1) + 1)]
