"""Contractions in smoothed curves whose course is known."""

import numpy as np
import numpy.typing as npt
import pytest

from service.core.measure.events import Contraction, find_contractions
from service.core.measure.smoothing import Smoothed, smooth

FRAME = 0.04
Floats = npt.NDArray[np.float64]
#: Rest, rise over 0.8 s, hold, fall: 25 frames each.
PHASE = np.interp(np.arange(100), [0, 25, 45, 65, 85, 99], [0, 0, 1, 1, 0, 0])
ACTIVITY = 0.5 - 0.5 * np.cos(np.pi * PHASE)


def curve(values: Floats, noise: float, seed: int = 0, *, has_time: bool = True) -> Smoothed:
    noisy = values + np.random.default_rng(seed).normal(0, noise, len(values))
    found = smooth(list(noisy), [1.0] * len(values), [index * FRAME for index in range(len(values))] if has_time else None)
    assert found is not None
    return found


def contractions(activity: Floats, *, noise: float = 1.0, seed: int = 0, has_time: bool = True) -> tuple[Contraction, ...]:
    """Pennation 18 to 28 degrees, thickness 17 to 18.5 mm, fascicles 60 to 40 mm."""
    return find_contractions(
        curve(18 + 10 * activity, 0.5 * noise, seed, has_time=has_time),
        curve(17 + 1.5 * activity, 0.05 * noise, seed + 100, has_time=has_time),
        curve(60 - 20 * activity, 0.6 * noise, seed + 200, has_time=has_time),
        has_time=has_time,
    )


def test_contraction_gives_rest_peak_excursions_and_velocity() -> None:
    (one,) = contractions(ACTIVITY)
    assert one.rest <= 30
    assert 42 <= one.peak <= 68
    assert one.has_ended
    assert (one.pennation.rest, one.pennation.peak) == pytest.approx((18, 28), abs=0.6)
    assert one.pennation.excursion == pytest.approx(10, abs=0.9)
    assert one.thickness is not None
    assert one.thickness.excursion == pytest.approx(1.5, abs=0.1)
    assert one.fascicle_length is not None
    assert one.fascicle_length.excursion == pytest.approx(-20, abs=1.2)
    assert one.shortening is not None
    # A half cosine of 20 mm in 0.8 s is fastest in its middle.
    assert one.shortening.speed == pytest.approx(np.pi / 2 * 20 / 0.8, rel=0.15)
    assert 30 <= one.shortening.index <= 40


def test_contraction_band_of_the_velocity_holds_the_true_one_in_most_cases() -> None:
    true = np.pi / 2 * 20 / 0.8
    fastest = [one.shortening for seed in range(20) for one in contractions(ACTIVITY, seed=seed)]
    inside = [one is not None and abs(one.speed - true) <= 1.96 * one.deviation for one in fastest]
    assert len(inside) == 20
    assert 0.85 <= np.mean(inside) <= 1


@pytest.mark.parametrize("seed", range(10))
def test_contraction_of_a_muscle_at_rest_is_none(seed: int) -> None:
    assert contractions(np.zeros(100), seed=seed) == ()


def test_contraction_smaller_than_its_noise_is_none() -> None:
    assert contractions(0.3 * ACTIVITY, noise=6, seed=1) == ()


def test_contraction_smaller_than_people_can_measure_is_none() -> None:
    assert contractions(0.15 * ACTIVITY, noise=0.05) == ()


def test_contractions_one_after_another_are_counted() -> None:
    found = contractions(np.concatenate([ACTIVITY, 0.6 * ACTIVITY, ACTIVITY]))
    assert [one.pennation.excursion for one in found] == pytest.approx([10, 6, 10], abs=0.8)
    assert [one.rest for one in found] == sorted(one.rest for one in found)


def test_contraction_that_trembles_on_its_plateau_is_one() -> None:
    tremor = ACTIVITY * (1 - 0.25 * np.isin(np.arange(100) // 4, [13, 14]))
    assert len(contractions(tremor, noise=0.3)) == 1


def test_contraction_that_the_cine_cuts_off_has_not_ended() -> None:
    (one,) = contractions(ACTIVITY[:50])
    assert not one.has_ended
    assert one.pennation.excursion == pytest.approx(10, abs=1)


def test_contraction_without_time_has_no_velocity() -> None:
    (one,) = contractions(ACTIVITY, has_time=False)
    assert one.shortening is None
    assert one.pennation.excursion == pytest.approx(10, abs=1)


def test_contraction_that_leaves_the_thickness_alone_says_so() -> None:
    pennation = curve(18 + 10 * ACTIVITY, 0.5)
    (one,) = find_contractions(pennation, curve(17 + 0 * ACTIVITY, 0.05, 1), None, has_time=True)
    assert one.thickness is not None
    assert not one.thickness.is_clear
    assert one.fascicle_length is None
    assert one.shortening is None
