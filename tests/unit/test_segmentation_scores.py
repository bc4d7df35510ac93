"""What stands beside a network's scores: answers without a network. Skipped without the training environment."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is only in the training environment (training/requirements.txt)")

from training.muscle_segmentation.evaluate import evaluate_empty, summary
from training.muscle_segmentation.real import Labelled
from training.muscle_segmentation.scores import baselines_of, labelled_angle_deg, labelled_thickness, picture_angle_deg, score
from training.muscle_segmentation.simulated import labelled_frames


@pytest.fixture(scope="module")
def frame() -> Labelled:
    return labelled_frames(77, count=1)[0]


def test_baselines_of_one_frame_are_right_in_it(frame: Labelled) -> None:
    found = score(frame, np.zeros_like(frame.targets), 0, baselines_of([frame]))
    assert found.constant_angle_error_deg == pytest.approx(0)
    assert found.tensor_angle_error_deg == pytest.approx(0)
    assert found.constant_thickness_error_percent == pytest.approx(0)


def test_baselines_are_of_the_labels(frame: Labelled) -> None:
    baselines, angle = baselines_of([frame]), labelled_angle_deg(frame)
    assert angle is not None
    assert baselines.angle_deg == angle
    assert baselines.tensor_offset_deg == pytest.approx(abs(angle) - picture_angle_deg(frame))
    assert baselines.thickness_pixels == labelled_thickness(frame)


def test_maps_of_the_labels_have_the_labelled_thickness_and_empty_ones_are_not_answered(frame: Labelled) -> None:
    baselines = baselines_of([frame])
    right, empty = (score(frame, maps, 0, baselines) for maps in (frame.targets, np.zeros_like(frame.targets)))
    assert right.thickness_error_percent == pytest.approx(0, abs=1)
    assert empty.thickness_error_percent is None
    answered = summary([right, replace(empty, cluster=1)])["thickness_answered"]
    assert isinstance(answered, dict)
    assert answered["value"] == 0.5


def test_share_of_pictures_with_a_belly_has_an_interval(frame: Labelled) -> None:
    found = evaluate_empty(lambda images: images.new_zeros((len(images), 3, 256, 256)), [frame] * 3)
    assert found["share_of_images_with_belly_over_5_percent"] == 0
    assert found["interval"] == [0, pytest.approx(0.7076, abs=1e-3)]
