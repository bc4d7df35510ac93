"""The header of a cine from its data set, without the pixels."""

from typing import Literal

from pydicom.dataset import Dataset

from service.core.attribute_values import is_present, read_integer, read_numbers, read_text, read_texts
from service.core.cine import CineHeader, Compression
from service.core.regions import choose_region
from service.core.time_axis import read_time_axis
from service.errors import InputRejected

#: An hour at 60 frames a second and more; a header that says more is wrong.
MAXIMUM_FRAMES = 250_000
_MAXIMUM_SIDE = 65535
_COLOUR_SAMPLES = 3
_MULTI_FRAME_CLASSES = ("1.2.840.10008.5.1.4.1.1.3.1", "1.2.840.10008.5.1.4.1.1.3")


def read_cine_header(dataset: Dataset) -> CineHeader:
    """Raises InputRejected: `image_size_invalid`, `number_of_frames_invalid`, `enhanced_volume_unsupported`."""
    if read_text(dataset, "SOPClassUID") == "1.2.840.10008.5.1.4.1.1.6.2":
        raise InputRejected("An Enhanced US Volume is stored but not analysed", reason="enhanced_volume_unsupported")
    rows, columns = _side(dataset, "Rows"), _side(dataset, "Columns")
    number_of_frames = _number_of_frames(dataset)
    return CineHeader(
        sop_instance_uid=read_text(dataset, "SOPInstanceUID") or "",
        number_of_frames=number_of_frames,
        rows=rows,
        columns=columns,
        region=choose_region(dataset, rows=rows, columns=columns),
        time_axis=read_time_axis(dataset, number_of_frames=number_of_frames),
        laterality=_laterality(dataset),
        is_colour=_is_colour(dataset),
        is_anonymous=read_text(dataset, "BurnedInAnnotation") == "NO",
        compressions=_compressions(dataset),
    )


def _side(dataset: Dataset, keyword: Literal["Rows", "Columns"]) -> int:
    side = read_integer(dataset, keyword)
    if side is None or not 1 <= side <= _MAXIMUM_SIDE:
        found = "absent or malformed" if side is None else str(side)
        raise InputRejected(f"{keyword} is {found}; an image has from 1 to 65535", reason="image_size_invalid")
    return side


def _number_of_frames(dataset: Dataset) -> int:
    """NumberOfFrames (type 1 in a multi-frame class, PS3.3 C.7.6.6); 1 when a single-frame class leaves it out."""
    if not is_present(dataset, "NumberOfFrames"):
        if read_text(dataset, "SOPClassUID") in _MULTI_FRAME_CLASSES:
            raise InputRejected("NumberOfFrames is absent from a multi-frame instance", reason="number_of_frames_invalid")
        return 1
    number = read_integer(dataset, "NumberOfFrames")
    if number is None or not 1 <= number <= MAXIMUM_FRAMES:
        found = "malformed" if number is None else str(number)
        raise InputRejected(f"NumberOfFrames is {found}; it must be 1 to {MAXIMUM_FRAMES}", reason="number_of_frames_invalid")
    return number


def _is_colour(dataset: Dataset) -> bool:
    return read_integer(dataset, "SamplesPerPixel") == _COLOUR_SAMPLES or (
        read_text(dataset, "PhotometricInterpretation") == "PALETTE COLOR"
    )


def _laterality(dataset: Dataset) -> Literal["left", "right"] | None:
    sides: dict[str, Literal["left", "right"]] = {"L": "left", "R": "right"}
    return sides.get(read_text(dataset, "ImageLaterality") or read_text(dataset, "Laterality") or "")


def _compressions(dataset: Dataset) -> tuple[Compression, ...]:
    """None where methods and ratios do not pair: half of them would say less than nothing."""
    methods, ratios = (
        read_texts(dataset, "LossyImageCompressionMethod"),
        read_numbers(dataset, "LossyImageCompressionRatio") or (),
    )
    if len(methods) != len(ratios):
        return ()
    return tuple(Compression(method, ratio) for method, ratio in zip(methods, ratios, strict=True))
