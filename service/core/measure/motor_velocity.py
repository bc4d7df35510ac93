"""From a cine to the images of tissue velocity that the motor-unit networks take: 64 x 64 over 40 x 40 mm, 250 a second."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice

import numpy as np

from service.core.cine import Box, Calibration, Cine, Frame, TimeAxis
from service.core.measure.motor_band import BAND_HZ, FRAMES, LEAST_RATE_HZ, PIXEL_MM, RATE_HZ, SIZE
from service.core.measure.motor_maps import Floats
from service.core.measure.plane import Scale
from service.core.measure.tissue_velocity import tissue_velocity
from service.core.preprocess import Placement, find_sector
from service.errors import NotMeasurable

#: Longer cines would want more memory than a worker has to spare.
MOST_SECONDS = 30.0
_LEAST_MM = 20.0
#: Of the usual time between two frames.
_UNEVEN = 0.1
_SECTOR_FRAMES = 4


@dataclass(frozen=True, slots=True)
class MovingTissue:
    """Velocity (T, 64, 64) mm/s towards greater depth, common motion subtracted, at 250 Hz; 0 beside what the sector shows."""

    velocity: Floats
    #: Where the images lie in the region, and the sector that was found in it.
    placement: Placement
    sector: Box
    calibration: Calibration

    @property
    def scale(self) -> Scale:
        """Of a pixel of the images."""
        return Scale(PIXEL_MM, PIXEL_MM, "mm")

    def windows(self) -> tuple[slice, ...]:
        """One after the other, each of 512 images; the last begins early enough to be whole."""
        starts = [*range(0, len(self.velocity) - FRAMES, FRAMES), len(self.velocity) - FRAMES]
        return tuple(slice(start, start + FRAMES) for start in starts)


def moving_tissue(cine: Cine) -> MovingTissue:
    """Raises NotMeasurable: `no_frames`, `not_calibrated`, `field_of_view_too_small`, and those of `even_rate`."""
    rate, seconds = even_rate(cine.time_axis)
    along_x, along_y = _millimetres(cine.region.calibration)
    frames = cine.frames()
    first = list(islice(frames, _SECTOR_FRAMES))
    if not first:
        raise NotMeasurable("The cine has no frame that can be decoded.", reason="no_frames")
    sector = find_sector([frame.pixels for frame in first])
    placement = _placed(sector, along_x, along_y)
    found = tissue_velocity(
        _cut(chain(first, frames), placement.box),
        mm_per_pixel=along_y,
        frame_rate_hz=rate,
        shape=(placement.height, placement.width),
    )
    steady = at_rate(found - np.median(found, axis=(1, 2), keepdims=True), seconds / max(1, len(found) - 1))
    images = np.zeros((len(steady), SIZE, SIZE), np.float32)
    images[:, placement.top : placement.top + placement.height, placement.left : placement.left + placement.width] = steady
    return MovingTissue(images, placement, sector, cine.region.calibration)


def even_rate(axis: TimeAxis) -> tuple[float, float]:
    """Frames a second, and seconds from the first frame to the last.

    Raises NotMeasurable: `no_time_axis`, `uneven_frame_times`, `frame_rate_too_low`, `cine_too_short`, `cine_too_long`.
    """
    if axis.seconds is None or axis.is_nominal:
        raise NotMeasurable(
            f"Velocity is read against time, and the cine does not tell when its frames were acquired ({axis.reason}):"
            " send FrameTime or FrameTimeVector.",
            reason="no_time_axis",
        )
    steps, seconds = np.diff(axis.seconds), axis.seconds[-1]
    if len(steps) and np.abs(steps / np.median(steps) - 1).max() > _UNEVEN:
        raise NotMeasurable("The frames are not evenly spaced in time: velocity cannot be compared.", reason="uneven_frame_times")
    rate = len(steps) / seconds if seconds else 0.0
    if rate < LEAST_RATE_HZ:
        raise NotMeasurable(
            f"The cine has {rate:.1f} frames a second; twitches of motor units (up to {BAND_HZ[1]:.0f} Hz) are seen from"
            f" {LEAST_RATE_HZ:.0f} on.",
            reason="frame_rate_too_low",
        )
    least = FRAMES / RATE_HZ
    if (len(steps) + 1) / rate < least - 1e-6:
        raise NotMeasurable(f"The cine shows {seconds:.2f} s; at least {least:.2f} s are needed.", reason="cine_too_short")
    if seconds > MOST_SECONDS:
        raise NotMeasurable(
            f"The cine shows {seconds:.1f} s; motor units are looked for in at most {MOST_SECONDS:.0f} s: send it in parts.",
            reason="cine_too_long",
        )
    return rate, seconds


def at_rate(velocity: Floats, step_s: float) -> Floats:
    """Of images (T, ...), one each `step_s`, the means over the times of images at 250 Hz; equal where the rates are."""
    way = np.concatenate([np.zeros_like(velocity[:1]), np.cumsum(velocity, axis=0, dtype=np.float64)]) * step_s
    number = int(((len(velocity) - 0.5) * step_s) * RATE_HZ + 0.5 + 1e-6)
    edges = np.clip((np.arange(number + 1) - 0.5) / RATE_HZ / step_s + 0.5, 0, len(velocity))
    before = np.minimum(edges.astype(np.int64), len(velocity) - 1)
    share = (edges - before).reshape(-1, *[1] * (velocity.ndim - 1))
    reached = way[before] * (1 - share) + way[before + 1] * share
    return np.asarray(np.diff(reached, axis=0) * RATE_HZ, np.float32)


def _millimetres(calibration: Calibration) -> tuple[float, float]:
    if calibration.mm_per_pixel_x is None or calibration.mm_per_pixel_y is None:
        raise NotMeasurable(
            f"Velocity is in millimetres a second, and the image carries no scale ({calibration.reason}).",
            reason="not_calibrated",
        )
    return calibration.mm_per_pixel_x, calibration.mm_per_pixel_y


def _placed(sector: Box, along_x: float, along_y: float) -> Placement:
    """The middle 40 x 40 mm of the sector, or all of it where it is smaller; whole pixels of the images."""
    wide, high = sector.width * along_x, sector.height * along_y
    if min(wide, high) < _LEAST_MM:
        raise NotMeasurable(
            f"The sector shows {wide:.0f} x {high:.0f} mm; at least {_LEAST_MM:.0f} x {_LEAST_MM:.0f} mm are needed.",
            reason="field_of_view_too_small",
        )
    columns, rows = (min(SIZE, round(length / PIXEL_MM)) for length in (wide, high))
    width, height = (
        min(side, round(count * PIXEL_MM / along))
        for side, count, along in ((sector.width, columns, along_x), (sector.height, rows, along_y))
    )
    x0, y0 = sector.x0 + (sector.width - width) // 2, sector.y0 + (sector.height - height) // 2
    return Placement(
        box=Box(x0, y0, x0 + width, y0 + height),
        size=SIZE,
        left=(SIZE - columns) // 2,
        top=(SIZE - rows) // 2,
        width=columns,
        height=rows,
    )


def _cut(frames: Iterator[Frame], box: Box) -> Iterator[np.ndarray[tuple[int, ...], np.dtype[np.uint8]]]:
    return (frame.pixels[box.y0 : box.y1, box.x0 : box.x1] for frame in frames)
