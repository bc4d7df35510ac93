"""One frame (H, W) uint8 as the bytes of each transfer syntax that the writer offers."""

from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from typing import Literal, get_args

import imagecodecs
import numpy as np
import numpy.typing as npt
from PIL import Image
from pydicom import uid
from pydicom.pixels.encoders.base import RLELosslessEncoder

Pixels = npt.NDArray[np.uint8]
TransferSyntax = Literal["explicit", "implicit", "jpeg", "jpeg-colour", "rle", "jpeg-lossless", "jpeg-ls", "jpeg2000"]
TRANSFER_SYNTAXES: tuple[TransferSyntax, ...] = get_args(TransferSyntax)

_JPEG_QUALITY = 92


@dataclass(frozen=True, slots=True)
class Encoding:
    """How the pixels of one transfer syntax are written."""

    transfer_syntax_uid: uid.UID
    encode: Callable[[Pixels], bytes]
    photometric_interpretation: str = "MONOCHROME2"
    samples_per_pixel: int = 1
    lossy_method: str | None = None

    @property
    def is_encapsulated(self) -> bool:
        """True when each frame is a fragment of its own."""
        return bool(self.transfer_syntax_uid.is_encapsulated)


def encoding(transfer_syntax: TransferSyntax) -> Encoding:
    """Raises ValueError, naming the known ones, for another name."""
    known = {
        "explicit": Encoding(uid.ExplicitVRLittleEndian, _native),
        "implicit": Encoding(uid.ImplicitVRLittleEndian, _native),
        "jpeg": Encoding(uid.JPEGBaseline8Bit, _jpeg, lossy_method="ISO_10918_1"),
        "jpeg-colour": Encoding(uid.JPEGBaseline8Bit, _jpeg_colour, "YBR_FULL_422", 3, "ISO_10918_1"),
        "rle": Encoding(uid.RLELossless, _rle),
        "jpeg-lossless": Encoding(uid.JPEGLosslessSV1, _jpeg_lossless),
        "jpeg-ls": Encoding(uid.JPEGLSLossless, _jpeg_ls),
        "jpeg2000": Encoding(uid.JPEG2000Lossless, _jpeg_2000),
    }
    if transfer_syntax not in known:
        raise ValueError(f"unknown transfer syntax {transfer_syntax!r}; known: {', '.join(known)}")
    return known[transfer_syntax]


def _native(frame: Pixels) -> bytes:
    return frame.tobytes()


def _jpeg(frame: Pixels) -> bytes:
    written = BytesIO()
    Image.fromarray(frame).save(written, "JPEG", quality=_JPEG_QUALITY)
    return written.getvalue()


def _jpeg_colour(frame: Pixels) -> bytes:
    """Three components, chrominance halved across: what YBR_FULL_422 says."""
    written = BytesIO()
    Image.fromarray(frame).convert("RGB").save(written, "JPEG", quality=_JPEG_QUALITY, subsampling="4:2:2")
    return written.getvalue()


def _rle(frame: Pixels) -> bytes:
    rows, columns = frame.shape
    return bytes(
        RLELosslessEncoder.encode(
            frame,
            rows=rows,
            columns=columns,
            samples_per_pixel=1,
            photometric_interpretation="MONOCHROME2",
            bits_allocated=8,
            bits_stored=8,
            pixel_representation=0,
            number_of_frames=1,
        )
    )


def _jpeg_lossless(frame: Pixels) -> bytes:
    return bytes(imagecodecs.jpeg8_encode(frame, lossless=True, predictor=1))


def _jpeg_ls(frame: Pixels) -> bytes:
    return bytes(imagecodecs.jpegls_encode(frame))


def _jpeg_2000(frame: Pixels) -> bytes:
    return bytes(imagecodecs.jpeg2k_encode(frame, codecformat="J2K", reversible=True, level=0))
