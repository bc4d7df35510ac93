"""One stored frame -> samples, whatever its transfer syntax; each codec is told the size it must find."""

from collections.abc import Callable
from itertools import pairwise

import imagecodecs
import numpy as np
import numpy.typing as npt

from service.core.codestreams import Codestream, read_jpeg, read_jpeg_2000
from service.core.pixel_format import PixelFormat
from service.errors import InputRejected

Samples = npt.NDArray[np.integer]

_RLE_HEADER_BYTES = 64
_BYTE_BITS = 8
_JPEG_2000_END = b"\xff\xd9"
_PADDING_BYTES = 64


def decode_samples(data: bytes, pixel_format: PixelFormat) -> tuple[Samples, bool]:
    """Samples (rows, columns) or (rows, columns, 3) as stored, and whether colour is Y'CbCr. Raises InputRejected."""
    codec = pixel_format.codec
    if codec == "native":
        return _decode_native(data, pixel_format), _is_labelled_ycbcr(pixel_format)
    if codec == "rle":
        return _decode_rle(data, pixel_format), _is_labelled_ycbcr(pixel_format)
    if codec in ("jpeg", "jpeg_lossless"):
        return _decode_jpeg(data, pixel_format)
    if codec == "jpeg_ls":
        check_codestream(read_jpeg(data), pixel_format)
        return _run(lambda: imagecodecs.jpegls_decode(data), pixel_format), _is_labelled_ycbcr(pixel_format)
    return _decode_jpeg_2000(data, pixel_format)


def check_codestream(stream: Codestream, pixel_format: PixelFormat) -> None:
    """Compare what a frame says with what the header says, so that no codec allocates for another size."""
    if (stream.rows, stream.columns) != (pixel_format.rows, pixel_format.columns):
        raise InputRejected(
            f"A frame says {stream.columns}x{stream.rows} pixels, the header {pixel_format.columns}x{pixel_format.rows}",
            reason="frame_size_mismatch",
        )
    if stream.components != pixel_format.samples_per_pixel:
        raise InputRejected(
            f"A frame has {stream.components} component(s), the header {pixel_format.samples_per_pixel}",
            reason="frame_components_mismatch",
        )


def is_ycbcr(stream: Codestream, pixel_format: PixelFormat) -> bool:
    """The frame's own markers, then PhotometricInterpretation; the two disagree often."""
    return _is_labelled_ycbcr(pixel_format) if stream.is_ycbcr is None else stream.is_ycbcr


def _is_labelled_ycbcr(pixel_format: PixelFormat) -> bool:
    return pixel_format.photometric_interpretation.startswith("YBR")


def _decode_native(data: bytes, pixel_format: PixelFormat) -> Samples:
    dtype = np.dtype(np.uint8 if pixel_format.bits_allocated == _BYTE_BITS else np.uint16)
    stored = dtype.newbyteorder(">") if pixel_format.is_big_endian else dtype
    flat = np.frombuffer(data, stored, count=pixel_format.frame_bytes // dtype.itemsize)
    rows, columns = pixel_format.rows, pixel_format.columns
    if pixel_format.samples_per_pixel == 1:
        return _shift(flat.reshape(rows, columns), pixel_format)
    if pixel_format.frame_bytes < pixel_format.samples * dtype.itemsize:
        return _expand_422(flat, pixel_format)
    if pixel_format.planar_configuration == 1:
        return _shift(np.moveaxis(flat.reshape(3, rows, columns), 0, -1), pixel_format)
    return _shift(flat.reshape(rows, columns, 3), pixel_format)


def _shift(samples: Samples, pixel_format: PixelFormat) -> Samples:
    """Drop what lies outside the stored bits: overlays above, padding below (PS3.5 8.1.1)."""
    words = samples if samples.dtype == np.uint8 else samples.astype(np.uint16)
    spare = pixel_format.high_bit + 1 - pixel_format.bits_stored
    if spare == 0 and pixel_format.bits_stored == pixel_format.bits_allocated:
        return words
    kept = (words.astype(np.uint16) >> np.uint16(spare)) & np.uint16((1 << pixel_format.bits_stored) - 1)
    return kept.astype(words.dtype)


def _expand_422(flat: Samples, pixel_format: PixelFormat) -> Samples:
    """Y1 Y2 Cb Cr for each two pixels -> Y Cb Cr for each (PS3.3 C.7.6.3.1.2)."""
    pairs = flat.reshape(pixel_format.rows, pixel_format.columns // 2, 4)
    expanded = np.empty((pixel_format.rows, pixel_format.columns, 3), flat.dtype)
    expanded[:, 0::2, 0] = pairs[:, :, 0]
    expanded[:, 1::2, 0] = pairs[:, :, 1]
    expanded[:, :, 1] = np.repeat(pairs[:, :, 2], 2, axis=1)
    expanded[:, :, 2] = np.repeat(pairs[:, :, 3], 2, axis=1)
    return _shift(expanded, pixel_format)


def _decode_rle(data: bytes, pixel_format: PixelFormat) -> Samples:
    """Byte planes, most significant first, each PackBits (PS3.5 G)."""
    width = pixel_format.bits_allocated // _BYTE_BITS
    planes = pixel_format.samples_per_pixel * width
    header = np.frombuffer(data[:_RLE_HEADER_BYTES].ljust(_RLE_HEADER_BYTES, b"\0"), "<u4")
    offsets = [*(int(offset) for offset in header[1 : planes + 1]), len(data)]
    in_order = all(low <= high for low, high in pairwise(offsets))
    if header[0] != planes or offsets[0] < _RLE_HEADER_BYTES or not in_order:
        raise InputRejected("An RLE frame's header does not fit the image", reason="frame_corrupt")
    samples = np.empty((pixel_format.rows, pixel_format.columns, pixel_format.samples_per_pixel, width), np.uint8)
    for plane, (start, end) in enumerate(pairwise(offsets)):
        unpacked = _unpack_bits(data[start:end], pixel_format.rows * pixel_format.columns)
        samples[:, :, plane // width, width - 1 - plane % width] = unpacked.reshape(samples.shape[:2])
    words = samples.view("<u2" if width > 1 else np.uint8)[..., 0]
    return _shift(words[..., 0] if pixel_format.samples_per_pixel == 1 else words, pixel_format)


def _unpack_bits(segment: bytes, size: int) -> npt.NDArray[np.uint8]:
    """One segment; up to a few bytes of padding may follow its runs."""
    plane = bytearray(size)
    for padding in range(2):
        try:
            unpacked = imagecodecs.packbits_decode(segment[: len(segment) - padding], out=plane)
        except RuntimeError:
            continue
        if len(unpacked) == size:
            return np.frombuffer(plane, np.uint8)
    raise InputRejected("An RLE segment does not fill the image", reason="frame_corrupt")


def _decode_jpeg(data: bytes, pixel_format: PixelFormat) -> tuple[Samples, bool]:
    """All processes of T.81, colour as stored."""
    stream = read_jpeg(data)
    check_codestream(stream, pixel_format)
    if stream.components == 1:
        return _run(lambda: imagecodecs.jpeg8_decode(data), pixel_format), False
    ycbcr = is_ycbcr(stream, pixel_format)
    if stream.is_lossless or not ycbcr:
        return _run(lambda: imagecodecs.jpeg8_decode(data, colorspace="RGB", outcolorspace="RGB"), pixel_format), ycbcr
    return _run(lambda: imagecodecs.jpeg8_decode(data, colorspace="YCBCR", outcolorspace="YCBCR"), pixel_format), True


def _decode_jpeg_2000(data: bytes, pixel_format: PixelFormat) -> tuple[Samples, bool]:
    """With a colour transform in the codestream the codec gives RGB; YBR_RCT and YBR_ICT name that transform only."""
    stream = read_jpeg_2000(data)
    check_codestream(stream, pixel_format)
    ycbcr = not stream.has_colour_transform and pixel_format.photometric_interpretation.startswith("YBR_FULL")
    if data.rfind(_JPEG_2000_END, max(len(data) - _PADDING_BYTES, 0)) < 0:
        raise InputRejected("A JPEG 2000 frame ends before its end marker", reason="frame_truncated")
    # OpenJPEG reads HTJ2K too; OpenJPH, the other choice, conceals damage and leaves samples unset.
    return _run(lambda: imagecodecs.jpeg2k_decode(data, numthreads=1), pixel_format), ycbcr


def _run(decode: Callable[[], Samples], pixel_format: PixelFormat) -> Samples:
    """Call a codec; whatever it raises means that the frame is corrupt."""
    try:
        samples = decode()
    except MemoryError:
        raise
    except Exception as error:  # each codec has its own exceptions, without a common base
        raise InputRejected("A frame is corrupt: the codec refuses it", reason="frame_corrupt") from error
    shape = (pixel_format.rows, pixel_format.columns, 3)[: 2 if pixel_format.samples_per_pixel == 1 else 3]
    if samples.shape != shape or samples.dtype.itemsize > 2:  # noqa: PLR2004 - 16 bits
        raise InputRejected("A frame decodes to another shape than the header says", reason="frame_size_mismatch")
    return samples
