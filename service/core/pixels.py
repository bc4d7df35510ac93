"""One stored frame -> what a model sees (luminance of the region) or what a person sees (RGB of the whole)."""

import numpy as np
import numpy.typing as npt
import simplejpeg

from service.core.cine import Box, Pixels
from service.core.codestreams import read_jpeg
from service.core.frame_codecs import Samples, check_codestream, decode_samples, is_ycbcr
from service.core.pixel_format import PixelFormat
from service.errors import InputRejected

_BYTE_BITS = 8
_BYTE_MAXIMUM = 255
_BLOCK_ROWS = 64
#: ITU-R BT.601 luma in 256ths; they add up to 256, so that grey stays what it is.
_RED, _GREEN, _BLUE = 77, 150, 29


def decode_luminance(data: bytes, pixel_format: PixelFormat, box: Box) -> Pixels:
    """(box.height, box.width) uint8, brighter is more echo. Raises InputRejected naming what is wrong with the frame."""
    fast = _decode_jpeg_luminance(data, pixel_format)
    if fast is not None:
        return _finish(_crop(fast, box), pixel_format)
    samples, ycbcr = decode_samples(data, pixel_format)
    cropped = _crop(samples, box)
    if pixel_format.palette is not None:
        return rgb_luminance(_look_up(cropped, pixel_format.palette))
    if cropped.ndim == 2:  # noqa: PLR2004 - grey
        return _finish(_to_bytes(cropped, pixel_format), pixel_format)
    if ycbcr:
        return np.ascontiguousarray(_to_bytes(cropped[..., 0], pixel_format))
    return rgb_luminance(_to_bytes(cropped, pixel_format))


def decode_picture(data: bytes, pixel_format: PixelFormat) -> Pixels:
    """(rows, columns, 3) uint8 RGB of the whole frame. Raises InputRejected."""
    samples, ycbcr = decode_samples(data, pixel_format)
    if pixel_format.palette is not None:
        return _look_up(samples, pixel_format.palette)
    pixels = _to_bytes(samples, pixel_format)
    if pixels.ndim == 2:  # noqa: PLR2004 - grey
        return np.repeat(_finish(pixels, pixel_format)[..., np.newaxis], 3, axis=-1)
    return ycbcr_to_rgb(pixels) if ycbcr else np.ascontiguousarray(pixels)


def rgb_luminance(rgb: Pixels) -> Pixels:
    """(..., 3) uint8 -> (...) uint8, rounded to nearest."""
    luma = rgb[..., 0] * np.uint16(_RED)
    luma += rgb[..., 1] * np.uint16(_GREEN)
    luma += rgb[..., 2] * np.uint16(_BLUE)
    luma += np.uint16(128)
    luma >>= np.uint16(_BYTE_BITS)
    return luma.astype(np.uint8)


def ycbcr_to_rgb(ycbcr: Pixels) -> Pixels:
    """Full-range BT.601 (PS3.3 C.7.6.3.1.2, YBR_FULL), a few rows at a time to keep memory small."""
    rgb = np.empty_like(ycbcr, order="C")
    for row in range(0, len(ycbcr), _BLOCK_ROWS):
        block = ycbcr[row : row + _BLOCK_ROWS].astype(np.float32)
        luma, blue, red = block[..., 0], block[..., 1] - 128, block[..., 2] - 128
        mixed = np.stack([luma + 1.402 * red, luma - 0.344136 * blue - 0.714136 * red, luma + 1.772 * blue], axis=-1)
        rgb[row : row + _BLOCK_ROWS] = np.clip(np.rint(mixed), 0, _BYTE_MAXIMUM)
    return rgb


def _decode_jpeg_luminance(data: bytes, pixel_format: PixelFormat) -> Pixels | None:
    """The Y plane of an 8-bit DCT frame, without decoding colour; None where that cannot be done."""
    if pixel_format.codec != "jpeg" or pixel_format.palette is not None or pixel_format.bits_stored != _BYTE_BITS:
        return None
    stream = read_jpeg(data)
    check_codestream(stream, pixel_format)
    is_luma = stream.components == 1 or is_ycbcr(stream, pixel_format)
    if stream.is_lossless or stream.precision != _BYTE_BITS or not is_luma:
        return None
    try:
        grey = simplejpeg.decode_jpeg(data, colorspace="GRAY", strict=True)
    except ValueError as error:
        reason = "frame_truncated" if "Premature" in str(error) else "frame_corrupt"
        raise InputRejected("A frame is corrupt: the JPEG codec refuses it", reason=reason) from error
    return np.asarray(grey, np.uint8)[..., 0]


def _crop(samples: Samples, box: Box) -> Samples:
    return samples[box.y0 : box.y1, box.x0 : box.x1]


def _finish(grey: Samples, pixel_format: PixelFormat) -> Pixels:
    """Grey with 0 as black, contiguous; MONOCHROME1 stores white as 0."""
    pixels = grey.astype(np.uint8, copy=False)
    if pixel_format.photometric_interpretation == "MONOCHROME1":
        return np.ascontiguousarray(_BYTE_MAXIMUM - pixels)
    return np.ascontiguousarray(pixels)


def _to_bytes(samples: Samples, pixel_format: PixelFormat) -> Pixels:
    """The whole stored range mapped to 0..255; no window, since in ultrasound grey is what the scanner showed."""
    stored = pixel_format.bits_stored
    if stored == _BYTE_BITS and samples.dtype == np.uint8 and not pixel_format.is_signed:
        return samples.astype(np.uint8, copy=False)
    values = samples.astype(np.int32)
    span = (1 << stored) - 1
    if pixel_format.is_signed:
        values = (values + (1 << (stored - 1))) & span
    values = np.clip(values, 0, span)
    return np.asarray((values * _BYTE_MAXIMUM + span // 2) // span).astype(np.uint8)


def _look_up(indexes: Samples, palette: Pixels) -> Pixels:
    """Palette colours; the table has an entry for every value that can be stored."""
    unsigned = indexes.astype(np.uint16, copy=False)
    colours: npt.NDArray[np.uint8] = palette[np.minimum(unsigned, len(palette) - 1)]
    return colours
