"""Spatio-temporal independent components: the gradient, and two units that lie over each other."""

import numpy as np
import pytest
from scipy import optimize

pytest.importorskip("sklearn", reason="scikit-learn is only in the training environment (training/requirements.txt)")

from training.motor_units.stica import SYMMETRIC, Doubles, Logistic, Unmixing, spatio_temporal

_SIDE, _FRAMES = 16, 512
_SPOTS = Logistic(2.0, 0.5)


def two_units() -> tuple[Doubles, Doubles]:
    """Maps (pixels, 2) of two spots that overlap, and their trains (2, frames): twitches at two rates, of unlike heights."""
    y, x = np.mgrid[:_SIDE, :_SIDE]
    maps = np.stack([np.exp(-((x - column) ** 2 + (y - 8) ** 2) / 8) for column in (6, 9)], -1).reshape(-1, 2)
    moments = np.arange(_FRAMES) / 250
    trains = np.zeros((2, _FRAMES))
    for unit, (rate, height) in enumerate(((9.0, 1.0), (12.5, 0.8))):
        for discharge in np.arange(0.05, 2, 1 / rate):
            trains[unit] += height * np.exp(-(((moments - discharge) / 0.01) ** 2))
    return maps, trains - trains.mean(1, keepdims=True)


def principal(velocity: Doubles, number: int) -> tuple[Doubles, Doubles]:
    left, sizes, right = np.linalg.svd(velocity, full_matrices=False)
    return left[:, :number] * sizes[:number], right[:number]


def least_likeness(true: Doubles, found: Doubles) -> float:
    """Of each true one with the found one that is most like it, rows being signals; the worse."""
    return float(np.abs(np.corrcoef(true, found)[:2, 2:]).max(1).min())


@pytest.mark.parametrize("of_maps", [SYMMETRIC, _SPOTS])
@pytest.mark.parametrize("of_trains", [SYMMETRIC, Logistic(1.0, 0.7)])
def test_gradient_is_that_of_the_likelihood(of_maps: Logistic, of_trains: Logistic) -> None:
    random = np.random.default_rng(3)
    given = Unmixing(random.standard_normal((50, 4)), random.standard_normal((80, 4)), 0.4, of_maps, of_trains)
    place = np.concatenate([(np.eye(4) + 0.3 * random.standard_normal((4, 4))).ravel(), 0.2 * random.standard_normal(4)])
    by_differences = optimize.approx_fprime(place, lambda moved: given.value_and_gradient(moved)[0], 1e-6)
    assert given.value_and_gradient(place)[1] == pytest.approx(by_differences, abs=1e-4)


def test_densities_have_their_mode_and_tails_where_they_say() -> None:
    grid = np.linspace(-8, 8, 16_001)
    skewed = np.exp(_SPOTS.log(grid))
    assert abs(grid[skewed.argmax()]) < 1e-3
    assert skewed[grid > 2].sum() > 4 * skewed[grid < -2].sum()


def mixed(louder: float) -> tuple[Doubles, Doubles, tuple[Doubles, Doubles]]:
    """True maps and trains, the first unit so much louder, and the principal ones of their noisy sum."""
    maps, trains = two_units()
    trains[0] *= louder
    noise = 0.02 * np.random.default_rng(5).standard_normal((_SIDE**2, _FRAMES))
    return maps, trains, principal(maps @ trains + noise, 2)


@pytest.mark.parametrize("louder", [1.0, 3.0])
@pytest.mark.parametrize("alpha", [0.3, 0.5, 0.8])
def test_units_that_overlap_are_separated_better_than_by_principal_components(alpha: float, louder: float) -> None:
    true_maps, true_trains, given = mixed(louder)
    maps, trains = spatio_temporal(*given, alpha, _SPOTS)
    assert maps @ trains == pytest.approx(given[0] @ given[1], abs=1e-6)
    found = min(least_likeness(true_maps.T, maps.T), least_likeness(true_trains, trains))
    before = min(least_likeness(true_maps.T, given[0].T), least_likeness(true_trains, given[1]))
    assert found > 0.9 > before + 0.05


def test_independence_in_time_mends_the_trains_that_space_alone_mixes_where_one_unit_is_louder() -> None:
    _, true_trains, given = mixed(3.0)
    alone, both = (least_likeness(true_trains, spatio_temporal(*given, alpha, _SPOTS)[1]) for alpha in (1.0, 0.3))
    assert both > 0.99 > alone + 0.1
