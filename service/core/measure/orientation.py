"""Which way the fascicles of a belly run: local orientation of the image and of the network's fascicle map, in one histogram.

Speckle is wider than high, so an image without any fascicle also has an orientation: across the beam, and as often turned a
little to the left as to the right. What leans to one side only is muscle: the histogram's mirror image is subtracted from it.
The beam is also finer along than across, which turns short streaks towards the horizontal: the image is blurred along the beam
until both are alike.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from service.core.cine import Pixels
from service.core.measure.plane import Floats, Scale

Singles = npt.NDArray[np.float32]

#: Degrees between a fascicle and the deep aponeurosis that occur in muscle; less is a septum.
SMALLEST_PENNATION_DEG = 4.0
LARGEST_PENNATION_DEG = 58.0
#: A direction this far from the deep aponeurosis counts fully, one beside it nearly nothing.
_CERTAIN_PENNATION_DEG = 10.0
#: Directions within this of the strongest one are averaged, and are said to agree with it.
_SPREAD_DEG = 10.0
_AGREEMENT_DEG = 12.0
#: Local orientation changes slowly: every second pixel is looked at.
_STEP = 2
#: Passes of a (1 2 1) / 4 filter along and across the beam: standard deviations of 1.6 and 0.7 model pixels, if square.
_BLUR_ALONG = 5
_BLUR_ACROSS = 1
_MOST_BLUR_ALONG = 12
#: Side of the box over which the products of gradients are summed.
_TENSOR_BOX = 5
#: What a difference of neighbours and half of that box take off each side of the image; each pass of the blur takes 1 more.
_LOST = 1 + _TENSOR_BOX // 2
_COLUMNS_LOST = _BLUR_ACROSS + _LOST
#: Rows this near to an aponeurosis hold some of its light after the blur.
_SHY_ROWS = 4
#: How much the fascicle map says of the direction, where the image says 1: it is sure of itself, and bound to its labels.
_MAP_SHARE = 0.6
#: What is left of the beam's turn, on the tangent: from simulated and DL_Track frames, the model of this analysis' version.
_TURNED_BACK = 1.05
_BINS = 180
_CENTRES = np.arange(_BINS) - 89.5
#: Standard deviation, in bins of a degree, that smooths the histogram.
_HISTOGRAM_SIGMA = 3.0


@dataclass(frozen=True, slots=True)
class Orientation:
    """The direction of the fascicles in one frame."""

    #: Degrees from the horizontal, positive rising to the right.
    angle_deg: float
    #: Share of all oriented texture that leans this way and not as much the other way; 0 for speckle, 1 for parallel lines.
    concentration: float
    #: Where the fascicle map runs this way (S, S).
    agrees: npt.NDArray[np.bool_]


def find_orientation(
    image: Pixels, fascicles: Pixels, inside: npt.NDArray[np.bool_], scale: Scale, deep_deg: float
) -> Orientation | None:
    """From model input and fascicle map (S, S), where `inside` holds; None when nothing there leans to one side."""
    shy = inside[2 * _SHY_ROWS :] & inside[: -2 * _SHY_ROWS]  # row k is that of `inside` k + _SHY_ROWS
    filled = np.flatnonzero(shy.any(1)) + _SHY_ROWS
    if not len(filled):
        return None
    blur = _blur_along(scale)
    first, last = max(int(filled[0]), blur + _LOST), min(int(filled[-1]) + 1, len(image) - blur - _LOST)
    around = slice(first - blur - _LOST, last + blur + _LOST)
    columns = slice(_COLUMNS_LOST, -_COLUMNS_LOST, _STEP)
    belly = shy[first - _SHY_ROWS : last - _SHY_ROWS : _STEP, columns].astype(np.uint8)
    of_image = _histogram(*_local(image[around], blur, scale), belly * fascicles[first:last:_STEP, columns])
    local, strength = _local(fascicles[around], blur, scale)  # (h, w) each, of every second pixel
    histogram = of_image + _MAP_SHARE * _histogram(local, strength, belly)
    leaning = _one_sided(ndimage.gaussian_filter1d(histogram, _HISTOGRAM_SIGMA, mode="wrap"), deep_deg)
    strongest = int((leaning * np.minimum(1, np.abs(_CENTRES - deep_deg) / _CERTAIN_PENNATION_DEG)).argmax())
    if leaning[strongest] <= 0:
        return None
    near = np.abs(_CENTRES - _CENTRES[strongest]) <= _SPREAD_DEG
    common = float(leaning[near] @ _CENTRES[near] / leaning[near].sum())
    agrees = np.zeros(inside.shape, np.bool_)
    place = agrees[first:last, _COLUMNS_LOST:-_COLUMNS_LOST]
    near_common = np.abs(local - np.float32(common)) <= _AGREEMENT_DEG
    place[:] = near_common.repeat(_STEP, 0).repeat(_STEP, 1)[: place.shape[0], : place.shape[1]]
    angle = float(np.degrees(np.arctan(_TURNED_BACK * np.tan(np.radians(common)))))
    return Orientation(angle, float(leaning[near].sum() / histogram.sum()), agrees)


def _blur_along(scale: Scale) -> int:
    """Passes along the beam: of equal length in millimetres where pixels are not square."""
    return int(np.clip(round(_BLUR_ALONG * (scale.x / scale.y) ** 2), 1, _MOST_BLUR_ALONG))


def _local(image: Pixels, blur: int, scale: Scale) -> tuple[Singles, Singles]:
    """Direction of the lines (h, w) in degrees and how strongly there is one, from the structure tensor, every second pixel."""
    down, right = _gradient(_blurred(image.astype(np.float32), blur))
    down, right = down / np.float32(scale.y), right / np.float32(scale.x)
    xx, yy, xy = (_box(product, _TENSOR_BOX, _STEP) for product in (right * right, down * down, right * down))
    difference, energy = xx - yy, xx + yy
    oriented = difference**2 + 4 * xy**2
    # Perpendicular to the gradient; y grows downwards, so the sign turns.
    angle = np.degrees(np.arctan2(2 * xy, difference)) / np.float32(-2)
    angle += np.where(angle > 0, np.float32(-90), np.float32(90))
    return angle, oriented / np.maximum(energy, np.float32(1e-3))


def _blurred(values: Singles, along: int) -> Singles:
    for _ in range(2 * along):  # two sums of neighbours are one (1 2 1)
        values = values[:-1] + values[1:]
    for _ in range(2 * _BLUR_ACROSS):
        values = values[:, :-1] + values[:, 1:]
    return values / np.float32(4 ** (along + _BLUR_ACROSS))


def _gradient(values: Singles) -> tuple[Singles, Singles]:
    """Scharr's differences along y and x: plain ones turn thin lines by degrees."""
    side, middle = np.float32(3 / 16), np.float32(10 / 16)
    across_x = side * (values[:, :-2] + values[:, 2:]) + middle * values[:, 1:-1]
    across_y = side * (values[:-2] + values[2:]) + middle * values[1:-1]
    return across_x[2:] - across_x[:-2], across_y[:, 2:] - across_y[:, :-2]


def _box(values: Singles, side: int, step: int = 1) -> Singles:
    """Sums over boxes that lie wholly inside, every `step`-th; slices are several times faster than a general filter."""
    height, width = values.shape[0] - side + 1, values.shape[1] - side + 1
    rows = sum((values[k : k + height : step] for k in range(1, side)), start=values[:height:step])
    return np.asarray(sum((rows[:, k : k + width : step] for k in range(1, side)), start=rows[:, :width:step]))


def _histogram(angle: Singles, strength: Singles, where: npt.NDArray[np.uint8]) -> Floats:
    """Shares (180,) of the oriented texture by whole degrees, each place weighed by `where`."""
    bins = np.clip(angle + np.float32(90), 0, _BINS - 1).astype(np.intp)
    sums = np.bincount(bins.ravel(), weights=(strength * where).ravel(), minlength=_BINS)
    return np.asarray(sums / max(float(sums.sum()), 1e-9), np.float64)


def _one_sided(histogram: Floats, deep_deg: float) -> Floats:
    """What exceeds the mirror image, at angles to the deep aponeurosis at which fascicles run."""
    tilt = np.abs(_CENTRES - deep_deg)
    possible = (tilt >= SMALLEST_PENNATION_DEG) & (tilt <= LARGEST_PENNATION_DEG)
    return np.asarray(np.maximum(histogram - histogram[::-1], 0) * possible, np.float64)
