"""What a network drew in one picture of a wrist, structure by structure."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from service.core.cine import Pixels
from service.core.wrist_planes import STRUCTURES

Mask = npt.NDArray[np.bool_]
Points = npt.NDArray[np.float64]

#: Fewer pixels than this are no piece of anything.
_SMALLEST_PIECE = 12
#: Of an outline's edge so many points are kept.
_POINTS_AN_EDGE = 24


@dataclass(frozen=True, slots=True)
class Structure:
    """One structure in model pixels; `box` is where its pieces lie, and `mask` is cut to that."""

    name: str
    #: Of the pieces that are large enough, pixels, the largest first.
    pieces: tuple[int, ...]
    #: Mean over its pixels, as the network gives it.
    probability: float
    box: tuple[slice, slice]
    mask: Mask

    @property
    def area(self) -> int:
        """Pixels of all its pieces."""
        return sum(self.pieces)

    def largest(self) -> Mask:
        """Its largest piece alone, cut to `box`: of what there is one of, a second piece is a mistake."""
        labels, count = ndimage.label(self.mask)
        return np.asarray(labels == 1 + np.bincount(labels.ravel(), minlength=count + 1)[1:].argmax())

    def outlines(self) -> tuple[Points, ...]:
        """Closed outlines (P, 2) of its pieces as (x, y) in model pixels: along the upper edge, back along the lower one."""
        labels, count = ndimage.label(self.mask)
        return tuple(self._placed(labels == number) for number in range(1, count + 1))

    def outline(self) -> Points:
        """Of its largest piece alone."""
        return self._placed(self.largest())

    def _placed(self, piece: Mask) -> Points:
        return np.asarray(_outline(piece) + np.array([self.box[1].start, self.box[0].start]))

    def centroid(self) -> tuple[float, float]:
        """(x, y) in model pixels."""
        rows, columns = np.nonzero(self.mask)
        return float(columns.mean()) + self.box[1].start, float(rows.mean()) + self.box[0].start


def structures_in(numbers: Pixels, sureness: Pixels) -> Mapping[str, Structure]:
    """By name. `numbers` (S, S) are classes of `service.core.wrist_planes`, `sureness` (S, S) probabilities x 255."""
    found = {}
    for number, box in enumerate(ndimage.find_objects(numbers, len(STRUCTURES)), start=1):
        if box is None:
            continue
        labels, count = ndimage.label(numbers[box] == number)
        sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:]
        large = np.flatnonzero(sizes >= _SMALLEST_PIECE) + 1
        if len(large):
            mask = np.isin(labels, large)
            pieces = tuple(sorted(sizes[large - 1].tolist(), reverse=True))
            name = STRUCTURES[number - 1]
            found[name] = Structure(name, pieces, float(sureness[box][mask].mean()) / 255, box, mask)
    return found


def _outline(piece: Mask) -> Points:
    columns = np.flatnonzero(piece.any(0))
    chosen = columns[np.unique(np.linspace(0, len(columns) - 1, _POINTS_AN_EDGE).round().astype(np.int64))]
    above, below = piece[:, chosen].argmax(0), piece.shape[0] - 1 - piece[::-1, chosen].argmax(0)
    upper, lower = (np.stack([chosen, rows], axis=1).astype(np.float64) for rows in (above, below))
    return np.concatenate([upper, lower[::-1], upper[:1]])
