"""A cine as the analyses see it: a stream of frames, a time axis and a calibrated region."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle of pixels; `x1` and `y1` are outside it."""

    x0: int
    y0: int
    x1: int
    y1: int

    @property
    def width(self) -> int:
        """Columns inside the box."""
        return self.x1 - self.x0

    @property
    def height(self) -> int:
        """Rows inside the box."""
        return self.y1 - self.y0


@dataclass(frozen=True, slots=True)
class Calibration:
    """Millimetres a pixel of one region, or the reason why there are none."""

    mm_per_pixel_x: float | None
    mm_per_pixel_y: float | None
    source: str
    reason: str | None = None

    @property
    def is_known(self) -> bool:
        """True when lengths may be given in millimetres."""
        return self.mm_per_pixel_x is not None and self.mm_per_pixel_y is not None


@dataclass(frozen=True, slots=True)
class Region:
    """The part of each frame that is tissue; `index` counts items of SequenceOfUltrasoundRegions from 1, None without one."""

    index: int | None
    box: Box
    calibration: Calibration
    #: Why this region and not another, for `sonomyo explain`.
    why: str


@dataclass(frozen=True, slots=True)
class TimeAxis:
    """Seconds of each frame after the first (PS3.3 C.7.6.5), or the reason why the cine has none."""

    seconds: tuple[float, ...] | None
    source: Literal["FrameTime", "FrameTimeVector", "CineRate", "RecommendedDisplayFrameRate", "single frame", "none"]
    #: True when only a display rate is known, which need not be the acquisition's.
    is_nominal: bool = False
    reason: str | None = None

    def at(self, frame_number: int) -> float | None:
        """Seconds of one frame, numbered from 1."""
        return None if self.seconds is None else self.seconds[frame_number - 1]


@dataclass(frozen=True, slots=True)
class Compression:
    """A lossy compression that the pixels went through: its standard, and how much smaller it made them (PS3.3 C.7.6.1.1.5)."""

    method: str
    ratio: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CineHeader:
    """What is known of a cine before any frame is decoded."""

    sop_instance_uid: str
    number_of_frames: int
    rows: int
    columns: int
    region: Region
    time_axis: TimeAxis
    laterality: Literal["left", "right"] | None = None
    #: Stored with three samples a pixel or a palette; the picture may be grey all the same.
    is_colour: bool = False
    #: Burned In Annotation is NO: nothing in the pixels says whose they are.
    is_anonymous: bool = False
    #: Those that the header tells of, oldest first.
    compressions: tuple[Compression, ...] = ()


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame, numbered from 1 as DICOM does, cropped to the region; luminance (rows, columns) uint8."""

    number: int
    pixels: Pixels


@dataclass(frozen=True, slots=True, kw_only=True)
class Cine:
    """One opened instance. `frames` can be called more than once; each call decodes anew and streams in order."""

    sop_instance_uid: str
    number_of_frames: int
    rows: int
    columns: int
    region: Region
    time_axis: TimeAxis
    frames: Callable[[], Iterator[Frame]]
    #: The whole frame as stored, RGB (rows, columns, 3) uint8, burned-in text included: for pictures, never for a model.
    picture: Callable[[int], Pixels]
    #: SHA-256 of the pixel data element's value as stored; known once the first pass over `frames` has ended.
    pixel_sha256: Callable[[], str]
    laterality: Literal["left", "right"] | None = None
    #: Stored with three samples a pixel or a palette; the picture may be grey all the same.
    is_colour: bool = False
    #: Burned In Annotation is NO: nothing in the pixels says whose they are.
    is_anonymous: bool = False
    #: Those that the header tells of, oldest first.
    compressions: tuple[Compression, ...] = ()
    #: All whole frames in one pass; None where one at a time is as quick.
    all_pictures: Callable[[], Iterator[Pixels]] | None = None
    #: The samples of a frame as they would be stored uncompressed in little endian, and whether colour is Y'CbCr.
    samples: Callable[[int], tuple[bytes, bool]] | None = None

    def pictures(self) -> Iterator[Pixels]:
        """Every frame in order as `picture` gives it; each call decodes anew, and one frame at a time is in memory."""
        if self.all_pictures is not None:
            return self.all_pictures()
        return (self.picture(number) for number in range(1, self.number_of_frames + 1))
