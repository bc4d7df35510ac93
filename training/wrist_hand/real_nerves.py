"""Real pictures of nerves, before and after fine-tuning: `python -m training.wrist_hand.real_nerves --usgra DIR --run RUN`.

No real picture of a wrist is at hand. These (github tmkand/usgra-seg, CC BY 4.0) show nerves of other regions, drawn by people;
their own division into train and test is kept. Whatever the network calls median or ulnar nerve counts as nerve.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

from service.core.cine import Pixels
from service.core.preprocess import find_sector, model_input, model_numbers, place
from service.core.wrist_planes import structure_number
from training.frame_changes import Moves, draw_grid, moved, seen_by_another_scanner
from training.wrist_hand.evaluate import predict
from training.wrist_hand.results import RESULTS, keep
from training.wrist_hand.scores import Indices, with_interval
from training.wrist_hand.train import load_network, structure_loss
from training.wrist_hand.volunteers import SIZE, Bytes

_NERVE = 1
_NERVES = (structure_number("median_nerve"), structure_number("ulnar_nerve"))
_STEPS, _BATCH, _RATE = 300, 8, 5e-4
_MOVES = Moves(rotation_deg=8.0, scale=(0.8, 1.25), aspect=0.1, shift=0.08)


def main() -> None:
    """Dice as it is and after 300 steps on the train folder, kept with the other results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--usgra", type=Path, required=True, help="folder with train and test")
    parser.add_argument("--run", type=Path, required=True, help="folder of training.wrist_hand.train")
    parser.add_argument("--output", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    (images, nerves), shown = _load(arguments.usgra / "train"), _load(arguments.usgra / "test")
    network, _ = load_network(arguments.run)
    before = nerve_dice(network, *shown)
    fine_tune(network, images, nerves)
    after = nerve_dice(network.eval(), *shown)
    found = {"before": before, "after": after, "pictures": len(shown[0]), "fine_tuned_on": len(images), "steps": _STEPS}
    text = (
        f"Real pictures of nerves of other regions (usgra, test, {len(shown[0])} pictures, none of a wrist): Dice {_said(before)}"
        f" as served, {_said(after)} after {_STEPS} steps on its {len(images)} training pictures. The fine-tuned weights are not"
        " served."
    )
    keep(arguments.output, real_nerves={**found, "text": text})
    print(text)


def nerve_dice(network: nn.Module, images: Bytes, nerves: Bytes) -> dict[str, float]:
    """Over all pictures together; they are drawn with replacement for the interval, for who was scanned is not known."""
    _, drawn = predict(network, images)
    if drawn is None:
        raise ValueError("the network draws no structures")
    called = np.isin(drawn, _NERVES)
    wanted = nerves > 0

    def dice(chosen: Indices) -> float:
        one, other = called[chosen], wanted[chosen]
        return float(2 * (one & other).sum() / max(1.0, float(one.sum() + other.sum())))

    return with_interval(dice, np.arange(len(images)))


def fine_tune(network: nn.Module, images: Bytes, nerves: Bytes) -> None:
    """Nerves as median nerves; norms keep the statistics that they have."""
    classes = np.where(nerves > 0, structure_number("median_nerve"), 0).astype(np.uint8)
    optimiser = torch.optim.AdamW(network.parameters(), lr=_RATE, weight_decay=1e-3)
    for step in range(_STEPS):
        generator = torch.manual_seed(step)
        chosen = np.random.default_rng(step).choice(len(images), _BATCH, replace=False)
        image = torch.from_numpy(images[chosen])[:, None].float()
        grid = draw_grid(image, _MOVES, generator)
        seen, inside = seen_by_another_scanner(image, grid, generator)
        wanted = (moved(torch.from_numpy(classes[chosen])[:, None].float(), grid, "nearest") * inside)[:, 0].long()
        optimiser.zero_grad(set_to_none=True)
        _, logits = network(seen.contiguous(memory_format=torch.channels_last))
        structure_loss(logits, wanted, inside[:, 0]).backward()
        nn.utils.clip_grad_norm_(network.parameters(), 2.0)
        optimiser.step()


def _load(folder: Path) -> tuple[Bytes, Bytes]:
    """Pictures (N, S, S) as the network takes them, and where their nerves are (N, S, S)."""
    pairs = [_pair(path, folder / "masks" / path.name) for path in sorted((folder / "images").glob("*.png"))]
    return np.stack([image for image, _ in pairs]), np.stack([nerve for _, nerve in pairs])


def _pair(image: Path, mask: Path) -> tuple[Pixels, Pixels]:
    grey = np.asarray(Image.open(image).convert("L"))
    nerve = (np.asarray(Image.open(mask)) == _NERVE).astype(np.uint8)
    placement = place(find_sector([grey]), SIZE)
    return model_input(grey, placement), model_numbers(nerve, placement)


def _said(found: dict[str, float]) -> str:
    return f"{found['value']:.2f} ({found['low']:.2f} to {found['high']:.2f})"


if __name__ == "__main__":
    main()
