"""What the networks are wanted to say of a sequence."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from service.core.measure.motor_maps import Floats, Mask
from service.core.measure.motor_trains import within_band
from simulator.motor_field import PIXEL_MM, SIZE
from simulator.motor_units import FRAME_RATE_HZ, ActiveUnit

_CENTRE_PIXELS = 1.2
#: Frames beside a discharge that count as it.
_BESIDE = 1


@dataclass(frozen=True, slots=True)
class MapTargets:
    """Of the units (N,) of one sequence."""

    heat: Floats  # (SIZE, SIZE), 1 at centres
    territory: Floats  # (SIZE, SIZE), 1 in any of them
    pixels: npt.NDArray[np.int64]  # (N, 2), row and column of each centre
    extent: Floats  # (N, 2), log of half width and half height, pixels
    offset: Floats  # (N, 2), centre less the middle of its pixel, x and y, pixels
    owner: npt.NDArray[np.int64]  # (SIZE, SIZE), number of the unit whose territory alone is there, otherwise -1


def map_targets(units: tuple[ActiveUnit, ...]) -> MapTargets:
    """Of what the simulator knows."""
    centres = np.array([(unit.territory.x_mm, unit.territory.y_mm) for unit in units]) / PIXEL_MM  # (N, 2) x, y
    pixels = np.clip(np.floor(centres[:, ::-1]), 0, SIZE - 1).astype(np.int64)
    rows, columns = np.mgrid[:SIZE, :SIZE]
    heat = np.zeros((SIZE, SIZE))
    for row, column in pixels:
        heat = np.maximum(heat, np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / (2 * _CENTRE_PIXELS**2)))
    masks = np.stack([unit.mask for unit in units])
    return MapTargets(
        heat=heat.astype(np.float32),
        territory=np.asarray(masks.any(axis=0), np.float32),
        pixels=pixels,
        extent=np.log(np.array([_half_extent(unit) for unit in units])).astype(np.float32),
        offset=(centres - pixels[:, ::-1] - 0.5).astype(np.float32),
        owner=np.where(masks.sum(0) == 1, masks.argmax(0), -1),
    )


def train_targets(unit: ActiveUnit, frames: int) -> tuple[Floats, Floats]:
    """The unit's filtered twitch train (T,), and 1 at its discharges and beside them."""
    spikes = np.zeros(frames, np.float32)
    for time in unit.discharges_s:
        middle = round(float(time) * FRAME_RATE_HZ)
        spikes[max(0, middle - _BESIDE) : middle + _BESIDE + 1] = 1
    return np.asarray(within_band(unit.twitch, FRAME_RATE_HZ), np.float32), spikes


def jittered(mask: Mask, random: np.random.Generator) -> Mask:
    """As a segmentation might find it: moved by up to a pixel, grown or shrunk, never empty."""
    moved = np.roll(mask, random.integers(-1, 2, 2), (0, 1))
    change = random.integers(-1, 2)
    other = moved if change == 0 else (ndimage.binary_dilation if change > 0 else ndimage.binary_erosion)(moved)
    return other if other.any() else mask


def _half_extent(unit: ActiveUnit) -> tuple[float, float]:
    """Half width and half height of the rotated ellipse, pixels."""
    place = unit.territory
    cosine, sine = np.cos(place.angle_rad), np.sin(place.angle_rad)
    long, short = place.long_mm / PIXEL_MM, place.short_mm / PIXEL_MM
    return float(np.hypot(long * cosine, short * sine)), float(np.hypot(long * sine, short * cosine))
