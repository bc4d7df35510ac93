"""How good one frame's maps are: lines, overlap, fragments and angles, at model pixels (256 grid)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.morphology import skeletonize

from bench.structure_tensor import tensor_angle_deg
from service.core.cine import Calibration
from service.core.measure.aponeuroses import find_aponeuroses
from service.core.measure.architecture import THICKNESS_AT, FrameArchitecture, measure_frame
from service.core.measure.plane import scale_of
from training.muscle_segmentation.lines import Line, bordering_pair, find_fragments, mean_angle_deg, trace_lines
from training.muscle_segmentation.real import Bytes, Labelled

_NEAR_PIXELS = 2.0
_LINE_PIXELS = 3.0
#: A line counts as found where it was seen on this share of the labelled columns.
_SEEN_SHARE = 0.5
LABELLED_SHARE = 100
NO_SCALE = Calibration(None, None, "none", "a labelled picture without a scale")
_PERCENT = 100.0


@dataclass(frozen=True, slots=True)
class Baselines:
    """What would be answered without a network: medians of labels, and what is added to the angle of the structure tensor."""

    angle_deg: float
    tensor_offset_deg: float
    thickness_pixels: float


@dataclass(frozen=True, slots=True)
class Score:
    """One image; None where its labels or the prediction give no number. Pixels are model pixels."""

    name: str
    cluster: int
    aponeurosis_iou: float | None = None
    belly_iou: float | None = None
    line_errors: tuple[float | None, ...] = ()  # superficial and deep; None is a line not found
    fascicle_f1: float | None = None
    fascicle_dice: float | None = None
    fascicle_cldice: float | None = None
    angle_error_deg: float | None = None
    #: Of the direction that the analysis makes of picture and maps, as it is served.
    analysis_angle_error_deg: float | None = None
    angle_is_labelled: bool = False
    constant_angle_error_deg: float | None = None
    #: Without a sign, which a structure tensor does not have.
    tensor_angle_error_deg: float | None = None
    #: Of the analysis; of the labelled gap between the aponeuroses.
    thickness_error_percent: float | None = None
    constant_thickness_error_percent: float | None = None
    thickness_is_labelled: bool = False

    @property
    def both_lines_near(self) -> bool | None:
        """Both aponeuroses found, their median distance at most 3 pixels; None without two labelled lines."""
        if not self.line_errors:
            return None
        return all(error is not None and error <= _LINE_PIXELS for error in self.line_errors)


def score(item: Labelled, maps: Bytes, cluster: int, baselines: Baselines, threshold: int = 128) -> Score:
    """Compare maps (3, 256, 256) of 0 to 255 with an image's labels."""
    aponeurosis = belly = f1 = None
    errors: tuple[float | None, ...] = ()
    if item.has_aponeurosis:
        aponeurosis = overlap(maps[0], item.targets[0], item.weights[0], threshold)
        errors = line_errors(item, maps, threshold)
        belly = overlap(maps[2], item.targets[2], item.weights[2], threshold) if item.weights[2].any() else None
    labelled, thickness = labelled_angle_deg(item), labelled_thickness(item)
    analysed = None if labelled is None and thickness is None else analysis_of(item, maps)
    dice = centre_dice = None
    if item.has_fascicle:
        seen, drawn = maps[1] >= threshold, item.targets[1] >= LABELLED_SHARE
        f1, dice, centre_dice = near_f1(seen, drawn), dice_of(seen, drawn), cldice(seen, drawn)
    return Score(
        name=item.name,
        cluster=cluster,
        aponeurosis_iou=aponeurosis,
        belly_iou=belly,
        line_errors=errors,
        fascicle_f1=f1,
        fascicle_dice=dice,
        fascicle_cldice=centre_dice,
        angle_error_deg=_apart(mean_angle_deg(find_fragments(maps[1], threshold)), labelled),
        analysis_angle_error_deg=_apart(analysed.fascicle_angle_deg if analysed else None, labelled),
        angle_is_labelled=labelled is not None,
        constant_angle_error_deg=_apart(baselines.angle_deg, labelled),
        tensor_angle_error_deg=None
        if labelled is None
        else _apart(picture_angle_deg(item) + baselines.tensor_offset_deg, abs(labelled)),
        thickness_error_percent=_percent_apart(analysed.thickness if analysed else None, thickness),
        constant_thickness_error_percent=_percent_apart(baselines.thickness_pixels, thickness),
        thickness_is_labelled=thickness is not None,
    )


def baselines_of(items: Sequence[Labelled]) -> Baselines:
    """From labelled frames."""
    angled = [(item, angle) for item in items if (angle := labelled_angle_deg(item)) is not None]
    thicknesses = [thickness for item in items if (thickness := labelled_thickness(item)) is not None]
    return Baselines(
        angle_deg=float(np.median([angle for _, angle in angled])),
        tensor_offset_deg=float(np.median([abs(angle) - picture_angle_deg(item) for item, angle in angled])),
        thickness_pixels=float(np.median(thicknesses)),
    )


def analysis_of(item: Labelled, maps: Bytes) -> FrameArchitecture:
    """What the analysis makes of picture and maps, in model pixels; None in it where it abstains."""
    return measure_frame(1, item.image, maps, item.placement, scale_of(NO_SCALE, item.placement))


def labelled_angle_deg(item: Labelled) -> float | None:
    """Of the drawn fascicles."""
    return mean_angle_deg(find_fragments(item.targets[1], LABELLED_SHARE)) if item.has_fascicle else None


def labelled_thickness(item: Labelled) -> float | None:
    """Of drawn aponeuroses, in model pixels, between the same edges as the analysis'."""
    if not item.has_aponeurosis:
        return None
    found = find_aponeuroses(item.targets[0], item.targets[1], item.placement, scale_of(NO_SCALE, item.placement))
    if found is None:
        return None
    x = found.start + np.array(THICKNESS_AT) * (found.end - found.start)
    return float((found.deep.at(x) - found.superficial.at(x)).mean())


def picture_angle_deg(item: Labelled) -> float:
    """Of the structure tensor in the sector's middle, without a sign."""
    rows, columns = (np.flatnonzero(item.image.any(axis)) for axis in (1, 0))
    return tensor_angle_deg(item.image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])


def overlap(maps: Bytes, target: Bytes, weight: Bytes, threshold: int) -> float:
    """Intersection over union where the label is known."""
    predicted, labelled = (maps >= threshold) & (weight > 0), (target >= 128) & (weight > 0)
    union = float((predicted | labelled).sum())
    return 1.0 if union == 0 else float((predicted & labelled).sum()) / union


def line_errors(item: Labelled, maps: Bytes, threshold: int) -> tuple[float | None, ...]:
    """Median distance of the centre lines, for the two labelled aponeuroses that border the muscle."""
    pair = bordering_pair(trace_lines(item.targets[0]), item.targets[1] if item.has_fascicle else None)
    if pair is None:
        return ()
    found = trace_lines(maps[0], threshold)
    return tuple(_nearest(line, found) for line in pair)


def near_f1(predicted: npt.NDArray[np.bool_], labelled: npt.NDArray[np.bool_]) -> float:
    """F1 where a pixel counts as right when the other map has one within 2 pixels."""
    if not predicted.any() or not labelled.any():
        return float(not predicted.any() and not labelled.any())
    to_labelled = ndimage.distance_transform_edt(~labelled)
    to_predicted = ndimage.distance_transform_edt(~predicted)
    precision = float((to_labelled[predicted] <= _NEAR_PIXELS).mean())
    recall = float((to_predicted[labelled] <= _NEAR_PIXELS).mean())
    return 0.0 if precision + recall == 0 else 2 * precision * recall / (precision + recall)


def dice_of(predicted: npt.NDArray[np.bool_], labelled: npt.NDArray[np.bool_]) -> float:
    """Dice's coefficient; 1 where both are empty."""
    total = float(predicted.sum() + labelled.sum())
    return 2 * float((predicted & labelled).sum()) / total if total else 1.0


def cldice(predicted: npt.NDArray[np.bool_], labelled: npt.NDArray[np.bool_]) -> float:
    """Centre-line Dice (Shit et al., CVPR 2021): each skeleton against the other mask."""
    if not predicted.any() or not labelled.any():
        return float(not predicted.any() and not labelled.any())
    precision = float(labelled[skeletonize(predicted)].mean())
    sensitivity = float(predicted[skeletonize(labelled)].mean())
    return 2 * precision * sensitivity / (precision + sensitivity) if precision + sensitivity else 0.0


def bootstrap(values: list[float], clusters: list[int], *, median: bool = False, draws: int = 2000) -> tuple[float, float, float]:
    """Mean (or median) and its 95 % interval, drawing whole near-duplicate clusters."""
    value, cluster = np.array(values), np.array(clusters)
    middle = np.median if median else np.mean
    groups = [value[cluster == one] for one in np.unique(cluster)]
    random = np.random.default_rng(0)
    drawn = [middle(np.concatenate([groups[i] for i in random.integers(0, len(groups), len(groups))])) for _ in range(draws)]
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(middle(value)), float(low), float(high)


def _nearest(labelled: Line, found: list[Line]) -> float | None:
    errors = []
    for line in found:
        columns, first, second = np.intersect1d(labelled.columns, line.columns, return_indices=True)
        if columns.size >= _SEEN_SHARE * labelled.columns.size:
            errors.append(float(np.median(np.abs(labelled.centre[first] - line.centre[second]))))
    return min(errors) if errors else None


def _apart(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else abs(one - other)


def _percent_apart(one: float | None, true: float | None) -> float | None:
    return None if one is None or true is None else _PERCENT * abs(one - true) / true
