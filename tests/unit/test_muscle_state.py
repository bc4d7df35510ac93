"""The analysis of muscle states, from a simulated calf to findings, with networks that know the truth."""

from dataclasses import replace

import numpy as np
import pytest

from service.core.analyses.muscle_architecture import MODEL as SEGMENTATION
from service.core.analyses.muscle_state import MODEL, SEGMENTS, MuscleState
from service.core.compose import limitations_of
from service.core.findings import FindingKind
from service.core.masks import MaskKeeper
from service.core.measure.calf_states import BAND_DEVIATIONS, MOST_ACTIVITY_PERCENT
from tests import calf_parts
from tests.calf_parts import FRAMES, LEFT, LOG_VARIANCE, TOP, Knowing, analyse, scanned, without_soleus

ABSOLUTE = ("joint_angle", "activity", "activity_gastrocnemius", "activity_soleus", "joint_moment")


def test_states_of_each_frame_are_those_of_the_network_in_their_units() -> None:
    found, truth = analyse(scanned()), scanned().states
    expected = {
        "joint_angle": (truth[:, 0], "deg"),
        "activity_gastrocnemius": (100 * truth[:, 1] ** 2, "%"),
        "activity_soleus": (100 * truth[:, 2] ** 2, "%"),
        "activity": (50 * (truth[:, 1] ** 2 + truth[:, 2] ** 2), "%"),
        "joint_moment": (truth[:, 3], "N.m"),
    }
    for name, (values, unit) in expected.items():
        finding = found[name]
        assert finding.series is not None
        assert finding.series.values == pytest.approx(values, abs=2e-3), name
        assert finding.value == pytest.approx(np.median(values), abs=1e-3)
        assert finding.range == pytest.approx((values.min(), values.max()), abs=1e-3)
        assert (finding.unit, finding.series.unit, finding.statistic) == (unit, unit, "median")


def test_band_is_ninety_per_cent_round_the_course_of_each_state() -> None:
    series = analyse(scanned())["joint_angle"].series
    assert series is not None
    assert series.level == 0.9
    width = BAND_DEVIATIONS * np.exp(0.5 * LOG_VARIANCE[0])
    course, low, high = (np.array(one, float) for one in (series.smoothed, series.low, series.high))
    assert course - low == pytest.approx(width, abs=1e-3)
    assert high - course == pytest.approx(width, abs=1e-3)
    interval = analyse(scanned())["joint_angle"].interval
    assert interval is not None
    assert interval.high - interval.low == pytest.approx(2 * width, abs=1e-3)


def test_activity_is_never_below_nothing() -> None:
    of = replace(scanned(), states=np.where(np.arange(4) == 1, -0.1, scanned().states))
    finding = analyse(of)["activity_gastrocnemius"]
    assert finding.value == 0
    assert finding.interval is not None
    assert finding.interval.low == 0


def test_states_say_that_they_were_learnt_from_simulated_people() -> None:
    for name in ABSOLUTE:
        finding = analyse(scanned())[name]
        assert "simulated_people" in finding.flags
        assert finding.model is not None
        assert (finding.model.name, finding.model.evidence) == ("muscle_state", "simulated")


def test_agreement_with_pennation_is_high_where_the_states_are_true() -> None:
    finding = analyse(scanned())["agreement_with_pennation"]
    assert isinstance(finding.value, float)
    assert finding.value > 0.7
    assert finding.flags == ("simulated_people",)


def test_states_that_contradict_the_pennation_are_doubted() -> None:
    of = scanned()
    angle, activity = -of.states[:, 0], 1 - of.states[:, 1]
    found = analyse(replace(of, states=np.column_stack([angle, activity, of.states[:, 2:]])))
    assert "low_agreement" in found["agreement_with_pennation"].flags
    assert "grade_b" in found["image_quality"].flags


def test_cine_without_a_scale_gives_courses_only_and_says_so() -> None:
    of = scanned()
    knowing = Knowing(of)
    found = analyse(of, is_calibrated=False, infer=knowing.infer)
    assert not set(ABSOLUTE) & set(found)
    assert "joint_moment_relative" not in found
    assert np.isnan(np.concatenate(knowing.scalars)).all()
    finding = found["joint_angle_relative"]
    low, high = np.quantile(of.states[:, 0], [0.05, 0.95])
    assert finding.series is not None
    assert finding.series.values == pytest.approx(100 * (of.states[:, 0] - low) / (high - low), abs=0.1)
    assert (finding.unit, finding.interval, finding.series.low) == ("%", None, ())
    assert "relative_only" in finding.flags
    assert "of its own range in this cine" in finding.text
    assert "grade_b" in found["image_quality"].flags


def test_cine_without_a_scale_tells_nothing_of_what_stands_still() -> None:
    of = scanned()
    still = of.states.copy()
    still[:, 0] = still[0, 0] + np.random.default_rng(1).normal(0, 0.2, len(still))  # as noise moves a picture that stands still
    found = analyse(replace(of, states=still), is_calibrated=False)
    assert "joint_angle_relative" not in found
    assert "activity_gastrocnemius_relative" in found
    assert found["image_quality"].text.endswith("Unchanged in this cine, and so not told: joint angle.")
    still[:, 1:] = still[0, 1:]
    (nothing,) = analyse(replace(of, states=still), is_calibrated=False).values()
    assert nothing.kind is FindingKind.NOT_MEASURED
    assert {"no_change", "relative_only", "grade_c"} <= set(nothing.flags)
    assert "nothing changes in this cine" in nothing.text
    scaled = analyse(replace(of, states=still))
    assert scaled["joint_angle"].value == pytest.approx(still[0, 0], abs=0.5)


def test_lengths_that_the_network_is_given_are_those_of_the_picture() -> None:
    of = scanned()
    knowing = Knowing(of)
    analyse(of, infer=knowing.infer)
    scalars = np.concatenate(knowing.scalars)
    true = np.array([np.diff(one.lines, axis=0).mean(1) * of.mm_per_pixel for one in of.pictures])
    assert scalars[:, :2] == pytest.approx(true, abs=0.3)


def test_frames_whose_lines_are_not_seen_are_left_out_and_counted() -> None:
    blind = range(1, 11)
    found = analyse(scanned(), blind=blind)
    series = found["joint_angle"].series
    assert series is not None
    assert [index + 1 for index, value in enumerate(series.values) if value is None] == list(blind)
    quality = found["image_quality"]
    assert quality.value == pytest.approx(100 * (FRAMES - 10) / FRAMES)
    assert quality.flags == ("grade_b", "no_gastrocnemius")
    assert "hold the probe along them" in quality.text


def test_cine_that_does_not_reach_the_soleus_deep_edge_is_refused_with_that_reason() -> None:
    found = analyse(without_soleus(scanned()))
    assert set(found) == {"not_measured"}
    finding = found["not_measured"]
    assert finding.kind is FindingKind.NOT_MEASURED
    assert finding.flags == ("no_deep_edge_of_soleus", "grade_c")
    assert "the deep edge of the soleus was not found" in finding.text


def test_calf_unlike_any_that_training_saw_is_refused() -> None:
    found = analyse(replace(scanned(), mm_per_pixel=scanned().mm_per_pixel * 2.5))
    assert found["not_measured"].flags[0] == "lengths_unlike_training"


def test_cine_without_time_is_read_frame_by_frame() -> None:
    series = analyse(scanned(), has_time=False)["joint_angle"].series
    assert series is not None
    assert set(series.time_seconds) == {None}
    assert len(series.smoothed) == FRAMES


def test_both_muscles_are_drawn_between_the_lines_that_were_found() -> None:
    of, keeper = scanned(), MaskKeeper()
    found = analyse(of, keep=keeper)
    kept = keeper.kept()
    assert kept is not None
    assert kept.layout.segments == SEGMENTS
    number, maps = next(iter(kept))
    whole = [kept.layout.in_frame(one) for one in maps]
    column = whole[0].shape[1] // 2
    true = of.pictures[number - 1].lines[:, column - LEFT] + TOP
    edges = [np.flatnonzero(one[:, column])[[0, -1]] for one in whole]
    assert np.array(edges).ravel() == pytest.approx([true[0], true[1], true[1], true[2]], abs=4)
    lines = found["joint_angle"].evidence.lines
    assert [line.label for line in lines] == ["superficial_aponeurosis", "middle_aponeurosis", "deep_aponeurosis"]
    shown = found["joint_angle"].evidence.frames[0]
    column, row = lines[1].points[8]
    assert row == pytest.approx(of.pictures[shown - 1].lines[1][round(column) - LEFT] + TOP, abs=2)


def test_analysis_names_both_models_and_one_cine_asks_no_more_than_they_take() -> None:
    assert MuscleState().models == (SEGMENTATION, MODEL)
    assert MuscleState().frames_per_batch <= min(model.max_batch_size for model in MuscleState().models)
    assert set(ABSOLUTE) < set(analyse(scanned(), uid="2.25.78"))
    assert len(scanned().pictures) == calf_parts.FRAMES


def test_band_of_activity_stays_within_what_can_be_and_beyond_100_percent_says_why() -> None:
    of = replace(scanned(), states=np.where(np.arange(4) == 1, np.linspace(0.0, 1.3, FRAMES)[:, None], scanned().states))
    finding = analyse(of)["activity_gastrocnemius"]
    series = finding.series
    assert series is not None
    assert finding.range == (0, MOST_ACTIVITY_PERCENT)
    assert min(one for one in series.low if one is not None) == 0
    assert max(one for one in series.high if one is not None) == MOST_ACTIVITY_PERCENT
    assert "band_above_100_percent" in finding.flags
    assert any("Activity can exceed 100 %" in said for said in limitations_of([finding]))


def test_band_of_weak_activity_says_nothing_of_more_than_100_percent() -> None:
    of = replace(scanned(), states=np.where(np.arange(4) == 1, 0.3, scanned().states))
    assert "band_above_100_percent" not in analyse(of)["activity_gastrocnemius"].flags


def test_band_of_a_muscle_at_rest_holds_nothing_in_every_frame_however_the_network_errs() -> None:
    at_rest = np.where(np.arange(FRAMES) % 2, 0.0, 0.12)
    of = replace(scanned(), states=np.where(np.arange(4) == 1, at_rest[:, None], scanned().states))
    series = analyse(of)["activity_gastrocnemius"].series
    assert series is not None
    assert set(series.low) == {0.0}
    assert all(course is not None and course < 100 * 0.12**2 for course in series.smoothed)
