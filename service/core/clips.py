"""From a cine to the clips that a video network takes: the one function for training and for serving.

The scanned sector is found as for every network, frames are taken at a fixed rate by the cine's own time axis, and a window of so
many frames slides over them; in each the muscle between its fasciae is found and straightened, in one strip or in several side by
side. Intensities are standardised inside the network.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice

import numpy as np
import numpy.typing as npt

from service.core.cine import Box, Cine, Frame, Pixels, TimeAxis
from service.core.muscle_strip import Strip, find_strips
from service.core.preprocess import find_sector
from service.errors import NotMeasurable

#: Changes whenever equal cines would give other clips: networks and caches belong to one version.
CLIPS_VERSION = "3"
#: The sector is found from so many frames at the start of the cine.
_SECTOR_FRAMES = 4
#: A frame may be shown for so long a share of the clip rate's step too often; below, a clip would show stills.
_SLOWEST_SHARE = 0.75


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipShape:
    """What a network takes: `frames` at `rate_hz`, each `size` x `size`; the next clip begins `stride` frames later."""

    frames: int = 16
    size: int = 64
    rate_hz: float = 12.5
    stride: int = 8

    @property
    def seconds(self) -> float:
        """From a clip's first frame to its last."""
        return (self.frames - 1) / self.rate_hz


@dataclass(frozen=True, slots=True)
class Clip:
    """A strip of one window: DICOM frame numbers (one may stand twice), pixels (frames, size, size) uint8, where it lies."""

    frame_numbers: tuple[int, ...]
    pixels: Pixels
    strip: Strip


class Clips:
    """The clips of one cine, made when asked for."""

    def __init__(self, sector: Box, windows: Iterator[tuple[Frame, ...]], size: int, closely: int) -> None:
        self.sector = sector
        #: Windows so far in which no muscle between two fasciae was found; they give no clip.
        self.without_muscle = 0
        self._windows, self._size, self._closely = windows, size, closely

    def __iter__(self) -> Iterator[Clip]:
        for window in self._windows:
            numbers = tuple(frame.number for frame in window)
            strips = find_strips([frame.pixels for frame in window], self.sector, self._size, closely=self._closely)
            self.without_muscle += not strips
            for strip in strips:
                yield Clip(numbers, np.stack([strip.straighten(frame.pixels) for frame in window]), strip)


def clips_of(cine: Cine, shape: ClipShape, *, closely: int = 0) -> Clips:
    """Those of all whole windows in order; no more than one window is kept in memory. `closely`: see `find_strips`.

    Raises NotMeasurable: `no_time_axis`, `frame_rate_too_low`, `cine_too_short`, `no_frames`.
    """
    wanted = frames_at_rate(cine.time_axis, shape)
    frames = cine.frames()
    first = list(islice(frames, _SECTOR_FRAMES))
    if not first:
        raise NotMeasurable("The cine has no frame that can be decoded.", reason="no_frames")
    sector = find_sector([frame.pixels for frame in first])
    return Clips(sector, _windows(chain(first, frames), wanted, shape), shape.size, closely)


def frames_at_rate(time_axis: TimeAxis, shape: ClipShape) -> npt.NDArray[np.int64]:
    """For each tick of the clip rate the index of the frame nearest in time, from 0.

    Raises NotMeasurable: `no_time_axis`, `frame_rate_too_low`, `cine_too_short`.
    """
    if time_axis.seconds is None:
        raise NotMeasurable(
            f"Movement is read against time, and the cine has no time axis ({time_axis.reason}):"
            " send FrameTime or FrameTimeVector.",
            reason="no_time_axis",
        )
    seconds = np.asarray(time_axis.seconds)
    if seconds[-1] < shape.seconds:
        raise NotMeasurable(
            f"The cine shows {seconds[-1]:.1f} s; at least {shape.seconds:.1f} s are needed.", reason="cine_too_short"
        )
    rate = (len(seconds) - 1) / seconds[-1]
    if rate < _SLOWEST_SHARE * shape.rate_hz:
        raise NotMeasurable(
            f"The cine has {rate:.1f} frames a second; at least {_SLOWEST_SHARE * shape.rate_hz:.1f} are needed.",
            reason="frame_rate_too_low",
        )
    ticks = np.arange(0, seconds[-1] + 1e-6, 1 / shape.rate_hz)
    later = np.clip(np.searchsorted(seconds, ticks), 1, len(seconds) - 1)
    return np.where(ticks - seconds[later - 1] < seconds[later] - ticks, later - 1, later)


def _windows(frames: Iterator[Frame], wanted: npt.NDArray[np.int64], shape: ClipShape) -> Iterator[tuple[Frame, ...]]:
    window: deque[Frame] = deque(maxlen=shape.frames)
    for count, frame in enumerate(_ticks(frames, wanted), start=1):
        window.append(frame)
        if count >= shape.frames and (count - shape.frames) % shape.stride == 0:
            yield tuple(window)


def _ticks(frames: Iterator[Frame], wanted: npt.NDArray[np.int64]) -> Iterator[Frame]:
    """Each wanted frame, as often as it is wanted."""
    index, frame = -1, None
    for place in wanted.tolist():
        if place != index:
            frame = next(islice(frames, place - index - 1, None), None)
            index = place
        if frame is None:
            return
        yield frame
