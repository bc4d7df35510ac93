"""One cine on its way to a network that looks at single frames: cropped to its sector, in batches, none kept for long."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain, islice

import numpy as np

from service.core.analyses.analysis import Tensors
from service.core.cine import Cine, Frame, Pixels
from service.core.masks import Bits, MaskKeeper
from service.core.measure.plane import Scale, scale_of
from service.core.preprocess import MODEL_SIZE, Placement, find_sector, model_input, place
from service.errors import NotMeasurable

#: The sector is found from so many frames at the start of the cine.
_SECTOR_FRAMES = 4


@dataclass(frozen=True, slots=True)
class Prepared:
    """`sent` holds the batches that are not answered yet, frame numbers and images (B, S, S), so memory stays flat."""

    placement: Placement
    scale: Scale
    frames: Iterator[Frame]
    sent: deque[tuple[tuple[int, ...], Pixels]] = field(default_factory=deque)

    def inputs(self, frames_per_batch: int) -> Iterator[Tensors]:
        """Batches as the network takes them, `image` (B, 1, S, S), made when asked for."""
        while batch := list(islice(self.frames, frames_per_batch)):
            images = np.stack([model_input(frame.pixels, self.placement) for frame in batch])
            self.sent.append((tuple(frame.number for frame in batch), images))
            yield {"image": images[:, None]}

    def kept(self, answers: Iterable[Tensors], keep: MaskKeeper, maps_of: Callable[[Tensors], Bits]) -> Iterator[Tensors]:
        """The answers as they come, their maps (B, segments, S, S) handed to `keep` on the way."""
        for answer in answers:
            numbers, _ = self.sent[0]
            for number, maps in zip(numbers, maps_of(answer), strict=True):
                keep.add(number, maps)
            yield answer


def prepare(cine: Cine, size: int = MODEL_SIZE) -> Prepared:
    """Find the sector in the first frames, to be shown in a square of `size`.

    Raises NotMeasurable (`no_frames`) for a cine without any.
    """
    frames = cine.frames()
    first = list(islice(frames, _SECTOR_FRAMES))
    if not first:
        raise NotMeasurable("The cine has no frame that can be decoded.", reason="no_frames")
    placement = place(find_sector([frame.pixels for frame in first]), size)
    return Prepared(placement, scale_of(cine.region.calibration, placement), chain(first, frames))
