"""From maps to territories: centres, the ellipse round each, and in it what is alike."""

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from training.motor_units.model import CENTRE, EMBEDDING, EXTENT, OFFSET, TERRITORY
from training.motor_units.scores import Mask

Floats = npt.NDArray[np.float32]

_NEIGHBOURHOOD = 5
_LEAST_HEAT = 0.3
_MOST_UNITS = 32
#: An ellipse a little larger than was said; what is outside it is never the unit's.
_GENEROUS = 1.15
#: Units are trained to lie at least 1.5 apart, and pixels of a unit within 0.5 of its mean.
_ALIKE = 0.75


def territories(maps: Floats, least_heat: float = _LEAST_HEAT) -> list[tuple[Mask, float]]:
    """Masks (H, W) and heat of the centres in maps (14, H, W), the surest first.

    Where territories overlap a pixel may belong to several: of the overlap nothing is asked but that it is in both ellipses.
    """
    heat = 1 / (1 + np.exp(-maps[CENTRE][0]))
    peaks = (heat >= ndimage.maximum_filter(heat, _NEIGHBOURHOOD)) & (heat >= least_heat)
    places = sorted(zip(*np.nonzero(peaks), strict=True), key=lambda place: -float(heat[place]))[:_MOST_UNITS]
    ellipses = [_ellipse(maps, place) for place in places]
    several = np.sum(ellipses, axis=0) > 1 if ellipses else np.zeros(heat.shape, np.bool_)
    moving = maps[TERRITORY][0] > 0
    found = []
    for place, ellipse in zip(places, ellipses, strict=True):
        apart = np.sqrt(((maps[EMBEDDING] - maps[(EMBEDDING, *place)][:, None, None]) ** 2).sum(0))
        mask = ellipse & moving & ((apart < _ALIKE) | several)
        if mask.any():
            found.append((mask, float(heat[place])))
    return found


def _ellipse(maps: Floats, place: tuple[int, int]) -> Mask:
    """(H, W) of a centre at row and column."""
    row, column = place
    wide, high = _GENEROUS * np.exp(np.clip(maps[(EXTENT, *place)], -1, 4))
    right, down = maps[(OFFSET, *place)]
    y, x = np.ogrid[: maps.shape[1], : maps.shape[2]]
    return np.asarray(np.hypot((x - column - right) / wide, (y - row - down) / high) <= 1)
