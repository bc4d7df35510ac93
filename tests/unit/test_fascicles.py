"""Fascicle fragments, and what they come to."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.core.cine import Box, Calibration
from service.core.measure.architecture import FrameArchitecture, Reason, measure_frame
from service.core.measure.plane import scale_of
from service.core.preprocess import model_input, place
from tests.phantoms import CALIBRATED, Muscle


def measured(muscle: Muscle) -> FrameArchitecture:
    rows, columns = muscle.shape
    placement = place(Box(0, 0, columns, rows))
    scale = scale_of(Calibration(muscle.mm_per_pixel_x, muscle.mm_per_pixel_y, CALIBRATED), placement)
    return measure_frame(1, model_input(muscle.draw()[0], placement), muscle.answer(placement), placement, scale)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(
    angle=st.floats(12, 35),
    sense=st.sampled_from([-1, 1]),
    superficial=st.floats(-4, 4),
    deep=st.floats(-4, 4),
    thickness=st.floats(13, 24),
)
def test_architecture_of_a_drawn_muscle_is_that_which_was_drawn(
    angle: float, sense: int, superficial: float, deep: float, thickness: float
) -> None:
    muscle = Muscle(
        fascicle_angle_deg=sense * angle,
        superficial_angle_deg=superficial,
        deep_angle_deg=deep,
        thickness_mm=thickness,
    )
    frame = measured(muscle)
    assert frame.reason is None
    assert frame.thickness == pytest.approx(thickness, abs=0.25)
    assert frame.fascicle_angle_deg == pytest.approx(sense * angle, abs=1.5)
    assert frame.pennation_deg == pytest.approx(muscle.pennation_deg, abs=1.5)
    assert frame.superficial_angle_deg == pytest.approx(superficial, abs=0.3)
    assert frame.deep_angle_deg == pytest.approx(deep, abs=0.3)
    assert frame.fascicle_length == pytest.approx(muscle.fascicle_length_mm, rel=0.15)


@pytest.mark.parametrize(("along_x", "along_y"), [(0.1, 0.1), (0.12, 0.08), (0.08, 0.12)])
def test_architecture_with_unequal_pixel_sides_is_measured_on_the_physical_plane(along_x: float, along_y: float) -> None:
    muscle = Muscle(mm_per_pixel_x=along_x, mm_per_pixel_y=along_y, fascicle_angle_deg=22, deep_angle_deg=-3)
    frame = measured(muscle)
    assert frame.thickness == pytest.approx(18, abs=0.3)
    assert frame.fascicle_angle_deg == pytest.approx(22, abs=1.5)
    assert frame.deep_angle_deg == pytest.approx(-3, abs=0.3)
    assert frame.pennation_deg == pytest.approx(25, abs=1.5)
    assert frame.fascicle_length == pytest.approx(muscle.fascicle_length_mm, rel=0.08)


def test_architecture_of_the_mirrored_muscle_has_the_same_pennation_and_the_opposite_angle() -> None:
    right, left = measured(Muscle(fascicle_angle_deg=18)), measured(Muscle(fascicle_angle_deg=-18))
    assert right.pennation_deg == pytest.approx(left.pennation_deg, abs=0.3)
    assert right.fascicle_angle_deg == pytest.approx(-(left.fascicle_angle_deg or 0), abs=0.3)


def test_fascicles_outside_the_aponeuroses_are_left_out() -> None:
    outside = tuple((share, 1.6) for share in (0.2, 0.5, 0.8))
    frame = measured(Muscle(fragments=outside))
    assert frame.reason is Reason.NO_FASCICLES
    assert frame.pennation_deg is None
    assert frame.thickness is not None


def test_fascicles_that_disagree_are_no_direction() -> None:
    muscle = Muscle(fascicle_angle_deg=20)
    crossing = muscle.changed(fascicle_angle_deg=-20)
    rows, columns = muscle.shape
    placement = place(Box(0, 0, columns, rows))
    scale = scale_of(Calibration(0.1, 0.1, CALIBRATED), placement)
    masks = np.maximum(muscle.answer(placement), crossing.answer(placement))
    image = np.maximum(muscle.draw()[0], crossing.draw()[0])
    frame = measure_frame(1, model_input(image, placement), masks, placement, scale)
    assert frame.reason is Reason.NO_FASCICLES


def test_fascicle_length_says_which_share_of_it_was_not_seen() -> None:
    short, long = measured(Muscle(fragment_mm=6)), measured(Muscle(fragment_mm=14))
    assert short.extrapolated_share is not None
    assert long.extrapolated_share is not None
    assert short.extrapolated_share > long.extrapolated_share
    assert long.extrapolated_share == pytest.approx(1 - 14 / Muscle().fascicle_length_mm, abs=0.06)


def test_muscle_thicker_than_any_gives_no_number() -> None:
    muscle = Muscle(mm_per_pixel_x=0.5, mm_per_pixel_y=0.5, width_mm=225, depth_mm=200, superficial_mm=40, thickness_mm=90)
    frame = measured(muscle)
    assert frame.reason is Reason.IMPLAUSIBLE
    assert frame.thickness is None


def test_echo_intensity_is_the_mean_grey_between_the_aponeuroses() -> None:
    assert measured(Muscle(belly_grey=120, fragment_mm=5)).echo_intensity == pytest.approx(122, abs=3)
