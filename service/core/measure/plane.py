"""The physical plane of a frame: how far apart model pixels are, and smooth curves drawn on it.

x grows to the right and y downwards, in the unit of the scale. An angle is positive where a line rises to the right.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from service.core.cine import Calibration
from service.core.preprocess import Placement

Floats = npt.NDArray[np.float64]

#: Rounds of re-weighting in a robust fit; the weights have settled by then.
_ROUNDS = 3
#: Newton's steps to a crossing; the curves are nearly straight.
_STEPS = 4
#: Residuals beyond this many robust standard deviations lose weight (Huber's 95 % efficiency).
_HUBER = 1.345
#: From median absolute deviation to standard deviation of a normal distribution.
_MAD = 1.4826
#: Ridge on the curvature, as a share of the points: keeps a short trace from bending away where it is extended.
_CURVATURE_RIDGE = 0.004


@dataclass(frozen=True, slots=True)
class Scale:
    """Units a model pixel along x and y; `{pixels}` are those of the stored frame, taken to be square."""

    x: float
    y: float
    unit: Literal["mm", "{pixels}"]


def scale_of(calibration: Calibration, placement: Placement) -> Scale:
    """Millimetres when the region is calibrated along both axes, pixels of the stored frame otherwise."""
    along_x, along_y = placement.region_pixels_per_model_pixel()
    if calibration.mm_per_pixel_x is None or calibration.mm_per_pixel_y is None:
        return Scale(along_x, along_y, "{pixels}")
    return Scale(along_x * calibration.mm_per_pixel_x, along_y * calibration.mm_per_pixel_y, "mm")


@dataclass(frozen=True, slots=True)
class Curve:
    """y = a + b u + c u^2 with u = (x - middle) / half, from middle - half to middle + half.

    Beyond, it is continued at its mean slope b: the tangent of a short trace would lead far astray.
    """

    middle: float
    half: float
    a: float
    b: float
    c: float

    @property
    def start(self) -> float:
        """Where the traced part begins."""
        return self.middle - self.half

    @property
    def end(self) -> float:
        """Where the traced part ends."""
        return self.middle + self.half

    def at(self, x: npt.ArrayLike) -> Floats:
        """The curve's y at x; any shape."""
        u = (np.asarray(x, np.float64) - self.middle) / self.half
        inside = np.clip(u, -1, 1)
        return np.asarray(self.a + self.b * u + self.c * inside * inside)

    def slope(self, x: npt.ArrayLike) -> Floats:
        """dy/dx at x; constant outside the traced part."""
        u = (np.asarray(x, np.float64) - self.middle) / self.half
        return np.asarray((self.b + 2 * self.c * np.where(np.abs(u) <= 1, u, 0)) / self.half)

    def angle_deg(self, x: npt.ArrayLike) -> Floats:
        """Angle of the tangent at x, degrees, positive rising to the right."""
        return np.asarray(-np.degrees(np.arctan(self.slope(x))))

    def mean_angle_deg(self) -> float:
        """Angle of the straight line through the traced part, degrees."""
        return float(-np.degrees(np.arctan(self.b / self.half)))


def fit_curve(x: Floats, y: Floats, *, rounds: int = _ROUNDS) -> Curve:
    """A parabola through points (N,), outliers losing their weight, or none in one round. Needs N >= 3, x in order."""
    middle, half = float(x[0] + x[-1]) / 2, max(float(x[-1] - x[0]) / 2, 1e-6)
    u = (x - middle) / half
    basis = np.stack([np.ones_like(u), u, u * u])  # (3, N)
    weights = np.ones_like(u)
    ridge = np.diag([0.0, 0.0, _CURVATURE_RIDGE * len(u)])
    half_way = len(u) // 2
    solution: Floats = np.zeros(3)
    for _ in range(rounds):
        weighted = basis * weights
        solution = np.asarray(np.linalg.solve(weighted @ basis.T + ridge, weighted @ y), np.float64)
        distance = np.abs(y - solution @ basis)
        spread = max(_MAD * float(np.partition(distance, half_way)[half_way]), 1e-6)
        weights = np.minimum(1.0, _HUBER * spread / np.maximum(distance, 1e-9))
    return Curve(middle, half, *map(float, solution))


def crossings(curve: Curve, x: Floats, y: Floats, slope: Floats) -> Floats:
    """Where lines through (x, y) with dy/dx = slope meet the curve: x (N,), not finite where they run beside it."""
    found = np.asarray(x, np.float64).copy()
    with np.errstate(divide="ignore", invalid="ignore"):
        for _ in range(_STEPS):
            gap = y + slope * (found - x) - curve.at(found)
            found = found - gap / (slope - curve.slope(found))
    return found
