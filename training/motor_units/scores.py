"""How well motor units are found: territories, twitch trains and discharges against the truth."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from service.core.measure.motor_maps import Mask, matched

Values = npt.NDArray[np.floating]

#: Discharges are the same when they are so near after the constant lag, which is at most that.
TOLERANCE_S = 0.015
_LARGEST_LAG_S = 0.1
_TOO_FEW_INTERVALS = 2


@dataclass(frozen=True, slots=True)
class UnitTrace:
    """A motor unit, true or found."""

    mask: Mask  # (H, W)
    twitch: Values  # (T,), any scale
    discharges_s: Values  # rising


@dataclass(frozen=True, slots=True)
class Agreement:
    """Of a found unit with the true one that it was matched with; NaN where it cannot be said."""

    dice: float
    twitch_r: float
    twitch_nrmse: float
    rate_of_agreement: float
    variation_error: float


@dataclass(frozen=True, slots=True)
class Score:
    """Of one sequence."""

    true: int
    found: int
    pairs: tuple[Agreement, ...]
    #: Which of the true units each pair is of.
    units: tuple[int, ...]


def score(true: Sequence[UnitTrace], found: Sequence[UnitTrace]) -> Score:
    """Match the found units with the true ones and compare each pair."""
    pairs = matched([unit.mask for unit in true], [unit.mask for unit in found])
    agreements = tuple(_agreement(true[one], found[other]) for one, other in pairs)
    return Score(len(true), len(found), agreements, tuple(one for one, _ in pairs))


def precision_recall_f1(true: int, found: int, common: int) -> tuple[float, float, float]:
    """From counts; without any found or true unit the share of nothing is 0."""
    return common / found if found else 0.0, common / true if true else 0.0, 2 * common / max(1, true + found)


def dice(one: Mask, other: Mask) -> float:
    """Twice what is in both over what is in each; of two empty masks 1."""
    total = int(one.sum()) + int(other.sum())
    return 2 * int((one & other).sum()) / total if total else 1.0


def twitch_agreement(true: Values, found: Values) -> tuple[float, float]:
    """Pearson's r, and the error (RMS, after the scale and offset that fit best) over the range of the true train.

    NaN and NaN where one of them never changes.
    """
    a, b = true - true.mean(), found - found.mean()
    norm = float(np.sqrt((a @ a) * (b @ b)))
    if norm < 1e-12:
        return float("nan"), float("nan")
    r = float(a @ b) / norm
    residual = a - (a @ b) / (b @ b) * b
    return r, float(np.sqrt(np.mean(residual**2)) / np.ptp(true))


def rate_of_agreement(true: Values, found: Values, tolerance_s: float = TOLERANCE_S) -> float:
    """Common discharges over all (common counted once), after the lag that leaves most in common; NaN without any at all."""
    if not len(true) and not len(found):
        return float("nan")
    lags = (found[:, None] - true).ravel()
    lags = lags[np.abs(lags) <= _LARGEST_LAG_S]
    common = max((_common(true, found - lag, tolerance_s) for lag in lags), default=0)
    return common / (len(true) + len(found) - common)


def interval_variation(discharges_s: Values) -> float:
    """Coefficient of variation of the intervals; NaN with fewer than two."""
    intervals = np.diff(discharges_s)
    if len(intervals) < _TOO_FEW_INTERVALS:
        return float("nan")
    return float(intervals.std() / intervals.mean())


def _agreement(true: UnitTrace, found: UnitTrace) -> Agreement:
    r, nrmse = twitch_agreement(true.twitch, found.twitch)
    return Agreement(
        dice=dice(true.mask, found.mask),
        twitch_r=r,
        twitch_nrmse=nrmse,
        rate_of_agreement=rate_of_agreement(true.discharges_s, found.discharges_s),
        variation_error=abs(interval_variation(found.discharges_s) - interval_variation(true.discharges_s)),
    )


def _common(true: Values, found: Values, tolerance_s: float) -> int:
    """Pairs within the tolerance, each discharge in one at most; both rise, so the earliest pair is never a worse choice."""
    common = one = other = 0
    while one < len(true) and other < len(found):
        apart = found[other] - true[one]
        if abs(apart) <= tolerance_s:
            common, one, other = common + 1, one + 1, other + 1
        elif apart > 0:
            one += 1
        else:
            other += 1
    return common
