"""Intervals over people: percentile bootstrap, alone and paired; all draws are computed at once."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]
#: How often each person counts, (draws, people).
Counts = npt.NDArray[np.int64]
#: Of labels (people,), scores (people,) and counts: one value a draw.
Statistic = Callable[[Labels, Floats, Counts], Floats]

_DRAWS = 2000


def auc(labels: Labels, scores: Floats, counts: Counts) -> Floats:
    """How often a person in pain scores above one who is not; a tie is half (Mann and Whitney)."""
    in_pain, without = labels == 1, labels == 0
    above = np.sign(scores[in_pain][:, None] - scores[without]) / 2 + 0.5
    won = ((counts[:, in_pain] @ above) * counts[:, without]).sum(1)
    return np.asarray(won / (counts[:, in_pain].sum(1) * counts[:, without].sum(1)))


def accuracy(labels: Labels, called: Floats, counts: Counts) -> Floats:
    """Share of people whose call (1 for pain) is their label."""
    return np.asarray(counts @ (labels == called) / counts.sum(1))


def sensitivity(labels: Labels, called: Floats, counts: Counts) -> Floats:
    """Accuracy among people in pain."""
    return accuracy(labels[labels == 1], called[labels == 1], counts[:, labels == 1])


def specificity(labels: Labels, called: Floats, counts: Counts) -> Floats:
    """Accuracy among people who are not."""
    return accuracy(labels[labels == 0], called[labels == 0], counts[:, labels == 0])


def figures(labels: Labels, scores: Floats, called: Floats) -> dict[str, dict[str, float]]:
    """What a table tells of people's scores and calls: each statistic with its 95 % interval."""
    taken = {"auc": (auc, scores), "accuracy": (accuracy, called)}
    taken |= {"sensitivity": (sensitivity, called), "specificity": (specificity, called)}
    return {name: with_interval(statistic, labels, values) for name, (statistic, values) in taken.items()}


def with_interval(statistic: Statistic, labels: Labels, values: Floats, level: float = 0.95) -> dict[str, float]:
    """`value`, `low` and `high`."""
    return {"value": once(statistic, labels, values)} | _limits(statistic(labels, values, resamples(labels)), level)


def difference(statistic: Statistic, labels: Labels, ours: Floats, theirs: Floats, level: float = 0.90) -> dict[str, float]:
    """The statistic of `ours` less that of `theirs`: `value`, and `low` and `high` with the same people in each draw."""
    counts = resamples(labels)
    value = once(statistic, labels, ours) - once(statistic, labels, theirs)
    limits = _limits(statistic(labels, ours, counts) - statistic(labels, theirs, counts), level)
    return {"value": value, **limits, "level": level}


def resamples(labels: Labels, draws: int = _DRAWS, seed: int = 0) -> Counts:
    """Counts of people drawn with replacement, both labels in each draw; the same for equal labels."""
    random = np.random.default_rng(seed)
    found: list[Labels] = []
    while len(found) < draws:
        drawn = random.integers(0, len(labels), len(labels))
        if len(np.unique(labels[drawn])) > 1:
            found.append(np.bincount(drawn, minlength=len(labels)))
    return np.stack(found)


def once(statistic: Statistic, labels: Labels, values: Floats) -> float:
    """The value itself, everybody counted once."""
    return float(statistic(labels, values, np.ones((1, len(labels)), np.int64))[0])


def _limits(values: Floats, level: float) -> dict[str, float]:
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return {"low": float(low), "high": float(high)}
