"""Scores of found motor units, on cases made by hand."""

import numpy as np
import pytest

from service.core.measure.motor_maps import Mask, matched
from training.motor_units.scores import (
    UnitTrace,
    Values,
    dice,
    interval_variation,
    precision_recall_f1,
    rate_of_agreement,
    score,
    twitch_agreement,
)


def block(top: int, left: int, side: int = 10) -> Mask:
    mask = np.zeros((64, 64), np.bool_)
    mask[top : top + side, left : left + side] = True
    return mask


def train(*seconds: float) -> Values:
    return np.array(seconds)


def test_territories_are_matched_once_each_and_only_where_they_overlap_enough() -> None:
    true = [block(0, 0), block(0, 30), block(40, 40)]
    # 5 of 10 columns in common: IoU a third. 6 of 10 rows and columns: 0.22, too little.
    found = [block(44, 44), block(0, 35), block(0, 0), block(1, 0)]
    assert sorted(matched(true, found)) == [(0, 2), (1, 1)]
    assert matched(true, []) == matched([], found) == []


def test_matching_prefers_the_best_whole_to_the_best_pair() -> None:
    # The second found territory overlaps both; were it given to the first, the other would be left without.
    true, found = [block(0, 0), block(0, 4)], [block(0, 1), block(0, 2)]
    assert sorted(matched(true, found)) == [(0, 0), (1, 1)]


def test_precision_recall_and_f1_of_counts() -> None:
    assert precision_recall_f1(true=4, found=8, common=2) == pytest.approx((0.25, 0.5, 1 / 3))
    assert precision_recall_f1(true=4, found=0, common=0) == (0.0, 0.0, 0.0)


def test_dice_of_halves_is_a_half() -> None:
    assert dice(block(0, 0), block(0, 5)) == pytest.approx(0.5)
    assert dice(block(0, 0), block(30, 30)) == 0.0


def test_twitch_agreement_ignores_scale_and_offset_but_not_sign() -> None:
    wave = np.sin(np.linspace(0, 20, 512))
    assert twitch_agreement(wave, 3 * wave + 7) == pytest.approx((1.0, 0.0), abs=1e-9)
    assert twitch_agreement(wave, -wave)[0] == pytest.approx(-1.0)
    assert np.isnan(twitch_agreement(wave, np.ones(512))).all()


def test_twitch_error_is_relative_to_the_range_of_the_truth() -> None:
    true = np.tile([0.0, 1.0, 2.0, 1.0], 64)
    other = np.tile([1.0, 0.0, -1.0, 0.0, -1.0, 0.0, 1.0, 0.0], 32)  # has nothing in common with it
    r, error = twitch_agreement(true, other)
    assert r == pytest.approx(0.0, abs=1e-9)
    assert error == pytest.approx(true.std() / 2)


def test_discharges_agree_after_the_constant_lag() -> None:
    true = train(0.1, 0.2, 0.3, 0.45)
    assert rate_of_agreement(true, true + 0.06) == 1.0
    assert rate_of_agreement(true, true + 0.2) < 1.0  # no lag of a twitch is that long


def test_discharge_that_is_missing_or_invented_counts_once() -> None:
    true = train(0.1, 0.2, 0.3, 0.45)
    assert rate_of_agreement(true, true[:3]) == pytest.approx(3 / 4)
    assert rate_of_agreement(true, np.sort(np.append(true, 0.38))) == pytest.approx(4 / 5)
    assert rate_of_agreement(true, train()) == 0.0
    assert np.isnan(rate_of_agreement(train(), train()))


@pytest.mark.parametrize(("apart_s", "agreement"), [(0.014, 1.0), (0.036, 0.5)])
def test_discharges_agree_within_fifteen_milliseconds(apart_s: float, agreement: float) -> None:
    # Three stay in place, so that the lag is none; the fourth moves, and where it is too far it is missing and invented.
    true = train(0.1, 0.2, 0.3)
    moved = train(0.1, 0.2, 0.3 + apart_s)
    assert rate_of_agreement(true, moved) == pytest.approx(agreement)


def test_interval_variation_of_a_clock_is_none_and_of_few_intervals_unknown() -> None:
    assert interval_variation(np.arange(0, 2, 0.1)) == pytest.approx(0.0, abs=1e-9)
    assert interval_variation(train(0.0, 0.1, 0.3)) == pytest.approx(1 / 3)
    assert np.isnan(interval_variation(train(0.1, 0.2)))


def test_score_compares_only_what_was_matched() -> None:
    wave = np.sin(np.linspace(0, 20, 512))
    true = [UnitTrace(block(0, 0), wave, train(0.1, 0.2, 0.3)), UnitTrace(block(40, 40), wave, train(0.1, 0.2, 0.4))]
    found = [UnitTrace(block(0, 0), wave, train(0.1, 0.2, 0.3)), UnitTrace(block(20, 20), wave, train(0.5))]
    whole = score(true, found)
    assert (whole.true, whole.found, len(whole.pairs)) == (2, 2, 1)
    assert whole.pairs[0].dice == whole.pairs[0].rate_of_agreement == 1.0
    assert whole.pairs[0].variation_error == 0.0
