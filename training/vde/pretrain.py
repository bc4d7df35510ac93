"""Training without labels: one loop for the Video Diffusion Encoder and its rivals, resumable, on processor or GPU."""

import copy
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from training.loop import cosine, follow, log, resume, save_parts, set_rate
from training.vde.augment import jitter
from training.vde.data import Cohort
from training.vde.model import Encoder, VdeConfig, VideoDiffusionEncoder
from training.vde.rivals import Jepa, SimClr, VideoMae

Floats = npt.NDArray[np.float32]

METHODS: dict[str, Callable[[VdeConfig], nn.Module]] = {
    "vde": VideoDiffusionEncoder,
    "simclr": SimClr,
    "videomae": VideoMae,
    "jepa": Jepa,
}
#: As reports and model cards say it.
METHOD_NAMES = {
    "vde": "Video Diffusion Encoder",
    "simclr": "SimCLR",
    "videomae": "masked autoencoding (after VideoMAE)",
    "jepa": "latent prediction (after JEPA)",
}
_ENCODED_AT_ONCE = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """How long and how fast; equal for all methods."""

    steps: int = 600
    batch: int = 16
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    warm_up: int = 50
    #: Of the moving average of the weights, which is what is used.
    keep: float = 0.99
    seed: int = 0
    save_every: int = 100


def pretrain(
    method: str, config: VdeConfig, cohort: Cohort, chosen: npt.NDArray[np.bool_], schedule: Schedule, out: Path
) -> Encoder:
    """The encoder after training on the chosen clips alone; goes on from `out`/last.pt where there is one."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(schedule.seed)
    network = METHODS[method](config).to(device)
    average: Encoder = copy.deepcopy(network.encoder)
    average.requires_grad_(requires_grad=False)
    optimiser = torch.optim.AdamW(network.parameters(), lr=schedule.learning_rate, weight_decay=schedule.weight_decay)
    parts = {"network": network, "average": average, "optimiser": optimiser}
    out.mkdir(parents=True, exist_ok=True)
    first = resume(parts, out / "last.pt", device)
    pairs = _Pairs(cohort, chosen)
    begun = time.monotonic()
    for step in range(first, schedule.steps):
        generator = torch.Generator().manual_seed(schedule.seed * 1_000_003 + step)
        source, target = pairs.draw(schedule.batch, np.random.default_rng([schedule.seed, step]))
        set_rate(
            optimiser,
            cosine(step, steps=schedule.steps, peak=schedule.learning_rate, warm_up=schedule.warm_up, floor=0.02),
        )
        optimiser.zero_grad(set_to_none=True)
        loss = network.loss(*(_look(clips, generator, device) for clips in (source, target)), generator)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        follow(average, network.encoder, min(schedule.keep, (1 + step) / (10 + step)))
        if (step + 1) % schedule.save_every == 0 or step + 1 == schedule.steps:
            save_parts(parts, out / "last.pt", step=step + 1)
            log(out, {"step": step + 1, "loss": round(float(loss.detach()), 4), "seconds": round(time.monotonic() - begun)})
    return average


def encode(encoder: nn.Module, clips: npt.NDArray[np.uint8]) -> Floats:
    """Latents (N, latent) of clips (N, T, S, S), without jitter."""
    encoder.eval()
    device = next(encoder.parameters()).device
    with torch.inference_mode():
        parts = [
            encoder(torch.from_numpy(clips[i : i + _ENCODED_AT_ONCE])[:, None].to(device)).cpu()
            for i in range(0, len(clips), _ENCODED_AT_ONCE)
        ]
    return np.asarray(torch.cat(parts).numpy(), np.float32)


class _Pairs:
    """Two windows of one video; a video with a single window gives it twice, and jitter makes the difference."""

    def __init__(self, cohort: Cohort, chosen: npt.NDArray[np.bool_]) -> None:
        self._clips = cohort.clips
        self._videos = [np.flatnonzero(chosen & (cohort.video == video)) for video in np.unique(cohort.video[chosen])]

    def draw(self, batch: int, random: np.random.Generator) -> tuple[Tensor, Tensor]:
        """(B, 1, T, S, S) uint8 each, of different videos where there are enough."""
        picked = random.choice(len(self._videos), batch, replace=batch > len(self._videos))
        pairs = np.array([random.choice(self._videos[i], 2, replace=len(self._videos[i]) < 2) for i in picked])
        return torch.from_numpy(self._clips[pairs[:, 0]])[:, None], torch.from_numpy(self._clips[pairs[:, 1]])[:, None]


def _look(clips: Tensor, generator: torch.Generator, device: torch.device) -> Tensor:
    return jitter(clips, generator).to(device)


def describe(config: VdeConfig, schedule: Schedule) -> dict[str, Any]:
    """What a table says of how its encoders were trained."""
    return {
        "config": asdict(config),
        "schedule": asdict(schedule),
        "parameters": sum(p.numel() for p in Encoder(config).parameters()),
    }
