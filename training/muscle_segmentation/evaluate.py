"""Score a checkpoint on the folds: `python -m training.muscle_segmentation.evaluate --data DIR --run RUN`."""

import argparse
import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from scipy.stats import binomtest
from torch import Tensor

from training.muscle_segmentation.folds import Folds, split
from training.muscle_segmentation.model import NETWORKS, UNNAMED_NETWORK, ServedSegmentation
from training.muscle_segmentation.real import Bytes, Labelled, load_real, load_without_muscle
from training.muscle_segmentation.scores import Score, baselines_of, bootstrap, score
from training.muscle_segmentation.simulated import TEST_NEGATIVE_SEEDS, TEST_SEEDS, labelled_frames, labelled_negative

Table = dict[str, dict[str, object]]
#: Frames (B, 1, 256, 256) uint8 to maps (B, 3, 256, 256) uint8, as `ServedSegmentation`.
Network = Callable[[Tensor], Tensor]


def main() -> None:
    """Write evaluation.json and a picture of predictions into the run's folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--run", type=Path, required=True, help="folder with last.pt")
    parser.add_argument("--simulated-subjects", type=int, default=20, help="held-out subjects on each group of devices")
    parser.add_argument("--without-muscle", type=Path, help="folder with images of other anatomy that training never saw")
    arguments = parser.parse_args()
    tables = evaluate_run(arguments.run, arguments.data, arguments.simulated_subjects, arguments.without_muscle)
    print(json.dumps(tables, indent=1))


def evaluate_run(run: Path, data: Path, simulated_subjects: int, without_muscle: Path | None) -> Table:
    """Tables, and a picture of predictions, in the run's folder."""
    network = load_network(run / "last.pt")
    images = load_real(data)
    folds = split(images)
    tables = evaluate(network, images, folds)
    if simulated_subjects:
        tables |= evaluate_simulated(network, simulated_subjects)
    if without_muscle:
        tables["real_without_muscle"] = evaluate_empty(network, load_without_muscle(without_muscle))
    write_tables(run, tables)
    picture([images[i] for i in some(folds)], network).save(run / "predictions.png")
    return tables


def write_tables(run: Path, tables: Table) -> None:
    """evaluation.json."""
    (run / "evaluation.json").write_text(json.dumps(tables, indent=1) + "\n")


def load_network(checkpoint: Path) -> ServedSegmentation:
    """The network of a checkpoint as it is served, ready to infer."""
    kept = torch.load(checkpoint, weights_only=True)
    network = NETWORKS[kept["stages"][-1].get("network", UNNAMED_NETWORK)]()
    network.load_state_dict(kept["weights"])
    served = ServedSegmentation(network)
    served.eval()
    return served


def predict(network: Network, items: Sequence[Labelled]) -> list[Bytes]:
    """Maps (3, 256, 256) of 0 to 255 for each frame."""
    maps: list[Bytes] = []
    with torch.inference_mode():
        for start in range(0, len(items), 8):
            batch = np.stack([item.image for item in items[start : start + 8]])[:, None]
            maps.extend(network(torch.from_numpy(batch)).numpy())
    return maps


def evaluate(network: Network, images: list[Labelled], folds: Folds) -> Table:
    """Validation (image level, by near-duplicate cluster) and the device that training never saw; baselines are of training."""
    baselines = baselines_of([images[i] for i in folds.train])
    tables: Table = {}
    for title, fold in (("validation", folds.validation), ("held_out_device", folds.held_out_device)):
        maps = predict(network, [images[i] for i in fold])
        scores = [score(images[i], m, folds.clusters[i], baselines) for i, m in zip(fold, maps, strict=True)]
        tables[title] = summary(scores)
    return tables


def evaluate_simulated(network: Network, subjects: int) -> Table:
    """Subjects that training never saw, on devices of its range and on others; and frames without a muscle.

    Baselines are of the truth of these frames themselves: the best that a constant can do.
    """
    tables: Table = {}
    for title, group in (("simulated_subjects", "common"), ("simulated_devices", "held-out")):
        seeds = range(TEST_SEEDS, TEST_SEEDS + subjects)
        # The group comes from a tuple of the two literals, which mypy widens to str.
        frames = [(seed, item) for seed in seeds for item in labelled_frames(seed, group, count=2)]  # type: ignore[arg-type]  # one of the groups' words
        maps = predict(network, [item for _, item in frames])
        baselines = baselines_of([item for _, item in frames])
        tables[title] = summary([score(item, m, seed, baselines) for (seed, item), m in zip(frames, maps, strict=True)])
    negatives = [labelled_negative(seed) for seed in range(TEST_NEGATIVE_SEEDS, TEST_NEGATIVE_SEEDS + 2 * subjects)]
    return tables | {"simulated_without_muscle": evaluate_empty(network, negatives)}


def evaluate_empty(network: Network, items: Sequence[Labelled]) -> dict[str, object]:
    """How often a picture without a muscle gets a belly all the same, with an interval (Clopper and Pearson 1934)."""
    covered = np.array([float((m[2] >= 128).mean()) for m in predict(network, items)])
    wrong = int((covered > 0.05).sum())
    likely = binomtest(wrong, len(covered)).proportion_ci()
    return {
        "images": len(covered),
        "share_of_images_with_belly_over_5_percent": wrong / len(covered),
        "interval": [round(float(likely.low), 4), round(float(likely.high), 4)],
    }


def evaluate_served(model: Path, network: Network, images: list[Labelled], folds: Folds) -> Table:
    """Real images through the file that is served, in its own arithmetic, for the tables of the run."""
    tables = evaluate(network, images, folds)
    digest = hashlib.sha256(model.read_bytes()).hexdigest()
    return {f"int8_{title}": table | {"sha256": digest} for title, table in tables.items()}


def summary(scores: list[Score]) -> dict[str, object]:
    """Every figure with its 95 % interval, over whole near-duplicate clusters; failures stay in the denominators."""
    lines = [(e, s.cluster) for s in scores for e in s.line_errors]
    found = [(e, c) for e, c in lines if e is not None]
    near = [(float(s.both_lines_near), s.cluster) for s in scores if s.both_lines_near is not None]
    labelled = [s for s in scores if s.angle_is_labelled]
    thick = [s for s in scores if s.thickness_is_labelled]
    return {
        "images": len(scores),
        "clusters": len({s.cluster for s in scores}),
        "aponeurosis_iou": interval([(s.aponeurosis_iou, s.cluster) for s in scores]),
        "belly_iou": interval([(s.belly_iou, s.cluster) for s in scores]),
        "line_error_pixels_median": interval(found, median=True),
        "lines_found": interval([(float(error is not None), cluster) for error, cluster in lines]),
        "both_lines_within_3_pixels": interval(near),
        "aponeurosis_dice": interval([(_dice(s.aponeurosis_iou), s.cluster) for s in scores]),
        "belly_dice": interval([(_dice(s.belly_iou), s.cluster) for s in scores]),
        "fascicle_f1_at_2_pixels": interval([(s.fascicle_f1, s.cluster) for s in scores]),
        "fascicle_dice": interval([(s.fascicle_dice, s.cluster) for s in scores]),
        "fascicle_cldice": interval([(s.fascicle_cldice, s.cluster) for s in scores]),
        "angle_mae_deg": interval([(s.angle_error_deg, s.cluster) for s in labelled]),
        "angle_answered": interval([(float(s.angle_error_deg is not None), s.cluster) for s in labelled]),
        "analysis_angle_mae_deg": interval([(s.analysis_angle_error_deg, s.cluster) for s in labelled]),
        "analysis_angle_answered": interval([(float(s.analysis_angle_error_deg is not None), s.cluster) for s in labelled]),
        "constant_angle_mae_deg": interval([(s.constant_angle_error_deg, s.cluster) for s in labelled]),
        "tensor_angle_mae_deg": interval([(s.tensor_angle_error_deg, s.cluster) for s in labelled]),
        "thickness_mae_percent": interval([(s.thickness_error_percent, s.cluster) for s in thick]),
        "thickness_answered": interval([(float(s.thickness_error_percent is not None), s.cluster) for s in thick]),
        "constant_thickness_mae_percent": interval([(s.constant_thickness_error_percent, s.cluster) for s in thick]),
    }


def picture(items: Sequence[Labelled], network: Network) -> Image.Image:
    """Rows of frame, labels and prediction (aponeurosis red, fascicle green, belly blue)."""
    rows = []
    for item, maps in zip(items, predict(network, items), strict=True):
        rows.append(np.hstack([np.stack([item.image] * 3, -1), _painted(item.image, item.targets), _painted(item.image, maps)]))
    half = (len(rows) + 1) // 2
    rows += [np.zeros_like(rows[0])] * (2 * half - len(rows))
    return Image.fromarray(np.hstack([np.vstack(rows[:half]), np.vstack(rows[half:])]))


def _painted(image: Bytes, maps: Bytes) -> Bytes:
    grey = np.stack([image] * 3, -1).astype(np.float32)
    for channel, share in enumerate((0.9, 0.9, 0.25)):
        grey[..., channel] = np.maximum(grey[..., channel], share * maps[channel])
    return grey.astype(np.uint8)


def some(folds: Folds) -> list[int]:
    """Eight validation images and eight of the device that training never saw, evenly picked."""
    validation, device = folds.validation, folds.held_out_device
    return [*validation[:: max(1, len(validation) // 8)][:8], *device[:: max(1, len(device) // 8)][:8]]


def _dice(iou: float | None) -> float | None:
    return None if iou is None else 2 * iou / (1 + iou)


def interval(values: Sequence[tuple[float | None, int]], *, median: bool = False) -> dict[str, float | int] | None:
    """Of (value, cluster) pairs, over whole clusters; pairs without a value are left out. None where none has one."""
    known = [(value, cluster) for value, cluster in values if value is not None]
    if not known:
        return None
    middle, low, high = bootstrap([v for v, _ in known], [c for _, c in known], median=median)
    return {"value": round(middle, 4), "low": round(low, 4), "high": round(high, 4), "images": len(known)}


if __name__ == "__main__":
    main()
