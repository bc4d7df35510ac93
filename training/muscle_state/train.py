"""Training of a network of states on some people's frames; goes on where it stopped."""

import copy
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from training.loop import cosine, follow, log, resume, save_parts, set_rate
from training.muscle_state.frames import Frames
from training.muscle_state.model import NETWORKS, ResNet18, StateNetwork
from training.muscle_state.scores import NINETY_PERCENT, Values

Network = StateNetwork | ResNet18

_ASKED_AT_ONCE = 256
#: Of the variance of all people: nobody is so steady as to count without bound.
_STEADY = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """What a run is made of."""

    network: str = "states"
    steps: int = 1200
    batch: int = 64
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    warm_up: int = 50
    #: Of the moving average.
    keep: float = 0.99
    save_every: int = 200
    seed: int = 0
    in_bfloat16: bool = False


@dataclass(frozen=True, slots=True)
class Answers:
    """Of N frames, in the states' units, each (N, S)."""

    mean: Values
    deviation: Values


def train(
    frames: Frames, schedule: Schedule, out: Path, *, begin_with: Network | None = None, stop_at: int | None = None
) -> Network:
    """The moving average after all steps, or after `stop_at`; goes on from `out`/last.pt where there is one.

    `begin_with` is a network that others' frames taught; what standardises its lengths and states is kept.
    """
    torch.manual_seed(schedule.seed)
    if begin_with is None:
        network = NETWORKS[schedule.network]()
        network.head.fit(torch.from_numpy(frames.scalars), torch.from_numpy(frames.targets))
    else:
        network = copy.deepcopy(begin_with)
    network.train()
    average = copy.deepcopy(network)
    optimiser = torch.optim.AdamW(network.parameters(), lr=schedule.learning_rate, weight_decay=schedule.weight_decay)
    parts = {"network": network, "average": average, "optimiser": optimiser}
    weights = weights_of(frames)
    out.mkdir(parents=True, exist_ok=True)
    first, begun, losses = resume(parts, out / "last.pt"), time.monotonic(), []
    last = min(schedule.steps, stop_at or schedule.steps)
    for step in range(first, last):
        # What a layer drops is drawn from torch's own state: set in every step, a stop changes nothing.
        generator = torch.manual_seed(schedule.seed * 1_000_003 + step)
        chosen = np.random.default_rng([schedule.seed, step]).choice(len(frames.person), schedule.batch)
        set_rate(
            optimiser,
            cosine(step, steps=schedule.steps, peak=schedule.learning_rate, warm_up=schedule.warm_up, floor=0.01),
        )
        some, counts = frames.where(chosen), weights[chosen]
        losses.append(train_step(network, optimiser, some, counts, generator, in_bfloat16=schedule.in_bfloat16))
        follow(average, network, min(schedule.keep, (1 + step) / (10 + step)))
        if (step + 1) % schedule.save_every == 0 or step + 1 == last:
            save_parts(parts, out / "last.pt", step=step + 1, schedule=asdict(schedule))
            recent = losses[-schedule.save_every :]
            seconds = round(time.monotonic() - begun)
            log(out, {"step": step + 1, "loss": round(sum(recent) / len(recent), 4), "seconds": seconds})
    average.eval()
    return average


def weights_of(frames: Frames) -> npt.NDArray[np.float32]:
    """(N, S): how much the squared error of each frame and state counts, 1 on average.

    R2 is of each person, and so is the loss: somebody whose states hardly vary counts as much as somebody whose states vary much.
    """
    of_all = frames.targets.var(0)
    weights = np.empty_like(frames.targets)
    for seed in np.unique(frames.person):
        own = frames.person == seed
        weights[own] = of_all / (frames.targets[own].var(0) + _STEADY * of_all)
    return np.asarray(weights / weights.mean(0), np.float32)


def train_step(
    network: Network,
    optimiser: torch.optim.Optimizer,
    frames: Frames,
    weights: npt.NDArray[np.float32],
    generator: torch.Generator,
    *,
    in_bfloat16: bool = False,
) -> float:
    """One step on these frames; gives the loss.

    Weighted squares teach the means, and the negative log likelihood of a normal distribution the variances alone.
    """
    patches = seen_by_another_scanner(torch.from_numpy(frames.patches).float(), generator)
    wanted = network.head.standardised(torch.from_numpy(frames.targets))
    optimiser.zero_grad(set_to_none=True)
    with torch.autocast("cpu", torch.bfloat16, enabled=in_bfloat16):
        said = network(patches.contiguous(memory_format=torch.channels_last), torch.from_numpy(frames.scalars))
    mean, log_variance = said[0].float(), said[1].float()
    squares = (torch.from_numpy(weights) * (wanted - mean).square()).mean()
    loss = squares + functional.gaussian_nll_loss(mean.detach(), wanted, log_variance.exp())
    loss.backward()
    nn.utils.clip_grad_norm_(network.parameters(), 2.0)
    optimiser.step()
    return float(loss.detach())


def seen_by_another_scanner(patches: Tensor, generator: torch.Generator) -> Tensor:
    """(B, 2, H, W), 0 to 255: mirrored or not, another gain, gamma and compensation of depth, columns without contact.

    Nothing is scaled, shifted or turned: absolute geometry is what tells of states.
    """
    count, _, rows, columns = patches.shape

    def draw(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand((count, *shape), generator=generator)

    is_mirrored = (draw(0, 1) < 0.5).view(-1, 1, 1, 1)
    seen = torch.where(is_mirrored, patches.flip(3), patches) / 255
    seen = seen ** draw(0.7, 1.4, 1, 1, 1) * draw(0.8, 1.25, 1, 1, 1)
    seen = seen * (1 + draw(-0.3, 0.3, 2, 1, 1) * torch.linspace(-1, 1, rows).view(1, 1, -1, 1))
    start, width = draw(0, 1, 1) * columns, draw(0, 0.15, 1) * columns * (draw(0, 1, 1) < 0.3)
    place = torch.arange(columns)
    is_lost = (place >= start) & (place < start + width)
    return torch.where(is_lost[:, None, None], 0.1 * seen, seen).clamp(0, 1) * 255


def ask(network: Network, frames: Frames) -> Answers:
    """In evaluation, the picture as it is."""
    network.eval()
    means, deviations = [], []
    with torch.inference_mode():
        for start in range(0, len(frames.person), _ASKED_AT_ONCE):
            some = slice(start, start + _ASKED_AT_ONCE)
            patches = torch.from_numpy(frames.patches[some]).float()
            answer = network.head.in_units(*network(patches, torch.from_numpy(frames.scalars[some])))
            means.append(answer[0].double().numpy())
            deviations.append(answer[1].double().numpy())
    return Answers(np.concatenate(means), np.concatenate(deviations))


def widening(truth: Values, answers: Answers) -> Values:
    """By how much deviations (S,) must grow so that 90 % of the truths (N, S) of people not trained on lie in their intervals.

    People differ more than the frames of those that a network knows, so its own variance is too small for a stranger.
    """
    away = np.abs(truth - answers.mean) / answers.deviation
    return np.asarray(np.quantile(away, 0.9, axis=0) / NINETY_PERCENT)


def load_network(run: Path) -> tuple[Network, Schedule]:
    """The trained network of a run, ready to be asked, and what it was made of."""
    stored = torch.load(run / "last.pt", weights_only=True)
    schedule = Schedule(**stored["schedule"])
    network = NETWORKS[schedule.network]()
    network.load_state_dict(stored["average"])
    return network.eval(), schedule
