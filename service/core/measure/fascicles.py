"""From the network's fascicle map to straight fragments between the aponeuroses, their common angle and their length."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from service.core.cine import Pixels
from service.core.measure.aponeuroses import Aponeuroses
from service.core.measure.plane import Floats, Scale, crossings

#: A model pixel belongs to a fascicle from this probability x 255 on.
_THRESHOLD = 100
#: Fragments shorter than this share of the distance between the aponeuroses say nothing of an angle.
_SHORTEST = 0.22
#: Length over width of the ellipse with the fragment's moments: below, it is a blot.
_SLIMMEST = 3.0
#: Degrees between a fascicle and the deep aponeurosis that occur in muscle; below, it is a septum.
SMALLEST_PENNATION_DEG = 3.0
LARGEST_PENNATION_DEG = 58.0
#: Fragments further than this from the common angle belong to something else.
_AGREEMENT_DEG = 10.0
#: So many fragments, those extended least, give the fascicle length.
_USED_FOR_LENGTH = 3
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
    """What the fragments of one frame come to."""

    angle_deg: float
    pennation_deg: float
    length: float | None
    #: The share of `length` that was not seen but continued.
    extrapolated_share: float | None
    #: Share of the weight of all fragments that agrees with the common angle.
    coherence: float
    #: Ends (M, 2, 2) of the fragments that agree, as (x, y), the heaviest first.
    segments: Floats


def find_fragments(mask: Pixels, inside: npt.NDArray[np.bool_], scale: Scale, gap: float) -> Fragments:
    """Connected pieces of a fascicle map (S, S) within `inside` (S, S), by their weighted second moments."""
    labels, count = ndimage.label((mask >= _THRESHOLD) & inside, _EIGHT_NEIGHBOURS)
    flat = np.flatnonzero(labels)
    label, weight = labels.ravel()[flat], mask.ravel()[flat].astype(np.float64)
    rows, columns = np.divmod(flat, mask.shape[1])
    x, y = columns * scale.x, rows * scale.y
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
    return found.chosen((length >= _SHORTEST * gap) & (length >= _SLIMMEST * width))


def measure_fascicles(fragments: Fragments, aponeuroses: Aponeuroses) -> FascicleGeometry | None:
    """The common angle, the pennation where fascicles insert, and the length; None when no fragment can be a fascicle."""
    deep_deg = aponeuroses.deep.mean_angle_deg()
    tilt = fragments.angle_deg - deep_deg
    plausible = (np.abs(tilt) >= SMALLEST_PENNATION_DEG) & (np.abs(tilt) <= LARGEST_PENNATION_DEG)
    candidates = fragments.chosen(plausible)
    if not len(candidates):
        return None
    sense = 1.0 if float((np.sign(tilt[plausible]) * candidates.weight).sum()) >= 0 else -1.0
    agreeing = _agreeing(candidates, sense, deep_deg)
    angle = float(np.average(agreeing.angle_deg, weights=agreeing.weight))
    length, share = _length(agreeing, angle, aponeuroses)
    return FascicleGeometry(
        angle_deg=angle,
        pennation_deg=_pennation(agreeing, angle, aponeuroses),
        length=length,
        extrapolated_share=share,
        coherence=float(agreeing.weight.sum() / fragments.weight.sum()),
        segments=_segments(agreeing),
    )


def _sums(label: npt.NDArray[np.int32], values: Floats, count: int) -> Floats:
    return np.asarray(np.bincount(label, weights=values, minlength=count + 1)[1:], np.float64)


def _agreeing(candidates: Fragments, sense: float, deep_deg: float) -> Fragments:
    """Fragments that lean the way most do and lie near their weighted median."""
    leaning = candidates.chosen(np.sign(candidates.angle_deg - deep_deg) == sense)
    middle = weighted_median(leaning.angle_deg, leaning.weight)
    return leaning.chosen(np.abs(leaning.angle_deg - middle) <= _AGREEMENT_DEG)


def weighted_median(values: Floats, weights: Floats) -> float:
    """The value at which half of the weight is reached."""
    order = np.argsort(values)
    reached = np.cumsum(weights[order])
    return float(values[order[np.searchsorted(reached, reached[-1] / 2)]])


def _pennation(fragments: Fragments, angle_deg: float, aponeuroses: Aponeuroses) -> float:
    """Mean angle to the tangent of the deep aponeurosis where each fragment, continued, inserts."""
    slope = np.full(len(fragments), -np.tan(np.radians(angle_deg)))
    insertion = crossings(aponeuroses.deep, fragments.x, fragments.y, slope)
    tangent = np.where(np.isfinite(insertion), aponeuroses.deep.angle_deg(np.nan_to_num(insertion)), np.nan)
    tangent = np.where(np.isfinite(tangent), tangent, aponeuroses.deep.mean_angle_deg())
    return float(np.average(np.abs(fragments.angle_deg - tangent), weights=fragments.weight))


def _length(fragments: Fragments, angle_deg: float, aponeuroses: Aponeuroses) -> tuple[float | None, float | None]:
    """Mean length of the fragments that need least continuation, drawn at the common angle to both aponeuroses."""
    slope = np.full(len(fragments), -np.tan(np.radians(angle_deg)))
    deep = crossings(aponeuroses.deep, fragments.x, fragments.y, slope)
    superficial = crossings(aponeuroses.superficial, fragments.x, fragments.y, slope)
    whole = np.abs(deep - superficial) / np.cos(np.radians(angle_deg))
    valid = np.flatnonzero(np.isfinite(whole) & (whole > 0))
    if not len(valid):
        return None, None
    unseen = np.clip(1 - fragments.length[valid] / whole[valid], 0, 1)
    least = np.argsort(unseen, kind="stable")[:_USED_FOR_LENGTH]
    return float(whole[valid][least].mean()), float(unseen[least].mean())


def _segments(fragments: Fragments) -> Floats:
    heaviest = fragments.chosen(np.argsort(-fragments.weight, kind="stable"))
    angle = np.radians(heaviest.angle_deg)
    half = np.stack([np.cos(angle), -np.sin(angle)], axis=1) * heaviest.length[:, None] / 2  # (M, 2)
    centre = np.stack([heaviest.x, heaviest.y], axis=1)
    return np.stack([centre - half, centre + half], axis=1)  # (M, 2, 2)
