"""What a network drew in every frame of a cine, kept small: maps at the network's resolution, and where in the frame they lie.

An analysis hands its maps to a `MaskKeeper` frame by frame; what is kept are packed bits, compressed, some kilobytes a frame.
Of the lines that it measured along (aponeuroses, fascicles) every frame keeps its own, too: a few hundred bytes.
"""

import json
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from service.core.cine import Box, Cine
from service.core.findings import Polyline
from service.core.preprocess import Placement

Bits = npt.NDArray[np.bool_]

_LENGTH = 4
#: Of a line's points, in pixels: finer than anybody sees.
_DECIMALS = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskLayout:
    """What all frames have in common. Maps are (segments, height, width) of the sector at the network's resolution."""

    segments: tuple[str, ...]
    height: int
    width: int
    #: Where the sector lies in the stored frame, and how large that is.
    box: Box
    rows: int
    columns: int

    @property
    def _shape(self) -> tuple[int, int, int]:
        return len(self.segments), self.height, self.width

    def pack(self, maps: Bits) -> bytes:
        """(segments, height, width) as compressed bits."""
        return zlib.compress(np.packbits(maps).tobytes(), 6)

    def unpack(self, packed: bytes) -> Bits:
        """The inverse of `pack`."""
        bits = np.unpackbits(np.frombuffer(zlib.decompress(packed), np.uint8), count=int(np.prod(self._shape)))
        return bits.reshape(self._shape).astype(np.bool_)

    def in_sector(self, one: Bits) -> Bits:
        """One segment's (height, width) in the sector of the stored frame (box.height, box.width), edges interpolated."""
        sector = Image.fromarray(one.astype(np.uint8) * np.uint8(255)).resize(
            (self.box.width, self.box.height), Image.Resampling.BILINEAR
        )
        return np.asarray(sector) > 127  # noqa: PLR2004 - half

    def in_frame(self, one: Bits) -> Bits:
        """The same in the whole stored frame (rows, columns)."""
        frame = np.zeros((self.rows, self.columns), np.bool_)
        frame[self.box.y0 : self.box.y1, self.box.x0 : self.box.x1] = self.in_sector(one)
        return frame


@dataclass(frozen=True, slots=True)
class Masks:
    """All of one cine that show anything: DICOM frame numbers, and each frame's packed maps."""

    layout: MaskLayout
    frames: tuple[tuple[int, bytes], ...]
    #: Frame numbers and the lines drawn in them, packed by `pack_lines`; none of what was analysed before these were kept.
    lines: tuple[tuple[int, bytes], ...] = ()

    def __iter__(self) -> Iterator[tuple[int, Bits]]:
        """Frame number and maps (segments, height, width), one frame at a time."""
        return ((number, self.layout.unpack(packed)) for number, packed in self.frames)

    def without(self, segments: Collection[str]) -> "Masks":
        """With nothing of these segments; a frame that shows nothing else is left out."""
        hidden = [place for place, name in enumerate(self.layout.segments) if name in segments]
        if not hidden:
            return self
        frames = []
        for number, maps in self:
            maps[hidden] = False
            if maps.any():
                frames.append((number, self.layout.pack(maps)))
        return replace(self, frames=tuple(frames))

    def to_bytes(self) -> bytes:
        """For the database: a line of JSON, then the frames' bytes one behind the other, then those of their lines."""
        head: dict[str, Any] = {**asdict(self.layout), "frames": _lengths(self.frames), "lines": _lengths(self.lines)}
        told = json.dumps(head).encode()
        packed = (packed for _, packed in (*self.frames, *self.lines))
        return len(told).to_bytes(_LENGTH) + told + b"".join(packed)

    @classmethod
    def from_bytes(cls, content: bytes) -> "Masks":
        """The inverse of `to_bytes`."""
        start = _LENGTH + int.from_bytes(content[:_LENGTH])
        index = MaskIndex.from_bytes(content[:start])
        frames, lines = (
            tuple((number, content[place : place + length]) for number, (place, length) in places.items())
            for places in (index.frames, index.lines)
        )
        return cls(index.layout, frames, lines)


@dataclass(frozen=True, slots=True)
class MaskIndex:
    """Where in the bytes of `Masks` each frame's own lie, as (start, length): some of them can be read without the rest."""

    layout: MaskLayout
    frames: Mapping[int, tuple[int, int]]
    lines: Mapping[int, tuple[int, int]]

    @staticmethod
    def length(first: bytes) -> int:
        """How many bytes the index takes, from the first four."""
        return _LENGTH + int.from_bytes(first[:_LENGTH])

    @classmethod
    def from_bytes(cls, content: bytes) -> "MaskIndex":
        """From as many first bytes as `length` says."""
        head = json.loads(content[_LENGTH:])
        start = len(content)
        places: list[dict[int, tuple[int, int]]] = []
        for lengths in (head.pop("frames"), head.pop("lines", ())):
            places.append({})
            for number, length in lengths:
                places[-1][number] = start, length
                start += length
        layout = MaskLayout(**{**head, "segments": tuple(head["segments"]), "box": Box(**head["box"])})
        return cls(layout, *places)


def pack_lines(lines: Iterable[Polyline]) -> bytes:
    """Labels and points of one frame's lines, compressed."""
    told = [(line.label, [(round(column, _DECIMALS), round(row, _DECIMALS)) for column, row in line.points]) for line in lines]
    return zlib.compress(json.dumps(told, separators=(",", ":")).encode(), 6)


def unpack_lines(packed: bytes, frame: int) -> tuple[Polyline, ...]:
    """The inverse of `pack_lines`, to a tenth of a pixel."""
    return tuple(Polyline(label=label, frame=frame, points=points) for label, points in json.loads(zlib.decompress(packed)))


def _lengths(packed: Iterable[tuple[int, bytes]]) -> list[tuple[int, int]]:
    return [(number, len(content)) for number, content in packed]


class MaskKeeper:
    """What an analysis hands its maps to; those of an analysis that draws nothing stay empty."""

    def __init__(self) -> None:
        self._layout: MaskLayout | None = None
        self._placement: Placement | None = None
        self._frames: list[tuple[int, bytes]] = []
        self._lines: list[tuple[int, bytes]] = []

    def begin(self, segments: Sequence[str], placement: Placement, cine: Cine) -> None:
        """Before the first frame."""
        inside, region = placement.box, cine.region.box
        box = Box(inside.x0 + region.x0, inside.y0 + region.y0, inside.x1 + region.x0, inside.y1 + region.y0)
        self._placement = placement
        self._layout = MaskLayout(
            segments=tuple(segments),
            height=placement.height,
            width=placement.width,
            box=box,
            rows=cine.rows,
            columns=cine.columns,
        )

    def add(self, number: int, maps: Bits) -> None:
        """Maps (segments, S, S) in the network's square; a frame in which nothing is drawn is not kept."""
        if self._layout is None or self._placement is None:
            raise ValueError("begin comes before the first frame")
        place = self._placement
        sector = maps[:, place.top : place.top + place.height, place.left : place.left + place.width]
        if sector.any():
            self._frames.append((number, self._layout.pack(sector)))

    def draw(self, number: int, lines: Sequence[Polyline]) -> None:
        """What was measured along in a frame, in pixels of the stored frame; nothing is kept of none."""
        if lines:
            self._lines.append((number, pack_lines(lines)))

    def kept(self) -> Masks | None:
        """None where nothing was drawn in any frame."""
        if self._layout is None or not self._frames:
            return None
        return Masks(self._layout, tuple(self._frames), tuple(self._lines))
