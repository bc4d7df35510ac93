"""Lines of the aponeurosis map, and the two of them that bound the muscle."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.cine import Box, Pixels
from service.core.measure.aponeuroses import find_aponeuroses, trace_lines
from service.core.measure.plane import Scale, crossings, fit_curve
from service.core.preprocess import place
from tests.phantoms import Muscle

PLACEMENT = place(Box(0, 0, 256, 256))
UNIT = Scale(1.0, 1.0, "mm")


def line(top: float, bottom: float, *, tilt: float = 0.0, start: int = 0, end: int = 256, grey: int = 255) -> Pixels:
    """A band between two depths at the middle column, edges sub-pixel by coverage."""
    rows, columns = np.arange(256)[:, None], np.arange(256)[None]
    shift = tilt * (columns - 127.5)
    covered = np.clip(np.minimum(rows + 0.5, bottom + shift) - np.maximum(rows - 0.5, top + shift), 0, 1)
    band: Pixels = np.round(grey * covered * ((columns >= start) & (columns < end))).astype(np.uint8)
    return band


def fascicles(top: int, bottom: int) -> Pixels:
    mask = np.zeros((256, 256), np.uint8)
    mask[top:bottom:6, 40:200] = 200
    return mask


@given(top=st.floats(20, 60), gap=st.floats(30, 150), tilt=st.floats(-0.2, 0.2))
def test_aponeuroses_of_two_bands_are_their_inner_edges_within_half_a_pixel(top: float, gap: float, tilt: float) -> None:
    mask = line(top, top + 5, tilt=tilt) | line(top + 5 + gap, top + 10 + gap, tilt=-tilt)
    found = find_aponeuroses(mask, fascicles(100, 110), PLACEMENT, UNIT)
    if gap - 256 * abs(tilt) < 25:  # the bands come near one another
        return
    assert found is not None
    x = np.array([64.0, 128.0, 192.0])
    assert found.superficial.at(x) == pytest.approx(top + 5 + tilt * (x - 127.5), abs=0.5)
    assert found.deep.at(x) == pytest.approx(top + 5 + gap - tilt * (x - 127.5), abs=0.5)


def test_aponeuroses_angle_is_positive_where_they_rise_to_the_right() -> None:
    mask = line(40, 45, tilt=-0.1) | line(140, 145, tilt=0.1)
    found = find_aponeuroses(mask, fascicles(70, 120), PLACEMENT, UNIT)
    assert found is not None
    assert found.superficial.mean_angle_deg() == pytest.approx(np.degrees(np.arctan(0.1)), abs=0.1)
    assert found.deep.mean_angle_deg() == pytest.approx(-np.degrees(np.arctan(0.1)), abs=0.1)


def test_aponeuroses_with_a_third_line_below_take_the_two_with_fascicles_between() -> None:
    mask = line(30, 35) | line(110, 115) | line(200, 205)
    upper = find_aponeuroses(mask, fascicles(50, 100), PLACEMENT, UNIT)
    lower = find_aponeuroses(mask, fascicles(130, 190), PLACEMENT, UNIT)
    assert upper is not None
    assert lower is not None
    assert (upper.superficial.a, upper.deep.a) == pytest.approx((35, 110), abs=0.4)
    assert (lower.superficial.a, lower.deep.a) == pytest.approx((115, 200), abs=0.4)
    assert upper.lines == 3


def test_aponeuroses_with_a_double_superficial_line_take_the_one_beside_the_muscle() -> None:
    mask = line(30, 34) | line(40, 44) | line(140, 145)
    found = find_aponeuroses(mask, fascicles(60, 120), PLACEMENT, UNIT)
    assert found is not None
    assert found.superficial.a == pytest.approx(44, abs=0.4)


def test_aponeuroses_of_a_broken_line_join_its_pieces() -> None:
    mask = line(40, 45, tilt=0.05, end=90) | line(40, 45, tilt=0.05, start=140) | line(150, 155)
    traces = trace_lines(mask, PLACEMENT)
    assert len(traces) == 2
    assert traces[0].share == pytest.approx((90 + 116) / 256, abs=0.02)


def test_aponeuroses_with_a_stray_spot_keep_their_course() -> None:
    mask = line(40, 45) | line(150, 155) | line(46, 60, start=100, end=106)
    found = find_aponeuroses(mask, fascicles(70, 130), PLACEMENT, UNIT)
    assert found is not None
    assert found.superficial.at([128.0]) == pytest.approx(45, abs=0.4)


@pytest.mark.parametrize(
    "mask",
    [
        np.zeros((256, 256), np.uint8),
        line(100, 105),
        line(40, 45, end=80) | line(150, 155, end=80),
        np.full((256, 256), 255, np.uint8),
        line(40, 45, grey=60) | line(150, 155, grey=60),
    ],
    ids=["empty", "one line", "too short", "full", "too faint"],
)
def test_aponeuroses_without_two_lines_are_none(mask: Pixels) -> None:
    assert find_aponeuroses(mask, fascicles(60, 120), PLACEMENT, UNIT) is None


def test_aponeuroses_of_a_curved_line_follow_it() -> None:
    columns = np.arange(256)
    depth = 60 + 12 * ((columns - 128) / 128) ** 2
    rows = np.arange(256)[:, None]
    mask = np.where((rows > depth - 4) & (rows < depth), 255, 0).astype(np.uint8) | line(170, 175)
    found = find_aponeuroses(mask, fascicles(90, 150), PLACEMENT, UNIT)
    assert found is not None
    assert found.superficial.at(columns[10:-10]) == pytest.approx(depth[10:-10], abs=1.0)


def test_curve_beyond_its_trace_goes_on_at_its_mean_slope() -> None:
    x = np.arange(0.0, 100.0)
    curve = fit_curve(x, 0.3 * x + 0.01 * (x - 50) ** 2)
    assert curve.slope([curve.end + 1, curve.end + 80]) == pytest.approx(0.3, abs=0.02)
    assert curve.at(curve.end + 10) == pytest.approx(float(curve.at(curve.end)) + 3, abs=0.2)


@given(slope=st.floats(0.35, 1.0), sense=st.sampled_from([-1, 1]), x=st.floats(-30, 130))
def test_crossings_lie_on_the_curve_and_on_the_line(slope: float, sense: int, x: float) -> None:
    along = np.arange(0.0, 100.0)
    curve = fit_curve(along, 40 + 0.002 * (along - 50) ** 2)
    found = crossings(curve, np.array([x]), np.array([20.0]), np.array([sense * slope]))
    assert curve.at(found) == pytest.approx(20 + sense * slope * (found - x), abs=0.02)


def test_phantom_answers_at_model_size() -> None:
    assert Muscle().answer().shape == (3, 256, 256)
