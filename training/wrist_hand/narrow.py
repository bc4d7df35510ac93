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
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from training.loop import save_parts
from training.network_parts import Residual
from training.wrist_hand.model import SERVED_NETWORK, shared_trunk
from training.wrist_hand.networks.shared_trunk import WIDE, SharedTrunk
from training.wrist_hand.train import Schedule
from training.wrist_hand.volunteers import SPLITS, load

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
    network, stored = shared_trunk(WIDE), onnx.load(str(path))
    network.eval()
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
    narrow, spread = shared_trunk(), _spread(wide, shown)
    kept = _kept(narrow, wide, spread)
    _take_down(narrow, wide, spread, kept)
    _take_up(narrow, wide, spread, kept)
    _take_heads(narrow, wide, kept)
    _norms_as_shown(narrow, shown)
    return narrow


def _kept(narrow: SharedTrunk, wide: SharedTrunk, spread: dict[nn.Module, Tensor]) -> list[Tensor]:
    """Channels of each level of the trunk; its blocks, the level below and the step up beside it use the same."""
    last, kept = len(wide.down) - 1, []
    for level, down in enumerate(wide.down):
        into = [block.change[0] for block in down if isinstance(block, Residual)]
        into += [wide.down[level + 1][0][0], wide.up[last - 1 - level][0]] if level < last else [wide.beside[0]]
        kept.append(_most(spread[down], into, len(narrow.down[level][0][0].weight)))
    return kept


def _take_down(narrow: SharedTrunk, wide: SharedTrunk, spread: dict[nn.Module, Tensor], kept: list[Tensor]) -> None:
    picture = torch.arange(1)
    for mine, theirs, (before, here) in zip(narrow.down, wide.down, pairwise([picture, *kept]), strict=True):
        _take(mine[0], theirs[0], here, before)
        for block, other in zip(list(mine)[1:], list(theirs)[1:], strict=True):
            inside = _most(spread[other.change[2]], [other.change[3]], len(block.change[0].weight))
            _take(block.change[:2], other.change[:2], inside, here)
            _take(block.change[3:], other.change[3:], here, inside)


def _take_up(narrow: SharedTrunk, wide: SharedTrunk, spread: dict[nn.Module, Tensor], kept: list[Tensor]) -> None:
    above, users = kept[-1], [*wide.beside[1:], wide.structure]
    for number, (mine, theirs, here) in enumerate(zip(narrow.up, wide.up, kept[-2::-1], strict=True)):
        _take([narrow.beside[number]], [wide.beside[number]], here, above)
        above = _most(spread[theirs], [users[number]], len(mine[0].weight))
        _take(mine, theirs, above, here)
    _take([narrow.structure], [wide.structure], torch.arange(len(wide.structure.weight)), above)


def _take_heads(narrow: SharedTrunk, wide: SharedTrunk, kept: list[Tensor]) -> None:
    """Plane and context look at all levels, one behind the other."""
    widths = [0, *np.cumsum([len(down[0][0].weight) for down in wide.down])[:-1].tolist()]
    whole = torch.cat([start + one for start, one in zip(widths, kept, strict=True)])
    _take([narrow.plane[1]], [wide.plane[1]], torch.arange(len(wide.plane[1].weight)), whole)
    _take([narrow.context], [wide.context], kept[-1], whole)


def _norms_as_shown(network: nn.Module, shown: Tensor) -> None:
    """Statistics of the batch norms anew, and the network ready to be trained."""
    norms = [norm for _, norm in _normed(network)]
    usual = norms[0].momentum
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = 1.0
    network.train()
    _show(network, shown)
    for norm in norms:
        norm.momentum = usual


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
    pairs = [pair for one in network.modules() if isinstance(one, nn.Sequential) for pair in pairwise(one)]
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
