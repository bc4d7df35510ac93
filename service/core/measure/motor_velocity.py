"""From a cine to the images of tissue velocity that the motor-unit networks take: 64 x 64 over 40 x 40 mm, 250 a second."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice, pairwise

import numpy as np
import numpy.typing as npt

from service.core.cine import Box, Calibration, Cine, Frame, TimeAxis
from service.core.measure.motor_band import BAND_HZ, FRAMES, LEAST_RATE_HZ, PIXEL_MM, RATE_HZ, SIZE
from service.core.measure.motor_maps import Floats
from service.core.measure.plane import Scale
from service.core.measure.tissue_velocity import velocities
from service.core.preprocess import Placement, find_sector
from service.errors import NotMeasurable

#: No steady, slight contraction that is recorded with a probe held still lasts longer; reports tell every frame of every unit.
MOST_SECONDS = 30.0
_LEAST_MM = 20.0
#: Of the usual time between two frames.
_UNEVEN = 0.1
_SECTOR_FRAMES = 4
#: Of one frame with the next, in the sector. Simulated muscle has 0.994 and more, the noisiest scanner's too.
_LEAST_CORRELATION = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class MovingTissue:
    """One pass over a cine, whose images of velocity are made when they are asked for; a window of them is held, never all."""

    frames: Iterator[Frame]
    number_of_frames: int
    frame_rate_hz: float
    #: Where the images lie in the region, and the sector that was found in it.
    placement: Placement
    sector: Box
    calibration: Calibration

    @property
    def scale(self) -> Scale:
        """Of a pixel of the images."""
        return Scale(PIXEL_MM, PIXEL_MM, "mm")

    @property
    def images(self) -> int:
        """How many there are, 250 a second."""
        return _images(self.number_of_frames, 1 / self.frame_rate_hz)

    def velocity(self) -> Iterator[Floats]:
        """Images (64, 64), mm/s towards greater depth, common motion subtracted; 0 beside what the sector shows. Once only."""
        place, (_, along_y) = self.placement, _millimetres(self.calibration)
        found = velocities(
            _cut(self.frames, place.box),
            mm_per_pixel=along_y,
            frame_rate_hz=self.frame_rate_hz,
            shape=(place.height, place.width),
        )
        steady = (image - np.median(image) for image in found)
        for image in at_rate(steady, self.number_of_frames, 1 / self.frame_rate_hz):
            whole = np.zeros((SIZE, SIZE), np.float32)
            whole[place.top : place.top + place.height, place.left : place.left + place.width] = image
            yield whole

    def windows(self) -> Iterator[tuple[slice, Floats]]:
        """One after the other, each with its place, of 512 images; the last begins early enough to be whole. Once only.

        Raises ValueError where fewer frames come than the cine has.
        """
        recent: deque[Floats] = deque(maxlen=FRAMES)
        number = 0
        for number, image in enumerate(self.velocity(), start=1):
            recent.append(image)
            if number % FRAMES == 0 and number < self.images:
                yield slice(number - FRAMES, number), np.stack(recent)
        if number < self.images:
            raise ValueError(f"{number} images of velocity instead of {self.images}: the cine has fewer frames than it says")
        yield slice(number - FRAMES, number), np.stack(recent)


def moving_tissue(cine: Cine) -> MovingTissue:
    """Raises NotMeasurable: `no_frames`, `not_calibrated`, `field_of_view_too_small`, `frames_not_alike`; as `even_rate` does."""
    rate = even_rate(cine.time_axis)
    along_x, along_y = _millimetres(cine.region.calibration)
    frames = cine.frames()
    first = list(islice(frames, _SECTOR_FRAMES))
    if not first:
        raise NotMeasurable("The cine has no frame that can be decoded.", reason="no_frames")
    sector = find_sector([frame.pixels for frame in first])
    _refuse_noise(list(_cut(iter(first), sector)))
    return MovingTissue(
        frames=chain(first, frames),
        number_of_frames=cine.number_of_frames,
        frame_rate_hz=rate,
        placement=_placed(sector, along_x, along_y),
        sector=sector,
        calibration=cine.region.calibration,
    )


def even_rate(axis: TimeAxis) -> float:
    """Frames a second.

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
    return rate


def at_rate(velocity: Iterable[Floats], number: int, step_s: float) -> Iterator[Floats]:
    """Of `number` images, one each `step_s`, the means over the times of images at 250 Hz; equal where the rates are."""
    # Where in the given images those at 250 Hz begin and end.
    edges = np.clip((np.arange(_images(number, step_s) + 1) - 0.5) / RATE_HZ / step_s + 0.5, 0, number)
    inside = np.minimum(edges.astype(np.int64), number - 1)
    edge, begun = 0, None
    way: npt.NDArray[np.float64] = np.zeros(())
    for place, image in enumerate(velocity):
        speed = image.astype(np.float64)
        while edge < len(edges) and inside[edge] == place:
            reached = (way + speed * (edges[edge] - place)) * step_s
            if begun is not None:
                yield np.asarray((reached - begun) * RATE_HZ, np.float32)
            begun, edge = reached, edge + 1
        way = way + speed


def _images(number: int, step_s: float) -> int:
    """At 250 Hz, of as many at another rate: each begins within the time of these."""
    return int(((number - 0.5) * step_s) * RATE_HZ + 0.5 + 1e-6)


def _refuse_noise(frames: list[np.ndarray[tuple[int, ...], np.dtype[np.uint8]]]) -> None:
    """What does not look like the frame before cannot be followed; networks would find thirty units in noise."""
    with np.errstate(invalid="ignore"):
        alike = [float(np.corrcoef(one.ravel(), then.ravel())[0, 1]) for one, then in pairwise(frames)]
    correlation = float(np.median(alike)) if alike else 1.0
    if correlation < _LEAST_CORRELATION:
        raise NotMeasurable(
            f"Consecutive frames have little in common (correlation {correlation:.2f}; at least {_LEAST_CORRELATION:.1f} is"
            " needed): motion cannot be followed through noise.",
            reason="frames_not_alike",
        )


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
