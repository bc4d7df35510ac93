"""The muscle between its two fasciae, straightened: what a video network takes of a muscle scanned along its fibres.

The superficial and the deep fascia are the two bright lines across the sector that stand out most. They are found without a
network: bright ridges of the mean picture, then the best path from side to side by dynamic programming (Viterbi). Between them
every column is resampled to equally many rows, so that fat, depth and tilt are gone and the rows go to the muscle alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class Strip:
    """Where the muscle of one window lies: its upper and lower edge (size,), rows of the sector at equally wide columns."""

    sector: Box
    upper: Floats
    lower: Floats

    @property
    def size(self) -> int:
        """Rows and columns of the straightened picture."""
        return len(self.upper)

    def straighten(self, frame: Pixels) -> Pixels:
        """The muscle of a region's frame (H, W) uint8 as (size, size) uint8, 1 to 255, each pixel the mean over its area."""
        height = self.sector.height
        columns = resample(frame, Placement(self.sector, self.size, 0, 0, self.size, height)).astype(np.float64)
        integral = np.concatenate([np.zeros((1, self.size)), np.cumsum(columns, axis=0)])
        edges = self._rows(np.linspace(0, 1, self.size + 1)[:, None])
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
        return np.stack([self.sector.x0 + across * self.sector.width - 0.5, self.sector.y0 + rows - 0.5], axis=-1)

    def _rows(self, share: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        return np.clip(self.upper + share * (self.lower - self.upper), 0, self.sector.height).astype(np.float64)


def find_strip(frames: Sequence[Pixels], sector: Box, size: int) -> Strip | None:
    """The muscle in the mean of a few frames (H, W) of one region; None where no two lines stand out."""
    inside = np.stack([frame[sector.y0 : sector.y1, sector.x0 : sector.x1] for frame in frames])
    mean = np.asarray(inside.mean(0, dtype=np.float32))
    response = _ridges(np.asarray(cv2.resize(mean, (_COLUMNS, _ROWS), interpolation=cv2.INTER_AREA), np.float32))
    first = _best_path(response)
    near = np.abs(np.arange(_ROWS)[:, None] - first) < _LEAST_GAP
    second = _best_path(np.where(near, -_STRONGEST, response))
    if min(_along(response, first), _along(response, second)) < _LEAST_RESPONSE:
        return None
    lines = sorted((_edge(line, sector, size) for line in (first, second)), key=lambda line: float(line.mean()))
    gap = lines[1] - lines[0]
    if gap.min() <= 0:
        return None
    return Strip(sector, lines[0] + _MARGIN * gap, lines[1] - _MARGIN * gap)


def _ridges(picture: Floats) -> Floats:
    """How much brighter each pixel is than what lies above and below it."""
    thick, around = (cv2.GaussianBlur(picture, (0, 0), sigmaX=_ALONG, sigmaY=sigma) for sigma in (_THICK, _AROUND))
    difference = thick - around
    response = np.clip(difference / (difference.std() + 1e-6), _WEAKEST, _STRONGEST)
    response[:_SKIN_ROWS] = _WEAKEST
    return np.asarray(response, np.float32)


def _best_path(response: Floats) -> npt.NDArray[np.int64]:
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


def _edge(path: npt.NDArray[np.int64], sector: Box, size: int) -> Floats:
    """A path as rows of the sector, smooth, at `size` columns."""
    smooth = ndimage.gaussian_filter1d(path + 0.5, _ALONG) * (sector.height / _ROWS)
    wanted, found = ((np.arange(count) + 0.5) / count for count in (size, _COLUMNS))
    return np.asarray(np.interp(wanted, found, smooth), np.float32)
