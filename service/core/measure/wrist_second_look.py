"""The median nerve looked at again: the same network is shown a part of the sector, in which the nerve is larger.

In the whole picture it is some ten pixels high, and its area is wrong by a tenth when its outline is by a quarter of one.
"""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from service.core.cine import Box, Calibration, Pixels
from service.core.measure.plane import scale_of
from service.core.measure.wrist_frames import Drawn, GradedFrame, measure_nerve
from service.core.measure.wrist_structures import Points, Structure, structures_in
from service.core.preprocess import Placement, place
from service.core.quality import Grade

NERVE = "median_nerve"
#: Of the sector's width. Both were chosen on the validation volunteers of `training.wrist_hand`.
_SHARE = 0.6
#: Times the first look's area, or that part of it: beyond, one of the two is far off, and the first is so less often.
_AGREES = 1.25


def round_nerve(frame: GradedFrame, placement: Placement) -> Placement | None:
    """Where to look again, if the frame is good enough to be measured: as deep as the sector, narrower, round the nerve."""
    nerve = frame.structures.get(NERVE)
    if nerve is None or frame.nerve is None or frame.grade not in {Grade.A, Grade.B}:
        return None
    sector = placement.box
    width = round(_SHARE * sector.width)
    middle = float(placement.to_region(_points(nerve))[:, 0].mean())
    left = min(max(round(middle - width / 2), sector.x0), sector.x1 - width)
    return place(Box(left, sector.y0, left + width, sector.y1), placement.size)


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
