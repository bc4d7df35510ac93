"""The frames of a stored file as they are stored, for DICOMweb."""

import os
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydicom.errors import BytesLengthException

from service.adapters.dicom_header import read_header
from service.adapters.pixel_source import open_pixels
from service.core.cine_header import read_cine_header
from service.core.dicom_file import EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN
from service.core.pixel_format import PixelFormat, read_pixel_format
from service.errors import InputRejected, NotFound, Unavailable

_WORD_BITS = 16


@dataclass(frozen=True, slots=True)
class StoredFrames:
    """The frames of one open file; native ones are given in Explicit VR Little Endian, whatever their byte order was.

    A frame of one bit a pixel begins with a byte of its own, whatever byte it shares with the one before in the file.
    """

    transfer_syntax_uid: str
    is_native: bool
    pixel_format: PixelFormat
    number_of_frames: int
    read: Callable[[int], bytes]


@contextmanager
def open_frames(path: Path) -> Iterator[StoredFrames]:
    """Raises InputRejected when the frames are not all there, NotFound, Unavailable."""
    with opened(path) as descriptor:
        dataset, syntax, offset = read_header(descriptor)
        header = read_cine_header(dataset)
        pixels = read_pixel_format(
            dataset, transfer_syntax_uid=syntax, rows=header.rows, columns=header.columns, may_be_bits=True
        )
        if pixels.codec == "video":
            raise InputRejected("A video has no frames that stand alone; retrieve the instance.", reason="video")
        source = open_pixels(
            descriptor,
            dataset,
            pixels,
            offset=offset,
            number_of_frames=header.number_of_frames,
            is_implicit=syntax == IMPLICIT_LITTLE_ENDIAN,
        )
        is_native = pixels.codec == "native"
        is_swapped = is_native and pixels.is_big_endian and pixels.bits_allocated == _WORD_BITS
        yield StoredFrames(
            transfer_syntax_uid=EXPLICIT_LITTLE_ENDIAN if is_native else syntax,
            is_native=is_native,
            pixel_format=source.pixel_format,
            number_of_frames=header.number_of_frames,
            read=(lambda number: _swapped(source.read_frame(number))) if is_swapped else source.read_frame,
        )


@contextmanager
def opened(path: Path) -> Iterator[int]:
    """A descriptor; what pydicom raises inside becomes InputRejected. Raises NotFound, Unavailable."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError as error:
        raise NotFound("The instance store does not hold this instance.") from error
    except OSError as error:
        raise Unavailable("A stored instance cannot be read.", reason="store") from error
    try:
        yield descriptor
    except (ValueError, TypeError, LookupError, NotImplementedError, BytesLengthException, RecursionError) as error:
        # What pydicom raises over values that no reader understands.
        raise InputRejected("The stored instance holds values that cannot be read.", reason="unreadable") from error
    finally:
        os.close(descriptor)


def _swapped(frame: bytes) -> bytes:
    words = array("H", frame)
    words.byteswap()
    return words.tobytes()
