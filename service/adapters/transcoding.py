"""An instance in Explicit VR Little Endian (PS3.5 A.2) from what is stored, frame by frame; codecs run in the decoder alone."""

import os
import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pydicom.dataset import Dataset

from service.adapters.dicom_header import read_header
from service.adapters.stored_frames import open_frames, opened
from service.adapters.stored_metadata import read_attributes
from service.core.cine import Cine
from service.core.dicom_file import IMPLICIT_LITTLE_ENDIAN, encode_file
from service.core.instance import InstanceAttributes
from service.core.pixel_format import CODECS, PixelFormat
from service.errors import InputRejected
from service.ports import CineReader

_PIECE_BYTES = 1 << 18
_MOST_BYTES = 0xFFFFFFFE
_BYTE_BITS = 8
_PIXEL_DATA = struct.pack("<HH", 0x7FE0, 0x0010)
_COMPRESSED_ONLY = ("ExtendedOffsetTable", "ExtendedOffsetTableLengths")

Content = tuple[int, Iterator[bytes]]


def can_be_made_explicit(attributes: InstanceAttributes) -> bool:
    """Judged by its attributes: Implicit VR Little Endian, and images whose codec is there; neither video nor big endian."""
    syntax = attributes.transfer_syntax_uid
    codec = CODECS.get(syntax, "video")
    if codec in ("native", "video"):
        return syntax == IMPLICIT_LITTLE_ENDIAN
    return attributes.has_pixel_data and attributes.bits_allocated in (None, 8, 16)


def keeps_its_colour(pixel_format: PixelFormat) -> bool:
    """Whether decoded frames are what the metadata of the stored instance say of uncompressed ones."""
    is_plain = pixel_format.high_bit == pixel_format.bits_stored - 1
    is_colour = pixel_format.samples_per_pixel > 1
    is_kept = pixel_format.photometric_interpretation in ("RGB", "YBR_FULL") and pixel_format.planar_configuration == 0
    return is_plain and (is_kept or not is_colour)


def decoded_frame(cine: Cine, pixel_format: PixelFormat) -> Callable[[int], bytes]:
    """Frames in the colour that the metadata say. Reading raises InputRejected where a frame has another one."""

    def read(number: int) -> bytes:
        samples, is_ycbcr = _samples(cine, number, pixel_format)
        if pixel_format.samples_per_pixel > 1 and is_ycbcr != pixel_format.photometric_interpretation.startswith("YBR"):
            said = "The frames have another colour space than the header says; ask for the instance, or for them as stored."
            raise InputRejected(said, reason="colour_space_differs")
        return samples

    return read


@contextmanager
def explicit_file(path: Path, reader: CineReader) -> Iterator[Content]:
    """Length and bytes of the whole file; the first frame is decoded before. Raises InputRejected, NotFound, Unavailable."""
    dataset, syntax = read_attributes(path)
    with ExitStack() as resources:
        if CODECS.get(syntax) == "native":
            yield _reencoded(path, dataset)
        else:
            stored = resources.enter_context(open_frames(path))
            cine = resources.enter_context(reader.open(path))
            yield _decompressed(dataset, stored.pixel_format, cine)


def _reencoded(path: Path, dataset: Dataset) -> Content:
    """From Implicit VR Little Endian: the attributes are written anew, the pixels are the same bytes."""
    head = _head(dataset)
    with opened(path) as descriptor:
        _, _, offset = read_header(descriptor)
        tag = os.pread(descriptor, 8, offset)
    if not tag:
        return len(head), iter([head])
    length = int.from_bytes(tag[4:], "little")
    if tag[:4] != _PIXEL_DATA or length > path.stat().st_size - offset - 8:
        raise InputRejected(
            "The pixel data cannot be converted; retrieve the instance as it is stored.", reason="pixel_data_invalid"
        )
    element = _PIXEL_DATA + struct.pack("<2s2xL", b"OW", length)
    return len(head) + len(element) + length, _copied(head + element, path, offset + 8, length)


def _copied(before: bytes, path: Path, start: int, length: int) -> Iterator[bytes]:
    yield before
    with path.open("rb", buffering=0) as file:
        file.seek(start)
        while length > 0 and (piece := file.read(min(_PIECE_BYTES, length))):
            length -= len(piece)
            yield piece


def _decompressed(dataset: Dataset, pixel_format: PixelFormat, cine: Cine) -> Content:
    frame_bytes = pixel_format.samples * pixel_format.bits_allocated // _BYTE_BITS
    length = frame_bytes * cine.number_of_frames
    if length > _MOST_BYTES:
        raise InputRejected("Uncompressed it would be larger than an element can be; retrieve it as stored.", reason="too_large")
    first, is_ycbcr = _samples(cine, 1, pixel_format)
    _describe(dataset, pixel_format, is_ycbcr=is_ycbcr)
    head = _head(dataset)
    vr = b"OW" if pixel_format.bits_allocated > _BYTE_BITS else b"OB"
    element = _PIXEL_DATA + struct.pack("<2s2xL", vr, length + length % 2)
    return len(head) + len(element) + length + length % 2, _frames(head + element, first, cine, pixel_format, length % 2)


def _frames(before: bytes, first: bytes, cine: Cine, pixel_format: PixelFormat, padding: int) -> Iterator[bytes]:
    yield before
    yield first
    for number in range(2, cine.number_of_frames + 1):
        yield _samples(cine, number, pixel_format)[0]
    yield bytes(padding)


def _samples(cine: Cine, number: int, pixel_format: PixelFormat) -> tuple[bytes, bool]:
    if cine.samples is None:
        raise InputRejected("This cine cannot be given uncompressed.", reason="no_samples")
    samples, is_ycbcr = cine.samples(number)
    if len(samples) != pixel_format.samples * pixel_format.bits_allocated // _BYTE_BITS:
        raise InputRejected("A frame decodes to another size than the header says.", reason="frame_size_mismatch")
    return samples, is_ycbcr


def _describe(dataset: Dataset, pixel_format: PixelFormat, *, is_ycbcr: bool) -> None:
    """What decoding changes; how lossy the pixels are stays as it was (PS3.3 C.7.6.1.1.5)."""
    dataset.HighBit = pixel_format.bits_stored - 1
    if pixel_format.samples_per_pixel > 1:
        dataset.PhotometricInterpretation = "YBR_FULL" if is_ycbcr else "RGB"
        dataset.PlanarConfiguration = 0
    for keyword in _COMPRESSED_ONLY:
        dataset.pop(keyword, None)


def _head(dataset: Dataset) -> bytes:
    """The file up to its pixels. Raises InputRejected for values that cannot be written."""
    try:
        return encode_file(dataset)
    except (ValueError, TypeError, LookupError, AttributeError, NotImplementedError, struct.error) as error:
        raise InputRejected("The attributes hold values that cannot be written anew.", reason="unreadable") from error
