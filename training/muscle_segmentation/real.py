"""Real frames as training arrays, sector found, placed and labelled as the service does it: DL_Track's, and such without muscle.

The two structures are labelled on different images, so each head has its own weights: 0 where nothing is known.
"""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from service.core.preprocess import Placement, find_sector, model_input, model_labels, place
from training.muscle_segmentation.lines import Line, belly_between, bordering_pair, trace_lines

Bytes = npt.NDArray[np.uint8]

#: Original sizes of one scanner are one group (models.md, correction 9). The group kept out of training was chosen beforehand.
DEVICE_GROUPS = {
    (512, 512): "full-frame 512x512",
    (660, 556): "console 660x556",
    (800, 652): "console 800x652",
    (800, 600): "console 800x600",
    (1234, 688): "console 1234x688",
    (1234, 687): "console 1234x688",
    (1074, 688): "console 1234x688",
}
HELD_OUT_DEVICE = "full-frame 512x512"
HEADS = ("aponeurosis", "fascicle", "muscle_belly")


@dataclass(frozen=True, slots=True)
class Labelled:
    """One frame at model size; weights are 0 where a head has no label."""

    name: str
    device: str
    image: Bytes  # (256, 256)
    targets: Bytes  # (3, 256, 256), share x 255
    weights: Bytes  # (3, 256, 256), 0 or 1
    placement: Placement
    has_aponeurosis: bool
    has_fascicle: bool


def load_real(folder: Path) -> list[Labelled]:
    """Every image of the folder's manifest.csv, ordered by name."""
    with (folder / "manifest.csv").open(newline="") as table:
        rows = {row["name"]: row for row in csv.DictReader(table)}
    return [_load_one(folder, name, rows[name]) for name in sorted(rows)]


def load_without_muscle(folder: Path) -> list[Labelled]:
    """Pictures in which no pennate muscle lies along the probe (nerves and vessels across, of usgra): every head is empty."""
    return [_without_muscle(path) for path in sorted((folder / "images").glob("*.png"))]


def _without_muscle(path: Path) -> Labelled:
    frame = np.asarray(Image.open(path).convert("L"))
    placement = place(find_sector([frame]))
    image = model_input(frame, placement)
    weights = np.repeat((image > 0)[None], len(HEADS), axis=0).astype(np.uint8)
    name = f"without-muscle-{path.stem}"
    return Labelled(
        name, "without muscle", image, np.zeros_like(weights), weights, placement, has_aponeurosis=True, has_fascicle=True
    )


def _load_one(folder: Path, name: str, row: dict[str, str]) -> Labelled:
    frame = np.asarray(Image.open(folder / "images" / f"{name}.png").convert("L"))
    placement = place(find_sector([frame]))
    aponeurosis = _mask(folder / "apo_masks" / f"{name}.png", placement)
    fascicle = _mask(folder / "fasc_masks" / f"{name}.png", placement)
    image = model_input(frame, placement)
    targets = np.zeros((3, *image.shape), np.uint8)
    weights = np.zeros((3, *image.shape), np.uint8)
    if aponeurosis is not None:
        targets[0], weights[0] = aponeurosis, 1
    if fascicle is not None:
        # A line one pixel wide covers about half of a model pixel; doubled, its centre is a full positive.
        targets[1], weights[1] = np.minimum(fascicle.astype(np.uint16) * 2, 255).astype(np.uint8), 1
    if aponeurosis is not None:
        _label_belly(targets, weights, bordering_pair(trace_lines(targets[0]), targets[1]))
    weights *= image > 0
    device = DEVICE_GROUPS[int(row["orig_w"]), int(row["orig_h"])]
    return Labelled(name, device, image, targets, weights, placement, aponeurosis is not None, fascicle is not None)


def _label_belly(targets: Bytes, weights: Bytes, pair: tuple[Line, Line] | None) -> None:
    """The belly between two labelled aponeuroses; outside it there is no fascicle, labelled or not."""
    if pair is None:
        return
    belly, known_columns = belly_between(*pair, targets.shape[1:])
    targets[2] = belly * np.uint8(255)
    weights[2][:, known_columns] = 1
    weights[1] |= ((belly == 0) & known_columns[None, :]).astype(np.uint8)


def _mask(path: Path, placement: Placement) -> Bytes | None:
    if not path.exists():
        return None
    return model_labels(np.asarray(Image.open(path).convert("1")), placement)
