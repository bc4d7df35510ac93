"""Curves over time in many small panels of one scale, with people's readings, as an SVG file without a plotting library."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import groupby
from pathlib import Path

from service.core.findings import Series
from service.core.render.plot import nice_ticks

COLOURS = ("#1f6f8b", "#d98032")
_INK, _FAINT, _RULE = "#222222", "#555555", "#dddddd"
_WIDTH, _LEFT, _ACROSS, _COLUMNS = 860, 44, 46, 2
_PANEL_WIDTH = (_WIDTH - _LEFT - _ACROSS - 12) // _COLUMNS
_PANEL_HEIGHT, _BETWEEN, _BENEATH = 84, 18, 32
_TOP, _LINE = 74, 17


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """Some curves of one unit, at most as many as there are colours; a reading is a time and what each person read."""

    label: str
    curves: Mapping[str, Series]
    readings: Sequence[tuple[float, Sequence[float]]] = field(default=())


@dataclass(frozen=True, slots=True)
class _Frame:
    """Where times and values stand: a panel's edges in the drawing, and its ranges."""

    left: float
    top: float
    seconds: float
    low: float
    high: float

    def x(self, time: float) -> float:
        return round(self.left + time / self.seconds * _PANEL_WIDTH, 1)

    def y(self, value: float) -> float:
        inside = min(max(value, self.low), self.high)
        return round(self.top + (self.high - inside) / (self.high - self.low) * _PANEL_HEIGHT, 1)


def write_small_multiples(
    path: Path, blocks: Mapping[str, Sequence[Panel]], *, title: str, names: Sequence[str], notes: Sequence[str]
) -> None:
    """A block of panels, one below the other, for each title; the n-th panels of all blocks share one scale.

    `names` says what the colours mean, in their order, and then what the readings are.
    """
    scales = [_scale([panels[place] for panels in blocks.values()]) for place in range(len(next(iter(blocks.values()))))]
    block_height = 22 + len(scales) * (_PANEL_HEIGHT + _BETWEEN) + _BENEATH
    lines = [f'<text x="{_LEFT}" y="24" font-size="16">{escape(title)}</text>', *_legend(names)]
    for index, (name, panels) in enumerate(blocks.items()):
        left = _LEFT + index % _COLUMNS * (_PANEL_WIDTH + _ACROSS)
        top = _TOP + index // _COLUMNS * block_height
        lines.append(f'<text x="{left}" y="{top + 12}" font-weight="bold">{escape(name)}</text>')
        for place, (panel, scale) in enumerate(zip(panels, scales, strict=True)):
            lines += _panel(panel, left, top + 22 + place * (_PANEL_HEIGHT + _BETWEEN), scale, is_last=place == len(scales) - 1)
    bottom = _TOP + -(-len(blocks) // _COLUMNS) * block_height
    lines += [
        f'<text x="{_LEFT}" y="{bottom + _LINE * (index + 1)}" fill="{_FAINT}">{escape(note)}</text>'
        for index, note in enumerate(notes)
    ]
    height = bottom + _LINE * (len(notes) + 1)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" viewBox="0 0 {_WIDTH} {height}"'
    head += f' font-family="sans-serif" font-size="12" fill="{_INK}">'
    back = '<rect width="100%" height="100%" fill="white"/>'
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([head, back, *lines, "</svg>"]) + "\n", encoding="utf-8")


def _scale(panels: Sequence[Panel]) -> list[float]:
    """Ticks that hold all curves and readings; single values may lie beyond."""
    series = [curve for panel in panels for curve in panel.curves.values()]
    known = [value for curve in series for value in (curve.smoothed or curve.values) if value is not None]
    return nice_ticks(*_ends([*known, *(value for panel in panels for _, read in panel.readings for value in read)]), 3)


def _ends(values: Sequence[float]) -> tuple[float, float]:
    return min(values, default=0.0), max(values, default=1.0)


def _legend(names: Sequence[str]) -> Iterator[str]:
    x = float(_LEFT)
    for name, colour in zip(names, (*COLOURS, _INK), strict=True):
        if colour == _INK:
            yield _reading(x + 10, 44, 54, 49)
        else:
            yield f'<rect x="{x}" y="44" width="20" height="10" fill="{colour}" fill-opacity="0.2"/>'
            yield f'<line x1="{x}" y1="49" x2="{x + 20}" y2="49" stroke="{colour}" stroke-width="1.8"/>'
        yield f'<text x="{x + 26}" y="53">{escape(name)}</text>'
        x += 26 + 5.9 * len(name) + 22


def _panel(panel: Panel, left: float, top: float, ticks: Sequence[float], *, is_last: bool) -> Iterator[str]:
    times = [time for curve in panel.curves.values() for time in curve.time_seconds if time is not None]
    frame = _Frame(left, top, max(times, default=0.0) or 1.0, ticks[0], ticks[-1])
    for tick in ticks:
        yield (
            f'<line x1="{left}" y1="{frame.y(tick)}" x2="{left + _PANEL_WIDTH}" y2="{frame.y(tick)}" stroke="{_RULE}"/>'
            f'<text x="{left - 6}" y="{frame.y(tick) + 4}" text-anchor="end" fill="{_FAINT}">{tick:g}</text>'
        )
    yield f'<text x="{left + 4}" y="{top + 12}" fill="{_FAINT}">{escape(panel.label)}</text>'
    for colour, curve in zip(COLOURS, panel.curves.values(), strict=False):
        yield from _curve(frame, curve, colour)
    for time, read in panel.readings:
        yield _reading(frame.x(time), frame.y(max(read)), frame.y(min(read)), frame.y(sum(read) / len(read)))
    if is_last:
        yield from _time_axis(frame)


def _curve(frame: _Frame, curve: Series, colour: str) -> Iterator[str]:
    """Its band, each frame's own value, and the line."""
    for run in _runs(curve, curve.low, curve.high):
        edge = [f"{frame.x(time)},{frame.y(low)}" for time, low, _ in run]
        edge += [f"{frame.x(time)},{frame.y(high)}" for time, _, high in reversed(run)]
        yield f'<polygon points="{" ".join(edge)}" fill="{colour}" fill-opacity="0.2"/>'
    dots = [
        f"M{frame.x(time)},{frame.y(value)}h0"
        for number, (time, value) in enumerate(zip(curve.time_seconds, curve.values, strict=True), start=1)
        if time is not None and value is not None and number not in curve.left_out and frame.low <= value <= frame.high
    ]
    yield f'<path d="{"".join(dots)}" stroke="{colour}" stroke-opacity="0.5" stroke-width="2.4" stroke-linecap="round"/>'
    for run in _runs(curve, curve.smoothed, curve.smoothed):
        points = " ".join(f"{frame.x(time)},{frame.y(value)}" for time, value, _ in run)
        yield f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.8"/>'


def _runs(
    curve: Series, one: Sequence[float | None], other: Sequence[float | None]
) -> Iterator[list[tuple[float, float, float]]]:
    """Time and two values of consecutive frames that have all three."""
    rows = zip(curve.time_seconds, one, other, strict=False)
    for is_known, run in groupby(rows, key=lambda row: None not in row):
        if is_known:
            yield [
                (time, first, second)
                for time, first, second in run
                if time is not None and first is not None and second is not None
            ]


def _reading(x: float, top: float, bottom: float, mean: float) -> str:
    """From the least to the most that was read, and the mean."""
    line = f'<line x1="{x}" y1="{top}" x2="{x}" y2="{bottom}" stroke="{_INK}" stroke-width="1.4"/>'
    return f'{line}<circle cx="{x}" cy="{mean}" r="2.8" fill="{_INK}" stroke="white" stroke-width="0.8"/>'


def _time_axis(frame: _Frame) -> Iterator[str]:
    bottom = frame.top + _PANEL_HEIGHT
    ticks = [tick for tick in nice_ticks(0.0, frame.seconds, 4) if tick <= frame.seconds]
    for tick in ticks:
        unit = " s" if tick == ticks[-1] else ""
        yield f'<line x1="{frame.x(tick)}" y1="{bottom}" x2="{frame.x(tick)}" y2="{bottom + 4}" stroke="{_FAINT}"/>'
        yield f'<text x="{frame.x(tick)}" y="{bottom + 16}" text-anchor="middle" fill="{_FAINT}">{tick:g}{unit}</text>'
