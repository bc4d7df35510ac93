"""Train a network for planes, structures or both: `python -m training.wrist_hand.train --data DIR --out RUN`; resumable."""

import argparse
import copy
import itertools
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from service.core.wrist_planes import STRUCTURES, structure_number
from training.frame_changes import Moves, draw_grid, moved, seen_by_another_scanner
from training.loop import cosine, follow, log, resume, save_parts, set_rate
from training.wrist_hand.model import NETWORKS, SERVED_NETWORK, WITHOUT_PLANES
from training.wrist_hand.volunteers import SPLITS, Pictures, joined, load

#: A probe on a hand is turned little: more would make a badly held picture out of a well held one.
_MOVES = Moves(rotation_deg=8.0, scale=(0.8, 1.25), aspect=0.1, shift=0.08)
_SMOOTHED = 0.05
#: Share of a batch whose structures are drawn: planes are learnt sooner.
_ANNOTATED = 0.75
#: Share of a batch that is shown as the first scanner showed it: what is seen with the service's scanners is not all bad.
_AS_IT_CAME = 0.5


Indices = npt.NDArray[np.int64]
_NONE: Indices = np.array([], np.int64)


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long and how fast; equal for all networks that are compared."""

    network: str = SERVED_NETWORK
    steps: int = 4000
    batch: int = 32
    learning_rate: float = 2e-3
    warm_up: int = 200
    weight_decay: float = 1e-3
    #: Weight, in the cross-entropy, of what has no name: most of a picture is. With 1 outlines are drawn no larger than they are.
    nameless: float = 0.4
    #: A structure that half of the annotated pictures of a batch show, and whose Dice counts as much as all others' together.
    favour: str = ""
    #: Splits, with spaces between, of the volunteers that it learns from.
    hands: str = "train"
    #: Splits of further volunteers whose pictures of that structure are shown as often as its other ones.
    more: str = ""
    #: Of the moving average of the weights, which is what is used.
    keep: float = 0.998
    seed: int = 20261122
    save_every: int = 100
    #: Half the time where the processor multiplies bfloat16, several times as long where it does not.
    in_bfloat16: bool = False
    #: SHA-256 of the served file of the wide trunk that it began as, of a stage without steps.
    narrowed_from: str = ""


def main() -> None:
    """Read the arguments, load the pictures, train."""
    usual = Schedule()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="where training.wrist_hand.volunteers left its pictures")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run: log, checkpoint")
    parser.add_argument("--network", choices=sorted(NETWORKS), default=usual.network)
    parser.add_argument("--steps", type=int, default=usual.steps)
    parser.add_argument("--stop-at", type=int, help="end the schedule early, at this step")
    parser.add_argument("--batch", type=int, default=usual.batch)
    parser.add_argument("--seed", type=int, default=usual.seed)
    parser.add_argument("--learning-rate", type=float, default=usual.learning_rate)
    parser.add_argument("--warm-up", type=int, default=usual.warm_up, help="steps until the rate is reached")
    parser.add_argument("--nameless", type=float, default=usual.nameless, help="weight of what has no name")
    parser.add_argument(
        "--favour", choices=("", *STRUCTURES), default=usual.favour, help="structure that is shown and weighed more"
    )
    parser.add_argument("--hands", nargs="+", choices=tuple(SPLITS), default=[usual.hands], help="volunteers that it learns from")
    parser.add_argument("--more", nargs="+", choices=tuple(SPLITS), default=[], help="further volunteers that show it")
    parser.add_argument("--start-from", type=Path, help="run whose averaged weights a new schedule begins with")
    parser.add_argument("--bfloat16", action="store_true", help="convolutions in bfloat16, losses in fp32")
    arguments = parser.parse_args()
    schedule = Schedule(
        network=arguments.network,
        steps=arguments.steps,
        batch=arguments.batch,
        learning_rate=arguments.learning_rate,
        warm_up=arguments.warm_up,
        nameless=arguments.nameless,
        favour=arguments.favour,
        hands=" ".join(arguments.hands),
        more=" ".join(arguments.more),
        seed=arguments.seed,
        in_bfloat16=arguments.bfloat16,
    )
    pictures = joined([load(SPLITS[name], arguments.data) for name in arguments.hands])
    more = joined([load(SPLITS[name], arguments.data) for name in arguments.more]) if arguments.more else None
    train(pictures, schedule, arguments.out, more=more, stop_at=arguments.stop_at, start_from=arguments.start_from)


def train(
    pictures: Pictures,
    schedule: Schedule,
    out: Path,
    *,
    more: Pictures | None = None,
    stop_at: int | None = None,
    start_from: Path | None = None,
) -> nn.Module:
    """The moving average after all steps, or after `stop_at`; goes on from `out`/last.pt where there is one.

    `more` is drawn from only where a structure is favoured, `start_from` is the run of an earlier stage.
    """
    torch.manual_seed(schedule.seed)
    # torch's stubs have no overload of `to` with a memory format alone, and without torch there are no stubs.
    network = NETWORKS[schedule.network]().to(memory_format=torch.channels_last)  # type: ignore[call-overload,unused-ignore]  # torch's stubs lack it where torch is installed
    before: list[dict[str, object]] = []
    if start_from is not None:
        stored = torch.load(start_from / "last.pt", weights_only=True)
        network.load_state_dict(stored["average"])
        before = [*stored.get("before", []), stored["schedule"]]
    network.train()
    average = copy.deepcopy(network)
    optimiser = torch.optim.AdamW(network.parameters(), lr=schedule.learning_rate, weight_decay=schedule.weight_decay)
    parts = {"network": network, "average": average, "optimiser": optimiser}
    out.mkdir(parents=True, exist_ok=True)
    usual, pictures = len(pictures.plane), pictures if more is None else joined([pictures, more])
    favoured = showing(pictures, schedule.favour) if schedule.favour else _NONE
    first, begun, losses = resume(parts, out / "last.pt"), time.monotonic(), []
    last = min(schedule.steps, stop_at or schedule.steps)
    for step in range(first, last):
        # What a layer drops is drawn from torch's own state: set in every step, a stop changes nothing.
        generator = torch.manual_seed(schedule.seed * 1_000_003 + step)
        chosen = draw(pictures.annotated[:usual], schedule, np.random.default_rng([schedule.seed, step]), favoured)
        set_rate(
            optimiser,
            cosine(step, steps=schedule.steps, peak=schedule.learning_rate, warm_up=schedule.warm_up, floor=0.01),
        )
        losses.append(train_step(network, optimiser, pictures, chosen, generator, schedule))
        follow(average, network, min(schedule.keep, (1 + step) / (10 + step)))
        if (step + 1) % schedule.save_every == 0 or step + 1 == last:
            save_parts(parts, out / "last.pt", step=step + 1, schedule=asdict(schedule), before=before)
            recent = losses[-schedule.save_every :]
            seconds = round(time.monotonic() - begun)
            log(out, {"step": step + 1, "loss": round(sum(recent) / len(recent), 4), "seconds": seconds})
    return average


def draw(
    annotated_ones: npt.NDArray[np.bool_], schedule: Schedule, random: np.random.Generator, favoured: Indices = _NONE
) -> Indices:
    """Indices of a batch: so many annotated pictures, where there are some, half of them favoured ones, and others.

    A network without planes is given the annotated ones alone, for others teach it nothing.
    """
    drawn, others = np.flatnonzero(annotated_ones), np.flatnonzero(~annotated_ones)
    annotated = min(len(drawn), round(_ANNOTATED * schedule.batch)) if len(others) else schedule.batch
    first = random.choice(drawn, annotated, replace=False) if annotated else drawn[:0]
    if len(favoured):
        first[: annotated // 2] = random.choice(favoured, annotated // 2)
    if schedule.network in WITHOUT_PLANES:
        return first
    return np.concatenate([first, random.choice(others, schedule.batch - annotated, replace=False)])


def showing(pictures: Pictures, structure: str) -> Indices:
    """Indices of the annotated pictures that show a structure."""
    annotated, number = np.flatnonzero(pictures.annotated), structure_number(structure)
    return np.array([n for n in annotated if (pictures.structures[n] == number).any()], np.int64)


def train_step(
    network: nn.Module,
    optimiser: torch.optim.Optimizer,
    pictures: Pictures,
    chosen: Indices,
    generator: Generator,
    schedule: Schedule,
) -> float:
    """One step on the chosen pictures; gives the loss."""
    image = torch.from_numpy(pictures.image[chosen])[:, None].float()
    drawn = torch.from_numpy(pictures.structures[chosen])[:, None].float()
    grid = draw_grid(image, _MOVES, generator)
    image, inside = _seen(image, grid, generator)
    structures = (moved(drawn, grid, "nearest") * inside)[:, 0].long()
    optimiser.zero_grad(set_to_none=True)
    with torch.autocast("cpu", torch.bfloat16, enabled=schedule.in_bfloat16):
        plane_logits, structure_logits = network(image.contiguous(memory_format=torch.channels_last))
    losses = []
    if plane_logits is not None:
        plane = torch.from_numpy(pictures.plane[chosen].astype(np.int64))
        losses.append(functional.cross_entropy(plane_logits.float(), plane, label_smoothing=_SMOOTHED))
    annotated = torch.from_numpy(pictures.annotated[chosen])
    if structure_logits is not None and annotated.any():
        shown = structure_logits[annotated].float()
        favour = structure_number(schedule.favour) if schedule.favour else 0
        losses.append(
            structure_loss(shown, structures[annotated], inside[annotated, 0], nameless=schedule.nameless, favour=favour)
        )
    loss = torch.stack(losses).sum()
    loss.backward()
    nn.utils.clip_grad_norm_(network.parameters(), 2.0)
    optimiser.step()
    return float(loss.detach())


def _seen(image: Tensor, grid: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
    """Pictures (B, 1, H, W) looked at through the grid, some by another scanner; and where there is picture."""
    seen, inside = seen_by_another_scanner(image, grid, generator)
    as_it_came = moved(image, grid).clamp(min=1.0) * inside
    is_as_it_came = (torch.rand(len(image), generator=generator) < _AS_IT_CAME).to(image.dtype).view(-1, 1, 1, 1)
    return is_as_it_came * as_it_came + (1 - is_as_it_came) * seen, inside


def structure_loss(logits: Tensor, structures: Tensor, inside: Tensor, *, nameless: float = 1.0, favour: int = 0) -> Tensor:
    """Cross-entropy and Dice over the structures in the batch, at the resolution of the logits (B, C, h, w).

    Numbers (B, H, W), 1 (B, H, W) where there is picture, weight of what has no name, number of the structure whose Dice
    counts as much again as all structures' together. A pixel of the logits covers several of
    these: it is wanted to be of each structure by its share of them, since one of them alone would move every outline by half
    a pixel.
    """
    wanted = _shares(structures, inside, logits)
    weight = torch.ones(logits.shape[1], 1, 1)
    weight[0] = nameless
    entropy = -(wanted * weight * torch.log_softmax(logits, 1)).sum() / (wanted * weight).sum()
    present = torch.unique(structures)
    present = present[present > 0]
    probability = torch.softmax(logits, 1)[:, present] * wanted.sum(1, keepdim=True)
    wanted = wanted[:, present]
    overlap = (probability * wanted).sum((0, 2, 3))
    dice = (2 * overlap + 1) / (probability.sum((0, 2, 3)) + wanted.sum((0, 2, 3)) + 1)
    return entropy + (1 - dice).mean() + (1 - dice)[present == favour].sum()


def _shares(numbers: Tensor, inside: Tensor, logits: Tensor) -> Tensor:
    """Of each pixel of (B, C, h, w) the share that each number of (B, H, W) has in it, where there is picture."""
    found = torch.zeros_like(logits)
    step = numbers.shape[-1] // logits.shape[-1]
    for down, across in itertools.product(range(step), repeat=2):
        part = (slice(None), slice(down, None, step), slice(across, None, step))
        found.scatter_add_(1, numbers[part][:, None], inside[part][:, None] / step**2)
    return found


def load_network(run: Path) -> tuple[nn.Module, tuple[Schedule, ...]]:
    """The trained network of a run, ready to be asked, and its stages."""
    stored = torch.load(run / "last.pt", weights_only=True)
    stages = tuple(Schedule(**one) for one in (*stored.get("before", []), stored["schedule"]))
    network = NETWORKS[stages[-1].network]()
    network.load_state_dict(stored["average"])
    return network.eval(), stages


if __name__ == "__main__":
    main()
