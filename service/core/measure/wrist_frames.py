"""One picture of a wrist after the other: which plane it is, how good it is, and the best one of each plane.

Cines of an examination and frames that come live take the same way.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from service.core.cine import Pixels
from service.core.measure.plane import Scale
from service.core.measure.wrist_grading import Seen, faults_of, missing_structures
from service.core.measure.wrist_structures import Structure, structures_in
from service.core.preprocess import Placement
from service.core.quality import Fault, Grade, grade_of
from service.core.wrist_planes import PLANES, Plane

Floats = npt.NDArray[np.floating]

#: What came before counts for so much in what plane a frame is: a hand moves slower than single frames err.
_KEPT = 0.7
#: Below, a frame shows no plane.
_LEAST = 0.5
_INLET = "S11"


@dataclass(frozen=True, slots=True)
class Nerve:
    """The median nerve in one picture: area in mm2, and its longest over its shortest axis."""

    area_mm2: float | None
    flattening: float


@dataclass(frozen=True, slots=True)
class Drawn:
    """A structure, and where the picture lies that it was drawn in."""

    structure: Structure
    placement: Placement


@dataclass(frozen=True, slots=True)
class GradedFrame:
    """One picture. `plane` is None where it shows none of the fifteen, and then there is no grade either."""

    number: int
    plane: Plane | None
    probability: float
    grade: Grade | None
    faults: tuple[Fault, ...]
    structures: Mapping[str, Structure]
    nerve: Nerve | None = None
    #: Required structures that are not seen.
    missing: tuple[str, ...] = ()
    #: The median nerve as `nerve` measures it, where that is not the one of `structures`: see `wrist_second_look`.
    closer: Drawn | None = None


class PlaneTracker:
    """The plane by all frames so far, the newest counting most."""

    def __init__(self) -> None:
        self._mean: npt.NDArray[np.float64] | None = None

    def update(self, probabilities: Floats) -> tuple[Plane | None, float]:
        """Of a frame's (16,), none first; gives its plane and how probable that is."""
        new = np.asarray(probabilities, np.float64)
        self._mean = new if self._mean is None else _KEPT * self._mean + (1 - _KEPT) * new
        best = int(self._mean.argmax())
        probability = float(self._mean[best])
        return (PLANES[best - 1] if best and probability >= _LEAST else None), probability


@dataclass(slots=True)
class FrameGrader:
    """Frames of one examination in order; `usual_mm2` are usual areas of structures, by plane."""

    placement: Placement
    scale: Scale
    usual_mm2: Mapping[str, Mapping[str, float]]
    tracker: PlaneTracker = field(default_factory=PlaneTracker)

    def grade(self, number: int, image: Pixels, probabilities: Floats, numbers: Pixels, sureness: Pixels) -> GradedFrame:
        """Image, classes and sureness are (S, S) in model pixels, as sent and as answered."""
        plane, probability = self.tracker.update(probabilities)
        structures = structures_in(numbers, sureness)
        if plane is None:
            return GradedFrame(number, None, probability, None, (), structures)
        seen = Seen(plane, image, numbers, self.placement, self.scale, structures)
        faults = faults_of(seen, self.usual_mm2.get(plane.name, {}))
        nerve = structures.get("median_nerve") if plane.name == _INLET else None
        measured = None if nerve is None else measure_nerve(nerve, self.scale)
        return GradedFrame(number, plane, probability, grade_of(faults), faults, structures, measured, missing_structures(seen))


@dataclass(slots=True)
class BestFrames:
    """Of each plane the frame with the best grade, the surest among equals, the first among those."""

    by_plane: dict[str, GradedFrame] = field(default_factory=dict)

    def add(self, frame: GradedFrame) -> None:
        """A frame without a plane changes nothing."""
        if frame.plane is None:
            return
        kept = self.by_plane.get(frame.plane.name)
        if kept is None or _rank(frame) < _rank(kept):
            self.by_plane[frame.plane.name] = frame

    def missing(self) -> tuple[Plane, ...]:
        """Planes of which no frame was seen, in order."""
        return tuple(plane for plane in PLANES if plane.name not in self.by_plane)


def measure_nerve(nerve: Structure, scale: Scale) -> Nerve:
    """Of its largest piece; axes are those of the ellipse with the same second moments."""
    rows, columns = np.nonzero(nerve.largest())
    spread = np.cov(np.stack([columns * scale.x, rows * scale.y]))
    shortest, longest = np.sqrt(np.maximum(np.linalg.eigvalsh(spread), 1e-9))
    area = len(rows) * scale.x * scale.y if scale.unit == "mm" else None
    return Nerve(area, float(longest / shortest))


def _rank(frame: GradedFrame) -> tuple[str, int, float]:
    return frame.grade or Grade.C, len(frame.faults), -frame.probability
