"""Transfer: a residual network of single frames that learnt another task first.

Published weights of photographs could not be had, so the pretext is the calf simulator: is this muscle, how thick is it, how
steep and how long are its fascicles? No cohort is touched, so one network serves all folds. A clip's features are mean and
spread over its frames.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from service.core.cine import Box
from service.core.clips import CLIPS_VERSION
from service.core.muscle_strip import Strip, find_strips
from simulator.calf import simulate_calf
from simulator.nuisance import simulate_nuisance
from training.vde.model import VdeConfig, standardise

Floats = npt.NDArray[np.float32]

_SUBJECTS, _MOMENTS, _WITHOUT = 300, 4, 300
_SEEDS = 6_000_000
_STEPS, _BATCH = 1500, 32


class FrameResNet(nn.Module):
    """Frames (B, 1, S, S) in 0 to 255 to features (B, widths[-1]); four stages of two convolutions beside a shortcut."""

    def __init__(self, config: VdeConfig) -> None:
        super().__init__()
        first, *_ = config.widths
        self.stem = nn.Sequential(nn.Conv2d(1, first, 5, 2, 2, bias=False), nn.BatchNorm2d(first), nn.ReLU())
        pairs = zip((first, *config.widths), config.widths, (1, 2, 2, 2), strict=False)
        self.stages = nn.Sequential(*(_Stage(inner, outer, stride) for inner, outer, stride in pairs))

    def forward(self, frames: Tensor) -> Tensor:
        """Pooled over the picture."""
        features: Tensor = self.stages(self.stem(standardise(frames[:, :, None])[:, :, 0])).mean((2, 3))
        return features


class _Stage(nn.Module):
    def __init__(self, inner: int, outer: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inner, outer, 3, stride, 1, bias=False)
        self.first_norm = nn.BatchNorm2d(outer)
        self.second = nn.Conv2d(outer, outer, 3, 1, 1, bias=False)
        self.second_norm = nn.BatchNorm2d(outer)
        self.shortcut = nn.Sequential(nn.Conv2d(inner, outer, 1, stride, bias=False), nn.BatchNorm2d(outer))

    def forward(self, x: Tensor) -> Tensor:
        inside = functional.relu(self.first_norm(self.first(x)))
        return functional.relu(self.second_norm(self.second(inside)) + self.shortcut(x))


def transferred(config: VdeConfig, runs: Path) -> FrameResNet:
    """The network after its pretext, trained once and kept in `runs`."""
    network, kept = FrameResNet(config), runs / f"pretext-{config.size}-clips-{CLIPS_VERSION}.pt"
    if not kept.exists():
        runs.mkdir(parents=True, exist_ok=True)
        _train(network, config)
        torch.save(network.state_dict(), kept)
    network.load_state_dict(torch.load(kept, weights_only=True))
    network.eval()
    return network


def transfer_features(network: FrameResNet, clips: npt.NDArray[np.uint8]) -> Floats:
    """(N, 2 * widths[-1]) of clips (N, T, S, S)."""
    found = []
    with torch.inference_mode():
        for clip in clips:
            features = network(torch.from_numpy(clip)[:, None].float())
            found.append(torch.cat([features.mean(0), features.std(0)]).numpy())
    return np.asarray(found, np.float32)


def _train(network: FrameResNet, config: VdeConfig) -> None:
    frames, targets = _pretext(config.size)
    head = nn.Linear(config.widths[-1], 4)
    optimiser = torch.optim.AdamW([*network.parameters(), *head.parameters()], lr=1e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, _STEPS)
    random = np.random.default_rng(0)
    torch.manual_seed(0)
    for _ in range(_STEPS):
        drawn = random.integers(0, len(frames), _BATCH)
        said = head(network(torch.from_numpy(frames[drawn])[:, None].float()))
        wanted = torch.from_numpy(targets[drawn])
        is_muscle = wanted[:, 0]
        loss = functional.binary_cross_entropy_with_logits(said[:, 0], is_muscle)
        loss = loss + (functional.smooth_l1_loss(said[:, 1:], wanted[:, 1:], reduction="none").mean(1) * is_muscle).mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        schedule.step()


def _pretext(size: int) -> tuple[npt.NDArray[np.uint8], Floats]:
    """Frames (N, S, S), and of each: muscle or not, thickness, pennation and fascicle length, roughly standardised."""
    frames, targets = [], []
    for seed in range(_SEEDS, _SEEDS + _SUBJECTS):
        cine = simulate_calf(seed, mm_per_pixel=0.3)
        truth = cine.truth
        for moment in np.random.default_rng(seed).choice(60, _MOMENTS, replace=False).tolist():
            frames.append(_straightened(cine.make(moment).sector, size))
            known = (truth.thickness_mm[moment] - 18, truth.pennation_deg[moment] - 22, truth.fascicle_length_mm[moment] - 50)
            targets.append((1.0, known[0] / 4, known[1] / 6, known[2] / 15))
    for seed in range(_SEEDS, _SEEDS + _WITHOUT):
        frames.append(_straightened(simulate_nuisance(seed), size))
        targets.append((0.0, 0.0, 0.0, 0.0))
    return np.stack(frames), np.asarray(targets, np.float32)


def _straightened(sector: npt.NDArray[np.uint8], size: int) -> npt.NDArray[np.uint8]:
    """As clips are made; what has no two fasciae is taken whole."""
    height, width = sector.shape
    box = Box(0, 0, width, height)
    whole = Strip(box, np.zeros(size, np.float32), np.full(size, height, np.float32))
    strips = find_strips([sector], box, size) or (whole,)
    return strips[len(strips) // 2].straighten(sector)
