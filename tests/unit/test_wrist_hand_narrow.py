"""A narrow trunk from a wide one: the served file read back, and the channels that matter kept."""

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="torch is only in the training environment (training/requirements.txt)")

import torch
from torch import nn

from training.exporting import export
from training.wrist_hand.model import ServedWristHand, shared_trunk
from training.wrist_hand.narrow import narrowed, wide_trunk
from training.wrist_hand.networks.shared_trunk import NARROW, WIDE, Channels, SharedTrunk
from training.wrist_hand.volunteers import SIZE


@pytest.fixture
def shown() -> torch.Tensor:
    """Four pictures of noise."""
    return torch.randint(0, 255, (4, 1, SIZE, SIZE), generator=torch.manual_seed(0)).float()


def _served(channels: Channels, to: Path, *, only: SharedTrunk | None = None) -> tuple[SharedTrunk, Path]:
    """A network of chance, and its file; with `only` no more channels than that has say anything."""
    network = shared_trunk(channels).eval()
    for one in network.modules():
        if isinstance(one, nn.BatchNorm2d):
            nn.init.uniform_(one.weight, 0.5, 1.5)
            nn.init.uniform_(one.bias, -0.2, 0.5)
    for module, like in zip(network.modules(), only.modules() if only else (), strict=False):
        if isinstance(module, nn.BatchNorm2d | nn.Conv2d) and module.bias is not None:
            module.weight.data[len(like.weight) :] = module.bias.data[len(like.bias) :] = 0
    if only is not None:
        network.context.weight.data[len(only.context.weight) :] = network.context.bias.data[len(only.context.bias) :] = 0
    path = to / "model.onnx"
    export(
        ServedWristHand(network),
        torch.zeros(2, 1, SIZE, SIZE, dtype=torch.uint8),
        path,
        inputs=["image"],
        outputs=["a", "b", "c"],
    )
    return network, path


def test_wide_trunk_of_a_served_file_gives_what_was_exported(tmp_path: Path, shown: torch.Tensor) -> None:
    network, path = _served(WIDE, tmp_path)
    read = wide_trunk(path, shown)
    with torch.inference_mode():
        for mine, theirs in zip(read(shown), network(shown), strict=True):
            torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-3)


def test_narrowed_trunk_keeps_the_channels_that_say_something(tmp_path: Path, shown: torch.Tensor) -> None:
    network, path = _served(WIDE, tmp_path, only=shared_trunk())
    narrow = narrowed(wide_trunk(path, shown), shown).eval()
    with torch.inference_mode():
        for mine, theirs in zip(narrow(shown), network(shown), strict=True):
            torch.testing.assert_close(mine, theirs, rtol=2e-3, atol=2e-3)


def test_narrowed_trunk_leaves_out_channels_that_vary_and_are_not_used(shown: torch.Tensor) -> None:
    wide = shared_trunk(WIDE).eval()
    unused = len(wide.structure.weight[0]) - len(shared_trunk().structure.weight[0])
    wide.up[-1][1].weight.data[:unused] = 10.0
    wide.structure.weight.data[:, :unused] = 0.0
    assert torch.equal(narrowed(wide, shown).structure.weight, wide.structure.weight[:, unused:])


def test_narrowing_a_file_of_another_network_says_so(tmp_path: Path, shown: torch.Tensor) -> None:
    _, path = _served(NARROW, tmp_path)
    with pytest.raises(SystemExit, match="not of a wide trunk"):
        wide_trunk(path, shown)
