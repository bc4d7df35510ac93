"""Intervals over people: percentile bootstrap, alone and paired."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from sklearn.metrics import accuracy_score, recall_score, roc_auc_score

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]
Statistic = Callable[[Labels, Floats], float]

_DRAWS = 2000


def bootstrap_interval(labels: Labels, scores: Floats, statistic: Statistic, level: float = 0.95) -> tuple[float, float]:
    """Of one statistic of (labels, scores), each (people,); draws without both labels are drawn again."""
    values = [statistic(labels[drawn], scores[drawn]) for drawn in resamples(labels)]
    return _percentiles(np.array(values), level)


def scored(scores: Floats, called: Floats) -> dict[str, tuple[Statistic, Floats]]:
    """What a table tells of people's scores and calls (1 for pain): each statistic and the values that it takes."""
    return {
        "auc": (roc_auc_score, scores),
        "accuracy": (accuracy_score, called),
        "sensitivity": (recall_score, called),
        "specificity": (_specificity, called),
    }


def paired_interval(
    labels: Labels, ours: Floats, theirs: Floats, statistic: Statistic, level: float = 0.90
) -> tuple[float, float]:
    """Of the statistic of `ours` less that of `theirs`, with the same people in each draw."""
    differences = [statistic(labels[drawn], ours[drawn]) - statistic(labels[drawn], theirs[drawn]) for drawn in resamples(labels)]
    return _percentiles(np.array(differences), level)


def resamples(labels: Labels, draws: int = _DRAWS, seed: int = 0) -> list[npt.NDArray[np.int64]]:
    """Indices of people drawn with replacement, both labels in each; the same for equal labels."""
    random = np.random.default_rng(seed)
    found: list[npt.NDArray[np.int64]] = []
    while len(found) < draws:
        drawn = random.integers(0, len(labels), len(labels))
        if len(np.unique(labels[drawn])) > 1:
            found.append(drawn)
    return found


def _specificity(labels: Labels, called: Floats) -> float:
    return float(recall_score(labels, called, pos_label=0))


def _percentiles(values: Floats, level: float) -> tuple[float, float]:
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
