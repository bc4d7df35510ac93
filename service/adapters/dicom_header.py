"""The elements before Pixel Data that decoding needs, read with every limit that a hostile file calls for."""

import io
import os

import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from service.errors import InputRejected

_DEFLATED = ("1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205")
_PREAMBLE_BYTES = 132
_META_BYTES = 64 << 10
_KEYWORDS = (
    "SOPClassUID",
    "SOPInstanceUID",
    "CineRate",
    "FrameTime",
    "FrameTimeVector",
    "RecommendedDisplayFrameRate",
    "BurnedInAnnotation",
    "LossyImageCompressionRatio",
    "LossyImageCompressionMethod",
    "SequenceOfUltrasoundRegions",
    "Laterality",
    "ImageLaterality",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "PlanarConfiguration",
    "NumberOfFrames",
    "FrameIncrementPointer",
    "Rows",
    "Columns",
    "PixelSpacing",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    *(f"{colour}PaletteColorLookupTable{part}" for colour in ("Red", "Green", "Blue") for part in ("Descriptor", "Data")),
    *(f"Segmented{colour}PaletteColorLookupTableData" for colour in ("Red", "Green", "Blue")),
    "ExtendedOffsetTable",
)


def read_header(descriptor: int) -> tuple[Dataset, str, int]:
    """The data set without pixels, its transfer syntax, and where Pixel Data begins. Raises InputRejected.

    Deflated syntaxes are refused before anything is inflated: half a megabyte can become a gigabyte.
    """
    syntax = _transfer_syntax(descriptor)
    if syntax in _DEFLATED:
        raise InputRejected("A deflated instance is stored but not analysed", reason="unsupported_transfer_syntax")
    with io.BufferedReader(io.FileIO(descriptor, closefd=False)) as file:
        file.seek(0)
        try:
            dataset = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=list(_KEYWORDS))
        except InvalidDicomError as error:
            raise InputRejected("The file is no DICOM file", reason="header_invalid") from error
        return dataset, syntax, file.tell()


def _transfer_syntax(descriptor: int) -> str:
    """From the file meta information (PS3.10 7.1), which alone is read."""
    start = os.pread(descriptor, _PREAMBLE_BYTES + _META_BYTES, 0)
    if start[_PREAMBLE_BYTES - 4 : _PREAMBLE_BYTES] != b"DICM":
        raise InputRejected("The file is no DICOM file", reason="header_invalid")
    position = start.find(b"\x02\x00\x10\x00UI", _PREAMBLE_BYTES)
    if position < 0:
        raise InputRejected("The file names no transfer syntax", reason="header_invalid")
    length = int.from_bytes(start[position + 6 : position + 8], "little")
    return start[position + 8 : position + 8 + length].rstrip(b"\0 ").decode("latin-1")
