"""Grouped horizontal bars as an SVG file, without a plotting library."""

from collections.abc import Mapping
from html import escape
from pathlib import Path

_WIDTH, _LABEL, _BAR, _GAP, _ROOM = 760, 210, 20, 14, 120
_COLOURS = ("#1f6f8b", "#d98032", "#8a8a8a", "#5b8c5a", "#a05195")


def write_bar_chart(path: Path, *, title: str, groups: Mapping[str, Mapping[str, float]], unit: str) -> None:
    """`groups` maps the name of a group to its bars; each group has its own scale, from zero."""
    lines: list[str] = []
    y = 46
    colours: dict[str, str] = {}
    for group, bars in groups.items():
        lines.append(f'<text x="8" y="{y}" font-weight="bold">{escape(group)}</text>')
        y += 8
        longest = max(bars.values(), default=0.0) or 1.0
        for name, value in bars.items():
            colour = colours.setdefault(name, _COLOURS[len(colours) % len(_COLOURS)])
            width = (_WIDTH - _LABEL - _ROOM) * value / longest
            middle = y + _BAR - 5
            lines.append(f'<text x="{_LABEL - 8}" y="{middle}" text-anchor="end">{escape(name)}</text>')
            lines.append(f'<rect x="{_LABEL}" y="{y}" width="{width:.1f}" height="{_BAR - 4}" fill="{colour}"/>')
            lines.append(f'<text x="{_LABEL + width + 6:.1f}" y="{middle}">{value:,.0f} {escape(unit)}</text>')
            y += _BAR
        y += _GAP + 16
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{y}" font-family="sans-serif" font-size="13">'
    back = '<rect width="100%" height="100%" fill="white"/>'
    heading = f'<text x="8" y="20" font-size="16">{escape(title)}</text>'
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([head, back, heading, *lines, "</svg>"]) + "\n", encoding="utf-8")
