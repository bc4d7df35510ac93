"""Train the muscle segmentation network: `python -m training.muscle_segmentation.train --data DIR --out RUN`."""

import argparse
import copy
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from training.loop import cosine, follow, log, save, set_rate
from training.muscle_segmentation.augment import augment
from training.muscle_segmentation.evaluate import Network
from training.muscle_segmentation.folds import fold_named
from training.muscle_segmentation.losses import LossWeights, segmentation_loss
from training.muscle_segmentation.model import NETWORKS, SERVED_NETWORK, number_of_parameters
from training.muscle_segmentation.real import Labelled, load_real, load_without_muscle
from training.muscle_segmentation.simulated import load_or_simulate
from training.muscle_segmentation.teacher import filled_in, load_teacher

#: Image, targets and weights, as `augment` describes them.
Batch = tuple[Tensor, Tensor, Tensor]


@dataclass(frozen=True, slots=True)
class Schedule:
    """What, how long and how fast. `simulated_share` of every batch is simulated muscle, `negative_share` is without muscle."""

    network: str = SERVED_NETWORK
    fold: str = "served"
    steps: int = 3600
    batch: int = 8
    simulated_share: float = 0.25
    negative_share: float = 0.125
    #: Whether real pictures without a muscle are among those.
    real_negatives: bool = False
    learning_rate: float = 2e-3
    warm_up: int = 150
    weight_decay: float = 1e-3
    averaging: float = 0.998
    seed: int = 20261121
    #: Side in pixels of the window that each step sees of the augmented batch; 0 is all of it.
    crop: int = 0
    #: Weight of positive pixels, and Tversky's weight of false positives, of the fascicle head.
    fascicle_positive: float = 5.0
    fascicle_false_positive: float = 0.3
    #: Whether another network's maps stood in for missing labels.
    is_taught: bool = False

    def balance(self) -> LossWeights:
        """The weights of the losses, head by head."""
        usual = LossWeights()
        return LossWeights(
            positive=(usual.positive[0], self.fascicle_positive, usual.positive[2]),
            false_positive=(usual.false_positive[0], self.fascicle_false_positive, usual.false_positive[2]),
        )


def main() -> None:
    """Read the arguments, load the frames, train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with DL_Track's images, masks and manifest.csv")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run: log, checkpoints")
    parser.add_argument("--network", choices=sorted(NETWORKS), default=SERVED_NETWORK)
    parser.add_argument("--fold", default="served", help="served, image-0 to image-4, or device- and a device's name")
    parser.add_argument("--seed", type=int, default=Schedule().seed)
    parser.add_argument("--steps", type=int, default=Schedule().steps)
    parser.add_argument("--simulated-frames", type=int, default=1200, help="0 trains on real frames alone")
    parser.add_argument(
        "--simulated-share", type=float, default=Schedule().simulated_share, help="of every batch; the rest is real"
    )
    parser.add_argument("--negatives", type=int, default=160, help="simulated frames without a muscle")
    parser.add_argument("--without-muscle", type=Path, help="folder with images of other anatomy: usgra's train")
    parser.add_argument("--stop-at", type=int, help="end the schedule early, at this step")
    parser.add_argument("--learning-rate", type=float, default=Schedule().learning_rate)
    parser.add_argument("--fascicle-positive", type=float, default=Schedule().fascicle_positive)
    parser.add_argument("--fascicle-false-positive", type=float, default=Schedule().fascicle_false_positive)
    parser.add_argument("--start-from", type=Path, help="a checkpoint whose weights to begin with")
    parser.add_argument(
        "--teacher",
        type=Path,
        help="a checkpoint, or an exported network, of the same fold; its maps stand in for missing labels",
    )
    arguments = parser.parse_args()
    schedule = Schedule(
        network=arguments.network,
        fold=arguments.fold,
        seed=arguments.seed,
        steps=arguments.steps,
        simulated_share=arguments.simulated_share if arguments.simulated_frames else 0.0,
        negative_share=Schedule().negative_share if arguments.negatives or arguments.without_muscle else 0.0,
        real_negatives=arguments.without_muscle is not None,
        learning_rate=arguments.learning_rate,
        fascicle_positive=arguments.fascicle_positive,
        fascicle_false_positive=arguments.fascicle_false_positive,
        is_taught=arguments.teacher is not None,
    )
    added = load_or_simulate(arguments.out.parent, arguments.simulated_frames, arguments.negatives)
    if arguments.without_muscle:
        added += load_without_muscle(arguments.without_muscle)
    train(
        load_real(arguments.data),
        added,
        schedule,
        arguments.out,
        start_from=arguments.start_from,
        stop_at=arguments.stop_at,
        teacher=load_teacher(arguments.teacher) if arguments.teacher else None,
    )


def train(
    images: list[Labelled],
    added: list[Labelled],
    schedule: Schedule,
    out: Path,
    *,
    start_from: Path | None = None,
    stop_at: int | None = None,
    teacher: Network | None = None,
) -> None:
    """A network on the training images of a fold, from nothing or from an earlier checkpoint; the folder gets log and weights.

    `added` are the same for every fold: simulated frames, and pictures without muscle.
    """
    out.mkdir(parents=True, exist_ok=True)
    real = [images[i] for i in fold_named(images, schedule.fold).train]
    if teacher is not None:
        real = filled_in(real, teacher)
    torch.manual_seed(schedule.seed)
    network, stages = NETWORKS[schedule.network](), []
    if start_from:
        earlier = torch.load(start_from, weights_only=True)
        network.load_state_dict(earlier["weights"])
        stages = earlier["stages"]
    fit(network, real, added, schedule, out, stages=stages, stop_at=stop_at or schedule.steps)


def fit(
    network: nn.Module,
    real: list[Labelled],
    added: list[Labelled],
    schedule: Schedule,
    out: Path,
    *,
    stages: list[dict[str, object]],
    stop_at: int,
) -> None:
    """Optimise and write `last.pt` (the moving average of the weights) every few minutes and at the end.

    `stages` are the schedules that the weights went through before, for the record.
    """
    network.to(memory_format=torch.channels_last).train()  # type: ignore[call-overload,unused-ignore]  # torch's stubs lack it where torch is installed
    average = copy.deepcopy(network)
    optimiser = torch.optim.AdamW(network.parameters(), lr=schedule.learning_rate, weight_decay=schedule.weight_decay)
    print(
        f"{number_of_parameters(network)} parameters, {len(real)} labelled frames, {len(added)} simulated or without muscle",
        flush=True,
    )
    started, losses = time.monotonic(), []
    for step, batch in zip(range(1, stop_at + 1), _batches(real, added, schedule), strict=False):
        set_rate(
            optimiser,
            cosine(step - 1, steps=schedule.steps, peak=schedule.learning_rate, warm_up=schedule.warm_up, floor=0.01),
        )
        losses.append(train_step(network, optimiser, batch, schedule.balance()))
        follow(average, network, min(schedule.averaging, 1 - 1 / (1 + step / 10)))
        if step % 50 == 0:
            loss = round(sum(losses[-50:]) / len(losses[-50:]), 4)
            log(out, {"step": step, "loss": loss, "seconds": round(time.monotonic() - started)})
        if step % 200 == 0 or step == stop_at:
            save({"weights": average.state_dict(), "stages": [*stages, asdict(schedule) | {"stopped_at": step}]}, out / "last.pt")


def train_step(
    network: nn.Module,
    optimiser: torch.optim.Optimizer,
    batch: Batch,
    balance: LossWeights,
) -> float:
    """One step on (image, targets, weights); gives the loss."""
    image, targets, weights = batch
    optimiser.zero_grad(set_to_none=True)
    loss = segmentation_loss(network(image.contiguous(memory_format=torch.channels_last)), targets, weights, balance)
    loss.backward()
    nn.utils.clip_grad_norm_(network.parameters(), 2.0)
    optimiser.step()
    return float(loss.detach())


def as_batch(items: list[Labelled]) -> Batch:
    """Image in 0 to 255, targets in 0 to 1, weights, all float32."""
    image = torch.from_numpy(np.stack([item.image for item in items])[:, None]).float()
    targets = torch.from_numpy(np.stack([item.targets for item in items])).float() / 255.0
    weights = torch.from_numpy(np.stack([item.weights for item in items])).float()
    return image, targets, weights


def _batches(real: list[Labelled], added: list[Labelled], schedule: Schedule) -> Iterator[Batch]:
    """Endless; a real frame with both structures or of a rare device is drawn more often than its number says."""
    random = np.random.default_rng(schedule.seed)
    generator = torch.Generator().manual_seed(schedule.seed)
    muscle = [item for item in added if item.targets.any()]
    empty = [item for item in added if not item.targets.any()]
    from_muscle = round(schedule.batch * schedule.simulated_share) if muscle else 0
    from_empty = round(schedule.batch * schedule.negative_share) if empty else 0
    chance = _chances(real)
    while True:
        drawn = [real[i] for i in random.choice(len(real), schedule.batch - from_muscle - from_empty, p=chance)]
        drawn += [muscle[i] for i in random.integers(0, max(1, len(muscle)), from_muscle)]
        drawn += [empty[i] for i in random.integers(0, max(1, len(empty)), from_empty)]
        yield _window(augment(*as_batch(drawn), generator), schedule.crop, random)


def _window(batch: Batch, side: int, random: np.random.Generator) -> Batch:
    """The same square of every frame, so that a wide network can be compared on a slow machine."""
    if not side:
        return batch
    height, width = batch[0].shape[-2:]
    top, left = int(random.integers(height - side + 1)), int(random.integers(width - side + 1))
    image, targets, weights = (part[..., top : top + side, left : left + side] for part in batch)
    return image, targets, weights


def _chances(real: list[Labelled]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    devices = [item.device for item in real]
    weight = np.array([(1.0 + item.has_fascicle) / devices.count(item.device) ** 0.4 for item in real])
    return np.asarray(weight / weight.sum())


if __name__ == "__main__":
    main()
