"""What segmentation networks are chosen by: the share of a constant's error that is gone, over the geometry of a report."""

import numpy as np
import pytest

pytest.importorskip("skimage", reason="scikit-image is only in the training environment (training/requirements.txt)")

from bench.accuracy import Answers
from bench.geometry import Geometry, less, share

TRUE = [10.0, 12.0, 14.0, 20.0]


def _answers(*answered: float) -> Answers:
    groups = ["a", "a", "b", "c"]
    return Answers(answered=list(answered), true=TRUE, groups=groups)


def _geometry(answers: Answers) -> Geometry:
    return Geometry({"pennation_angle": answers}, {"pennation_angle": answers})


def test_share_of_a_constants_error_is_all_of_it_for_the_truth_and_none_without_an_answer() -> None:
    assert share(_answers(*TRUE), "pennation_angle") == pytest.approx(1)
    assert share(_answers(*[np.nan] * 4), "pennation_angle") == pytest.approx(0)
    assert share(_answers(*[13.0] * 4), "pennation_angle") == pytest.approx(0)


def test_share_of_an_answer_that_is_worse_than_a_constant_is_negative() -> None:
    assert share(_answers(30, 30, 30, 30), "pennation_angle") < 0


def test_geometry_counts_real_and_simulated_data_alike() -> None:
    nothing, everything = _answers(*[np.nan] * 4), _answers(*TRUE)
    both = Geometry({"fascicle_angle": nothing, "thickness": everything}, {"thickness": everything})
    assert both.gained() == pytest.approx(0.75)


def test_difference_of_a_network_from_itself_is_none_in_every_draw() -> None:
    geometry = _geometry(_answers(11, 12, np.nan, 18))
    assert less(geometry, geometry) == (0, 0, 0)


def test_difference_of_the_truth_from_a_constant_has_an_interval_above_none() -> None:
    value, low, _ = less(_geometry(_answers(*TRUE)), _geometry(_answers(13, 13, 13, 13)))
    assert value == pytest.approx(1)
    assert low > 0


def test_a_draw_counts_a_group_equally_often_in_all_measurements_of_its_data() -> None:
    nothing = _answers(*[np.nan] * 4)
    halves = {"fascicle_angle": _answers(10, 12, np.nan, np.nan), "pennation_angle": _answers(np.nan, np.nan, 14, 20)}
    one, other = (Geometry(each, {"pennation_angle": nothing}) for each in (halves, dict.fromkeys(halves, nothing)))
    assert less(one, other) == pytest.approx((0.25, 0.25, 0.25))
