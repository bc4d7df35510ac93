"""Motor units of a recording as one small SVG, a row a unit: a stroke for each firing, and beside them its mean twitch."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from service.core.findings import Finding, MotorUnit, Twitch
from service.core.render.language import ENGLISH, Language
from service.core.render.overlay import colour_of
from service.core.render.page import templates
from service.core.render.plot import nice_ticks
from service.core.wording import motor_unit_name, quantity

_WIDTH, _LEFT, _RIGHT, _TOP, _BOTTOM = 560.0, 34.0, 300.0, 26.0, 40.0
_ROW, _STROKE = 24.0, 13.0
_TICKS = 4
_BROADEST = 1.6
#: Where twitches are drawn, how far they rise and fall, and where the bar stands that tells their scale.
_FIRST, _LAST, _SWING, _BAR = 372.0, 470.0, 10.5, 480.0


@dataclass(frozen=True, slots=True)
class _Row:
    """One unit: its number as written, its rate and whose that is, where strokes and twitch stand, the colour of its mark."""

    number: int
    rate: str
    is_amended: bool
    y: float
    strokes: tuple[float, ...]
    twitch: str
    colour: str


def plot_firings(findings: Sequence[Finding], language: Language = ENGLISH) -> Markup | None:
    """An SVG of the findings that are motor units, in their order; None without any.

    Firings are in seconds of the cine, twitches in milliseconds after a firing; velocity has one scale for all units.
    """
    shown = [(finding, finding.motor_unit) for finding in findings if finding.motor_unit is not None]
    if not shown:
        return None
    twitches = _Twitches.of([unit.twitch for _, unit in shown])
    end = max(_end_of(finding, unit) for finding, unit in shown)
    rows = [_row(place, finding, unit, end, twitches) for place, (finding, unit) in enumerate(shown)]
    svg = (
        templates()
        .get_template("raster.svg")
        .render(
            width=_WIDTH,
            height=_TOP + _ROW * len(rows) + _BOTTOM,
            left=_LEFT,
            right=_RIGHT,
            top=_TOP,
            bottom=_TOP + _ROW * len(rows),
            half=_STROKE / 2,
            stroke=_width_of(rows),
            rows=rows,
            ticks=[(_x(tick, end), f"{tick:g}") for tick in nice_ticks(0.0, end, _TICKS) if tick <= end],
            twitches=twitches,
            say=language.text,
        )
    )
    return Markup(svg)  # noqa: S704 - rendered by an autoescaping template


@dataclass(frozen=True, slots=True)
class _Twitches:
    """The column of twitches: its edges, where their firing is, ticks of time (x, ms), and the bar of velocity."""

    left: float
    right: float
    begin_s: float
    end_s: float
    most: float
    unit: str

    @classmethod
    def of(cls, twitches: Sequence[Twitch]) -> "_Twitches":
        """Of all units together."""
        times = [time for one in twitches for time in one.time_seconds] or [0.0]
        most = max((abs(value) for one in twitches for value in one.values), default=0.0)
        begin, end = min(times), max(times)
        return cls(_FIRST, _LAST, begin, max(end, begin + 1e-9), max(most, 1e-9), twitches[0].unit)

    @property
    def ticks(self) -> list[tuple[float, str]]:
        """Milliseconds after the firing."""
        ticks = nice_ticks(0.0, 1000 * self.end_s, 2)
        return [(self._at(tick / 1000), f"{tick:g}") for tick in ticks if tick <= 1000 * self.end_s]

    @property
    def firing(self) -> float:
        return self._at(0.0)

    @property
    def bar(self) -> tuple[float, float, str]:
        """Its place, its height, and the velocity that this is: 1, 2 or 5 of some decimal."""
        power = 10.0 ** math.floor(math.log10(self.most))
        size = max(step * power for step in (1, 2, 5) if step * power <= self.most * (1 + 1e-9))
        return _BAR, round(size / self.most * _SWING, 2), f"{size:g} {self.unit}"

    def curve(self, twitch: Twitch, y: float) -> str:
        """Points of a line round `y`, upwards what moves away from the probe."""
        points = zip(twitch.time_seconds, twitch.values, strict=True)
        return " ".join(f"{self._at(time):g},{y - value / self.most * _SWING:.2f}" for time, value in points)

    def _at(self, time: float) -> float:
        return round(self.left + (time - self.begin_s) / (self.end_s - self.begin_s) * (self.right - self.left), 2)


def _end_of(finding: Finding, unit: MotorUnit) -> float:
    times = [] if finding.series is None else [time for time in finding.series.time_seconds if time is not None]
    return max([*times[-1:], *unit.firings_seconds, 1e-9])


def _row(place: int, finding: Finding, unit: MotorUnit, end: float, twitches: _Twitches) -> _Row:
    y = _TOP + _ROW * (place + 0.5)
    return _Row(
        number=unit.number,
        rate=quantity(unit.rate_hz, "Hz"),
        is_amended=finding.amended is not None,
        y=y,
        strokes=tuple(_x(time, end) for time in unit.firings_seconds),
        twitch=twitches.curve(unit.twitch, y),
        colour="#{:02x}{:02x}{:02x}".format(*colour_of(motor_unit_name(unit.number))),
    )


def _width_of(rows: Sequence[_Row]) -> float:
    """Of a stroke: narrower where there are so many that they would run together."""
    most = max(len(row.strokes) for row in rows)
    return round(min(_BROADEST, 0.5 * (_RIGHT - _LEFT) / max(most, 1)), 2)


def _x(time: float, end: float) -> float:
    return round(_LEFT + time / end * (_RIGHT - _LEFT), 2)
