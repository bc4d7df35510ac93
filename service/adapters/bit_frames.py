"""Frames of one bit a pixel, as masks have them: one behind the other without a gap, so that a frame may begin within a byte."""

import numpy as np

from service.adapters.fragments import read_exactly
from service.core.pixel_format import PixelFormat
from service.errors import InputRejected

_BYTE_BITS = 8


class BitFrames:
    """A PixelSource of frames of bits, the first in the lowest place (PS3.5 8.1.1, 8.2)."""

    def __init__(self, descriptor: int, value: tuple[int, int], pixel_format: PixelFormat, *, number_of_frames: int) -> None:
        """`value` is where Pixel Data's value begins, and its length in bytes. Raises InputRejected where frames are missing."""
        if pixel_format.is_big_endian or pixel_format.samples_per_pixel != 1:
            raise InputRejected("Pixels of one bit are read as one sample in little endian", reason="bits_allocated_invalid")
        self.pixel_format = pixel_format
        self._descriptor = descriptor
        self._start, self._length = value
        if _whole_bytes(pixel_format.samples * number_of_frames) > self._length:
            raise InputRejected("Pixel Data is shorter than its frames need", reason="pixel_data_too_short")

    @property
    def value_range(self) -> tuple[int, int]:
        """See PixelSource."""
        return self._start, self._start + self._length

    def read_frame(self, number: int) -> bytes:
        """The bits of one frame, from the lowest of the first byte on; the last byte is filled up with 0."""
        bits = self.pixel_format.samples
        first = (number - 1) * bits
        start, offset = divmod(first, _BYTE_BITS)
        stored = read_exactly(self._descriptor, self._start + start, _whole_bytes(offset + bits))
        if offset == 0 and bits % _BYTE_BITS == 0:
            return stored
        unpacked = np.unpackbits(np.frombuffer(stored, np.uint8), bitorder="little")[offset : offset + bits]
        return np.packbits(unpacked, bitorder="little").tobytes()


def _whole_bytes(bits: int) -> int:
    return -(-bits // _BYTE_BITS)
