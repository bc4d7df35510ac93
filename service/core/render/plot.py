"""Series against time as one small SVG: a panel a measurement, one common axis beneath."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from service.core.amendment import as_said
from service.core.findings import Contraction, Finding, Series
from service.core.render.language import ENGLISH, Language
from service.core.render.page import templates
from service.core.wording import label, quantity, symbol

_WIDTH, _PANEL_HEIGHT, _GAP = 560.0, 130.0, 38.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 46.0, 12.0, 22.0, 40.0
_TICKS = 4
#: The scale of a probability is the whole one, lest a small change look like a large one.
_PROBABILITIES = [0.0, 0.25, 0.5, 0.75, 1.0]
#: With more contractions than this their marks carry no words.
_MOST_NAMED = 4
#: Words at a mark keep this far from the edges of the drawing.
_WORD_WIDTH = 16.0
#: They stand beneath the curve, or above where there is no room beneath.
_WORD_BELOW, _WORD_ABOVE = 18.0, -11.0

Point = tuple[float, float]


def plot_series(
    findings: Sequence[Finding], contractions: Sequence[Contraction] = (), language: Language = ENGLISH
) -> Markup | None:
    """An SVG of the findings that have a series of two values or more; None when there is none.

    A smoothed series is drawn as its values, its curve with the band and, wider, the finding's interval, and the marks of
    contractions; another as a line with its gaps. A ring marks the frame shown in the picture, a dashed line the summarising
    value, a solid one a value that a person has set: the curve beside that is the software's. Time is in seconds, or frame
    numbers where the cine has no time axis.
    """
    drawn = [finding for finding in findings if finding.series and _known(finding.series) > 1]
    if not drawn or drawn[0].series is None:
        return None
    axis = _axis_of(drawn[0].series)
    tops = [_TOP + index * (_PANEL_HEIGHT + _GAP) for index in range(len(drawn))]
    panels = [_panel(finding, axis, top, contractions) for finding, top in zip(drawn, tops, strict=True)]
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
            say=language.text,
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
class _Mark:
    """Rest or peak of a contraction."""

    x: float
    y: float
    word: str
    word_x: float
    word_y: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Panel:
    """One measurement, in SVG coordinates; strings are points of a line or an area."""

    title: str
    top: float
    bottom: float
    runs: tuple[str, ...]
    bands: tuple[str, ...]
    intervals: tuple[str, ...]
    lone: tuple[Point, ...]
    dots: tuple[Point, ...]
    left_out: tuple[Point, ...]
    marks: tuple[_Mark, ...]
    ticks: tuple[tuple[float, str], ...]
    summary: tuple[float, str] | None
    amended: tuple[float, str] | None
    shown: Point | None


def _known(series: Series) -> int:
    return sum(value is not None for value in series.values)


def _used(series: Series) -> list[float | None]:
    """The values that take part: None where a frame is left out, too."""
    return [None if number in series.left_out else value for number, value in enumerate(series.values, start=1)]


def _axis_of(series: Series) -> _Axis:
    times = [time for time in series.time_seconds if time is not None]
    has_time = len(times) == len(series.values)
    places = times if has_time else [float(number) for number in range(1, len(series.values) + 1)]
    low, high = places[0], max(places[-1], places[0] + 1e-9)

    def x(place: float) -> float:
        return round(_LEFT + (place - low) / (high - low) * (_WIDTH - _LEFT - _RIGHT), 2)

    ticks = tuple((x(tick), f"{tick:g}") for tick in nice_ticks(low, high, 6) if low <= tick <= high)
    return _Axis("Time (s)" if has_time else "Frame", tuple(x(place) for place in places), ticks)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a value of a frame stands in its panel; what lies beyond the scale stands on the panel's edge."""

    axis: _Axis
    top: float
    bottom: float
    low: float
    high: float

    def y(self, value: float) -> float:
        """Of a value."""
        height = self.bottom - (value - self.low) / (self.high - self.low) * (self.bottom - self.top)
        return round(min(max(height, self.top), self.bottom), 2)

    def points(self, values: Sequence[float | None]) -> list[Point | None]:
        """Of one value a frame."""
        pairs = zip(self.axis.positions, values, strict=False)
        return [None if value is None else (x, self.y(value)) for x, value in pairs]


def _panel(finding: Finding, axis: _Axis, top: float, contractions: Sequence[Contraction]) -> _Panel:
    series = finding.series or Series(time_seconds=(), values=(), unit="1")
    used = _used(series)
    low, high = _around(finding, series)
    level = finding.value if finding.amended is not None and isinstance(finding.value, float) else None
    edges = (*series.low, *series.high) if series.level is not None else (*low, *high)
    known = [value for value in (*used, *series.smoothed, *edges, level) if value is not None]
    scaled = known or [*filter(None, series.values)]
    ticks = _PROBABILITIES if as_said(finding).probability is not None else nice_ticks(min(scaled), max(scaled), _TICKS)
    place = _Place(axis, top, top + _PANEL_HEIGHT, ticks[0], ticks[-1])
    points = place.points(used)
    curve = place.points(series.smoothed) if series.smoothed else points
    runs = _runs(curve)
    frame = finding.evidence.frames[0] if finding.evidence.frames else 0
    return _Panel(
        title=f"{label(finding.name)}{_unit(finding.unit)}",
        top=top,
        bottom=place.bottom,
        runs=tuple(_line(run) for run in runs if len(run) > 1),
        bands=_bands(place.points(series.low), place.points(series.high)),
        intervals=_bands(place.points(low), place.points(high)),
        lone=tuple(run[0] for run in runs if len(run) == 1),
        dots=tuple(point for point in points if point is not None) if series.smoothed else (),
        left_out=tuple(point for point in place.points(_left_out(series)) if point is not None),
        marks=_marks(curve, place.bottom, contractions) if series.smoothed else (),
        ticks=tuple((place.y(tick), f"{tick:g}".replace("-", "\N{MINUS SIGN}")) for tick in ticks),
        summary=_summary(finding, place.y(finding.value)) if isinstance(finding.value, float) else None,
        amended=None if level is None else (place.y(level), f"amended {quantity(level, finding.unit)}"),
        shown=points[frame - 1] if 0 < frame <= len(points) else None,
    )


def _around(finding: Finding, series: Series) -> tuple[list[float | None], list[float | None]]:
    """The finding's interval carried along the curve: lengths err by a share of themselves, angles by degrees.

    Nothing where each frame has a band of its own, which says more than what would be carried along.
    """
    interval, value = finding.interval, finding.value
    if series.level is not None or interval is None or not isinstance(value, float) or value == 0:
        return [], []
    half = (interval.high - interval.low) / 2
    reach = [None if at is None else half * (1.0 if finding.unit == "deg" else abs(at / value)) for at in series.smoothed]
    pairs = list(zip(series.smoothed, reach, strict=True))
    low = [None if at is None or by is None else at - by for at, by in pairs]
    high = [None if at is None or by is None else at + by for at, by in pairs]
    return low, high


def _left_out(series: Series) -> list[float | None]:
    return [value if number in series.left_out else None for number, value in enumerate(series.values, start=1)]


def _line(points: Sequence[Point]) -> str:
    return " ".join(f"{x:g},{y:g}" for x, y in points)


def _bands(low: Sequence[Point | None], high: Sequence[Point | None]) -> tuple[str, ...]:
    """The area between two edges, run by run: forwards along the one, backwards along the other."""
    pairs = zip(_runs(low), _runs(high), strict=True)
    return tuple(_line([*below, *reversed(above)]) for below, above in pairs if len(below) > 1)


def _marks(curve: Sequence[Point | None], bottom: float, contractions: Sequence[Contraction]) -> tuple[_Mark, ...]:
    """On the curve, with words as long as these have room."""
    has_words = len(contractions) <= _MOST_NAMED
    ends = [(one.rest_frame, "rest") for one in contractions] + [(one.peak_frame, "peak") for one in contractions]
    marks = []
    for frame, word in ends:
        point = curve[frame - 1] if 0 < frame <= len(curve) else None
        if point is not None:
            x = min(max(point[0], _LEFT + _WORD_WIDTH), _WIDTH - _RIGHT - _WORD_WIDTH)
            below = _WORD_BELOW if point[1] + _WORD_BELOW < bottom else _WORD_ABOVE
            marks.append(_Mark(*point, word if has_words else "", x, point[1] + below))
    return tuple(marks)


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
