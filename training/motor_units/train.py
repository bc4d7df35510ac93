"""Train one of the two networks: `python -m training.motor_units.train maps --out RUN`; resumable.

Muscles are made as they are needed: for maps that is quicker than a step. For trains it is not, and their traces are kept, which
are small.
"""

import argparse
import copy
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from service.core.measure.motor_trains import traces
from simulator.motor_units import MOTOR_UNITS_VERSION
from training.loop import cosine, follow, log, resume, save_parts, set_rate
from training.motor_units.losses import map_loss, train_loss
from training.motor_units.model import MotorUnitMaps, TwitchTrains
from training.motor_units.sequences import TRAIN, training_sequence
from training.motor_units.targets import jittered, map_targets, train_targets

#: Of each muscle in a step of trains; and how many territories a segmentation might have found of each unit.
_UNITS_OF_A_MUSCLE = 16
_FINDINGS = 3


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long and how fast."""

    network: str
    steps: int = 7500  # 4 x 7,500 is ten times the 3,000 muscles
    batch: int = 4  # muscles
    learning_rate: float = 1e-3
    warm_up: int = 100
    weight_decay: float = 1e-3
    keep: float = 0.998
    seed: int = 20261122
    save_every: int = 50
    in_bfloat16: bool = False


#: Of a network, seeds of muscles and random numbers: the parts of the loss.
Losses = Callable[[nn.Module, list[int], np.random.Generator], dict[str, Tensor]]


@dataclass(frozen=True, slots=True)
class Trains:
    """What the second network learns from a muscle of N units, in half precision: all 3,000 muscles are 2 GB."""

    given: npt.NDArray[np.float16]  # (N, findings, 9, T), scaled to 1 in root mean square
    twitch: npt.NDArray[np.float16]  # (N, T), scaled to 1 at its largest
    spikes: npt.NDArray[np.float16]  # (N, T)


def main() -> None:
    """Read the arguments and train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("network", choices=sorted(NETWORKS))
    parser.add_argument("--out", type=Path, required=True, help="folder of the run: log, checkpoint")
    parser.add_argument("--steps", type=int, default=Schedule("maps").steps)
    parser.add_argument("--batch", type=int, default=Schedule("maps").batch, help="muscles a step")
    parser.add_argument("--stop-at", type=int, help="end the schedule early, at this step")
    parser.add_argument("--bfloat16", action="store_true", help="convolutions in bfloat16, losses in float32")
    arguments = parser.parse_args()
    schedule = Schedule(arguments.network, arguments.steps, arguments.batch, in_bfloat16=arguments.bfloat16)
    train(schedule, arguments.out, stop_at=arguments.stop_at)


def train(schedule: Schedule, out: Path, *, stop_at: int | None = None) -> nn.Module:
    """The moving average after all steps, or after `stop_at`; goes on from `out`/last.pt where there is one."""
    torch.manual_seed(schedule.seed)
    make, losses_of = NETWORKS[schedule.network]
    network = make().train()
    average = copy.deepcopy(network)
    optimiser = torch.optim.AdamW(network.parameters(), lr=schedule.learning_rate, weight_decay=schedule.weight_decay)
    parts = {"network": network, "average": average, "optimiser": optimiser}
    out.mkdir(parents=True, exist_ok=True)
    last = min(schedule.steps, stop_at or schedule.steps)
    begun, recent = time.monotonic(), []
    for step in range(resume(parts, out / "last.pt"), last):
        random = np.random.default_rng([schedule.seed, step])
        seeds = [int(seed) for seed in random.choice(TRAIN, schedule.batch, replace=False)]
        set_rate(optimiser, cosine(step, steps=schedule.steps, peak=schedule.learning_rate, warm_up=schedule.warm_up, floor=0.01))
        with torch.autocast("cpu", torch.bfloat16, enabled=schedule.in_bfloat16):
            losses = losses_of(network, seeds, random)
        recent.append(train_step(network, optimiser, losses))
        follow(average, network, min(schedule.keep, (1 + step) / (10 + step)))
        if (step + 1) % schedule.save_every == 0 or step + 1 == last:
            save_parts(parts, out / "last.pt", step=step + 1, schedule=asdict(schedule), simulator=MOTOR_UNITS_VERSION)
            means = {name: round(sum(one[name] for one in recent) / len(recent), 4) for name in recent[0]}
            log(out, {"step": step + 1, **means, "seconds": round(time.monotonic() - begun)})
            recent = []
    return average


def train_step(network: nn.Module, optimiser: torch.optim.Optimizer, losses: dict[str, Tensor]) -> dict[str, float]:
    """One step; gives the parts of the loss."""
    optimiser.zero_grad(set_to_none=True)
    torch.stack(list(losses.values())).sum().backward()
    nn.utils.clip_grad_norm_(network.parameters(), 2.0)
    optimiser.step()
    return {name: float(part.detach()) for name, part in losses.items()}


def maps_losses(network: nn.Module, seeds: list[int], random: np.random.Generator) -> dict[str, Tensor]:
    """Of the first network, on whole sequences."""
    muscles = [training_sequence(seed) for seed in seeds]
    velocity = np.stack([muscle.velocity for muscle in muscles])[:, None]
    wanted = [map_targets(muscle.units) for muscle in muscles]
    del random  # every muscle is new, so there is nothing to vary
    return map_loss(network(torch.from_numpy(velocity)), wanted)


def trains_losses(network: nn.Module, seeds: list[int], random: np.random.Generator) -> dict[str, Tensor]:
    """Of the second network: some units of each muscle, each by one of the territories that might have been found."""
    given, wanted, spikes = [], [], []
    for muscle in map(trains_of, seeds):
        chosen = random.permutation(len(muscle.given))[:_UNITS_OF_A_MUSCLE]
        given.append(muscle.given[chosen, random.integers(_FINDINGS, size=len(chosen))])
        wanted.append(muscle.twitch[chosen])
        spikes.append(muscle.spikes[chosen])
    traced, twitches, at = (torch.from_numpy(np.concatenate(parts)).float() for parts in (given, wanted, spikes))
    twitch, discharge = network(traced)
    return train_loss(twitch, discharge, twitches, at)


@cache
def trains_of(seed: int) -> Trains:
    """Of the muscle of a seed."""
    muscle = training_sequence(seed)
    random = np.random.default_rng([seed, 70])
    given, wanted, spikes = [], [], []
    for unit in muscle.units:
        found = [traces(muscle.velocity, jittered(unit.mask, random)) for _ in range(_FINDINGS)]
        given.append([one / np.sqrt(np.square(one).mean()) for one in found])
        twitch, discharges = train_targets(unit, len(muscle.velocity))
        wanted.append(twitch / np.abs(twitch).max())
        spikes.append(discharges)
    return Trains(*(np.asarray(values, np.float16) for values in (given, wanted, spikes)))


def load_network(run: Path) -> tuple[nn.Module, Schedule]:
    """The averaged network of a run, ready to be asked. Raises ValueError where it was trained on another simulator."""
    stored: dict[str, Any] = torch.load(run / "last.pt", weights_only=True)
    if stored["simulator"] != MOTOR_UNITS_VERSION:
        raise ValueError(f"{run} was trained on simulator {stored['simulator']}; this is {MOTOR_UNITS_VERSION}: train anew")
    schedule = Schedule(**stored["schedule"])
    network = NETWORKS[schedule.network][0]()
    network.load_state_dict(stored["average"])
    return network.eval(), schedule


def steps_done(run: Path) -> int:
    """How far a run came: fewer than its schedule has where it was stopped early."""
    return int(torch.load(run / "last.pt", weights_only=True)["step"])


NETWORKS: dict[str, tuple[Callable[[], nn.Module], Losses]] = {
    "maps": (MotorUnitMaps, maps_losses),
    "trains": (TwitchTrains, trains_losses),
}


if __name__ == "__main__":
    main()
