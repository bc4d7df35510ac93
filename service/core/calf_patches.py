"""What the network of muscle states takes of a calf: both muscles straightened between their aponeuroses, and five lengths.

The one function for training and for serving. A straightened muscle has lost its size and depth; the five scalars carry them.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from service.core.cine import Box, Pixels
from service.core.muscle_strip import Strip

ROWS, COLUMNS = 64, 128
#: Millimetres, but pixels of the frame a millimetre in the fourth place.
SCALARS = ("gastrocnemius_thickness", "soleus_thickness", "fat", "pixels_per_mm", "width")
#: Share of a muscle's height that is left out at each aponeurosis: the aponeurosis itself.
_MARGIN = 0.04
#: The least height of a muscle that is worth straightening, mm.
_LEAST_MM = 3.0


@dataclass(frozen=True, slots=True)
class CalfPatches:
    """Of one frame."""

    #: Gastrocnemius and soleus (2, ROWS, COLUMNS) uint8, 1 to 255; row 0 is nearest to the skin.
    pixels: Pixels
    #: (5,) float32, in the order of SCALARS.
    scalars: npt.NDArray[np.float32]


def calf_patches(frame: Pixels, sector: Box, lines: npt.NDArray[np.floating], mm_per_pixel: float) -> CalfPatches:
    """Of a region's frame (H, W) uint8, in whose sector three aponeuroses were found.

    `lines` (3, sector's width) are rows of the region at the sector's columns, from the skin down, pixel centres at whole
    numbers. Raises ValueError where the lines do not fit the sector, cross, leave it, or where a muscle is under 3 mm.
    """
    if lines.shape != (3, sector.width):
        raise ValueError(f"three lines over {sector.width} columns are needed; these are of shape {lines.shape}")
    rows = np.asarray(lines, np.float64) + 0.5 - sector.y0  # edges of pixels are whole numbers here
    if rows[0].min() < 0 or rows[2].max() > sector.height:
        raise ValueError("an aponeurosis leaves the sector; a frame that shows all three over its whole width is needed")
    heights = np.diff(rows, axis=0) * mm_per_pixel
    if heights.min() < _LEAST_MM:
        raise ValueError(f"the aponeuroses cross, or lie nearer than {_LEAST_MM:g} mm: {heights.min():.1f} mm")
    strips = (_strip(rows[0], rows[1], sector), _strip(rows[1], rows[2], sector))
    thick, thin = heights.mean(1)
    scalars = (thick, thin, rows[0].mean() * mm_per_pixel, 1 / mm_per_pixel, sector.width * mm_per_pixel)
    return CalfPatches(np.stack([strip.straighten(frame, ROWS) for strip in strips]), np.array(scalars, np.float32))


def _strip(upper: npt.NDArray[np.float64], lower: npt.NDArray[np.float64], sector: Box) -> Strip:
    wanted = (np.arange(COLUMNS) + 0.5) * sector.width / COLUMNS
    known = np.arange(sector.width) + 0.5
    first, second = (np.interp(wanted, known, edge) for edge in (upper, lower))
    margin = _MARGIN * (second - first)
    return Strip(sector, (first + margin).astype(np.float32), (second - margin).astype(np.float32))
