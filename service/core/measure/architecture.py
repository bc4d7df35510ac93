"""One frame's masks to the architecture of the muscle in it: the geometry, and whether there is a muscle at all."""

from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from service.core.cine import Pixels
from service.core.measure.aponeuroses import Aponeuroses, find_aponeuroses
from service.core.measure.fascicles import FascicleGeometry, find_fragments, measure_fascicles
from service.core.measure.orientation import Orientation, find_orientation
from service.core.measure.plane import Curve, Floats, Scale
from service.core.preprocess import Placement

#: The gap between the aponeuroses is taken at these shares of the width that both cover.
THICKNESS_AT = (0.25, 0.5, 0.75)
#: Both aponeuroses cover at least this share of the sector's width together.
_SMALLEST_OVERLAP = 0.35
#: More than this between the aponeuroses, degrees, and they bound no one muscle.
_LARGEST_CONVERGENCE_DEG = 25.0
#: Mean probability of muscle belly between the aponeuroses.
_SMALLEST_BELLY = 0.4
#: Both lines' share of the width x their probability x that of the belly, and to it the concentration of the fascicles'
#: direction: clear lines or clear fascicles make up for one another. Chosen on DL_Track, simulated frames and nerves.
_SMALLEST_EVIDENCE = 0.7
#: How much of the texture must lean one way for that to be the fascicles' direction; speckle has 0.
_SMALLEST_CONCENTRATION = 0.1
#: With more than this share of a fascicle unseen, its length rests on the aponeuroses and one angle.
LARGEST_EXTRAPOLATED_SHARE = 0.6
#: Lengths that occur in human muscle, mm.
_THICKNESS_MM = (4.0, 80.0)
_FASCICLE_LENGTH_MM = (8.0, 300.0)
#: Points drawn along an aponeurosis, fragments kept for drawing.
_DRAWN_POINTS = 9
_DRAWN_FRAGMENTS = 12


class Reason(StrEnum):
    """Why a frame, or one number of it, could not be measured; stable words for programs."""

    NO_APONEUROSES = "no_aponeuroses"
    NOT_ONE_MUSCLE = "aponeuroses_not_of_one_muscle"
    NO_MUSCLE_BELLY = "no_muscle_belly"
    WEAK_EVIDENCE = "weak_evidence_of_muscle"
    NO_FASCICLES = "no_coherent_fascicles"
    IMPLAUSIBLE = "implausible_geometry"


@dataclass(frozen=True, slots=True)
class FrameLines:
    """What to draw over a frame, in model pixels: aponeuroses (P, 2) and fascicle fragments (M, 2, 2)."""

    superficial: Floats
    deep: Floats
    fascicles: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameArchitecture:
    """One frame reduced to its numbers: lengths in the scale's unit, angles in degrees, positive rising to the right."""

    number: int
    #: Why nothing, or nothing of the fascicles, was measured.
    reason: Reason | None = None
    #: The mean of the gaps at `THICKNESS_AT`, which follow, from the image's left to its right.
    thickness: float | None = None
    gaps: tuple[float, ...] = ()
    superficial_angle_deg: float | None = None
    deep_angle_deg: float | None = None
    echo_intensity: float | None = None
    fascicle_angle_deg: float | None = None
    pennation_deg: float | None = None
    fascicle_length: float | None = None
    extrapolated_share: float | None = None
    fragments: int = 0
    #: Share of the texture that leans the fascicles' way only, 0 to 1.
    concentration: float = 0.0
    #: Traced share of the sector's width.
    traced_share: float = 0.0
    lines: FrameLines | None = None

    @property
    def shows_muscle(self) -> bool:
        """Two aponeuroses with a belly between were measured."""
        return self.thickness is not None


def measure_frame(number: int, image: Pixels, masks: Pixels, placement: Placement, scale: Scale) -> FrameArchitecture:
    """The architecture in one frame: model input (S, S) and its maps (3, S, S) of aponeurosis, fascicle and belly x 255."""
    aponeuroses = find_aponeuroses(masks[0], masks[1], placement, scale)
    if aponeuroses is None:
        return FrameArchitecture(number=number, reason=Reason.NO_APONEUROSES)
    gaps = gaps_between(aponeuroses)
    if not bound_one_muscle(aponeuroses, gaps, placement.width * scale.x):
        return FrameArchitecture(number=number, reason=Reason.NOT_ONE_MUSCLE)
    return _measure_belly(number, image, masks, aponeuroses, gaps, scale)


def _measure_belly(
    number: int, image: Pixels, masks: Pixels, aponeuroses: Aponeuroses, gaps: Floats, scale: Scale
) -> FrameArchitecture:
    """What lies between the aponeuroses, if it is muscle."""
    _, fascicle, belly = masks
    thickness = float(gaps.mean())
    inside = _inside(aponeuroses, image.shape, scale)
    belly_probability = float(belly[inside].mean()) / 255 if inside.any() else 0.0
    if belly_probability < _SMALLEST_BELLY:
        return FrameArchitecture(number=number, reason=Reason.NO_MUSCLE_BELLY)
    orientation = find_orientation(image, fascicle, inside, scale, aponeuroses.deep.mean_angle_deg())
    if _evidence(aponeuroses, belly_probability, orientation) < _SMALLEST_EVIDENCE:
        return FrameArchitecture(number=number, reason=Reason.WEAK_EVIDENCE)
    if not _plausible(thickness, _THICKNESS_MM, scale):
        return FrameArchitecture(number=number, reason=Reason.IMPLAUSIBLE)
    frame = _without_fascicles(number, image, inside, aponeuroses, gaps, scale)
    if orientation is None or orientation.concentration < _SMALLEST_CONCENTRATION:
        return frame
    fragments = find_fragments(fascicle, inside, orientation, scale, thickness)
    return _with_fascicles(frame, orientation, measure_fascicles(fragments, orientation.angle_deg, aponeuroses), scale)


def gaps_between(aponeuroses: Aponeuroses) -> Floats:
    """Distances (3,) along the beam, from the superficial to the deep inner edge."""
    x = aponeuroses.start + np.array(THICKNESS_AT) * (aponeuroses.end - aponeuroses.start)
    return aponeuroses.deep.at(x) - aponeuroses.superficial.at(x)


def bound_one_muscle(aponeuroses: Aponeuroses, gaps: Floats, width: float) -> bool:
    """Whether two lines over a sector of that width can be the bounds of one muscle."""
    overlap = aponeuroses.end - aponeuroses.start
    convergence = abs(aponeuroses.superficial.mean_angle_deg() - aponeuroses.deep.mean_angle_deg())
    return bool(overlap >= _SMALLEST_OVERLAP * width and gaps.min() > 0 and convergence <= _LARGEST_CONVERGENCE_DEG)


def _inside(aponeuroses: Aponeuroses, shape: tuple[int, ...], scale: Scale) -> npt.NDArray[np.bool_]:
    """Model pixels (S, S) between the inner edges, over the width that both cover."""
    x = np.arange(shape[1]) * scale.x
    covered = (x >= aponeuroses.start) & (x <= aponeuroses.end)
    top = np.where(covered, np.ceil(aponeuroses.superficial.at(x) / scale.y) + 1, shape[0])
    bottom = np.where(covered, np.floor(aponeuroses.deep.at(x) / scale.y) - 1, -1)
    rows = np.arange(shape[0], dtype=np.int16)[:, None]
    limits = np.clip(np.stack([top, bottom]), -1, shape[0]).astype(np.int16)
    return np.asarray((rows >= limits[0]) & (rows <= limits[1]))


def _evidence(aponeuroses: Aponeuroses, belly_probability: float, orientation: Orientation | None) -> float:
    concentration = orientation.concentration if orientation else 0.0
    return aponeuroses.share * aponeuroses.probability * belly_probability + concentration


def _plausible(length: float, limits_mm: tuple[float, float], scale: Scale) -> bool:
    return scale.unit != "mm" or limits_mm[0] <= length <= limits_mm[1]


def _without_fascicles(
    number: int, image: Pixels, inside: npt.NDArray[np.bool_], aponeuroses: Aponeuroses, gaps: Floats, scale: Scale
) -> FrameArchitecture:
    unit = np.array([scale.x, scale.y])
    return FrameArchitecture(
        number=number,
        reason=Reason.NO_FASCICLES,
        thickness=float(gaps.mean()),
        gaps=tuple(map(float, gaps)),
        superficial_angle_deg=aponeuroses.superficial.mean_angle_deg(),
        deep_angle_deg=aponeuroses.deep.mean_angle_deg(),
        echo_intensity=float(image[inside].mean()),
        traced_share=aponeuroses.share,
        lines=FrameLines(
            superficial=_points(aponeuroses.superficial) / unit,
            deep=_points(aponeuroses.deep) / unit,
            fascicles=np.zeros((0, 2, 2)),
        ),
    )


def _with_fascicles(
    frame: FrameArchitecture, orientation: Orientation, fascicles: FascicleGeometry, scale: Scale
) -> FrameArchitecture:
    length = fascicles.length
    is_length = length is not None and _plausible(length, _FASCICLE_LENGTH_MM, scale)
    drawn = fascicles.segments[:_DRAWN_FRAGMENTS] / np.array([scale.x, scale.y])
    return replace(
        frame,
        reason=None,
        fascicle_angle_deg=orientation.angle_deg,
        pennation_deg=fascicles.pennation_deg,
        fascicle_length=length if is_length else None,
        extrapolated_share=fascicles.extrapolated_share if is_length else None,
        fragments=len(fascicles.segments),
        concentration=orientation.concentration,
        lines=None if frame.lines is None else replace(frame.lines, fascicles=drawn),
    )


def _points(curve: Curve) -> Floats:
    x = np.linspace(curve.start, curve.end, _DRAWN_POINTS)
    return np.stack([x, curve.at(x)], axis=1)
