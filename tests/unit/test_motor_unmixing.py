"""Trains of units that lie over each other are told apart, and what a network adds to a train is taken away again."""

import numpy as np
import pytest

from service.core.measure.motor_maps import Floats
from service.core.measure.motor_trains import traces, within_band
from service.core.measure.motor_unmixing import seen, unmixed
from simulator.motor_units import FRAME_RATE_HZ, ActiveUnit, Conditions, MotorSequence, simulate_sequence


@pytest.fixture(scope="module")
def muscle() -> MotorSequence:
    return simulate_sequence(31, Conditions(12, 10.0, "saturating"))


@pytest.fixture(scope="module")
def moving(muscle: MotorSequence) -> Floats:
    return within_band(muscle.velocity, FRAME_RATE_HZ)


def r(found: Floats, unit: ActiveUnit) -> float:
    return float(np.corrcoef(found, within_band(unit.twitch, FRAME_RATE_HZ))[0, 1])


def test_trains_of_units_over_each_other_are_unmixed_by_their_territories(muscle: MotorSequence, moving: Floats) -> None:
    masks = [unit.mask for unit in muscle.units]
    covered = np.sum(masks, axis=0) > 1
    shared = [number for number, mask in enumerate(masks) if (mask & covered).sum() > 0.3 * mask.sum()]
    assert len(shared) >= 3
    trains = unmixed(moving, masks)
    alone = [r(moving[:, masks[number]].mean(1), muscle.units[number]) for number in shared]
    together = [r(trains[number], muscle.units[number]) for number in shared]
    assert min(together) > 0.95
    assert np.mean(together) > np.mean(alone) + 0.03


def test_two_units_of_one_territory_share_its_train_and_neither_is_huge(muscle: MotorSequence, moving: Floats) -> None:
    mask = muscle.units[-1].mask
    (once,), (one, other) = unmixed(moving, [mask]), unmixed(moving, [mask, mask])
    assert np.allclose(one, other, rtol=1e-3, atol=1e-4)
    assert np.allclose(one + other, once, rtol=0.05, atol=1e-3)


def test_what_a_network_added_to_a_train_is_taken_away_where_the_velocity_does_not_bear_it_out(
    muscle: MotorSequence, moving: Floats
) -> None:
    unit = max(muscle.units, key=lambda one: int(one.mask.sum()))
    train = within_band(unit.twitch, FRAME_RATE_HZ)
    added = np.random.default_rng(3).standard_normal(len(train)).astype(np.float32) * train.std() / 2
    kept = seen(train + added, moving, unit.mask)
    assert r(train + added, unit) < 0.92
    assert r(kept, unit) > 0.98
    assert np.ptp(kept) == pytest.approx(np.ptp(train), rel=0.2)


def test_traces_are_the_unmixed_train_the_territory_its_rim_and_seven_places(muscle: MotorSequence, moving: Floats) -> None:
    masks = [unit.mask for unit in muscle.units]
    found = traces(moving, masks)
    assert found.shape == (len(masks), 10, 512)
    assert np.allclose(found[:, 0], unmixed(moving, masks), atol=1e-6)
    assert np.allclose(found[2, 1], moving[:, masks[2]].mean(1), atol=1e-6)
    for wrong in ([], [masks[0], np.zeros_like(masks[0])]):
        with pytest.raises(ValueError, match="without a territory"):
            traces(moving, wrong)
