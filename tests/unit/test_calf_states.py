"""The model of calf muscles: what was measured in people (Maganaris 1998, Manal 2006) comes out of it, and people differ."""

from collections.abc import Callable

import numpy as np
import pytest

from simulator.calf_states import (
    ANGLE_RANGE_DEG,
    MIDDLE_PERSON,
    Architecture,
    Muscle,
    architecture,
    draw_person,
    emg_like,
    moment_nm,
)
from simulator.state_courses import draw_courses

ANGLES = np.array([-15.0, 0.0, 15.0, 30.0])
BOTH = pytest.mark.parametrize("muscle", MIDDLE_PERSON.muscles(), ids=["gastrocnemius", "soleus"])


def _turned(muscle: Muscle, activity: float) -> Architecture:
    return architecture(muscle, ANGLES, np.full(4, activity))


@BOTH
def test_resting_muscle_pennation_rises_and_fascicles_shorten_as_in_maganaris(muscle: Muscle) -> None:
    shape = _turned(muscle, 0.0)
    assert 6 <= shape.pennation_deg[-1] - shape.pennation_deg[0] <= 12
    assert 15 <= shape.fascicle_mm[0] - shape.fascicle_mm[-1] <= 28
    assert np.all(np.diff(shape.pennation_deg) > 0)


@BOTH
def test_strongest_contraction_changes_with_angle_as_in_maganaris(muscle: Muscle) -> None:
    shape = _turned(muscle, 1.0)
    assert 9 <= shape.pennation_deg[-1] - shape.pennation_deg[0] <= 16
    assert 8 <= shape.fascicle_mm[0] - shape.fascicle_mm[-1] <= 10


def test_strongest_contraction_thickens_the_soleus_only() -> None:
    gains = [float(np.mean(_turned(m, 1.0).thickness_mm - _turned(m, 0.0).thickness_mm)) for m in MIDDLE_PERSON.muscles()]
    assert gains[0] == 0
    assert 6 <= gains[1] <= 7


def test_strongest_contraction_pennation_lies_between_the_women_and_men_of_manal() -> None:
    first, second = (float(_turned(muscle, 1.0).pennation_deg[1]) for muscle in MIDDLE_PERSON.muscles())
    assert 27.3 <= first <= 34.6 + 3
    assert 26.3 <= second <= 40.1 + 3


@BOTH
def test_architecture_is_a_fixed_point_of_force_and_length(muscle: Muscle) -> None:
    for activity in (0.0, 0.3, 1.0):
        shape = _turned(muscle, activity)
        unloaded = muscle.rest_mm * np.cos(np.radians(muscle.pennation_deg)) - muscle.excursion_mm * np.radians(ANGLES)
        assert shape.reach_mm + muscle.give_mm * shape.force == pytest.approx(unloaded, abs=1e-6)
        assert shape.fascicle_mm * np.sin(np.radians(shape.pennation_deg)) == pytest.approx(shape.thickness_mm)


def test_moment_rises_with_activity_and_falls_with_plantarflexion() -> None:
    levels = np.linspace(0, 1, 5)
    assert np.all(np.diff(moment_nm(MIDDLE_PERSON, np.zeros(5), (levels, levels))) > 0)
    strongest = moment_nm(MIDDLE_PERSON, ANGLES, (np.ones(4), np.ones(4)))
    assert np.all(np.diff(strongest) < 0)
    assert 100 < strongest[1] < 200


def test_emg_like_activity_is_the_activity_times_the_electrodes_gain() -> None:
    person = draw_person(np.random.default_rng(3))
    assert emg_like(person.soleus, np.array([0.0, 0.5])).tolist() == [0.0, 0.5 * person.soleus.emg_gain]


@pytest.mark.parametrize(
    ("of", "middle", "deviation"),
    [
        (lambda m: m.thickness_mm, MIDDLE_PERSON.gastrocnemius.thickness_mm, 0.20 * MIDDLE_PERSON.gastrocnemius.thickness_mm),
        (lambda m: m.pennation_deg, MIDDLE_PERSON.gastrocnemius.pennation_deg, 3.0),
        (lambda m: m.strongest_n, MIDDLE_PERSON.gastrocnemius.strongest_n, 0.25 * MIDDLE_PERSON.gastrocnemius.strongest_n),
        (lambda m: 1 / m.stretch, 1 / MIDDLE_PERSON.gastrocnemius.stretch, 0.12 / MIDDLE_PERSON.gastrocnemius.stretch),
        (lambda m: m.emg_gain, 1.0, 0.25),
    ],
    ids=["thickness", "pennation", "force", "optimal length", "gain"],
)
def test_people_differ_by_the_stated_spread(of: Callable[[Muscle], float], middle: float, deviation: float) -> None:
    drawn = np.array([of(draw_person(np.random.default_rng(seed)).gastrocnemius) for seed in range(600)])
    # Cut at two standard deviations, a normal distribution keeps 0.96 of its own.
    assert drawn.std() == pytest.approx(0.96 * deviation, rel=0.12)
    assert np.abs(drawn - middle).max() < 2.001 * deviation
    assert drawn.mean() == pytest.approx(middle, abs=0.2 * deviation)


def test_everybody_drawn_has_possible_fascicles_at_every_angle_and_activity() -> None:
    angles, levels = (grid.ravel() for grid in np.meshgrid(np.linspace(*ANGLE_RANGE_DEG, 10), np.linspace(0, 1, 6)))
    for seed in range(150):
        for muscle in draw_person(np.random.default_rng(seed)).muscles():
            shape = architecture(muscle, angles, levels)
            assert np.all((shape.pennation_deg > 5) & (shape.pennation_deg < 62))
            assert np.all((shape.force >= 0) & (shape.force < 1.5))


def test_courses_stay_in_range_and_rest_at_both_ends() -> None:
    courses = draw_courses(np.random.default_rng(1))
    seconds = np.arange(0, 1200, 0.04)
    angle, (first, second) = courses.angle_deg(seconds), courses.activities(seconds)
    assert (angle.min(), angle.max()) == ANGLE_RANGE_DEG
    assert (first.min(), first.max()) == (second.min(), second.max()) == (0.0, 1.0)
    assert all(0.1 < float(np.mean(first == end)) < 0.3 for end in (0.0, 1.0))
    assert not np.array_equal(first, second)


def test_course_has_nothing_above_half_a_hertz() -> None:
    values = draw_courses(np.random.default_rng(5)).drive.at(np.arange(0, 400, 0.04)) * np.hanning(10_000)
    power = np.abs(np.fft.rfft(values)) ** 2
    assert power[np.fft.rfftfreq(10_000, 0.04) > 0.52].sum() < 1e-6 * power.sum()


def test_angle_and_activity_of_a_person_know_nothing_of_each_other() -> None:
    found = []
    for seed in range(12):
        courses = draw_courses(np.random.default_rng(seed))
        seconds = np.arange(0, 1200, 1.0)
        found.append(np.corrcoef(courses.angle_deg(seconds), courses.activities(seconds)[0])[0, 1])
    assert abs(float(np.mean(found))) < 0.06
    assert max(map(abs, found)) < 0.3
