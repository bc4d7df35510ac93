"""A stored frame for people who see nothing else: what was drawn in it as tints with an outline, words in a strip below it.

No word stands on the picture, and beside tints, outlines and lines its pixels are left as they are.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from service.core.cine import Pixels
from service.core.findings import Finding, Polyline
from service.core.masks import Bits, Masks
from service.core.render.overlay import colour_of, kind_of, overlaid, standing_lines
from service.core.report import RESEARCH_USE
from service.core.wrist_planes import PLANES

Colour = tuple[int, int, int]
_Weights = npt.NDArray[np.float32]

#: How much of a colour stands over tissue inside an outline, and on it.
_TINT, _OUTLINE = 0.11, 0.85
#: From so many columns on an outline is of two pixels.
_COLUMNS_OF_A_BROAD_OUTLINE = 900
_GROUND, _INK, _SOFT = (17, 17, 17), (235, 235, 235), (190, 190, 190)
_MARGIN = 8
#: Characters of the strip per width of the picture, and the smallest that are read without effort.
_CHARACTERS, _SMALLEST, _LARGEST = 44, 10, 22
#: The banner fits into so many columns.
_NARROWEST = 240
_AMENDED = "   drawn by software, values amended"
_TITLES = {plane.name: plane.title for plane in PLANES}


class FramePainter:
    """Paints the frames of one cine, each (rows, columns, 3) RGB in, `shape` out: the picture above, the strip below it."""

    def __init__(
        self, *, rows: int, columns: int, number_of_frames: int, masks: Masks | None, findings: Sequence[Finding]
    ) -> None:
        findings = [finding for finding in findings if not finding.is_rejected]
        self._rows, self._columns, self._number_of_frames = rows, columns, number_of_frames
        self._masks = masks
        self._packed = {} if masks is None else dict(masks.frames)
        self._lines = _lines_by_frame(findings)
        self._standing = tuple(line for finding in findings for line in standing_lines(finding))
        #: The areas of what holds for every frame are kept for one.
        self._of_all = next(iter(self._packed.values()), None) if self._standing else None
        self._shown = {shown.frame: shown for finding in findings for shown in finding.shown_frames}
        self._is_amended = any(finding.amended is not None for finding in findings)
        self._strip = _Strip.of(_even(max(columns, _NARROWEST)), _legend(masks, self._lines))

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of what is painted; an even number of columns, for chroma is shared between two."""
        return self._rows + self._strip.picture.height, self._strip.picture.width

    def paint(self, number: int, picture: Pixels) -> Pixels:
        """One frame; `number` is its DICOM frame number."""
        painted = np.zeros((*self.shape, 3), np.uint8)
        painted[: self._rows, : self._columns] = self._drawn(number, picture)
        painted[self._rows :] = self._strip.saying(self._words(number))
        return painted

    def _drawn(self, number: int, picture: Pixels) -> Pixels:
        packed, lines = self._packed.get(number, self._of_all), self._standing or self._lines.get(number, ())
        if self._masks is not None and packed is not None:
            picture = _tinted(picture, self._masks, self._masks.layout.unpack(packed))
        return np.asarray(overlaid(picture, lines).convert("RGB")) if lines else picture

    def _words(self, number: int) -> list[str]:
        """From all that is to be said to what has to be."""
        words = self._words_of_frame(number)
        # Outlines and lines stay the software's where a person has set another value.
        return [f"{words[0]}{_AMENDED}", f"{words[-1]}{_AMENDED}", *words] if self._is_amended else words

    def _words_of_frame(self, number: int) -> list[str]:
        count = f"Frame {number} of {self._number_of_frames}"
        if not self._shown:
            return [count]
        shown = self._shown.get(number)
        if shown is None or shown.plane is None:
            return [f"{count}   no standard plane", count]
        grade = "" if shown.grade is None else f"   grade {shown.grade}"
        return [f"{count}   {shown.plane} {_TITLES[shown.plane]}{grade}", f"{count}   {shown.plane}{grade}", count]


def drew_something(masks: bytes | None, findings: Iterable[Finding]) -> bool:
    """Whether an analysis left anything that can be painted."""
    return masks is not None or any(finding.evidence.lines for finding in findings)


def _even(number: int) -> int:
    return number + number % 2


def _lines_by_frame(findings: Sequence[Finding]) -> Mapping[int, Sequence[Polyline]]:
    """Each line once, for several findings may rest on it."""
    lines = dict.fromkeys(line for finding in findings for line in finding.evidence.lines)
    frames: dict[int, list[Polyline]] = {}
    for line in lines:
        frames.setdefault(line.frame, []).append(line)
    return frames


def _legend(masks: Masks | None, lines: Mapping[int, Sequence[Polyline]]) -> Mapping[str, Colour]:
    """What is drawn in any frame, by kind."""
    drawn = set() if masks is None else {place for _, maps in masks for place in np.flatnonzero(maps.any((1, 2)))}
    names = [] if masks is None else [name for place, name in enumerate(masks.layout.segments) if place in drawn]
    colours = {colour_of(name) for name in names}
    # A line in the colour of an area is of the same thing: the upper of the aponeuroses, the outline of a tendon.
    names += [line.label for frame in lines.values() for line in frame if colour_of(line.label) not in colours]
    return {kind_of(name): colour_of(name) for name in names}


def _tinted(picture: Pixels, masks: Masks, maps: Bits) -> Pixels:
    """The picture with each segment of (segments, height, width) as a tint and its outline, small ones over large ones."""
    box, segments = masks.layout.box, masks.layout.segments
    shown = sorted(np.flatnonzero(maps.any((1, 2))), key=lambda place: -int(maps[place].sum()))
    areas = [(colour_of(segments[place]), masks.layout.in_sector(maps[place])) for place in shown]
    width = 1 if picture.shape[1] < _COLUMNS_OF_A_BROAD_OUTLINE else 2
    weight = np.zeros((box.height, box.width), np.float32)
    colours = np.zeros((box.height, box.width, 3), np.float32)
    for colour, area in areas:
        weight[area], colours[area] = _TINT, colour
    for colour, area in areas:
        edge = _edge(area, width)
        weight[edge], colours[edge] = _OUTLINE, colour
    return _blended(picture, (slice(box.y0, box.y1), slice(box.x0, box.x1)), weight, colours)


def _edge(area: Bits, width: int) -> Bits:
    """The pixels of an area that lie within `width` of what is not it; the end of the sector is no edge."""
    inner = np.pad(area, width, mode="edge")
    rows, columns = area.shape
    kept = area.copy()
    for step in range(1, width + 1):
        for down, right in ((-step, 0), (step, 0), (0, -step), (0, step)):
            kept &= inner[width + down : width + down + rows, width + right : width + right + columns]
    return np.asarray(area & ~kept)


def _blended(picture: Pixels, where: tuple[slice, slice], weight: _Weights, colours: _Weights) -> Pixels:
    """`colours` (h, w, 3) over a part of the picture, each pixel as strongly as `weight` (h, w) says."""
    tinted = picture.copy()
    under = picture[where].astype(np.float32)
    tinted[where] = np.rint(under + weight[..., None] * (colours - under)).astype(np.uint8)
    return tinted


@dataclass(frozen=True, slots=True)
class _Strip:
    """Below every frame: a line that changes, then the legend and the banner, which do not."""

    picture: Image.Image
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont

    @classmethod
    def of(cls, width: int, legend: Mapping[str, Colour]) -> "_Strip":
        """As many lines as the legend needs."""
        size = min(max(_SMALLEST, round(width / _CHARACTERS)), _LARGEST)
        font, line = ImageFont.load_default(size=size), round(1.5 * size)
        lines = _flowed(legend, font, size, width)
        banner = font.getlength(RESEARCH_USE)
        last = max((x + length for _, x, length in lines[-1]), default=0.0) if lines else float(width)
        if last + banner + 3 * _MARGIN > width:
            lines.append([])
        picture = Image.new("RGB", (width, round(line * (1 + len(lines)) + size / 2)), _GROUND)
        draw = ImageDraw.Draw(picture)
        for row, entries in enumerate(lines, start=1):
            middle = line * row + line / 2 + size / 4
            for name, x, _ in entries:
                draw.rectangle((x, middle - size * 0.35, x + size * 0.7, middle + size * 0.35), fill=legend[name])
                draw.text((x + size, middle), name, font=font, fill=_SOFT, anchor="lm")
        draw.text((width - _MARGIN, middle), RESEARCH_USE, font=font, fill=_INK, anchor="rm")
        return cls(picture, font)

    def saying(self, choices: Sequence[str]) -> Pixels:
        """(height, width, 3) with the first of the choices that fits."""
        room = self.picture.width - 2 * _MARGIN
        words = next((one for one in choices if self.font.getlength(one) <= room), choices[-1])
        picture = self.picture.copy()
        ImageDraw.Draw(picture).text((_MARGIN, _MARGIN), words, font=self.font, fill=_INK)
        return np.asarray(picture)


def _flowed(
    legend: Mapping[str, Colour], font: ImageFont.FreeTypeFont | ImageFont.ImageFont, size: int, width: int
) -> list[list[tuple[str, float, float]]]:
    """Lines of entries, each with where it begins and how long it is."""
    lines: list[list[tuple[str, float, float]]] = []
    x = float(width)
    for name in legend:
        length = size + font.getlength(name)
        if x + length + _MARGIN > width:
            lines.append([])
            x = float(_MARGIN)
        lines[-1].append((name, x, length))
        x += length + 1.5 * size
    return lines
