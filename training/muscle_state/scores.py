"""What a prediction of states is worth: a person is the unit. Frames of one person are never counted as if they were people."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]

_DRAWS = 2000
#: Half the width of a 90 % interval of a normal distribution, in standard deviations.
NINETY_PERCENT = 1.6449


@dataclass(frozen=True, slots=True)
class Spread:
    """Of one number a person: mean, standard deviation between people, and the mean's 95 % interval over people drawn anew."""

    mean: float
    deviation: float
    low: float
    high: float
    people: int


def r2(truth: Values, predicted: Values) -> Values:
    """Of one person (N, S), (N, S) to (S,): 1 is perfect, 0 is what that person's own mean would reach, below it is worse."""
    left = ((truth - predicted) ** 2).sum(0)
    return np.asarray(1 - left / ((truth - truth.mean(0)) ** 2).sum(0))


def rmse(truth: Values, predicted: Values) -> Values:
    """(S,), in the units of the states."""
    return np.asarray(np.sqrt(((truth - predicted) ** 2).mean(0)))


def slope(truth: Values, predicted: Values) -> Values:
    """Of the straight line of the prediction over the truth (S,); 1 where nothing is pulled to the middle."""
    away = truth - truth.mean(0)
    return np.asarray((away * (predicted - predicted.mean(0))).sum(0) / (away**2).sum(0))


def without_offset(truth: Values, predicted: Values) -> Values:
    """The prediction with each state's mean error taken out: what one trial of calibration would do at best."""
    return np.asarray(predicted + (truth - predicted).mean(0))


def coverage(truth: Values, predicted: Values, deviation: Values) -> Values:
    """Share of the moments (S,) whose truth lies in the 90 % interval of a normal distribution (N, S), (N, S)."""
    return np.asarray((np.abs(truth - predicted) <= NINETY_PERCENT * deviation).mean(0))


def spread(values: Values, seed: int = 0) -> Spread:
    """Of one number a person (P,)."""
    drawn = np.random.default_rng(seed).integers(0, len(values), (_DRAWS, len(values)))
    low, high = np.quantile(values[drawn].mean(1), [0.025, 0.975])
    return Spread(float(values.mean()), float(values.std(ddof=1)), float(low), float(high), len(values))
