"""Where the frames lie in a stored file (PS3.5 8, A.4), found by headers alone and read one at a time."""

import os
from array import array
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal, Protocol

from pydicom.dataset import Dataset

from service.adapters.bit_frames import BitFrames
from service.adapters.fragments import Fragments, FragmentStream, read_exactly, read_fragments
from service.core.pixel_format import PixelFormat
from service.errors import InputRejected

_UNDEFINED = 0xFFFFFFFF
_PIXEL_DATA = (0x7FE0, 0x0010)
#: What a frame may need beyond twice its plain size: headers, tables, comments.
_FRAME_OVERHEAD_BYTES = 1 << 20
_BYTE_BITS = 8
_LONG_FORM = (b"OB", b"OW", b"UN")
#: A fragment that begins so begins a frame: JPEG and JPEG-LS, JPEG 2000 bare and in boxes.
_FRAME_STARTS = (b"\xff\xd8", b"\xff\x4f\xff\x51", b"\x00\x00\x00\x0cjP  ")


class PixelSource(Protocol):
    """The stored frames of one file."""

    @property
    def pixel_format(self) -> PixelFormat:
        """The format, corrected by what the length of the data shows."""

    @property
    def value_range(self) -> tuple[int, int]:
        """First byte of the Pixel Data value and the first after it; what pydicom gives as PixelData."""

    def read_frame(self, number: int) -> bytes:
        """The stored bytes of one frame, from 1."""


@dataclass(frozen=True, slots=True)
class _Element:
    """The Pixel Data element: where its value begins, its length (None when undefined) and its VR."""

    start: int
    length: int | None
    vr: bytes


def open_pixels(
    descriptor: int, dataset: Dataset, pixel_format: PixelFormat, *, offset: int, number_of_frames: int, is_implicit: bool
) -> PixelSource:
    """`offset` is where Pixel Data's tag stands. Raises InputRejected when the frames cannot all be there."""
    size = os.fstat(descriptor).st_size
    element = _read_element(descriptor, offset, is_implicit=is_implicit, is_big_endian=pixel_format.is_big_endian)
    if pixel_format.bits_allocated == 1:
        return BitFrames(descriptor, (element.start, element.length or 0), pixel_format, number_of_frames=number_of_frames)
    if pixel_format.codec == "native":
        return NativeFrames(descriptor, element, pixel_format, size=size, number_of_frames=number_of_frames)
    fragments = read_fragments(descriptor, element.start, size)
    if pixel_format.codec == "video":
        return VideoFragments(descriptor, fragments, pixel_format)
    return EncapsulatedFrames(descriptor, fragments, pixel_format, _offset_table(dataset, fragments), number_of_frames)


def _read_element(descriptor: int, offset: int, *, is_implicit: bool, is_big_endian: bool) -> _Element:
    order: Literal["big", "little"] = "big" if is_big_endian else "little"
    header = os.pread(descriptor, 12, offset)
    if len(header) < 12:  # noqa: PLR2004 - tag, VR and length, PS3.5 7.1.2
        raise InputRejected("The instance has no Pixel Data", reason="pixel_data_missing")
    tag = int.from_bytes(header[:2], order), int.from_bytes(header[2:4], order)
    if tag != _PIXEL_DATA:
        raise InputRejected("The instance has no integer Pixel Data", reason="pixel_data_missing")
    vr = b"OW" if is_implicit else header[4:6]
    if vr not in _LONG_FORM:
        raise InputRejected("Pixel Data is neither OB nor OW", reason="pixel_data_invalid")
    length = int.from_bytes(header[4:8] if is_implicit else header[8:12], order)
    return _Element(offset + (8 if is_implicit else 12), None if length == _UNDEFINED else length, vr)


class NativeFrames:
    """Frames one after another, found by multiplication (PS3.5 8.1.1, 8.2)."""

    def __init__(
        self, descriptor: int, element: _Element, pixel_format: PixelFormat, *, size: int, number_of_frames: int
    ) -> None:
        if element.length is None:
            raise InputRejected("Native pixel data has an undefined length", reason="pixel_data_invalid")
        self._descriptor = descriptor
        self._start, self._length = element.start, element.length
        self.pixel_format = _fit_format(pixel_format, element.length, number_of_frames)
        expected = self.pixel_format.frame_bytes * number_of_frames
        if min(element.length, size - element.start) < expected:
            raise InputRejected("Pixel Data is shorter than its frames need", reason="pixel_data_too_short")
        if element.length > expected + expected % 2:
            raise InputRejected("Pixel Data is longer than its frames need", reason="pixel_data_too_long")
        #: 8-bit samples in big-endian words come swapped in pairs (PS3.5 8.1.2).
        self._is_swapped = pixel_format.is_big_endian and element.vr == b"OW" and pixel_format.bits_allocated == _BYTE_BITS

    @property
    def value_range(self) -> tuple[int, int]:
        """See PixelSource."""
        return self._start, self._start + self._length

    def read_frame(self, number: int) -> bytes:
        """See PixelSource."""
        size = self.pixel_format.frame_bytes
        first = (number - 1) * size
        if not self._is_swapped:
            return read_exactly(self._descriptor, self._start + first, size)
        even = first - first % 2
        words = array("H", read_exactly(self._descriptor, self._start + even, size + first % 2 + (size + first % 2) % 2))
        words.byteswap()
        return words.tobytes()[first - even : first - even + size]


def _fit_format(pixel_format: PixelFormat, length: int, number_of_frames: int) -> PixelFormat:
    """YBR_FULL_422 that was stored with all its chroma is YBR_FULL; the length tells."""
    full = pixel_format.samples * pixel_format.bits_allocated // _BYTE_BITS * number_of_frames
    if not pixel_format.photometric_interpretation.endswith("_422"):
        return pixel_format
    if full <= length <= full + 1:
        return replace(pixel_format, photometric_interpretation="YBR_FULL")
    if pixel_format.columns % 2:
        raise InputRejected("YBR_FULL_422 needs an even number of columns", reason="image_size_invalid")
    return pixel_format


def _offset_table(dataset: Dataset, fragments: Fragments) -> tuple[int, ...]:
    """Offsets from the first fragment's item: the extended table (PS3.3 C.7.6.3.1.8) or the basic one."""
    extended = dataset.get("ExtendedOffsetTable")
    if isinstance(extended, bytes) and extended:
        return tuple(array("Q", extended[: len(extended) - len(extended) % 8]))
    return fragments.basic_offsets


class EncapsulatedFrames:
    """Frames of one fragment or several. An offset table that does not fit the fragments is not believed."""

    def __init__(
        self,
        descriptor: int,
        fragments: Fragments,
        pixel_format: PixelFormat,
        offsets: tuple[int, ...],
        number_of_frames: int,
    ) -> None:
        self.pixel_format = pixel_format
        self._descriptor = descriptor
        self._fragments = fragments
        self._firsts = self._find_frames(offsets, number_of_frames)
        self._maximum_bytes = 2 * pixel_format.samples * pixel_format.bits_allocated // _BYTE_BITS + _FRAME_OVERHEAD_BYTES

    @property
    def value_range(self) -> tuple[int, int]:
        """See PixelSource."""
        return self._fragments.start, self._fragments.end

    def read_frame(self, number: int) -> bytes:
        """See PixelSource."""
        pieces = range(self._firsts[number - 1], self._firsts[number])
        if sum(self._fragments.lengths[index] for index in pieces) > self._maximum_bytes:
            raise InputRejected("A compressed frame is far larger than its pixels", reason="frame_too_large")
        positions, lengths = self._fragments.positions, self._fragments.lengths
        return b"".join(read_exactly(self._descriptor, positions[index], lengths[index]) for index in pieces)

    def _find_frames(self, offsets: tuple[int, ...], number_of_frames: int) -> "array[int]":
        """The first fragment of each frame, and one past the last."""
        count = len(self._fragments.positions)
        if count < number_of_frames:
            raise InputRejected(f"Pixel Data has {count} fragment(s) for {number_of_frames} frames", reason="fragments_missing")
        if number_of_frames == 1:
            return self._only_frame(count)
        if count == number_of_frames:
            return array("Q", range(count + 1))
        firsts = self._by_offsets(offsets)
        if firsts is None or len(firsts) != number_of_frames:
            firsts = self._by_starts()
        if len(firsts) == number_of_frames:
            return array("Q", [*firsts, count])
        reason = "pixel_data_too_long" if len(firsts) > number_of_frames else "fragments_missing"
        raise InputRejected(f"Pixel Data holds {len(firsts)} frames, not {number_of_frames}", reason=reason)

    def _only_frame(self, count: int) -> "array[int]":
        if count > 1 and len(self._by_starts()) > 1:
            raise InputRejected("Pixel Data holds several frames, not 1", reason="pixel_data_too_long")
        return array("Q", [0, count])

    def _by_offsets(self, offsets: tuple[int, ...]) -> list[int] | None:
        """Fragments at which the table's offsets point; None when one points elsewhere or they do not rise from 0."""
        base = self._fragments.positions[0]
        by_offset = {position - base: index for index, position in enumerate(self._fragments.positions)}
        firsts = [by_offset.get(offset, -1) for offset in offsets]
        if not firsts or firsts[0] != 0 or any(later <= earlier for earlier, later in pairwise(firsts)):
            return None
        return firsts

    def _by_starts(self) -> list[int]:
        """Fragments that begin as a codestream does; the first begins one in any case."""
        positions = self._fragments.positions
        begins = (index for index in range(1, len(positions)) if self._begins_frame(positions[index]))
        return [0, *begins]

    def _begins_frame(self, position: int) -> bool:
        return os.pread(self._descriptor, 8, position).startswith(_FRAME_STARTS)


class VideoFragments:
    """A video stream, cut into fragments anywhere (PS3.5 8.2.5 to 8.2.12)."""

    def __init__(self, descriptor: int, fragments: Fragments, pixel_format: PixelFormat) -> None:
        self.pixel_format = pixel_format
        self._descriptor = descriptor
        self._fragments = fragments

    @property
    def value_range(self) -> tuple[int, int]:
        """See PixelSource."""
        return self._fragments.start, self._fragments.end

    def read_frame(self, number: int) -> bytes:
        """A video has no frames that stand alone."""
        raise NotImplementedError(number)

    def open_stream(self) -> FragmentStream:
        """The stream as one file, from its beginning."""
        return FragmentStream(self._descriptor, self._fragments)
