"""Where motor units lie in a muscle's cross-section, and what moves there beside them."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from simulator.motor_pool import Doubles, MotorUnit

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

#: Side of the velocity images, in pixels and in mm.
SIZE = 64
SIDE_MM = 40.0
PIXEL_MM = SIDE_MM / SIZE
#: Of a territory: mean diameter of the first of the pool and of the last that a section shows, width of its edge, share that
#: goes the other way round it.
_DIAMETER_MM = (2.0, 10.0)
_EDGE_MM = 0.8
_RIM = 0.2
_RIM_MM = 2.0
_ELONGATION = (1.0, 1.8)
_PULSE_HZ = 1.1
#: A line of fascia or bone does not move, nor what is so near to it.
_FASCIA_MM = 0.5


@dataclass(frozen=True, slots=True)
class Territory:
    """A rotated ellipse; x from the left edge and y from the top, mm."""

    x_mm: float
    y_mm: float
    long_mm: float
    short_mm: float
    angle_rad: float

    def beyond(self) -> Floats:
        """(SIZE, SIZE): roughly how far each pixel lies outside the ellipse, mm; negative inside."""
        y, x = (places.astype(np.float32) for places in np.ogrid[:SIZE, :SIZE])
        x, y = (x + 0.5) * PIXEL_MM - self.x_mm, (y + 0.5) * PIXEL_MM - self.y_mm
        cosine, sine = math.cos(self.angle_rad), math.sin(self.angle_rad)
        radius = np.hypot((x * cosine + y * sine) / self.long_mm, (y * cosine - x * sine) / self.short_mm)
        return np.asarray((radius - 1) * math.sqrt(self.long_mm * self.short_mm), np.float32)

    def mask(self) -> Mask:
        """(SIZE, SIZE): what is inside."""
        return np.asarray(self.beyond() <= 0)

    def pattern(self) -> Floats:
        """(SIZE, SIZE): how tissue moves with the unit, 1 inside; round it the other way, for volume is kept."""
        beyond = self.beyond()
        inside = 1 / (1 + np.exp(np.clip(beyond / (_EDGE_MM / 4), -30, 30)))
        rim = np.exp(-(((beyond - _RIM_MM / 2 - _EDGE_MM / 2) / (_RIM_MM / 2)) ** 2))
        return np.asarray(inside - _RIM * rim * (1 - inside), np.float32)


def draw_territory(unit: MotorUnit, last_rank: int, random: np.random.Generator) -> Territory:
    """Somewhere in the section, with all or nearly all of it in view; overlap with others is left to chance.

    The unit of `last_rank` has the widest.
    """
    first, last = _DIAMETER_MM
    mean = (first + (last - first) * unit.rank / last_rank) * random.uniform(0.85, 1.15)
    elongation = math.sqrt(random.uniform(*_ELONGATION))
    x, y = random.uniform(mean / 2, SIDE_MM - mean / 2, 2)
    return Territory(x, y, mean / 2 * elongation, mean / 2 / elongation, random.uniform(0, math.pi))


def fascia(random: np.random.Generator) -> Floats:
    """(SIZE, SIZE): 1 where tissue moves freely, 0 on one or two lines across that do not move."""
    y, x = (places.astype(np.float32) * PIXEL_MM for places in np.ogrid[:SIZE, :SIZE])
    free = np.ones((SIZE, SIZE), np.float32)
    for _ in range(random.integers(1, 3)):
        height, tilt = random.uniform(3, SIDE_MM - 3), math.tan(math.radians(random.uniform(-15, 15)))
        away = y - height - tilt * (x - SIDE_MM / 2)
        free *= 1 - np.exp(-((away / _FASCIA_MM) ** 2))
    return free


def disturbances(moments_s: Doubles, scale: float, random: np.random.Generator) -> Floats:
    """(T, SIZE, SIZE) mm/s: an artery that pulses and slow drift of the whole, each up to some times `scale` (mm/s)."""
    y, x = (places.astype(np.float32) * PIXEL_MM for places in np.ogrid[:SIZE, :SIZE])
    place_x, place_y, width = random.uniform(0, SIDE_MM), random.uniform(0, SIDE_MM), random.uniform(1.5, 4)
    artery = np.exp(-((x - place_x) ** 2 + (y - place_y) ** 2) / (2 * width**2))
    phase = 2 * np.pi * (_PULSE_HZ * moments_s + random.random())
    pulse = np.sum([np.cos(order * phase) / order for order in (1, 2, 3)], axis=0)
    slow = np.sin(2 * np.pi * (random.uniform(0.1, 0.5) * moments_s + random.random()))
    tilt = 1 + random.uniform(-0.5, 0.5) * (x / SIDE_MM - 0.5) + random.uniform(-0.5, 0.5) * (y / SIDE_MM - 0.5)
    moved = scale * random.uniform(0.3, 2) * pulse[:, None, None] * artery
    return np.asarray(moved + scale * random.uniform(0, 2) * slow[:, None, None] * tilt, np.float32)


def blurred(values: Floats, width_mm: float) -> Floats:
    """(T, SIZE, SIZE) or (SIZE, SIZE) smoothed in space by a Gaussian of this width at half height."""
    sigma = width_mm / 2.355 / PIXEL_MM
    return np.asarray(ndimage.gaussian_filter(values, sigma, axes=(-2, -1), truncate=3.0, mode="nearest"), np.float32)
