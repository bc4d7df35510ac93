"""The muscle between its two fasciae, straightened: what a video network takes of a muscle scanned along its fibres.

The superficial and the deep fascia are the two bright lines across the sector that stand out most. They are found without a
network: bright ridges of the mean picture, then the best path from side to side by dynamic programming (Viterbi). Between them
every column is resampled to equally many rows, so that fat, depth and tilt are gone and the rows go to the muscle alone. A column
is as wide as three rows are high, so that fibres look alike however much of them the sector shows: a wide sector gives several
strips side by side.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from service.core.cine import Box, Pixels
from service.core.preprocess import Placement, resample

Floats = npt.NDArray[np.float32]

#: The picture in which the lines are looked for; makes the constants below lengths.
_ROWS, _COLUMNS = 128, 64
#: A fascia is about so thick; what it is compared with is wider (standard deviations, rows).
_THICK, _AROUND, _ALONG = 1.5, 5.0, 2.0
#: Response of a ridge, in standard deviations of the picture, that counts at most, and at least against a path.
_STRONGEST, _WEAKEST = 4.0, -1.0
#: Rows at the top that are the probe's and the skin's.
_SKIN_ROWS = 4
#: A path may change by so many rows from column to column, and each costs so much response.
_STEEPEST, _BEND = 2, 0.3
#: The second line is at least so many rows from the first.
_LEAST_GAP = 14
#: Mean response along the weaker line, below which there is no muscle between two fasciae: noise reaches 1.6, muscle 2 to 3.5.
_LEAST_RESPONSE = 1.7
#: The strip leaves this share of the distance between the lines out at each: the fasciae themselves.
_MARGIN = 0.1
#: Widths of a row in a column: fibres run along the probe, and are thin.
_ASPECT = 3.0
#: A sector wider than whole strips by no more than this share of one loses it, half at each side.
_LOST = 0.15


@dataclass(frozen=True, slots=True)
class Strip:
    """Where muscle lies: its upper and lower edge (size,), rows of a part of the sector, at equally wide columns of that part."""

    part: Box
    upper: Floats
    lower: Floats

    @property
    def size(self) -> int:
        """Rows and columns of the straightened picture."""
        return len(self.upper)

    def straighten(self, frame: Pixels, rows: int | None = None) -> Pixels:
        """The muscle of a region's frame (H, W) uint8 as (rows, size) uint8, 1 to 255, each pixel the mean over its area.

        Without `rows` it is square.
        """
        height = self.part.height
        columns = resample(frame, Placement(self.part, self.size, 0, 0, self.size, height)).astype(np.float64)
        integral = np.concatenate([np.zeros((1, self.size)), np.cumsum(columns, axis=0)])
        edges = self._rows(np.linspace(0, 1, (rows or self.size) + 1)[:, None])
        whole = np.minimum(edges.astype(np.int64), height - 1)
        place = np.arange(self.size)
        above = integral[whole, place] + (edges - whole) * columns[whole, place]
        return np.clip(np.rint(np.diff(above, axis=0) / np.diff(edges, axis=0)), 1, 255).astype(np.uint8)

    def to_region(self, points: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """Points (x, y) of the straightened picture (N, 2), pixel centres at whole numbers, to pixels of the region."""
        across, down = (np.asarray(points, np.float64).T + 0.5) / self.size
        columns = (np.arange(self.size) + 0.5) / self.size
        upper, lower = (np.interp(across, columns, edge) for edge in (self.upper, self.lower))
        rows = upper + down * (lower - upper)
        return np.stack([self.part.x0 + across * self.part.width - 0.5, self.part.y0 + rows - 0.5], axis=-1)

    def _rows(self, share: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        return np.clip(self.upper + share * (self.lower - self.upper), 0, self.part.height).astype(np.float64)


def find_strips(frames: Sequence[Pixels], sector: Box, size: int, *, closely: int = 0) -> tuple[Strip, ...]:
    """The muscle in the mean of a few frames (H, W) of one region, from left to right; none where no two lines stand out.

    `closely` lays so many strips, and one more, where one would do: they overlap, and their mean depends less on where the
    sector's edge was found.
    """
    inside = np.stack([frame[sector.y0 : sector.y1, sector.x0 : sector.x1] for frame in frames])
    mean = np.asarray(inside.mean(0, dtype=np.float32))
    response = ridges(np.asarray(cv2.resize(mean, (_COLUMNS, _ROWS), interpolation=cv2.INTER_AREA), np.float32))
    first = best_path(response)
    near = np.abs(np.arange(_ROWS)[:, None] - first) < _LEAST_GAP
    second = best_path(np.where(near, -_STRONGEST, response))
    if min(_along(response, first), _along(response, second)) < _LEAST_RESPONSE:
        return ()
    upper, lower = sorted((_smooth(line, sector) for line in (first, second)), key=lambda line: float(line.mean()))
    gap = lower - upper
    if gap.min() <= 0:
        return ()
    edges = (upper + _MARGIN * gap, lower - _MARGIN * gap)
    return tuple(_strip(part, sector, edges, size) for part in _parts(sector, float(np.mean(edges[1] - edges[0])), closely))


def _parts(sector: Box, height: float, closely: int) -> Iterator[Box]:
    """Columns of the sector for each strip, evenly spread; one that is too wide for the sector is all of it."""
    width = min(max(1, round(_ASPECT * height)), sector.width)
    count = max(1, math.ceil(sector.width / width - _LOST))
    if closely:
        count = closely * count + 1
    spare = sector.width - width
    for number in range(count):
        left = sector.x0 + round(spare * (number / (count - 1) if count > 1 else 0.5))
        yield replace(sector, x0=left, x1=left + width)


def _strip(part: Box, sector: Box, edges: tuple[Floats, Floats], size: int) -> Strip:
    wanted = part.x0 - sector.x0 + (np.arange(size) + 0.5) * part.width / size
    known = (np.arange(_COLUMNS) + 0.5) * sector.width / _COLUMNS
    upper, lower = (np.interp(wanted, known, edge).astype(np.float32) for edge in edges)
    return Strip(part, upper, lower)


def ridges(picture: Floats) -> Floats:
    """How much brighter each pixel is than what lies above and below it."""
    thick, around = (cv2.GaussianBlur(picture, (0, 0), sigmaX=_ALONG, sigmaY=sigma) for sigma in (_THICK, _AROUND))
    difference = thick - around
    response = np.clip(difference / (difference.std() + 1e-6), _WEAKEST, _STRONGEST)
    response[:_SKIN_ROWS] = _WEAKEST
    return np.asarray(response, np.float32)


def best_path(response: Floats) -> npt.NDArray[np.int64]:
    """One row a column, from the left side to the right, with the largest sum of responses less the cost of bending."""
    cost = _BEND * np.abs(np.arange(-_STEEPEST, _STEEPEST + 1))
    total, steps = response[:, 0], []
    for column in response.T[1:]:
        padded = np.pad(total, _STEEPEST, constant_values=-np.inf)
        before = np.lib.stride_tricks.sliding_window_view(padded, len(cost)) - cost
        steps.append(before.argmax(1) - _STEEPEST)
        total = before.max(1) + column
    rows = [int(total.argmax())]
    for step in reversed(steps):
        rows.append(rows[-1] + int(step[rows[-1]]))
    return np.array(rows[::-1])


def _along(response: Floats, path: npt.NDArray[np.int64]) -> float:
    return float(response[path, np.arange(_COLUMNS)].mean())


def _smooth(path: npt.NDArray[np.int64], sector: Box) -> Floats:
    """A path as rows of the sector, without its steps."""
    return np.asarray(ndimage.gaussian_filter1d(path + 0.5, _ALONG) * (sector.height / _ROWS), np.float32)
