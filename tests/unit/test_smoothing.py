"""A noisy series to a curve with a band, against curves that are known."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.core.measure.smoothing import REACH_FRAMES, REACH_SECONDS, Smoothed, smooth

FRAME = 0.04
Floats = npt.NDArray[np.float64]


def course(frames: int = 120) -> Floats:
    """Three contractions of 8 degrees in 1.6 s each."""
    return np.asarray(18 + 4 * (1 - np.cos(2 * np.pi * np.arange(frames) * FRAME / 1.6)), np.float64)


def seconds(frames: int) -> list[float]:
    return [index * FRAME for index in range(frames)]


def smoothed(values: Floats | list[float | None], *, times: bool = True) -> Smoothed:
    listed = list(values)
    curve = smooth(listed, [1.0] * len(listed), seconds(len(listed)) if times else None)
    assert curve is not None
    return curve


def array(values: tuple[float | None, ...]) -> Floats:
    return np.array([np.nan if value is None else value for value in values])


@pytest.mark.parametrize("noise", [0.2, 0.6, 1.5])
def test_smoothing_of_a_noisy_course_comes_nearer_to_it_and_its_band_holds_it(noise: float) -> None:
    truth, inside, error, raw = course(), [], [], []
    for seed in range(8):
        values = truth + np.random.default_rng(seed).normal(0, noise, len(truth))
        curve = smoothed(values)
        inside.append((array(curve.low()) <= truth) & (truth <= array(curve.high())))
        error.append(np.abs(array(curve.values) - truth).mean())
        raw.append(np.abs(values - truth).mean())
    assert 0.85 <= np.mean(inside) <= 1.0
    assert np.mean(error) < 0.6 * np.mean(raw)


def test_smoothing_with_outliers_stays_on_the_course() -> None:
    truth = course()
    values = truth + np.random.default_rng(3).normal(0, 0.3, len(truth))
    values[[20, 55, 56, 90]] += [25, -14, -15, 30]
    assert np.abs(array(smoothed(values).values) - truth).max() < 1.2


def test_smoothing_of_a_slope_gives_the_slope_a_second() -> None:
    values = 10 + 30 * np.arange(40) * FRAME + np.random.default_rng(1).normal(0, 0.1, 40)
    curve = smoothed(values)
    assert array(curve.slopes)[5:-5] == pytest.approx(30, abs=2)
    assert curve.slope_deviations[20] is not None


def test_smoothing_without_time_gives_the_slope_a_frame() -> None:
    curve = smoothed([10 + 1.2 * index for index in range(40)], times=False)
    assert array(curve.slopes)[5:-5] == pytest.approx(1.2, abs=0.05)


def test_smoothing_of_a_short_gap_bridges_it_with_a_wider_band() -> None:
    values: list[float | None] = list(course(80) + np.random.default_rng(2).normal(0, 0.3, 80))
    values[40:44] = [None] * 4
    curve = smoothed(values)
    assert abs(array(curve.values)[42] - course(80)[42]) < 1.0
    assert array(curve.deviations)[42] > array(curve.deviations)[30]


@pytest.mark.parametrize(("times", "reach"), [(True, round(REACH_SECONDS / FRAME - 0.5)), (False, round(REACH_FRAMES))])
def test_smoothing_of_a_long_gap_leaves_its_middle_open(times: bool, reach: int) -> None:  # noqa: FBT001 - a parameter of the test
    values: list[float | None] = list(course(100))
    values[30:70] = [None] * 40
    curve = smoothed(values, times=times)
    absent = [index for index, value in enumerate(curve.values) if value is None]
    assert absent == list(range(30 + reach, 70 - reach))


def test_smoothing_with_uneven_times_follows_the_course_in_time() -> None:
    times = np.cumsum(np.random.default_rng(4).uniform(0.01, 0.08, 100))
    truth = 20 + 5 * np.sin(2 * np.pi * times / 2)
    values = truth + np.random.default_rng(5).normal(0, 0.2, 100)
    curve = smooth(list(values), [1.0] * 100, list(times))
    assert curve is not None
    assert np.abs(array(curve.values) - truth).mean() < 0.2


def test_smoothing_believes_frames_with_more_evidence_more() -> None:
    rng, truth = np.random.default_rng(6), course(200)
    poor = np.arange(200) % 2 == 0
    values = truth + rng.normal(0, np.where(poor, 1.5, 0.3))
    weighed = smooth(list(values), list(np.where(poor, 0.05, 1.0)), seconds(200))
    assert weighed is not None
    alike = smoothed(values)
    assert np.abs(array(weighed.values) - truth).mean() < np.abs(array(alike.values) - truth).mean()


@pytest.mark.parametrize("values", [[], [20.0], [20.0, 21.0, 22.0], [None] * 30, [20.0, None, 21.0, None, 22.0, 23.0]])
def test_smoothing_of_few_values_is_none(values: list[float | None]) -> None:
    assert smooth(values, [1.0] * len(values), seconds(len(values))) is None


def test_smoothing_of_equal_values_is_that_value() -> None:
    curve = smoothed([7.5] * 12)
    assert array(curve.values) == pytest.approx(7.5)
    assert array(curve.deviations).max() < 0.05


@settings(max_examples=250, deadline=None, derandomize=True)
@given(
    frames=st.lists(st.tuples(st.none() | st.floats(-1e4, 1e4), st.floats(0, 1), st.floats(1e-3, 2.0)), min_size=1, max_size=60),
    times=st.booleans(),
)
def test_smoothing_of_any_series_is_finite_and_inside_its_band(
    frames: list[tuple[float | None, float, float]],
    times: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    values, evidence, steps = zip(*frames, strict=True)
    curve = smooth(values, evidence, list(np.cumsum(steps)) if times else None)
    if curve is None:
        assert sum(value is not None for value in values) < 5
        return
    known = [value is not None for value in curve.values]
    assert [value is not None for value in curve.deviations] == known
    kept = np.isfinite(array(curve.values)) & np.isfinite(array(curve.deviations)) & np.isfinite(array(curve.slope_deviations))
    assert list(kept) == known
    assert all(value is None or is_known for value, is_known in zip(values, known, strict=True))
