"""The calibrated tissue region of a cine, from the US Region Calibration module (PS3.3 C.8.5.5).

Pixel Spacing (0028,0030) is never used: in ultrasound it says nothing of which region it holds for, equipment and archives
write it after resizing, and the region sequence is the standard's own place for the scale.
"""

from dataclasses import dataclass

from pydicom.dataset import Dataset

from service.core.attribute_values import is_present, read_integer, read_items, read_number
from service.core.cine import Box, Calibration, Region

_TWO_DIMENSIONAL = 1
_TISSUE = 1
_CENTIMETRES = 3
_MM_PER_CM = 10.0
#: Vendors write the last column or the number of columns; more than this beyond the image means another image size.
_EDGE_TOLERANCE_PIXELS = 2
#: From a 100 MHz probe's pixels to a whole body in one line; anything else is not a scale in centimetres.
_PLAUSIBLE_MM_PER_PIXEL = (0.0005, 10.0)
_MINIMUM_SIDE_PIXELS = 8

_DATA_TYPES = {0: "none", 1: "tissue", 2: "colour flow", 3: "PW spectral Doppler", 4: "CW spectral Doppler"}
_SPATIAL_FORMATS = {0: "none", 2: "M-mode", 3: "spectral", 4: "waveform", 5: "graphics"}
_FIRST_TRACE = 5


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A tissue region that overlaps the image; `index` from 1, `overhang` in pixels beyond the image."""

    index: int
    item: Dataset
    box: Box
    overhang: int

    @property
    def area(self) -> int:
        return self.box.width * self.box.height


def choose_region(dataset: Dataset, *, rows: int, columns: int) -> Region:
    """The largest 2D tissue region that overlaps the image, or the whole frame in pixels, with the reason."""
    items = read_items(dataset, "SequenceOfUltrasoundRegions")
    candidates, refused = _sort_out(items, rows, columns)
    if not candidates:
        return _whole_frame(dataset, rows, columns, refused)
    chosen = max(candidates, key=lambda candidate: candidate.area)
    why = f"region {chosen.index} is the {'only' if len(candidates) == 1 else 'largest'} 2D tissue region in the image"
    others = [f"region {c.index} is a smaller tissue region" for c in candidates if c is not chosen] + refused
    calibration = _calibrate(chosen)
    return Region(index=chosen.index, box=chosen.box, calibration=calibration, why="; ".join([why, *others]))


def _sort_out(items: tuple[Dataset, ...], rows: int, columns: int) -> tuple[list[_Candidate], list[str]]:
    """The regions that can be measured in, and a sentence for each that cannot."""
    candidates, refused = [], []
    for index, item in enumerate(items, start=1):
        box = _stored_box(item)
        obstacle = _not_tissue(item)
        clipped = None if box is None else _clip(box, rows, columns)
        if obstacle is None and box is None:
            obstacle = "has no usable location"
        elif obstacle is None and clipped is None:
            obstacle = "lies outside the image"
        if obstacle is not None or box is None or clipped is None:
            refused.append(f"region {index} {obstacle}")
        else:
            candidates.append(_Candidate(index, item, clipped, _overhang(box, rows, columns)))
    return candidates, refused


def _not_tissue(item: Dataset) -> str | None:
    data_type = read_integer(item, "RegionDataType")
    spatial_format = read_integer(item, "RegionSpatialFormat")
    if data_type != _TISSUE:
        name = "of unknown data type" if data_type is None else _DATA_TYPES.get(data_type, "a trace, bar or other graphic")
        return f"is {name}" + ("" if data_type is None or data_type < _FIRST_TRACE else f" (data type {data_type})")
    if is_present(item, "RegionSpatialFormat") and spatial_format != _TWO_DIMENSIONAL:
        return f"is not 2D (spatial format {_SPATIAL_FORMATS.get(spatial_format or 0, spatial_format)})"
    return None


def _stored_box(item: Dataset) -> Box | None:
    """The location as stored; Max X1 and Y1 are the last column and row inside (PS3.3 C.8.5.5.1.1)."""
    corners = [read_integer(item, f"RegionLocation{name}") for name in ("MinX0", "MinY0", "MaxX1", "MaxY1")]
    x0, y0, x1, y1 = corners
    if x0 is None or y0 is None or x1 is None or y1 is None or x1 < x0 or y1 < y0:
        return None
    return Box(x0, y0, x1 + 1, y1 + 1)


def _clip(box: Box, rows: int, columns: int) -> Box | None:
    clipped = Box(max(box.x0, 0), max(box.y0, 0), min(box.x1, columns), min(box.y1, rows))
    return clipped if min(clipped.width, clipped.height) >= _MINIMUM_SIDE_PIXELS else None


def _overhang(box: Box, rows: int, columns: int) -> int:
    return max(-box.x0, -box.y0, box.x1 - columns, box.y1 - rows, 0)


def _calibrate(candidate: _Candidate) -> Calibration:
    """Millimetres a pixel, x and y apart; a delta may be negative, which is only the axis's sense."""
    source = f"SequenceOfUltrasoundRegions[{candidate.index}]"
    scales, reasons = [], []
    for axis in ("X", "Y"):
        scale, reason = _scale(candidate.item, axis)
        scales.append(scale)
        reasons.extend([reason] if reason is not None else [])
    if candidate.overhang > _EDGE_TOLERANCE_PIXELS:
        reasons.append(
            f"the region reaches {candidate.overhang} pixels beyond the image: "
            "the image was resized or cropped after it was calibrated"
        )
    if reasons:
        return Calibration(None, None, source, "; ".join(reasons))
    return Calibration(scales[0], scales[1], source)


def _scale(item: Dataset, axis: str) -> tuple[float | None, str | None]:
    """Millimetres a pixel along one axis, or why not."""
    unit = read_integer(item, f"PhysicalUnits{axis}Direction")
    delta = read_number(item, f"PhysicalDelta{axis}")
    if unit != _CENTIMETRES:
        return None, f"PhysicalUnits{axis}Direction is {'absent' if unit is None else unit}, not 3 (cm)"
    if delta is None:
        return None, f"PhysicalDelta{axis} is absent or malformed"
    scale = abs(delta) * _MM_PER_CM
    low, high = _PLAUSIBLE_MM_PER_PIXEL
    if not low <= scale <= high:
        return None, f"PhysicalDelta{axis} gives {scale:g} mm a pixel, which is no plausible scale"
    return scale, None


def _whole_frame(dataset: Dataset, rows: int, columns: int, refused: list[str]) -> Region:
    reason = "there is no SequenceOfUltrasoundRegions" if not refused else "no ultrasound region is 2D tissue in the image"
    if is_present(dataset, "PixelSpacing"):
        reason += "; PixelSpacing is not trusted for ultrasound"
    why = "; ".join(["the whole frame, since " + reason, *refused])
    return Region(index=None, box=Box(0, 0, columns, rows), calibration=Calibration(None, None, "none", reason), why=why)
