"""From the maps of the network `mu_seg` to territories: centres, the ellipse round each, and in it what is alike."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.optimize import linear_sum_assignment

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

#: Channels of the maps: logit of a centre, log of half the width and height (pixels), its offset (x, y; pixels), logit of a
#: territory, and what tells units apart.
CENTRE, EXTENT, OFFSET, TERRITORY, EMBEDDING = slice(0, 1), slice(1, 3), slice(3, 5), slice(5, 6), slice(6, 14)
CHANNELS = 14
#: Chosen on validation muscles (`training.motor_units.evaluate`).
LEAST_HEAT = 0.3

#: Two masks are of one unit when at least so much of both together is in both.
LEAST_IOU = 0.3

_NEIGHBOURHOOD = 5
#: The smallest unit of the simulator has six.
_LEAST_PIXELS = 4
_MOST_UNITS = 32
#: An ellipse a little larger than was said; what is outside it is never the unit's.
_GENEROUS = 1.15
#: Units are trained to lie at least 1.5 apart, and pixels of a unit within 0.5 of its mean.
_ALIKE = 0.75


@dataclass(frozen=True, slots=True)
class Territory:
    """Where a unit moves the tissue."""

    mask: Mask  # (H, W), of four pixels or more
    #: How sure the network is of its centre, 0 to 1.
    heat: float


def territories(maps: Floats, least_heat: float = LEAST_HEAT) -> list[Territory]:
    """Those in maps (14, H, W), the surest first; 32 at most.

    Where territories overlap a pixel may belong to several: of the overlap nothing is asked but that it is in both ellipses.
    """
    heat = 1 / (1 + np.exp(-np.clip(maps[CENTRE][0], -30, 30)))
    peaks = (heat >= ndimage.maximum_filter(heat, _NEIGHBOURHOOD)) & (heat >= least_heat)
    places = sorted(zip(*np.nonzero(peaks), strict=True), key=lambda place: -float(heat[place]))[:_MOST_UNITS]
    ellipses = [_ellipse(maps, place) for place in places]
    several = np.sum(ellipses, axis=0) > 1 if ellipses else np.zeros(heat.shape, np.bool_)
    moving = maps[TERRITORY][0] > 0
    found = []
    for place, ellipse in zip(places, ellipses, strict=True):
        apart = np.sqrt(((maps[EMBEDDING] - maps[(EMBEDDING, *place)][:, None, None]) ** 2).sum(0))
        mask = ellipse & moving & ((apart < _ALIKE) | several)
        if mask.sum() >= _LEAST_PIXELS:
            found.append(Territory(mask, float(heat[place])))
    return found


def matched(some: Sequence[Mask], others: Sequence[Mask], least_iou: float = LEAST_IOU) -> list[tuple[int, int]]:
    """Pairs of indices (Hungarian): as much intersection over union in all as can be, and at least `least_iou` in each."""
    if not some or not others:
        return []
    a, b = (np.stack(masks).reshape(len(masks), -1).astype(np.float64) for masks in (some, others))
    both = a @ b.T
    iou = both / np.maximum(a.sum(1)[:, None] + b.sum(1) - both, 1)
    iou[iou < least_iou] = 0.0
    rows, columns = linear_sum_assignment(-iou)
    return [(int(row), int(column)) for row, column in zip(rows, columns, strict=True) if iou[row, column] > 0]


def _ellipse(maps: Floats, place: tuple[int, int]) -> Mask:
    """(H, W) of a centre at row and column."""
    row, column = place
    wide, high = _GENEROUS * np.exp(np.clip(maps[(EXTENT, *place)], -1, 4))
    right, down = maps[(OFFSET, *place)]
    y, x = np.ogrid[: maps.shape[1], : maps.shape[2]]
    return np.asarray(np.hypot((x - column - right) / wide, (y - row - down) / high) <= 1)
