"""From a region's frames to the network's input: the one function for training and for serving.

First the scanned sector is found inside the calibrated region, then each frame is cropped to it and letterboxed.
Value 0 is kept for the padding, so that the network can standardise over the sector alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from service.core.cine import Box, Pixels

MODEL_SIZE = 256

#: Longest side of the picture in which the sector is looked for; bounds the time and makes the constants below lengths.
_SEARCH_SIZE = 256
#: A grey-level range within 3 x 3 pixels above this is texture; a console's flat ground has 0 to 2, even after JPEG.
_TEXTURE_RANGE = 4
#: Share of textured pixels in a neighbourhood of the sector; lines of text reach it only in patches that opening removes.
_TEXTURE_SHARE = 0.45
#: A smaller share of the frame than this is not a sector: the whole frame is used.
_SMALLEST_SHARE = 0.06
#: Share of a row or column of the found area that must be textured for it to belong to the sector.
_EDGE_SHARE = 0.18


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a sector lies in the square model input. Points are (x, y), with pixel centres at whole numbers."""

    box: Box
    size: int
    left: int
    top: int
    width: int
    height: int

    def to_region(self, points: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """Model pixels (N, 2) to pixels of the region that the sector was found in."""
        shift, scale = self._shift(), self._scale()
        corner = np.array([self.box.x0, self.box.y0], np.float64)
        return (np.asarray(points, np.float64) + 0.5 - shift) * scale + corner - 0.5

    def to_model(self, points: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """Pixels of the region (N, 2) to model pixels; the inverse of `to_region`."""
        shift, scale = self._shift(), self._scale()
        corner = np.array([self.box.x0, self.box.y0], np.float64)
        return (np.asarray(points, np.float64) + 0.5 - corner) / scale + shift - 0.5

    def region_pixels_per_model_pixel(self) -> tuple[float, float]:
        """Along x and along y; equal to within the rounding of the letterbox."""
        return self.box.width / self.width, self.box.height / self.height

    def _shift(self) -> npt.NDArray[np.float64]:
        return np.array([self.left, self.top], np.float64)

    def _scale(self) -> npt.NDArray[np.float64]:
        return np.array(self.region_pixels_per_model_pixel(), np.float64)


def find_sector(frames: Sequence[Pixels]) -> Box:
    """The scanned sector inside the calibrated region, from a few frames (H, W) uint8 of one cine.

    Speckle is textured nearly everywhere, a console is flat between its letters. The whole frame is returned where the
    sector fills it, or where nothing looks like a sector. Raises ValueError without a frame.
    """
    if not frames:
        raise ValueError("at least one frame is needed to find the sector")
    height, width = frames[0].shape
    step = max(1, max(height, width) // _SEARCH_SIZE)
    textured = np.zeros((-(-height // step), -(-width // step)), np.bool_)
    for frame in frames:
        textured |= _textured(frame, step)
    area = _largest_area(textured)
    if area is None or area.sum() < _SMALLEST_SHARE * area.size:
        return Box(0, 0, width, height)
    found = _bounds(area, area & textured)
    box = Box(found.x0 * step, found.y0 * step, min(found.x1 * step, width), min(found.y1 * step, height))
    return _snapped(box, width, height)


def place(box: Box, size: int = MODEL_SIZE) -> Placement:
    """Letterbox a sector into a square of `size`, keeping its aspect, centred."""
    scale = size / max(box.width, box.height)
    width, height = max(1, round(box.width * scale)), max(1, round(box.height * scale))
    return Placement(box=box, size=size, left=(size - width) // 2, top=(size - height) // 2, width=width, height=height)


def model_input(frame: Pixels, placement: Placement) -> Pixels:
    """One region frame (H, W) as the network takes it: (size, size) uint8, 0 in the padding, 1 to 255 in the sector."""
    sector = np.maximum(resample(frame, placement), 1)
    return _padded(sector, placement)


def model_labels(mask: npt.NDArray[np.bool_], placement: Placement) -> Pixels:
    """A mask (H, W) under the same placement: (size, size) uint8, the covered share of each pixel x 255."""
    return _padded(resample(np.asarray(mask, np.uint8) * np.uint8(255), placement), placement)


def model_numbers(numbers: Pixels, placement: Placement) -> Pixels:
    """A map of classes (H, W) under the same placement: each pixel of (size, size) has the class of the nearest one."""
    box = placement.box
    cut = Image.fromarray(np.ascontiguousarray(numbers[box.y0 : box.y1, box.x0 : box.x1]))
    return _padded(np.asarray(cut.resize((placement.width, placement.height), Image.Resampling.NEAREST)), placement)


def resample(pixels: Pixels, placement: Placement) -> Pixels:
    """The sector of (H, W) uint8 at model resolution (placement.height, placement.width), by area when it shrinks."""
    box = placement.box
    sector = Image.fromarray(np.ascontiguousarray(pixels[box.y0 : box.y1, box.x0 : box.x1]))
    shrinks = max(box.width, box.height) >= placement.size
    how = Image.Resampling.BOX if shrinks else Image.Resampling.BILINEAR
    return np.asarray(sector.resize((placement.width, placement.height), how))


def _padded(sector: Pixels, placement: Placement) -> Pixels:
    square = np.zeros((placement.size, placement.size), np.uint8)
    square[placement.top : placement.top + placement.height, placement.left : placement.left + placement.width] = sector
    return square


def _textured(frame: Pixels, step: int) -> npt.NDArray[np.bool_]:
    """Grey-level range of the 3 x 3 pixels around every `step`-th pixel, compared with the console's."""
    padded = np.pad(frame, 1, mode="edge")
    height, width = frame.shape
    shifted = [padded[dy : dy + height : step, dx : dx + width : step] for dy in range(3) for dx in range(3)]
    return np.asarray(np.maximum.reduce(shifted) - np.minimum.reduce(shifted) > _TEXTURE_RANGE)


def _largest_area(textured: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_] | None:
    dense = ndimage.uniform_filter(textured.astype(np.float32), 9, mode="reflect") > _TEXTURE_SHARE
    # Opening takes away letters and rulers; closing bridges dark tissue inside the sector.
    opened = _dilated(_eroded(np.pad(dense, 16, mode="edge"), 15), 15)[16:-16, 16:-16]
    closed = _eroded(_dilated(np.pad(opened, 24), 21), 21)[24:-24, 24:-24]
    labels, count = ndimage.label(closed)
    if count == 0:
        return None
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return np.asarray(labels == sizes.argmax())


def _eroded(mask: npt.NDArray[np.bool_], size: int) -> npt.NDArray[np.bool_]:
    return np.asarray(ndimage.minimum_filter(mask.astype(np.uint8), size)).astype(np.bool_)


def _dilated(mask: npt.NDArray[np.bool_], size: int) -> npt.NDArray[np.bool_]:
    return np.asarray(ndimage.maximum_filter(mask.astype(np.uint8), size)).astype(np.bool_)


def _bounds(area: npt.NDArray[np.bool_], textured: npt.NDArray[np.bool_]) -> Box:
    """The box in which rows and columns of the area are textured, grown by one to make up for the opening's rounding."""
    columns = np.flatnonzero(textured.sum(0) > _EDGE_SHARE * area.sum(0).max())
    rows = np.flatnonzero(textured.sum(1) > _EDGE_SHARE * area.sum(1).max())
    height, width = area.shape
    return Box(
        max(0, int(columns[0])),
        max(0, int(rows[0])),
        min(width, int(columns[-1]) + 1),
        min(height, int(rows[-1]) + 1),
    )


def _snapped(box: Box, width: int, height: int) -> Box:
    """Sides within 2 % of the frame's edge are put on it: a full-frame sector stays whole."""
    dx, dy = max(1, width // 50), max(1, height // 50)
    return Box(
        0 if box.x0 <= dx else box.x0,
        0 if box.y0 <= dy else box.y0,
        width if box.x1 >= width - dx else box.x1,
        height if box.y1 >= height - dy else box.y1,
    )
