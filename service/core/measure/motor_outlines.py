"""The outline of a territory."""

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from service.core.measure.motor_maps import Mask

#: A mask is enlarged so many times and smoothed, so that its outline is no staircase.
_FINER = 4
_SMOOTHED = 3.0
_HALF = 0.5
#: Of an outline are kept so many points, or up to twice as many.
_POINTS = 40


def outline(mask: Mask) -> npt.NDArray[np.float64]:
    """(P, 2) points (x, y) in pixels of the mask, closed, round the largest piece of it. Raises ValueError for an empty one."""
    if not mask.any():
        raise ValueError("an empty mask has no outline")
    padded = np.pad(mask.astype(np.float32), 1)
    fine = cv2.resize(padded, None, fx=_FINER, fy=_FINER, interpolation=cv2.INTER_LINEAR)
    soft = cv2.GaussianBlur(fine, (0, 0), _SMOOTHED)
    level = min(_HALF, float(soft.max()) / 2)
    pieces, _ = cv2.findContours((soft > level).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    around = max(pieces, key=cv2.contourArea)[:, 0].astype(np.float64)
    smooth = ndimage.gaussian_filter1d(around, min(_SMOOTHED, len(around) / 12), axis=0, mode="wrap")
    placed = (smooth[:: max(1, len(smooth) // _POINTS)] + 0.5) / _FINER - 0.5 - 1
    return np.concatenate([placed, placed[:1]])
