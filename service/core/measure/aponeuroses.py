"""From the network's aponeurosis map to the two curves that bound the muscle."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from service.core.cine import Pixels
from service.core.measure.plane import Curve, Floats, Scale, fit_curve
from service.core.preprocess import Placement

#: A model pixel belongs to an aponeurosis from this probability x 255 on.
_THRESHOLD = 110
#: Pieces narrower than this share of the sector are noise; lines narrower than that are not traced far enough.
_NARROWEST_PIECE = 0.04
NARROWEST_LINE = 0.45
#: Pieces of one line lie this close to its straight continuation, in shares of the sector's height.
_JOIN_DISTANCE = 0.035
#: A piece with more than this share of its columns above or below a line is another line.
_LARGEST_OVERLAP = 0.2
#: Two bounds of one muscle are at least this far apart, as a share of the sector's height: else they are one double line.
_SMALLEST_GAP = 0.06
#: The deeper of two muscles is chosen only with this many times the fascicles of the upper one.
_DEEPER_NEEDS = 1.5

#: Lines are nearly level: every second column is traced.
_STEP = 2

_EIGHT_NEIGHBOURS = np.ones((3, 3), np.int8)


@dataclass(frozen=True, slots=True)
class Trace:
    """One line as seen: model columns (N,) in order, and its upper and lower edge at each, sub-pixel rows."""

    columns: Floats
    upper: Floats
    lower: Floats
    #: Traced columns as a share of the sector's width.
    share: float
    #: Mean over them of the highest probability in each, 0 to 1.
    probability: float


@dataclass(frozen=True, slots=True)
class Aponeuroses:
    """The inner edges of both aponeuroses on the physical plane."""

    superficial: Curve
    deep: Curve
    #: Traced share of the sector's width, the smaller of the two.
    share: float
    #: Mean probability along them, 0 to 1, the smaller of the two.
    probability: float
    #: How many lines were seen in all.
    lines: int

    @property
    def start(self) -> float:
        """Where both are traced, from."""
        return max(self.superficial.start, self.deep.start)

    @property
    def end(self) -> float:
        """Where both are traced, to."""
        return min(self.superficial.end, self.deep.end)


def find_aponeuroses(mask: Pixels, fascicles: Pixels, placement: Placement, scale: Scale) -> Aponeuroses | None:
    """The two lines that bound the muscle with most fascicles between, from maps (S, S) of probability x 255; None without."""
    traces = [trace for trace in trace_lines(mask, placement) if trace.share >= NARROWEST_LINE]
    pair = _bounding_pair(traces, fascicles, placement)
    if pair is None:
        return None
    above, below = pair
    superficial = fit_curve(above.columns * scale.x, above.lower * scale.y)
    deep = fit_curve(below.columns * scale.x, below.upper * scale.y)
    return Aponeuroses(
        superficial=superficial,
        deep=deep,
        share=min(1.0, above.share, below.share),
        probability=min(above.probability, below.probability),
        lines=len(traces),
    )


def trace_lines(mask: Pixels, placement: Placement) -> list[Trace]:
    """Every line of an aponeurosis map (S, S), collinear pieces joined, from the top of the image downwards."""
    coarse = mask[:, ::_STEP]
    labels, count = ndimage.label(coarse >= _THRESHOLD, _EIGHT_NEIGHBOURS)
    if count == 0:
        return []
    narrowest = max(3, round(_NARROWEST_PIECE * placement.width / _STEP))
    pieces = [
        _edges(coarse[place], labels[place] == index, place)
        for index, place in enumerate(ndimage.find_objects(labels), start=1)
        if place[1].stop - place[1].start >= narrowest
    ]
    lines = _joined(pieces, _JOIN_DISTANCE * placement.height)
    traces = [_trace(points, placement.width) for points in lines]
    return sorted(traces, key=lambda trace: float(np.median(trace.upper)))


def _edges(mask: Pixels, member: npt.NDArray[np.bool_], place: tuple[slice, slice]) -> Floats:
    """Columns, upper and lower edge and peak (4, N) of one connected piece; an edge is where the threshold is crossed."""
    filled = member.any(0)
    columns = np.flatnonzero(filled)
    first = member.argmax(0)[columns]
    last = member.shape[0] - 1 - member[::-1].argmax(0)[columns]
    return np.stack(
        [
            _STEP * (columns + float(place[1].start)),
            first + place[0].start - _beyond(mask, first, columns, -1),
            last + place[0].start + _beyond(mask, last, columns, +1),
            np.where(member, mask, 0).max(0)[columns],
        ]
    )


def _beyond(mask: Pixels, rows: npt.NDArray[np.intp], columns: npt.NDArray[np.intp], step: int) -> npt.NDArray[np.float64]:
    """How far past the outermost pixel's centre (0 to 1) the threshold lies, by linear interpolation."""
    inside = mask[rows, columns].astype(np.float64)
    neighbour = rows + step
    exists = (neighbour >= 0) & (neighbour < mask.shape[0])
    outside = np.where(exists, mask[np.clip(neighbour, 0, mask.shape[0] - 1), columns], 0).astype(np.float64)
    outside = np.minimum(outside, _THRESHOLD - 1)
    return np.asarray((inside - _THRESHOLD) / (inside - outside))


def _joined(pieces: Sequence[Floats], distance: float) -> list[Floats]:
    """Pieces (4, N) that continue one another become one; the widest is taken first."""
    waiting = sorted(pieces, key=lambda piece: -piece.shape[1])
    lines: list[Floats] = []
    for piece in waiting:
        for index, line in enumerate(lines):
            if _continues(line, piece, distance):
                joined = np.concatenate([line, piece], axis=1)
                lines[index] = joined[:, joined[0].argsort(kind="stable")]
                break
        else:
            lines.append(piece)
    return lines


def _continues(line: Floats, piece: Floats, distance: float) -> bool:
    """True when the piece lies beside the line's end, near its straight continuation."""
    overlap = min(line[0, -1], piece[0, -1]) - max(line[0, 0], piece[0, 0])
    if overlap > _LARGEST_OVERLAP * piece.shape[1]:
        return False
    nearest = line[:, -line.shape[1] // 3 :] if piece[0, 0] > line[0, 0] else line[:, : line.shape[1] // 3 + 1]
    columns, rows = nearest[0], nearest[1:3].mean(0)
    centre = columns.mean()
    variance = float(((columns - centre) ** 2).sum())
    slope = float(((columns - centre) * (rows - rows.mean())).sum()) / variance if variance else 0.0
    expected = rows.mean() + slope * (piece[0] - centre)
    return bool(np.abs(piece[1:3].mean(0) - expected).mean() < distance)


def _trace(points: Floats, width: int) -> Trace:
    return Trace(points[0], points[1], points[2], _STEP * points.shape[1] / width, float(points[3].mean()) / 255)


def _bounding_pair(traces: Sequence[Trace], fascicles: Pixels, placement: Placement) -> tuple[Trace, Trace] | None:
    """Neighbouring lines with most fascicle probability between them; a double line counts as one bound."""
    smallest = _SMALLEST_GAP * placement.height
    bounds = _without_doubles(traces, smallest)
    pairs = list(pairwise(bounds))
    if len(pairs) <= 1:
        return (pairs[0][0][-1], pairs[0][1][0]) if pairs else None
    totals = np.zeros((fascicles.shape[0] + 1, fascicles.shape[1]), np.int32)
    np.cumsum(fascicles, axis=0, dtype=np.int32, out=totals[1:])
    best, most = pairs[0], _between(totals, *pairs[0])
    for pair in pairs[1:]:
        content = _between(totals, *pair)
        if content > _DEEPER_NEEDS * most:
            best, most = pair, content
    return best[0][-1], best[1][0]


def _without_doubles(traces: Sequence[Trace], smallest: float) -> list[list[Trace]]:
    """Lines from above downwards, those closer than `smallest` grouped into one bound."""
    bounds: list[list[Trace]] = []
    for trace in traces:
        if bounds and float(np.median(trace.upper)) - float(np.median(bounds[-1][-1].lower)) < smallest:
            bounds[-1].append(trace)
        else:
            bounds.append([trace])
    return bounds


def _between(totals: npt.NDArray[np.int32], above: list[Trace], below: list[Trace]) -> float:
    """Fascicle probability between two bounds over the columns that both have, from column-wise running totals."""
    columns, first, second = np.intersect1d(above[-1].columns, below[0].columns, return_indices=True)
    chosen = columns.astype(np.intp)
    top = np.clip(above[-1].lower[first].astype(np.intp) + 1, 0, totals.shape[0] - 1)
    bottom = np.clip(below[0].upper[second].astype(np.intp), 0, totals.shape[0] - 1)
    return float(np.maximum(totals[bottom, chosen] - totals[top, chosen], 0).sum())
