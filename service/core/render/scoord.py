"""Polylines as SCOORD can hold them (PS3.3 C.18.6): inside the image, and the outline of several."""

import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.spatial import ConvexHull, QhullError

#: (column, row) pairs, pixels from the top left corner of the frame
Points = npt.NDArray[np.float64]  # (N, 2)

#: A thousandth of a pixel is finer than any line, and GraphicData is single precision.
_DECIMALS = 3


def inside_image(points: Points, *, columns: int | None, rows: int | None) -> Points | None:
    """The part of a line inside the image; None when nothing of it is. An unknown size limits nothing.

    A fascicle drawn beyond the edge, as extrapolation does, is cut where it leaves.
    """
    size = np.array([columns or np.inf, rows or np.inf])
    cuts = [cut for start, end in itertools.pairwise(points.round(_DECIMALS)) if (cut := _inside(start, end, size)) is not None]
    if not cuts:
        return None
    joined = np.concatenate(cuts).round(_DECIMALS)  # (M, 2)
    repeated = np.all(joined[1:] == joined[:-1], axis=1)  # ends that two segments share
    kept = joined[np.concatenate([[True], ~repeated])]
    return kept if len(kept) > 1 else None


def outline(lines: Sequence[Points]) -> Points:
    """The closed convex outline of several lines; one line, or collinear ones, stay as they are."""
    if len(lines) == 1:
        return lines[0]
    points = np.concatenate(lines)
    try:
        corners = points[ConvexHull(points).vertices]
    except QhullError:
        return lines[0]
    return np.concatenate([corners, corners[:1]])


def whole_frame(*, columns: int, rows: int) -> Points:
    """The closed border of a frame."""
    return np.array([(0, 0), (columns, 0), (columns, rows), (0, rows), (0, 0)], dtype=np.float64)


def _inside(start: Points, end: Points, size: Points) -> Points | None:
    """Liang and Barsky: the part between the parameters in [0, 1] at which the segment enters and leaves (0, 0) to `size`."""
    direction = end - start
    entering, leaving = 0.0, 1.0
    for axis in (0, 1):
        if direction[axis] == 0:
            if not 0 <= start[axis] <= size[axis]:
                return None
            continue
        bounds = sorted(((0 - start[axis]) / direction[axis], (size[axis] - start[axis]) / direction[axis]))
        entering, leaving = max(entering, bounds[0]), min(leaving, bounds[1])
    if entering > leaving:
        return None
    return np.clip([start + entering * direction, start + leaving * direction], 0, size)  # rounding may overshoot the edge
