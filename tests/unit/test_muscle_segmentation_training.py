"""The segmentation network: shapes, learning at all, and the exported file giving the same maps. Skipped without torch."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is only in the training environment (training/requirements.txt)")

import torch
from torch import nn

from training.exporting import largest_difference
from training.loop import save
from training.muscle_segmentation.augment import augment
from training.muscle_segmentation.evaluate import load_network, predict
from training.muscle_segmentation.export import export_maps, random_pictures
from training.muscle_segmentation.losses import LossWeights, segmentation_loss
from training.muscle_segmentation.model import NETWORKS, ServedSegmentation, number_of_parameters
from training.muscle_segmentation.networks.subpixel_unet import SubPixelUNet
from training.muscle_segmentation.networks.unext import UNeXt
from training.muscle_segmentation.simulated import labelled_frames
from training.muscle_segmentation.teacher import filled_in
from training.muscle_segmentation.train import as_batch, train_step
from training.network_parts import standardised


@pytest.fixture(scope="module")
def batch() -> tuple[Any, Any, Any]:
    """Two simulated frames of one subject."""
    return as_batch(labelled_frames(77, count=2))


def test_network_any_batch_gives_three_maps_of_the_same_size() -> None:
    network = SubPixelUNet(outputs=3, widths=(8, 12, 16, 24)).eval()
    for count in (1, 3):
        assert network(torch.full((count, 1, 256, 256), 60.0)).shape == (count, 3, 256, 256)


@pytest.mark.parametrize("name", sorted(set(NETWORKS) - {"unet-64"}))
def test_network_of_any_name_gives_three_maps_of_the_same_size(name: str) -> None:
    network = NETWORKS[name]().eval()
    with torch.inference_mode():
        assert network(torch.full((1, 1, 64, 96), 60.0)).shape == (1, 3, 64, 96)


def test_cmscnet_has_a_tenth_of_the_reference_parameters() -> None:
    share = number_of_parameters(NETWORKS["cmscnet"]()) / number_of_parameters(NETWORKS["unet-64"]())
    assert share == pytest.approx(0.1, abs=0.005)


def test_unext_maps_are_the_head_and_then_bilinear_interpolation() -> None:
    network, features = UNeXt(outputs=3, widths=(4, 6, 8, 11, 12)).eval(), torch.randn(2, 4, 24, 16)
    with torch.inference_mode():
        wanted = torch.nn.functional.interpolate(network.head(features), scale_factor=2.0, mode="bilinear")
        torch.testing.assert_close(network.maps(features), wanted, rtol=0.0, atol=1e-5)


def test_checkpoint_that_names_no_network_is_the_one_from_before_there_were_several(tmp_path: Path) -> None:
    save({"weights": NETWORKS["subpixel-unet"]().state_dict(), "stages": [{"steps": 900}]}, tmp_path / "last.pt")
    assert isinstance(load_network(tmp_path / "last.pt").network, SubPixelUNet)


def test_standardised_ignores_the_padding() -> None:
    image = torch.zeros(1, 1, 64, 64)
    image[..., 16:48, :] = torch.rand(1, 1, 32, 64) * 100 + 50
    out = standardised(image)
    assert float(out[..., 16:48, :].mean()) == pytest.approx(0.0, abs=1e-4)
    assert float(out[..., 16:48, :].std()) == pytest.approx(1.0, abs=0.02)
    assert float(out[..., :16, :].abs().max()) == 0.0


def test_loss_unlabelled_head_costs_nothing() -> None:
    logits, targets = torch.randn(2, 3, 32, 32), (torch.rand(2, 3, 32, 32) > 0.5).float()
    weights = torch.ones(2, 3, 32, 32)
    weights[:, 1] = 0
    moved = logits.clone()
    moved[:, 1] += 5
    wanted = float(segmentation_loss(logits, targets, weights, LossWeights()))
    assert float(segmentation_loss(moved, targets, weights, LossWeights())) == pytest.approx(wanted)


def test_augment_keeps_labels_on_the_structures(batch: tuple[Any, Any, Any]) -> None:
    image, targets, weights = (torch.cat([part] * 4) for part in batch)
    grey, moved, known = augment(image, targets, weights, torch.Generator().manual_seed(1))
    line = (moved[:, 0] > 0.5) & (grey[:, 0] > 1)
    rest = (moved[:, 0] < 0.1) & (grey[:, 0] > 1)
    assert float(grey[:, 0][line].mean()) > 1.3 * float(grey[:, 0][rest].mean())
    assert set(known.unique().tolist()) <= {0.0, 1.0}


def test_teacher_fills_in_what_has_no_label_and_nothing_else() -> None:
    (frame,) = labelled_frames(78, count=1)
    unlabelled = frame.weights.copy()
    unlabelled[1] = 0
    torch.manual_seed(0)
    teacher = ServedSegmentation(SubPixelUNet(outputs=3, widths=(8, 12, 16, 24))).eval()
    (filled,) = filled_in([replace(frame, weights=unlabelled)], teacher)
    (maps,) = predict(teacher, [frame])
    inside = frame.image > 0
    assert np.array_equal(filled.targets[1][inside], maps[1][inside])
    labelled = unlabelled > 0
    assert np.array_equal(filled.targets[labelled], frame.targets[labelled])
    assert filled.weights[:, inside].all()
    assert not filled.weights[:, ~inside].any()


def test_network_overfits_one_batch(batch: tuple[Any, Any, Any]) -> None:
    torch.manual_seed(0)
    network = SubPixelUNet(outputs=3, widths=(12, 16, 24, 32)).train()
    optimiser = torch.optim.AdamW(network.parameters(), lr=6e-3)
    small = tuple(part[..., 64:192, 64:192].contiguous() for part in batch)
    losses = [train_step(network, optimiser, small, LossWeights()) for _ in range(50)]
    assert losses[-1] < 0.45 * losses[0]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own, of the exporter that writes one plain file
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning", "ignore:Constant folding:UserWarning")  # of group norm, padding
@pytest.mark.parametrize(
    "made", [partial(SubPixelUNet, outputs=3, widths=(8, 12, 16, 24)), partial(UNeXt, outputs=3, widths=(4, 6, 8, 11, 12))]
)
def test_export_gives_the_maps_of_torch(made: Callable[[], nn.Module], tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(0)
    served = ServedSegmentation(made()).eval()
    export_maps(served, tmp_path / "model.onnx")
    capfd.readouterr()
    assert largest_difference(served, tmp_path / "model.onnx", random_pictures()) <= 1
    # A wrong shape in the file makes the runtime warn in every frame, and allocate anew.
    assert "Shape mismatch" not in capfd.readouterr().err


def test_served_maps_are_zero_in_the_padding() -> None:
    served = ServedSegmentation(SubPixelUNet(outputs=3, widths=(8, 12, 16, 24))).eval()
    image = np.zeros((1, 1, 256, 256), np.uint8)
    image[..., 40:200, :] = 90
    masks = served(torch.from_numpy(image))
    assert masks.dtype == torch.uint8
    assert int(masks[..., :40, :].max()) == 0
