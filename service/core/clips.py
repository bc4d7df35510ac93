"""From a cine to the clips that a video network takes: the one function for training and for serving.

The scanned sector is found and letterboxed as for every network, frames are taken at a fixed rate by the cine's own time axis,
and a window of so many frames slides over them. Intensities are standardised inside the network, over what is not padding.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice

import numpy as np
import numpy.typing as npt

from service.core.cine import Cine, Frame, Pixels, TimeAxis
from service.core.preprocess import Placement, find_sector, model_input, place
from service.errors import NotMeasurable

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
    """One window: DICOM frame numbers (one may stand twice) and pixels (frames, size, size) uint8, 0 in the padding."""

    frame_numbers: tuple[int, ...]
    pixels: Pixels


@dataclass(frozen=True, slots=True)
class PlacedClips:
    """The clips of one cine, made when asked for, and where its sector lies in them."""

    placement: Placement
    clips: Iterator[Clip]


def clips_of(cine: Cine, shape: ClipShape) -> PlacedClips:
    """All whole windows in order; no more than one is kept in memory.

    Raises NotMeasurable: `no_time_axis`, `frame_rate_too_low`, `cine_too_short`, `no_frames`.
    """
    wanted = frames_at_rate(cine.time_axis, shape)
    frames = cine.frames()
    first = list(islice(frames, _SECTOR_FRAMES))
    if not first:
        raise NotMeasurable("The cine has no frame that can be decoded.", reason="no_frames")
    placement = place(find_sector([frame.pixels for frame in first]), shape.size)
    return PlacedClips(placement, _windows(chain(first, frames), wanted, placement, shape))


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


def _windows(frames: Iterator[Frame], wanted: npt.NDArray[np.int64], placement: Placement, shape: ClipShape) -> Iterator[Clip]:
    ticks = _ticks(frames, wanted, placement)
    window: deque[tuple[int, Pixels]] = deque(maxlen=shape.frames)
    for count, tick in enumerate(ticks, start=1):
        window.append(tick)
        if count >= shape.frames and (count - shape.frames) % shape.stride == 0:
            yield Clip(tuple(number for number, _ in window), np.stack([pixels for _, pixels in window]))


def _ticks(frames: Iterator[Frame], wanted: npt.NDArray[np.int64], placement: Placement) -> Iterator[tuple[int, Pixels]]:
    """Each wanted frame's number and network input, as often as it is wanted."""
    index, number, pixels = -1, 0, np.empty(0, np.uint8)
    for place_of_frame in wanted.tolist():
        if place_of_frame != index:
            frame = next(islice(frames, place_of_frame - index - 1, None), None)
            if frame is None:
                return
            index, number, pixels = place_of_frame, frame.number, model_input(frame.pixels, placement)
        yield number, pixels
