"""What the network of muscle states takes of a calf: both muscles straightened between their aponeuroses, and five lengths.

The one function for training and for serving. A straightened muscle has lost its size and depth; the five scalars carry them.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
import numpy.typing as npt

from service.core.cine import Box, Pixels
from service.core.muscle_strip import Strip

ROWS, COLUMNS = 64, 128
#: Millimetres, but pixels of the frame a millimetre in the fourth place.
SCALARS = ("gastrocnemius_thickness", "soleus_thickness", "fat", "pixels_per_mm", "width")
#: Share of a muscle's height that is left out at each aponeurosis: the aponeurosis itself.
_MARGIN = 0.04
#: The least height of a muscle that is worth straightening: in mm, and in pixels where there is no scale.
_LEAST_MM, _LEAST_PIXELS = 3.0, 16.0


@dataclass(frozen=True, slots=True)
class CalfPatches:
    """Of one frame."""

    #: Gastrocnemius and soleus (2, ROWS, COLUMNS) uint8, 1 to 255; row 0 is nearest to the skin.
    pixels: Pixels
    #: (5,) float32, in the order of SCALARS; all are NaN where there is no scale.
    scalars: npt.NDArray[np.float32]


def calf_patches(
    frame: Pixels,
    sector: Box,
    lines: npt.NDArray[np.floating],
    mm_per_pixel: tuple[float, float] | None,
    *,
    muscles: Literal[1, 2] = 2,
) -> CalfPatches:
    """Of a region's frame (H, W) uint8, in whose sector three aponeuroses were found; the scale is along x and along y.

    `lines` (3, sector's width) are rows of the region at the sector's columns, from the skin down, pixel centres at whole
    numbers. Of one muscle there are two; the other's pixels are 0 then, and its thickness is NaN. Raises ValueError where the
    lines do not fit the sector, cross, leave it, or where a muscle is under 3 mm.
    """
    if lines.shape != (muscles + 1, sector.width):
        wanted = {1: "two", 2: "three"}[muscles]
        raise ValueError(f"{wanted} lines over {sector.width} columns are needed; these are of shape {lines.shape}")
    rows = np.asarray(lines, np.float64) + 0.5 - sector.y0  # edges of pixels are whole numbers here
    if rows[0].min() < 0 or rows[-1].max() > sector.height:
        raise ValueError("an aponeurosis leaves the sector; a frame that shows all of them over its whole width is needed")
    _refuse_thin(np.diff(rows, axis=0), mm_per_pixel)
    pixels = np.zeros((2, ROWS, COLUMNS), np.uint8)
    for number, (upper, lower) in enumerate(pairwise(rows)):
        pixels[number] = _strip(upper, lower, sector).straighten(frame, ROWS)
    return CalfPatches(pixels, _scalars(rows, sector, mm_per_pixel))


def _refuse_thin(heights: npt.NDArray[np.float64], mm_per_pixel: tuple[float, float] | None) -> None:
    """Heights (2, columns) of the muscles in pixels."""
    least = float(heights.min())
    if mm_per_pixel is not None and least * mm_per_pixel[1] < _LEAST_MM:
        thinnest = least * mm_per_pixel[1]
        raise ValueError(f"the aponeuroses cross, or lie nearer than {_LEAST_MM:g} mm: {thinnest:.1f} mm")
    if mm_per_pixel is None and least < _LEAST_PIXELS:
        raise ValueError(f"the aponeuroses cross, or lie nearer than {_LEAST_PIXELS:g} pixels: {least:.1f}")


def _scalars(rows: npt.NDArray[np.float64], sector: Box, mm_per_pixel: tuple[float, float] | None) -> npt.NDArray[np.float32]:
    if mm_per_pixel is None:
        return np.full(len(SCALARS), np.nan, np.float32)
    along, down = mm_per_pixel
    thickness = np.full(2, np.nan)
    thickness[: len(rows) - 1] = np.diff(rows, axis=0).mean(1) * down
    return np.array((*thickness, rows[0].mean() * down, 1 / down, sector.width * along), np.float32)


def _strip(upper: npt.NDArray[np.float64], lower: npt.NDArray[np.float64], sector: Box) -> Strip:
    wanted = (np.arange(COLUMNS) + 0.5) * sector.width / COLUMNS
    known = np.arange(sector.width) + 0.5
    first, second = (np.interp(wanted, known, edge) for edge in (upper, lower))
    margin = _MARGIN * (second - first)
    return Strip(sector, (first + margin).astype(np.float32), (second - margin).astype(np.float32))
