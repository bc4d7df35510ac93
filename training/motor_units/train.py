"""Train one of the two networks: `python -m training.motor_units.train maps --out RUN`; resumable.

For maps muscles are made as they are needed, which is quicker than a step. For trains it is not: theirs are made first, and
the traces in them kept, which are small. The first network has to be in the model repository then.
"""

import argparse
import copy
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from simulator.motor_units import MOTOR_UNITS_VERSION
from training.loop import cosine, follow, log, resume, save_parts, set_rate
from training.motor_units.lessons import Lesson, lessons
from training.motor_units.losses import map_loss, train_loss
from training.motor_units.model import MotorUnitMaps, TwitchTrains
from training.motor_units.sequences import TRAIN, TRAIN_TRAINS, training_sequence
from training.motor_units.targets import map_targets

#: Of each muscle in a step of trains.
_UNITS_OF_A_MUSCLE = 16


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


def main() -> None:
    """Read the arguments and train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("network", choices=sorted(NETWORKS))
    parser.add_argument("--out", type=Path, required=True, help="folder of the run: log, checkpoint")
    parser.add_argument("--steps", type=int, default=Schedule("maps").steps)
    parser.add_argument("--batch", type=int, default=Schedule("maps").batch, help="muscles a step")
    parser.add_argument("--stop-at", type=int, help="end the schedule early, at this step")
    parser.add_argument("--bfloat16", action="store_true", help="convolutions in bfloat16, losses in float32")
    parser.add_argument("--models", type=Path, default=Path("model_repository"), help="where the first network is, for trains")
    parser.add_argument("--processes", type=int, default=2, help="that make muscles for trains")
    arguments = parser.parse_args()
    schedule = Schedule(arguments.network, arguments.steps, arguments.batch, in_bfloat16=arguments.bfloat16)
    train(schedule, arguments.out, stop_at=arguments.stop_at, models=arguments.models, processes=arguments.processes)


def train(
    schedule: Schedule, out: Path, *, stop_at: int | None = None, models: Path = Path("model_repository"), processes: int = 1
) -> nn.Module:
    """The moving average after all steps, or after `stop_at`; goes on from `out`/last.pt where there is one."""
    torch.manual_seed(schedule.seed)
    network = NETWORKS[schedule.network]().train()
    average = copy.deepcopy(network)
    optimiser = torch.optim.AdamW(network.parameters(), lr=schedule.learning_rate, weight_decay=schedule.weight_decay)
    parts = {"network": network, "average": average, "optimiser": optimiser}
    out.mkdir(parents=True, exist_ok=True)
    last = min(schedule.steps, stop_at or schedule.steps)
    begun, recent = time.monotonic(), []
    steps = range(resume(parts, out / "last.pt"), last)
    losses_of = (
        maps_losses if schedule.network == "maps" else partial(trains_losses, _lessons(schedule, steps, models, processes))
    )
    for step in steps:
        random = np.random.default_rng([schedule.seed, step])
        seeds = _muscles(schedule, random)
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


def trains_losses(
    known: Mapping[int, Lesson], network: nn.Module, seeds: list[int], random: np.random.Generator
) -> dict[str, Tensor]:
    """Of the second network: some units of each muscle, as they were found."""
    given, wanted, spikes = [], [], []
    for muscle in (known[seed] for seed in seeds):
        chosen = random.permutation(len(muscle.given))[:_UNITS_OF_A_MUSCLE]
        given.append(muscle.given[chosen])
        wanted.append(muscle.twitch[muscle.unit[chosen]])
        spikes.append(muscle.spikes[muscle.unit[chosen]])
    traced, twitches, at = (torch.from_numpy(np.concatenate(parts)).float() for parts in (given, wanted, spikes))
    twitch, discharge = network(traced)
    return train_loss(twitch, discharge, twitches, at)


def load_network(run: Path) -> tuple[nn.Module, Schedule]:
    """The averaged network of a run, ready to be asked. Raises ValueError where it was trained on another simulator."""
    stored: dict[str, Any] = torch.load(run / "last.pt", weights_only=True)
    if stored["simulator"] != MOTOR_UNITS_VERSION:
        raise ValueError(f"{run} was trained on simulator {stored['simulator']}; this is {MOTOR_UNITS_VERSION}: train anew")
    schedule = Schedule(**stored["schedule"])
    network = NETWORKS[schedule.network]()
    network.load_state_dict(stored["average"])
    return network.eval(), schedule


def steps_done(run: Path) -> int:
    """How far a run came: fewer than its schedule has where it was stopped early."""
    return int(torch.load(run / "last.pt", weights_only=True)["step"])


def _muscles(schedule: Schedule, random: np.random.Generator) -> list[int]:
    """Seeds of a step."""
    return [int(seed) for seed in random.choice(MUSCLES[schedule.network], schedule.batch, replace=False)]


def _lessons(schedule: Schedule, steps: range, models: Path, processes: int) -> dict[int, Lesson]:
    """Of all muscles that the steps will ask for."""
    seeds = {seed for step in steps for seed in _muscles(schedule, np.random.default_rng([schedule.seed, step]))}
    return lessons(sorted(seeds), models, processes)


NETWORKS: dict[str, Callable[[], nn.Module]] = {"maps": MotorUnitMaps, "trains": TwitchTrains}
MUSCLES = {"maps": TRAIN, "trains": TRAIN_TRAINS}


if __name__ == "__main__":
    main()
