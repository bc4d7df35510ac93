"""Fascicles between the aponeuroses: straight fragments, the pennation where they insert, and their length."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from service.core.cine import Pixels
from service.core.measure.aponeuroses import Aponeuroses
from service.core.measure.orientation import Orientation
from service.core.measure.plane import Floats, Scale, crossings

#: A model pixel belongs to a fascicle from this probability x 255 on.
_THRESHOLD = 80
#: Fragments shorter than this share of the distance between the aponeuroses say nothing.
_SHORTEST = 0.2
#: Length over width of the ellipse with the fragment's moments: below, it is a blot.
_SLIMMEST = 2.5
#: Fragments further than this from the common angle belong to something else.
_AGREEMENT_DEG = 12.0
#: So many fragments, those continued least, tell how much of a fascicle is seen.
_LEAST_CONTINUED = 3
#: A uniform rod of length L has the variance L^2 / 12 along itself.
_ROD = 12.0

_EIGHT_NEIGHBOURS = np.ones((3, 3), np.int8)


@dataclass(frozen=True, slots=True)
class Fragments:
    """N straight pieces of fascicles on the physical plane; every array is (N,)."""

    x: Floats
    y: Floats
    #: Degrees from the horizontal, positive rising to the right.
    angle_deg: Floats
    length: Floats
    #: Length times mean probability: how much a fragment says.
    weight: Floats

    def __len__(self) -> int:
        return len(self.x)

    def chosen(self, keep: npt.NDArray[np.bool_] | npt.NDArray[np.intp]) -> "Fragments":
        """Those that an index or a condition keeps."""
        return Fragments(self.x[keep], self.y[keep], self.angle_deg[keep], self.length[keep], self.weight[keep])


@dataclass(frozen=True, slots=True)
class FascicleGeometry:
    """What the fascicles of one frame come to."""

    pennation_deg: float
    length: float | None
    #: The share of a fascicle that was not seen but continued, where it is least.
    extrapolated_share: float
    #: Ends (M, 2, 2) of the fragments, as (x, y), the heaviest first.
    segments: Floats


def no_fragments() -> Fragments:
    """Where none was looked for, or found."""
    return Fragments(*np.zeros((5, 0)))


def find_fragments(mask: Pixels, inside: npt.NDArray[np.bool_], orientation: Orientation, scale: Scale, gap: float) -> Fragments:
    """Connected pieces of a fascicle map (S, S) within `inside` that run the common way, by their weighted second moments."""
    members = (mask >= _THRESHOLD) & inside & orientation.agrees
    filled = np.flatnonzero(members.any(1))
    if not len(filled):
        return no_fragments()
    first, last = int(filled[0]), int(filled[-1]) + 1
    labels, count = ndimage.label(members[first:last], _EIGHT_NEIGHBOURS)
    flat = np.flatnonzero(labels)
    label, weight = labels.ravel()[flat], mask[first:last].ravel()[flat].astype(np.float64)
    rows, columns = np.divmod(flat, mask.shape[1])
    x, y = columns * scale.x, (rows + first) * scale.y
    number, mass = np.bincount(label, minlength=count + 1)[1:], _sums(label, weight, count)
    mean_x, mean_y = _sums(label, weight * x, count) / mass, _sums(label, weight * y, count) / mass
    dx, dy = x - mean_x[label - 1], y - mean_y[label - 1]
    xx, yy, xy = (_sums(label, weight * product, count) / mass for product in (dx * dx, dy * dy, dx * dy))
    spread = np.hypot((xx - yy) / 2, xy)
    length = np.sqrt(_ROD * ((xx + yy) / 2 + spread))
    width = np.sqrt(_ROD * np.maximum((xx + yy) / 2 - spread, 0) + scale.y**2)
    found = Fragments(
        x=mean_x,
        y=mean_y,
        angle_deg=np.degrees(-np.arctan2(2 * xy, xx - yy) / 2),
        length=length,
        weight=length * mass / np.maximum(number, 1) / 255,
    )
    agrees = np.abs(found.angle_deg - orientation.angle_deg) <= _AGREEMENT_DEG
    return found.chosen(agrees & (length >= _SHORTEST * gap) & (length >= _SLIMMEST * width))


def measure_fascicles(fragments: Fragments, angle_deg: float, aponeuroses: Aponeuroses) -> FascicleGeometry:
    """The pennation where fragments and the belly's middle insert, and the length of the fascicle through that middle.

    All run at one angle, degrees from the horizontal.
    """
    slope = -np.tan(np.radians(angle_deg))
    middle = (aponeuroses.start + aponeuroses.end) / 2
    depth = float(aponeuroses.superficial.at(middle) + aponeuroses.deep.at(middle)) / 2
    insertion, whole = _run(aponeuroses, np.append(fragments.x, middle), np.append(fragments.y, depth), slope)
    length = float(whole[-1])
    return FascicleGeometry(
        pennation_deg=_pennation(fragments, angle_deg, aponeuroses, insertion),
        length=length if np.isfinite(length) and length > 0 else None,
        extrapolated_share=_unseen(fragments, whole[:-1]),
        segments=_segments(fragments),
    )


def _sums(label: npt.NDArray[np.int32], values: Floats, count: int) -> Floats:
    return np.asarray(np.bincount(label, weights=values, minlength=count + 1)[1:], np.float64)


def _run(aponeuroses: Aponeuroses, x: Floats, y: Floats, slope: float) -> tuple[Floats, Floats]:
    """Where straight fascicles through points (N,) insert into the deep aponeurosis (x), and how long they are."""
    slopes = np.full(len(x), slope)
    deep = crossings(aponeuroses.deep, x, y, slopes)
    superficial = crossings(aponeuroses.superficial, x, y, slopes)
    return deep, np.abs(deep - superficial) * np.hypot(1, slope)


def _pennation(fragments: Fragments, angle_deg: float, aponeuroses: Aponeuroses, insertion: Floats) -> float:
    """Mean angle to the tangent of the deep aponeurosis where fragments (N,) and, last, the belly's middle insert."""
    meets = np.isfinite(insertion)
    tangent = np.where(meets, aponeuroses.deep.angle_deg(np.where(meets, insertion, 0)), aponeuroses.deep.mean_angle_deg())
    middle_weight = float(fragments.weight.mean()) if len(fragments) else 1.0
    return float(np.average(np.abs(angle_deg - tangent), weights=np.append(fragments.weight, middle_weight)))


def _unseen(fragments: Fragments, whole: Floats) -> float:
    """The share that must be continued to reach both aponeuroses, of the fragments that need it least; 1 without any."""
    valid = np.isfinite(whole) & (whole > 0)
    if not valid.any():
        return 1.0
    unseen = np.clip(1 - fragments.length[valid] / whole[valid], 0, 1)
    return float(np.sort(unseen)[:_LEAST_CONTINUED].mean())


def _segments(fragments: Fragments) -> Floats:
    heaviest = fragments.chosen(np.argsort(-fragments.weight, kind="stable"))
    angle = np.radians(heaviest.angle_deg)
    half = np.stack([np.cos(angle), -np.sin(angle)], axis=1) * heaviest.length[:, None] / 2  # (M, 2)
    centre = np.stack([heaviest.x, heaviest.y], axis=1)
    return np.stack([centre - half, centre + half], axis=1)  # (M, 2, 2)
