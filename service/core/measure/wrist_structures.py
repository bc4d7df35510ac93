"""What a network drew in one picture of a wrist, structure by structure."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from service.core.cine import Pixels
from service.core.wrist_planes import STRUCTURES

Mask = npt.NDArray[np.bool_]

#: Fewer pixels than this are no piece of anything.
_SMALLEST_PIECE = 12


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
