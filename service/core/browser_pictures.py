"""Frames as browsers show them: JPEG, of a frame that is stored as such a JPEG the very bytes."""

import simplejpeg

from service.core.cine import Pixels
from service.core.codestreams import read_jpeg
from service.core.frame_codecs import check_codestream
from service.core.pixel_format import PixelFormat
from service.errors import InputRejected

#: Of what is encoded for the screen alone: at this quality speckle is told from the stored frame by no eye.
_QUALITY = 92
_BITS = 8
_COLOUR = 3


def is_browser_jpeg(frame: bytes, pixel_format: PixelFormat) -> bool:
    """Whether a browser makes of a stored frame what the decoder does: 8 bits, not lossless, grey or colour that it knows."""
    if pixel_format.codec != "jpeg":
        return False
    try:
        stream = read_jpeg(frame)
        check_codestream(stream, pixel_format)
    except InputRejected:
        return False
    if stream.precision != _BITS or stream.is_lossless:
        return False
    photometric = pixel_format.photometric_interpretation
    if stream.components != _COLOUR:
        return photometric == "MONOCHROME2"
    # Without a marker a browser takes three components to be Y'CbCr.
    return stream.is_ycbcr is not None or photometric.startswith("YBR")


def encode_for_browser(picture: Pixels, *, is_colour: bool) -> bytes:
    """A whole frame, (rows, columns, 3) RGB uint8, as JPEG without subsampled chroma, or in one channel."""
    if is_colour:
        return bytes(simplejpeg.encode_jpeg(picture, quality=_QUALITY, colorspace="RGB", colorsubsampling="444"))
    return bytes(simplejpeg.encode_jpeg(picture[:, :, :1].copy(), quality=_QUALITY, colorspace="GRAY"))
