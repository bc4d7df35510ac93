"""How the pixels of an instance are encoded (PS3.3 C.7.6.3, PS3.5 8), checked before anything is decoded."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_color_lut

from service.core.attribute_values import read_integer, read_text
from service.errors import InputRejected

Codec = Literal["native", "rle", "jpeg", "jpeg_lossless", "jpeg_ls", "jpeg_2000", "htj2k", "video"]

_UID = "1.2.840.10008.1.2"
CODECS: dict[str, Codec] = {
    _UID: "native",
    f"{_UID}.1": "native",
    f"{_UID}.2": "native",
    f"{_UID}.5": "rle",
    f"{_UID}.4.50": "jpeg",
    f"{_UID}.4.51": "jpeg",
    f"{_UID}.4.57": "jpeg_lossless",
    f"{_UID}.4.70": "jpeg_lossless",
    f"{_UID}.4.80": "jpeg_ls",
    f"{_UID}.4.81": "jpeg_ls",
    f"{_UID}.4.90": "jpeg_2000",
    f"{_UID}.4.91": "jpeg_2000",
    f"{_UID}.4.201": "htj2k",
    f"{_UID}.4.202": "htj2k",
    f"{_UID}.4.203": "htj2k",
    **{f"{_UID}.4.{number}{suffix}": "video" for number in range(100, 107) for suffix in ("", ".1")},
    f"{_UID}.4.107": "video",
    f"{_UID}.4.108": "video",
}
_BIG_ENDIAN = f"{_UID}.2"
#: One 4K colour frame; the codecs need up to five bytes a sample.
MAXIMUM_FRAME_SAMPLES = 3840 * 2160 * 3
_GREY = ("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR")
_COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_422", "YBR_PARTIAL_420", "YBR_RCT", "YBR_ICT")


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelFormat:
    """The Image Pixel module, with the palette ready for use: `palette` is (entries, 3) uint8 from stored value 0."""

    codec: Codec
    rows: int
    columns: int
    samples_per_pixel: int
    photometric_interpretation: str
    planar_configuration: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    is_signed: bool
    is_big_endian: bool
    palette: npt.NDArray[np.uint8] | None = None

    @property
    def samples(self) -> int:
        """Samples in one decoded frame."""
        return self.rows * self.columns * self.samples_per_pixel

    @property
    def frame_bytes(self) -> int:
        """Bytes of one frame when stored natively; YBR_FULL_422 shares chroma between two pixels (PS3.3 C.7.6.3.1.2)."""
        if self.photometric_interpretation in ("YBR_FULL_422", "YBR_PARTIAL_422"):
            return self.rows * self.columns * 2 * self.bits_allocated // 8
        return self.samples * self.bits_allocated // 8


def read_pixel_format(
    dataset: Dataset, *, transfer_syntax_uid: str, rows: int, columns: int, may_be_bits: bool = False
) -> PixelFormat:
    """Raises InputRejected naming the attribute that cannot be. `may_be_bits`: uncompressed masks of a bit a pixel, too."""
    codec = CODECS.get(transfer_syntax_uid)
    if codec is None:
        raise InputRejected(f"Transfer syntax {transfer_syntax_uid} cannot be decoded", reason="unsupported_transfer_syntax")
    samples_per_pixel = read_integer(dataset, "SamplesPerPixel") or 1
    if rows * columns * samples_per_pixel > MAXIMUM_FRAME_SAMPLES:
        raise InputRejected(f"A frame of {columns}x{rows} pixels is larger than is decoded", reason="frame_too_large")
    photometric = _photometric(dataset, samples_per_pixel)
    allocated, stored, high_bit = _bits(dataset, (1, 8, 16) if may_be_bits and codec == "native" else (8, 16))
    return PixelFormat(
        codec=codec,
        rows=rows,
        columns=columns,
        samples_per_pixel=samples_per_pixel,
        photometric_interpretation=photometric,
        planar_configuration=read_integer(dataset, "PlanarConfiguration") or 0,
        bits_allocated=allocated,
        bits_stored=stored,
        high_bit=high_bit,
        is_signed=read_integer(dataset, "PixelRepresentation") == 1,
        is_big_endian=transfer_syntax_uid == _BIG_ENDIAN,
        palette=_palette(dataset, allocated) if photometric == "PALETTE COLOR" else None,
    )


def _photometric(dataset: Dataset, samples_per_pixel: int) -> str:
    """Photometric Interpretation, which must go with the samples: one for grey and palette, three for colour."""
    photometric = read_text(dataset, "PhotometricInterpretation") or "absent"
    expected = {1: _GREY, 3: _COLOUR}.get(samples_per_pixel)
    if expected is None:
        raise InputRejected(f"SamplesPerPixel is {samples_per_pixel}; 1 or 3 is read", reason="samples_per_pixel_invalid")
    if photometric not in expected:
        raise InputRejected(
            f"PhotometricInterpretation is not one that goes with {samples_per_pixel} sample(s) a pixel",
            reason="photometric_interpretation_invalid",
        )
    return photometric


def _bits(dataset: Dataset, possible: tuple[int, ...]) -> tuple[int, int, int]:
    """BitsAllocated, one of the possible; BitsStored within it, HighBit within it (PS3.5 8.1.1)."""
    allocated = read_integer(dataset, "BitsAllocated") or 0
    if allocated not in possible:
        raise InputRejected(f"BitsAllocated is {allocated}; 8 or 16 is read", reason="bits_allocated_invalid")
    stored = read_integer(dataset, "BitsStored") or allocated
    if not 1 <= stored <= allocated:
        raise InputRejected(f"BitsStored is {stored} of {allocated} BitsAllocated", reason="bits_stored_invalid")
    high_bit = read_integer(dataset, "HighBit")
    high_bit = stored - 1 if high_bit is None else high_bit
    if not stored - 1 <= high_bit < allocated:
        raise InputRejected(f"HighBit is {high_bit} with {stored} bits stored of {allocated}", reason="bits_stored_invalid")
    return allocated, stored, high_bit


def _palette(dataset: Dataset, bits_allocated: int) -> npt.NDArray[np.uint8]:
    """RGB of every stored value; values beyond the table take its ends (PS3.3 C.7.6.3.1.5)."""
    every_value = np.arange(1 << bits_allocated, dtype=np.uint16 if bits_allocated > 8 else np.uint8)  # noqa: PLR2004 - a byte
    try:
        table = apply_color_lut(every_value, dataset)
    except Exception as error:  # pydicom raises whatever the malformed table leads to
        raise InputRejected("The colour palette is absent or malformed", reason="palette_invalid") from error
    if table.shape != (every_value.size, 3):
        raise InputRejected("The colour palette does not have three colours", reason="palette_invalid")
    scaled = table >> 8 if table.max() > 255 else table  # noqa: PLR2004 - some writers give bytes in a table of words
    return np.ascontiguousarray(scaled, dtype=np.uint8)
