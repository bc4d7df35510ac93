"""What every training loop has: a rate that rises and falls, averaged weights, checkpoints that are never half, a log."""

import json
import math
from pathlib import Path
from typing import Any

import torch
from torch import nn


def cosine(step: int, *, steps: int, peak: float, warm_up: int, floor: float) -> float:
    """Learning rate of a step, counted from 0: straight up to `peak`, then half a cosine down to `floor` of it."""
    if step < warm_up:
        return peak * (step + 1) / warm_up
    done = (step - warm_up) / max(1, steps - warm_up)
    return peak * (floor + (1 - floor) * (0.5 + 0.5 * math.cos(math.pi * done)))


def set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Of all parameters."""
    for group in optimiser.param_groups:
        group["lr"] = rate


def follow(average: nn.Module, network: nn.Module, keep: float) -> None:
    """Exponential moving average of the weights and of the norms' statistics."""
    with torch.no_grad():
        for mine, theirs in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
            if mine.dtype.is_floating_point:
                mine.lerp_(theirs, 1 - keep)
            else:
                mine.copy_(theirs)


def save(state: dict[str, Any], path: Path) -> None:
    """Written aside and renamed, so that a reader never sees half a file."""
    aside = path.with_suffix(".writing")
    torch.save(state, aside)
    aside.replace(path)


def save_parts(parts: dict[str, Any], path: Path, **more: Any) -> None:  # noqa: ANN401 - whatever a checkpoint tells
    """The state of networks and optimiser, and what else a checkpoint tells."""
    save({name: part.state_dict() for name, part in parts.items()} | more, path)


def resume(parts: dict[str, Any], path: Path, device: torch.device | None = None) -> int:
    """Put the parts back as they were saved, where they were; gives the number of steps done."""
    if not path.exists():
        return 0
    stored = torch.load(path, map_location=device, weights_only=True)
    for name, part in parts.items():
        part.load_state_dict(stored[name])
    return int(stored["step"])


def log(out: Path, record: dict[str, Any]) -> None:
    """A line of JSON to be seen, and kept in `out`/log.jsonl."""
    print(json.dumps({"run": out.name, **record}), flush=True)
    with (out / "log.jsonl").open("a") as lines:
        lines.write(json.dumps(record) + "\n")
