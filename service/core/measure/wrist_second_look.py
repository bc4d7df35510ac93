"""The median nerve looked at again: the same network is shown a part of the sector, in which the nerve is larger.

In the whole picture it is some ten pixels high, and its area is wrong by a tenth when its outline is by a quarter of one.
"""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from service.core.cine import Calibration, Pixels
from service.core.measure.plane import scale_of
from service.core.measure.wrist_frames import Drawn, GradedFrame, measure_nerve
from service.core.measure.wrist_structures import Points, Structure, structures_in
from service.core.preprocess import Placement
from service.core.quality import Grade

NERVE = "median_nerve"
#: Of the sector's width. Both were chosen on the validation volunteers of `training.wrist_hand`.
_SHARE = 0.6
#: Times the first look's area, or that part of it: beyond, one of the two is far off, and the first is so less often.
_AGREES = 1.25


def enlarged(placement: Placement) -> Placement:
    """The whole sector at the scale of the second look: what is kept of a frame until it is known where its nerve lies.

    At most S / 0.6 pixels wide and high, however large the frames of the cine are.
    """
    box = placement.box
    scale = placement.size / max(_SHARE * box.width, box.height)
    width, height = (max(1, round(side * scale)) for side in (box.width, box.height))
    return Placement(box, max(width, height), left=0, top=0, width=width, height=height)


def round_nerve(frame: GradedFrame, placement: Placement) -> Placement | None:
    """Where to look again, if the frame is good enough to be measured: as deep as the sector, narrower, round the nerve.

    The enlarged sector, moved so that what is looked at is in the middle of the model's square; the rest is left out by `cut`.
    """
    nerve = frame.structures.get(NERVE)
    if nerve is None or frame.nerve is None or frame.grade not in {Grade.A, Grade.B}:
        return None
    whole, size = enlarged(placement), placement.size
    width = _width(whole, size)
    middle = float(whole.to_model(placement.to_region(_points(nerve)))[:, 0].mean())
    start = min(max(round(middle + 0.5 - width / 2), 0), whole.width - width)
    return replace(whole, size=size, left=(size - width) // 2 - start, top=max(0, size - whole.height) // 2)


def cut(kept: Pixels, closer: Placement) -> Pixels:
    """What `closer` looks at in a frame that was kept under `enlarged`, pixels or numbers: (S, S), 0 in the padding."""
    width = _width(closer, closer.size)
    pad = (closer.size - width) // 2
    part = kept[: min(closer.height, closer.size), pad - closer.left : pad - closer.left + width]
    square = np.zeros((closer.size, closer.size), np.uint8)
    square[closer.top : closer.top + len(part), pad : pad + width] = part
    return square


def looked_again(
    frame: GradedFrame, placement: Placement, closer: Placement, numbers: Pixels, sureness: Pixels, calibration: Calibration
) -> GradedFrame:
    """The frame with its nerve as the second look drew it; as it was where that shows none in its place, or one of another size.

    Numbers and sureness (S, S) are the answer to the picture that `closer` placed.
    """
    first, second = frame.structures.get(NERVE), structures_in(numbers, sureness).get(NERVE)
    if first is None or second is None or not _meet(second, placement.to_region(_points(first)), closer):
        return frame
    larger = _region_pixels(second, closer) / _region_pixels(first, placement)
    if not 1 / _AGREES <= larger <= _AGREES:
        return frame
    return replace(frame, nerve=measure_nerve(second, scale_of(calibration, closer)), closer=Drawn(second, closer))


def _width(whole: Placement, size: int) -> int:
    """Of the part that is looked at, in pixels of the model."""
    return min(size, round(_SHARE * whole.width))


def _meet(second: Structure, first: Points, closer: Placement) -> bool:
    """Whether its largest piece has a pixel in common with that of the first look, given in pixels of the region."""
    columns, rows = (np.rint(closer.to_model(first)).astype(np.int64) - _corner(second)).T
    largest = second.largest()
    inside = (columns >= 0) & (rows >= 0) & (columns < largest.shape[1]) & (rows < largest.shape[0])
    return bool(largest[rows[inside], columns[inside]].any())


def _region_pixels(structure: Structure, placement: Placement) -> float:
    """The area of its largest piece."""
    return structure.pieces[0] * float(np.prod(placement.region_pixels_per_model_pixel()))


def _points(structure: Structure) -> Points:
    """The pixels of its largest piece (P, 2) as (x, y) in model pixels."""
    rows, columns = np.nonzero(structure.largest())
    return (np.stack([columns, rows], axis=1) + _corner(structure)).astype(np.float64)


def _corner(structure: Structure) -> npt.NDArray[np.int64]:
    return np.array([structure.box[1].start, structure.box[0].start], np.int64)
