"""How well planes and structures are told: F1, calibration, Dice and Hausdorff distance, with intervals over volunteers."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from sklearn.metrics import confusion_matrix, f1_score, precision_recall_fscore_support

from service.core.wrist_planes import STRUCTURES
from training.wrist_hand.volunteers import NAMES, Bytes

Floats = npt.NDArray[np.floating]
Indices = npt.NDArray[np.integer]

_DRAWS = 1000
_BINS = 15


def with_interval(statistic: Callable[[Indices], float], volunteer: Indices, seed: int = 0) -> dict[str, float]:
    """`statistic` of picture indices; 95 % percentile bootstrap, volunteers drawn with all their pictures."""
    names = np.unique(volunteer)
    places = {int(name): np.flatnonzero(volunteer == name) for name in names}
    random = np.random.default_rng(seed)
    drawn = [statistic(np.concatenate([places[int(name)] for name in random.choice(names, len(names))])) for _ in range(_DRAWS)]
    low, high = np.quantile(drawn, [0.025, 0.975])
    return {"value": statistic(np.arange(len(volunteer))), "low": float(low), "high": float(high)}


def plane_scores(plane: Bytes, probability: Floats, volunteer: Indices) -> dict[str, object]:
    """Of pictures (N,) and probabilities (N, 16): macro-F1 over all planes and none, each plane, confusion, calibration."""
    called, labels = probability.argmax(1), list(range(len(NAMES)))

    def macro(chosen: Indices) -> float:
        return float(f1_score(plane[chosen], called[chosen], labels=labels, average="macro", zero_division=0))

    precision, recall, f1, _ = precision_recall_fscore_support(plane, called, labels=labels, zero_division=0)
    most = int(np.bincount(plane).argmax())
    return {
        "macro_f1": with_interval(macro, volunteer),
        "macro_f1_always_the_most_frequent": float(f1_score(plane, np.full_like(plane, most), average="macro", zero_division=0)),
        "planes": {
            name: {"precision": float(p), "recall": float(r), "f1": float(f)}
            for name, p, r, f in zip(NAMES, precision, recall, f1, strict=True)
        },
        "confusion": confusion_matrix(plane, called, labels=labels).tolist(),
        "expected_calibration_error": calibration_error(plane, probability),
    }


def calibration_error(plane: Bytes, probability: Floats) -> float:
    """Mean distance of how sure from how often right, over bins of sureness (Guo 2017)."""
    sure, right = probability.max(1), probability.argmax(1) == plane
    place = np.minimum((sure * _BINS).astype(np.int64), _BINS - 1)
    gaps = [abs(sure[place == b].mean() - right[place == b].mean()) * (place == b).mean() for b in np.unique(place)]
    return float(np.sum(gaps))


def structure_scores(truth: Bytes, drawn: Bytes, volunteer: Indices, mm_per_pixel: Floats) -> dict[str, object]:
    """Of class maps (N, S, S): Dice and 95 % Hausdorff distance (mm) of each structure, and the mean Dice over structures."""
    counts = np.stack([_counts(a, b) for a, b in zip(truth, drawn, strict=True)])  # (N, classes, 3)

    def dice_of(chosen: Indices) -> npt.NDArray[np.float64]:
        both, one, other = counts[chosen].sum(0).T.astype(np.float64)
        return np.where(one > 0, 2 * both / np.maximum(one + other, 1), np.nan)[1:]

    def mean_dice(chosen: Indices) -> float:
        return float(np.nanmean(dice_of(chosen)))

    nerve = STRUCTURES.index("median_nerve")
    each = dice_of(np.arange(len(truth)))
    return {
        "mean_dice": with_interval(mean_dice, volunteer),
        "median_nerve_dice": with_interval(lambda chosen: float(dice_of(chosen)[nerve]), volunteer),
        "structures": {
            name: {"dice": float(each[number]), "hd95_mm": _median_hd95(truth, drawn, mm_per_pixel, number + 1)}
            for number, name in enumerate(STRUCTURES)
        },
    }


def hausdorff_95(one: npt.NDArray[np.bool_], other: npt.NDArray[np.bool_]) -> float:
    """95th percentile of the distances between two outlines, pixels; both must have some."""
    first, second = (mask & ~ndimage.binary_erosion(mask) for mask in (one, other))
    away = [ndimage.distance_transform_edt(~a)[b] for a, b in ((first, second), (second, first))]
    return float(np.percentile(np.concatenate(away), 95))


def _counts(truth: Bytes, drawn: Bytes) -> npt.NDArray[np.int64]:
    """(classes, 3): pixels in both, in the truth, in what was drawn."""
    size = 1 + len(STRUCTURES)
    both = np.bincount(truth[truth == drawn].ravel(), minlength=size)
    return np.stack([both, np.bincount(truth.ravel(), minlength=size), np.bincount(drawn.ravel(), minlength=size)], axis=1)


def _median_hd95(truth: Bytes, drawn: Bytes, mm_per_pixel: Floats, number: int) -> float | None:
    """Over the pictures in which it is and was drawn; None without any."""
    shown = [n for n in range(len(truth)) if (truth[n] == number).any() and (drawn[n] == number).any()]
    found = [hausdorff_95(truth[n] == number, drawn[n] == number) * float(mm_per_pixel[n]) for n in shown]
    return float(np.median(found)) if found else None
