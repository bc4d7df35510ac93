"""Spatio-temporal independent components: the gradient, and two units that lie over each other."""

import numpy as np
import pytest
from scipy import optimize

pytest.importorskip("sklearn", reason="scikit-learn is only in the training environment (training/requirements.txt)")

from training.motor_units.stica import SYMMETRIC, Density, Doubles, Logistic, TwoHumps, Unmixing, spatio_temporal

_SIDE, _FRAMES = 16, 512


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


@pytest.mark.parametrize("of_maps", [SYMMETRIC, Logistic(4.0, 0.5)])
@pytest.mark.parametrize("of_trains", [SYMMETRIC, TwoHumps()])
def test_gradient_is_that_of_the_likelihood(of_maps: Density, of_trains: Density) -> None:
    random = np.random.default_rng(3)
    given = Unmixing(random.standard_normal((50, 4)), random.standard_normal((80, 4)), 0.4, of_maps, of_trains)
    place = np.concatenate([(np.eye(4) + 0.3 * random.standard_normal((4, 4))).ravel(), 0.2 * random.standard_normal(4)])
    by_differences = optimize.approx_fprime(place, lambda moved: given.value_and_gradient(moved)[0], 1e-6)
    assert given.value_and_gradient(place)[1] == pytest.approx(by_differences, abs=1e-4)


def test_densities_have_their_mode_and_tails_where_they_say() -> None:
    grid = np.linspace(-8, 8, 16_001)
    skewed = np.exp(Logistic(4.0, 0.5).log(grid))
    assert abs(grid[skewed.argmax()]) < 1e-3
    assert skewed[grid > 2].sum() > 10 * skewed[grid < -2].sum()
    flat = np.exp(TwoHumps().log(grid))
    moment = {power: float((flat * grid**power).sum() / flat.sum()) for power in (2, 4)}
    assert moment[4] / moment[2] ** 2 - 3 == pytest.approx(-0.5, abs=0.01)


@pytest.mark.parametrize("alpha", [0.3, 0.8])
def test_units_that_overlap_are_separated_better_than_by_principal_components(alpha: float) -> None:
    true_maps, true_trains = two_units()
    noise = 0.02 * np.random.default_rng(5).standard_normal((_SIDE**2, _FRAMES))
    given = principal(true_maps @ true_trains + noise, 2)
    maps, trains = spatio_temporal(*given, alpha, Logistic(4.0, 0.5))
    assert maps @ trains == pytest.approx(given[0] @ given[1], abs=1e-6)
    for true, found, before in ((true_maps.T, maps.T, given[0].T), (true_trains, trains, given[1])):
        assert least_likeness(true, found) > 0.95 > least_likeness(true, before) + 0.02
