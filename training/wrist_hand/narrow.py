"""A trunk of fewer channels from a wide one: `python -m training.wrist_hand.narrow --data DIR --model ONNX --out RUN`.

Of each group of channels those are kept whose variance, times the squared weights with which convolutions use them, is greatest;
they are trained on with `training.wrist_hand.train --start-from RUN`. The wide trunk is read from a served file: its batch norms,
which the exporter made part of the convolutions, are made anew from what they see of training pictures.
"""

import argparse
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from training.loop import save_parts
from training.network_parts import Residual
from training.wrist_hand.model import NETWORKS, SERVED_NETWORK
from training.wrist_hand.networks.shared_trunk import SharedTrunk
from training.wrist_hand.train import Schedule
from training.wrist_hand.volunteers import SPLITS, load

WIDE_NETWORK = "wide-trunk"
#: Training pictures that channels are judged by.
_SHOWN = 256


def main() -> None:
    """Read, narrow, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="where training.wrist_hand.volunteers left its pictures")
    parser.add_argument("--model", type=Path, required=True, help="served file of a wide trunk")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run")
    arguments = parser.parse_args()
    images = load(SPLITS["train"], arguments.data).image
    chosen = np.linspace(0, len(images) - 1, _SHOWN).astype(np.int64)
    shown = torch.from_numpy(images[chosen])[:, None].float()
    narrow = narrowed(wide_trunk(arguments.model, shown), shown)
    arguments.out.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256(arguments.model.read_bytes()).hexdigest()
    origin = Schedule(network=SERVED_NETWORK, steps=0, narrowed_from=digest)
    save_parts({"average": narrow}, arguments.out / "last.pt", step=0, schedule=asdict(origin))


def wide_trunk(path: Path, shown: Tensor) -> SharedTrunk:
    """The network of a served file; `shown` (N, 1, S, S) are the pictures from which its batch norms are made."""
    network, stored = _trunk(WIDE_NETWORK), onnx.load(str(path))
    weights = {one.name: torch.from_numpy(numpy_helper.to_array(one).copy()) for one in stored.graph.initializer}
    nodes = [node for node in stored.graph.node if node.op_type == "Conv"]
    biases: dict[nn.Module, Tensor] = {}
    for convolution, node in zip(_convolutions_as_run(network, shown[:1]), nodes, strict=True):
        weight, bias = (weights[name] for name in node.input[1:3])
        if weight.shape != convolution.weight.shape:
            raise SystemExit(f"{path} is not of a wide trunk: {node.name} has weights of {tuple(weight.shape)}.")
        convolution.weight.data = weight
        if convolution.bias is not None:
            convolution.bias.data = bias
        biases[convolution] = bias
    for name, parameter in network.named_parameters():
        if name.startswith(("plane.", "context.")):
            parameter.data = weights[f"network.{name}"]
    hooks = [
        norm.register_forward_pre_hook(partial(_made_as_seen, bias=biases[convolution])) for convolution, norm in _normed(network)
    ]
    _show(network, shown)
    for hook in hooks:
        hook.remove()
    return network


def narrowed(wide: SharedTrunk, shown: Tensor) -> SharedTrunk:
    """The served network with the channels of `wide` that matter most to pictures `shown` (N, 1, S, S)."""
    narrow, spread = _trunk(SERVED_NETWORK), _spread(wide, shown)
    last = len(wide.down) - 1
    kept: list[Tensor] = []
    for level, down in enumerate(wide.down):
        blocks = [block for block in down if isinstance(block, Residual)]
        into = [block.change[0] for block in blocks]
        into += [wide.down[level + 1][0][0], wide.up[last - 1 - level][0]] if level < last else [wide.beside[0]]
        kept.append(_most(spread[down], into, len(narrow.down[level][0][0].weight)))
    for level, (down, theirs) in enumerate(zip(narrow.down, wide.down, strict=True)):
        here, before = kept[level], kept[level - 1] if level else torch.arange(1)
        _take(down[0], theirs[0], here, before)
        for mine, block in zip(list(down)[1:], list(theirs)[1:], strict=True):
            inside = _most(spread[block.change[2]], [block.change[3]], len(mine.change[0].weight))
            _take(mine.change[:2], block.change[:2], inside, here)
            _take(mine.change[3:], block.change[3:], here, inside)
    above = kept[last]
    for number, (mine, theirs) in enumerate(zip(narrow.up, wide.up, strict=True)):
        here = kept[last - 1 - number]
        _take([narrow.beside[number]], [wide.beside[number]], here, above)
        into = [wide.beside[number + 1] if number + 1 < len(wide.up) else wide.structure]
        above = _most(spread[theirs], into, len(mine[0].weight))
        _take(mine, theirs, above, here)
    _take([narrow.structure], [wide.structure], torch.arange(len(wide.structure.weight)), above)
    widths = [0, *np.cumsum([len(down[0][0].weight) for down in wide.down])[:-1].tolist()]
    whole = torch.cat([start + one for start, one in zip(widths, kept, strict=True)])
    _take([narrow.plane[1]], [wide.plane[1]], torch.arange(len(wide.plane[1].weight)), whole)
    _take([narrow.context], [wide.context], kept[last], whole)
    for _, norm in _normed(narrow):
        norm.reset_running_stats()
        norm.momentum = 1.0
    narrow.train()
    _show(narrow, shown)
    for _, norm in _normed(narrow):
        norm.momentum = 0.1
    return narrow


def _trunk(name: str) -> SharedTrunk:
    network = NETWORKS[name]().eval()
    assert isinstance(network, SharedTrunk)  # noqa: S101 - for the type checker: both are
    return network


def _show(network: nn.Module, shown: Tensor) -> None:
    with torch.no_grad():
        network(shown)


def _convolutions_as_run(network: nn.Module, shown: Tensor) -> list[nn.Conv2d]:
    found: list[nn.Conv2d] = []
    hooks = [
        one.register_forward_pre_hook(lambda module, _: found.append(module))
        for one in network.modules()
        if isinstance(one, nn.Conv2d)
    ]
    _show(network, shown)
    for hook in hooks:
        hook.remove()
    return found


def _normed(network: nn.Module) -> list[tuple[nn.Conv2d, nn.BatchNorm2d]]:
    """Each convolution that a batch norm follows, and this."""
    pairs = [
        pair for one in network.modules() if isinstance(one, nn.Sequential) for pair in zip(one, list(one)[1:], strict=False)
    ]
    return [(a, b) for a, b in pairs if isinstance(a, nn.Conv2d) and isinstance(b, nn.BatchNorm2d)]


def _made_as_seen(norm: nn.BatchNorm2d, seen: tuple[Tensor], *, bias: Tensor) -> None:
    """Adds `bias` and changes nothing else; its statistics are those of what it sees now."""
    variance, mean = torch.var_mean(seen[0], (0, 2, 3), correction=0)
    norm.running_mean, norm.running_var = mean, variance
    norm.weight.data, norm.bias.data = (variance + norm.eps).sqrt(), bias + mean


def _spread(wide: SharedTrunk, shown: Tensor) -> dict[nn.Module, Tensor]:
    """Variance of each channel that leaves a level of the trunk, the first half of a residual block, or a step up."""
    found: dict[nn.Module, Tensor] = {}

    def keep(module: nn.Module, _: tuple[Tensor, ...], left: Tensor) -> None:
        found[module] = left.var((0, 2, 3))

    inside = [one.change[2] for one in wide.modules() if isinstance(one, Residual)]
    hooks = [one.register_forward_hook(keep) for one in (*wide.down, *wide.up, *inside)]
    _show(wide, shown)
    for hook in hooks:
        hook.remove()
    return found


def _most(spread: Tensor, into: Sequence[nn.Conv2d], count: int) -> Tensor:
    """Indices, in order, of the `count` channels that add most to the variance of what the convolutions `into` give."""
    weights = sum((one.weight.detach().square().sum((0, 2, 3)) for one in into), torch.zeros_like(spread))
    return torch.argsort(spread * weights, descending=True)[:count].sort().values


def _take(mine: Iterable[nn.Module], theirs: Iterable[nn.Module], outputs: Tensor, inputs: Tensor) -> None:
    """Weights of a layer, and of the batch norm behind it, for so many of its outputs and inputs."""
    for one, other in zip(mine, theirs, strict=True):
        for name, parameter in other.named_parameters():
            chosen = parameter.detach()[outputs]
            one.get_parameter(name).data = (chosen[:, inputs] if chosen.dim() > 1 else chosen).clone()


if __name__ == "__main__":
    main()
