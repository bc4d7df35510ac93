"""Centre lines of aponeuroses and straight fragments of fascicles in (256, 256) maps: for labels and for scoring."""

import itertools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Bytes = npt.NDArray[np.uint8]

#: Shares of the sector's width that a line must span.
_SHORTEST_LINE_SHARE = 0.3
_SHORTEST_FRAGMENT_PIXELS = 10.0


@dataclass(frozen=True, slots=True)
class Line:
    """One aponeurosis: rows of its centre and of its edges at each column it was seen in."""

    columns: npt.NDArray[np.int64]
    centre: npt.NDArray[np.float64]
    upper: npt.NDArray[np.float64]
    lower: npt.NDArray[np.float64]

    @property
    def middle_row(self) -> float:
        """Median row, to order lines from skin to bone."""
        return float(np.median(self.centre))


@dataclass(frozen=True, slots=True)
class Fragment:
    """A piece of a fascicle: its angle to the image's horizontal (positive rises to the right) and its length in pixels."""

    angle_deg: float
    length_pixels: float


def trace_lines(share: Bytes, threshold: int = 128) -> list[Line]:
    """Lines in an aponeurosis map (H, W) of 0 to 255, from skin to bone; pieces of one line are joined."""
    mask = share >= threshold
    joined = ndimage.binary_closing(np.pad(mask, ((8, 8), (12, 12))), np.ones((3, 15)))[8:-8, 12:-12] | mask
    labels, count = ndimage.label(joined, np.ones((3, 3)))
    lines = [_trace_one(mask & (labels == i + 1)) for i in range(count)]
    shortest = _SHORTEST_LINE_SHARE * share.shape[1]
    kept = [line for line in lines if line is not None and len(line.columns) >= shortest]
    return sorted(kept, key=lambda line: line.middle_row)


def bordering_pair(lines: list[Line], fascicle: Bytes | None = None) -> tuple[Line, Line] | None:
    """The two neighbouring lines with most fascicle pixels between them; the two uppermost where no fascicle is labelled."""
    pairs = list(itertools.pairwise(lines))
    if not pairs:
        return None
    if fascicle is None or not fascicle.any():
        return pairs[0]
    inside = [int((belly_between(a, b, fascicle.shape)[0] * (fascicle > 100)).sum()) for a, b in pairs]
    return pairs[int(np.argmax(inside))]


def belly_between(upper: Line, lower: Line, shape: tuple[int, ...]) -> tuple[Bytes, npt.NDArray[np.bool_]]:
    """The mask between two lines (0 or 1), and the columns in which both were seen."""
    belly = np.zeros(shape, np.uint8)
    known = np.zeros(shape[1], np.bool_)
    columns, first, second = np.intersect1d(upper.columns, lower.columns, return_indices=True)
    top, bottom = upper.lower[first] + 1, lower.upper[second] - 1
    rows = np.arange(shape[0])[:, None]
    belly[:, columns] = (rows >= top[None]) & (rows <= bottom[None])
    known[columns] = True
    return belly, known


def find_fragments(share: Bytes, threshold: int = 128) -> list[Fragment]:
    """Straight pieces in a fascicle map (H, W) of 0 to 255, by principal axis of each connected part."""
    labels, count = ndimage.label(share >= threshold, np.ones((3, 3)))
    parts = ndimage.find_objects(labels)
    found = [_fragment(*np.nonzero(labels[part] == i + 1)) for i, part in enumerate(parts[:count])]
    return [f for f in found if f is not None and f.length_pixels >= _SHORTEST_FRAGMENT_PIXELS]


def mean_angle_deg(fragments: list[Fragment]) -> float | None:
    """Angle of an image's fascicles: the median weighted by length, so that one wrong piece does not move it."""
    if not fragments:
        return None
    ordered = sorted(fragments, key=lambda f: f.angle_deg)
    weight = np.cumsum([f.length_pixels for f in ordered])
    return ordered[int(np.searchsorted(weight, weight[-1] / 2))].angle_deg


def _trace_one(mask: npt.NDArray[np.bool_]) -> Line | None:
    columns = np.flatnonzero(mask.any(0))
    if columns.size == 0:
        return None
    inside = mask[:, columns]
    rows = np.arange(mask.shape[0])[:, None]
    centre = (inside * rows).sum(0) / inside.sum(0)
    upper = inside.argmax(0).astype(np.float64)
    lower = mask.shape[0] - 1.0 - inside[::-1].argmax(0)
    return Line(columns, centre, upper, lower)


def _fragment(rows: npt.NDArray[np.int64], columns: npt.NDArray[np.int64]) -> Fragment | None:
    if rows.size < 6:
        return None
    points = np.stack([columns - columns.mean(), rows.mean() - rows])
    values, vectors = np.linalg.eigh(points @ points.T / rows.size)
    if values[1] < 9.0 * max(values[0], 1e-6):
        return None  # too round to have an angle
    dx, dy = vectors[:, 1]
    along = points[0] * dx + points[1] * dy
    angle = float(np.degrees(np.arctan2(dy, dx)))
    return Fragment((angle + 90.0) % 180.0 - 90.0, float(np.ptp(along)) + 1.0)
