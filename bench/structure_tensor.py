"""The baseline without a network: the dominant direction of a picture's middle (structure tensor, Bigun and Granlund 1987)."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from service.core.cine import Pixels

#: Where a leg muscle lies in most pictures, as shares of the sector: rows, then columns.
_ROWS = (0.2, 0.6)
_COLUMNS = (0.2, 0.8)
_GRADIENT_SIGMA = 2.0

Floats = npt.NDArray[np.float64]


def tensor_angle_deg(sector: Pixels) -> float:
    """Of one sector (rows, columns): degrees of the lines from the horizontal, without a sign."""
    rows, columns = sector.shape
    grey = sector.astype(np.float64)
    along_y = ndimage.gaussian_filter(grey, _GRADIENT_SIGMA, order=(1, 0))
    along_x = ndimage.gaussian_filter(grey, _GRADIENT_SIGMA, order=(0, 1))
    middle = np.s_[round(_ROWS[0] * rows) : round(_ROWS[1] * rows), round(_COLUMNS[0] * columns) : round(_COLUMNS[1] * columns)]
    xx, yy, xy = ((a[middle] * b[middle]).sum() for a, b in ((along_x, along_x), (along_y, along_y), (along_x, along_y)))
    across = 0.5 * np.degrees(np.arctan2(2 * xy, xx - yy))  # of the gradient; the lines run at right angles to it
    line = across - 90 if across > 0 else across + 90
    return float(abs(line))


def shifted(angles: Sequence[float], true: Sequence[float], groups: Sequence[str]) -> Floats:
    """Angles (N,) plus one offset, the median difference to the truth in the other groups, not its own."""
    found, known, names = np.array(angles), np.array(true), np.array(groups)
    answers = found.copy()
    for name in np.unique(names):
        others = names != name
        answers[~others] += np.median(known[others] - found[others]) if others.any() else 0.0
    return answers
