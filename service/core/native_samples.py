"""One stored frame -> the bytes that it has uncompressed in little endian (PS3.5 8.1, A.2)."""

import numpy as np

from service.core.cine import Pixels
from service.core.frame_codecs import decode_samples
from service.core.pixel_format import PixelFormat
from service.errors import InputRejected

_BYTE_BITS = 8


def native_samples(data: bytes, pixel_format: PixelFormat) -> tuple[bytes, bool]:
    """Samples of BitsAllocated, the stored bits lowest, colour by pixel; and whether colour is Y'CbCr. Raises InputRejected."""
    check_convertible(pixel_format)
    samples, is_ycbcr = decode_samples(data, pixel_format)
    width = pixel_format.bits_allocated // _BYTE_BITS
    if samples.dtype.itemsize > width:
        raise InputRejected("A frame has more bits than the header allocates", reason="bits_allocated_invalid")
    return np.ascontiguousarray(samples, f"<{'i' if pixel_format.is_signed else 'u'}{width}").tobytes(), is_ycbcr


def mask_picture(bits: bytes, rows: int, columns: int) -> Pixels:
    """One frame of a bit a pixel, the first in the lowest place -> (rows, columns, 3) uint8, white on black."""
    drawn = np.unpackbits(np.frombuffer(bits, np.uint8), count=rows * columns, bitorder="little")
    return np.repeat(drawn.reshape(rows, columns, 1) * np.uint8(255), 3, axis=2)


def check_convertible(pixel_format: PixelFormat) -> None:
    """Raises InputRejected where decoding does not keep the sign."""
    if pixel_format.is_signed and pixel_format.bits_stored != pixel_format.bits_allocated:
        raise InputRejected("Signed samples of fewer bits than allocated are given compressed only", reason="signed_samples")
