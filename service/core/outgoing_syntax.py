"""An object of ours in another transfer syntax, for a peer that does not take the one it was made in (PS3.5 10.1).

Objects are made in Explicit VR Little Endian, captures in JPEG Baseline. Frames are decoded one at a time, so that no cine
is ever in memory uncompressed.
"""

import io
import struct
from collections.abc import Iterator

import simplejpeg
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.uid import JPEGBaseline8Bit

from service.core.dicom_file import EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN, encode_file
from service.errors import InputRejected

_JPEG_BASELINE = str(JPEGBaseline8Bit)
_LAST_RESORTS = (EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN)
#: Tag, VR, two reserved bytes and an undefined length stand before the items (PS3.5 A.4).
_ENCAPSULATED_HEAD_BYTES = 12
#: Even, and not the undefined length (PS3.5 7.1.2).
_MOST_BYTES = 0xFFFFFFFE
_CORRUPT = "frame_corrupt"


def syntaxes_of(transfer_syntax_uid: str) -> tuple[str, ...]:
    """Those that an object made in this one can be sent in, the best first."""
    if transfer_syntax_uid not in (EXPLICIT_LITTLE_ENDIAN, _JPEG_BASELINE):
        return (transfer_syntax_uid,)
    return tuple(dict.fromkeys((transfer_syntax_uid, *_LAST_RESORTS)))


def convert(content: bytes, transfer_syntax_uid: str) -> Iterator[bytes]:
    """The file in pieces, the same instance in Explicit or Implicit VR Little Endian; `content` is one of `syntaxes_of`.

    Raises InputRejected for pixels that cannot be decoded, or that no element has room for.
    """
    source = io.BytesIO(content)
    dataset = dcmread(source, stop_before_pixels=True)
    if str(dataset.file_meta.TransferSyntaxUID) != _JPEG_BASELINE:
        yield encode_file(dcmread(io.BytesIO(content)), transfer_syntax_uid=transfer_syntax_uid)
        return
    number_of_frames = int(dataset.get("NumberOfFrames") or 1)
    length = number_of_frames * dataset.Rows * dataset.Columns * dataset.SamplesPerPixel
    padding = length % 2
    if length + padding > _MOST_BYTES:
        raise InputRejected(
            "Uncompressed it would be larger than an element can be; send it to a peer of JPEG.", reason="too_large"
        )
    _describe_uncompressed(dataset)
    yield encode_file(dataset, transfer_syntax_uid=transfer_syntax_uid) + _pixel_data(transfer_syntax_uid, length + padding)
    source.seek(source.tell() + _ENCAPSULATED_HEAD_BYTES)
    yield from _decoded_frames(source, dataset, number_of_frames)
    yield bytes(padding)


def _describe_uncompressed(dataset: Dataset) -> None:
    """What decoding changes. Uncompressed colour of a Secondary Capture is RGB (PS3.3 A.8.5.4).

    How lossy the pixels are stays said: LossyImageCompression, its ratio and its method hold for ever (PS3.3 C.7.6.1.1.5).
    """
    if dataset.SamplesPerPixel > 1:
        dataset.PhotometricInterpretation, dataset.PlanarConfiguration = "RGB", 0


def _pixel_data(transfer_syntax_uid: str, length: int) -> bytes:
    """The head of the element: OW in Implicit VR (PS3.5 A.1), OB else."""
    if transfer_syntax_uid == IMPLICIT_LITTLE_ENDIAN:
        return struct.pack("<HHL", 0x7FE0, 0x0010, length)
    return struct.pack("<HH2s2xL", 0x7FE0, 0x0010, b"OB", length)


def _decoded_frames(items: io.BytesIO, dataset: Dataset, number_of_frames: int) -> Iterator[bytes]:
    """Frames of (rows, columns) or (rows, columns, 3) bytes; `items` is at the Basic Offset Table."""
    shape = (dataset.Rows, dataset.Columns, dataset.SamplesPerPixel)
    colourspace = "RGB" if dataset.SamplesPerPixel > 1 else "GRAY"
    seen = 0
    try:
        for encoded in generate_frames(items, number_of_frames=number_of_frames):
            decoded = simplejpeg.decode_jpeg(encoded, colorspace=colourspace, strict=True)
            seen += 1
            if decoded.shape != shape:
                raise InputRejected(f"Frame {seen} of the kept object has another size than its header says.", reason=_CORRUPT)
            yield decoded.tobytes()
    except ValueError as error:
        said = f"Frame {seen + 1} of the kept object cannot be decoded; analyse the study again for a new one."
        raise InputRejected(said, reason=_CORRUPT) from error
    if seen != number_of_frames:
        said = f"The kept object has {seen} frames where its header says {number_of_frames}."
        raise InputRejected(said, reason=_CORRUPT)
