"""Train and score networks over folds: `python -m training.muscle_segmentation.cross_validate --data DIR --runs DIR`.

One column a network: what it costs (parameters, multiply-accumulates, milliseconds a frame on one core), and how good it is on
images whose near-duplicates it never saw and on devices it never saw. A run that is there already is not trained again.
`--checkpoints NETWORK=RUN ...` compares what `train` left on its validation images, and trains nothing; `--baselines` scores
what needs no network (nothing seen, a constant, the structure tensor) on the same images.
"""

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from torch import Tensor

from training.muscle_segmentation.evaluate import Network, interval, load_network, predict, summary
from training.muscle_segmentation.export import export_maps
from training.muscle_segmentation.folds import Folds, fold_named
from training.muscle_segmentation.model import NETWORKS, ServedSegmentation, giga_multiply_accumulates, number_of_parameters
from training.muscle_segmentation.real import Labelled, load_real
from training.muscle_segmentation.scores import Score, baselines_of, score
from training.muscle_segmentation.simulated import load_or_simulate
from training.muscle_segmentation.train import Schedule, train

Scores = list[Score]

_SIZE = 256
_TIMED_FRAMES = 60
_ROWS = (
    ("aponeurosis IoU", "aponeurosis_iou"),
    ("aponeurosis Dice", "aponeurosis_dice"),
    ("centre-line error, px", "line_error_pixels_median"),
    ("both lines within 3 px", "both_lines_within_3_pixels"),
    ("fascicle F1 at 2 px", "fascicle_f1_at_2_pixels"),
    ("fascicle Dice", "fascicle_dice"),
    ("fascicle clDice", "fascicle_cldice"),
    ("fragment angle MAE, deg", "angle_mae_deg"),
    ("constant angle MAE, deg", "constant_angle_mae_deg"),
    ("structure tensor MAE, deg", "tensor_angle_mae_deg"),
    ("images with an angle", "angle_answered"),
    ("analysis' angle MAE, deg", "analysis_angle_mae_deg"),
    ("images with the analysis' angle", "analysis_angle_answered"),
)


def main() -> None:
    """Train what is missing, score all, write the table for programs and for people beside the runs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with DL_Track's images, masks and manifest.csv")
    parser.add_argument("--runs", type=Path, required=True, help="folder of all runs")
    parser.add_argument("--networks", nargs="+", choices=sorted(NETWORKS), default=sorted(NETWORKS))
    parser.add_argument("--reference", help="the network that others are compared with image by image; the last by default")
    parser.add_argument("--folds", nargs="+", default=["image-0"], help="image-0 to image-4, or device- and a device's name")
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--crop", type=int, default=0, help="side of the window that a training step sees; 0 is the whole frame")
    parser.add_argument("--start-from", type=Path, help="a checkpoint that saw no real frame, to begin each fold with")
    parser.add_argument(
        "--checkpoints", nargs="+", type=_checkpoint, default=[], help="NETWORK=RUN, trained on the fold `served`"
    )
    parser.add_argument("--baselines", action="store_true", help="no network: empty maps, constants and the structure tensor")
    parser.add_argument("--title", default="table", help="name of the two files that are written")
    parser.add_argument("--simulated-frames", type=int, default=1200)
    parser.add_argument("--negatives", type=int, default=160, help="simulated frames without a muscle")
    arguments = parser.parse_args()
    images = load_real(arguments.data)
    if arguments.baselines:
        found = {"folds": arguments.folds, "scores": without_network(images, arguments.folds)}
        (arguments.runs / f"{arguments.title}.json").write_text(json.dumps(found, indent=1) + "\n")
        print(json.dumps(found, indent=1))
        return
    if arguments.checkpoints:
        made = {name: _row(images, {"served": run}) for name, run in arguments.checkpoints}
    else:
        simulated = load_or_simulate(arguments.runs, arguments.simulated_frames, arguments.negatives)
        made = {name: _row(images, _trained(name, images, simulated, arguments)) for name in arguments.networks}
    arguments.reference = arguments.reference or list(made)[-1]
    rows = {name: row | {"less_reference": _less(scores, made[arguments.reference][1])} for name, (row, scores) in made.items()}
    (arguments.runs / f"{arguments.title}.json").write_text(json.dumps(rows, indent=1) + "\n")
    (arguments.runs / f"{arguments.title}.md").write_text(table(rows))
    print(table(rows))


def without_network(images: Sequence[Labelled], folds: Sequence[str]) -> dict[str, Any]:
    """Of image folds and of device folds: what answers without looking come to, in the rows of a network that sees nothing."""
    scores: dict[str, list[Score]] = {"image": [], "device": []}
    for fold in folds:
        scores["device" if fold.startswith("device") else "image"] += score_fold(_nothing, images, fold_named(images, fold))
    return {kind: summary(found) for kind, found in scores.items() if found}


def _nothing(frames: Tensor) -> Tensor:
    return frames.new_zeros((len(frames), 3, *frames.shape[2:]))


def score_fold(network: Network, images: Sequence[Labelled], folds: Folds) -> list[Score]:
    """Of every image that the fold tests, validation or device."""
    tested = [*folds.validation, *folds.held_out_device]
    baselines = baselines_of([images[i] for i in folds.train])
    maps = predict(network, [images[i] for i in tested])
    return [score(images[i], m, folds.clusters[i], baselines) for i, m in zip(tested, maps, strict=True)]


def cost(network: ServedSegmentation, onnx: Path) -> dict[str, float]:
    """Parameters, and of one 256 x 256 frame: multiply-accumulates, and milliseconds in ONNX Runtime on one core."""
    export_maps(network, onnx)
    return {
        "parameters": number_of_parameters(network),
        "giga_multiply_accumulates": giga_multiply_accumulates(network),
        "milliseconds_on_one_core": _milliseconds(onnx),
    }


def table(rows: dict[str, dict[str, Any]]) -> str:
    """For people, in Markdown."""
    lines = ["| |" + "|".join(rows) + "|", "|---|" + "---|" * len(rows)]
    lines.append("|parameters, million|" + "|".join(f"{row['cost']['parameters'] / 1e6:.2f}" for row in rows.values()) + "|")
    for title, key in (("GMAC a frame", "giga_multiply_accumulates"), ("ms a frame, one core", "milliseconds_on_one_core")):
        lines.append(f"|{title}|" + "|".join(f"{row['cost'][key]:.2f}" for row in rows.values()) + "|")
    ratios = [100 * row["degrees_gained_on_a_constant"] / row["cost"]["milliseconds_on_one_core"] for row in rows.values()]
    lines.append("|degrees gained on a constant per 100 ms|" + "|".join(f"{one:.1f}" for one in ratios) + "|")
    for kind in ("image", "device"):
        for title, key in _ROWS if any(kind in row["scores"] for row in rows.values()) else ():
            cells = [_cell(row["scores"].get(kind, {}).get(key)) for row in rows.values()]
            lines.append(f"|{kind} folds: {title}|" + "|".join(cells) + "|")
    for title in next(iter(rows.values()))["less_reference"]:
        cells = [_cell(row["less_reference"][title]) for row in rows.values()]
        lines.append(f"|{title} less the reference's, same images|" + "|".join(cells) + "|")
    return "\n".join(lines) + "\n"


def _checkpoint(argument: str) -> tuple[str, Path]:
    name, _, run = argument.partition("=")
    if name not in NETWORKS or not (Path(run) / "last.pt").exists():
        raise argparse.ArgumentTypeError(f"{argument}: one of {', '.join(sorted(NETWORKS))}, =, a folder with last.pt")
    return name, Path(run)


def _trained(name: str, images: list[Labelled], simulated: list[Labelled], arguments: argparse.Namespace) -> dict[str, Path]:
    """The run of each fold."""
    runs = {}
    for fold in arguments.folds:
        run = arguments.runs / f"{arguments.title}-{name}-{fold.replace(' ', '-')}-{arguments.steps}"
        if not (run / "done").exists():
            steps, warm_up = arguments.steps, min(Schedule().warm_up, arguments.steps // 5)
            schedule = Schedule(network=name, fold=fold, steps=steps, warm_up=warm_up, crop=arguments.crop)
            train(images, simulated, schedule, run, start_from=arguments.start_from)
            (run / "done").touch()
        runs[fold] = run
    return runs


def _row(images: list[Labelled], runs: dict[str, Path]) -> tuple[dict[str, Any], Scores]:
    """For the table, and image by image. Of the fold `served` only the validation images count: networks are chosen on them."""
    scores: dict[str, list[Score]] = {"image": [], "device": []}
    for fold, run in runs.items():
        folds = fold_named(images, fold)
        tested = replace(folds, held_out_device=()) if fold == "served" else folds
        scores["device" if fold.startswith("device") else "image"] += score_fold(load_network(run / "last.pt"), images, tested)
    run = list(runs.values())[-1]
    summaries = {kind: summary(found) for kind, found in scores.items() if found}
    every = [score for found in scores.values() for score in found]
    return {
        "folds": list(runs),
        "scores": summaries,
        "degrees_gained_on_a_constant": gained(every),
        "cost": cost(load_network(run / "last.pt"), run / "model.onnx"),
    }, every


def gained(scores: Scores) -> float:
    """How much nearer the analysis' angle is than a constant, on average; an image that is not answered gains nothing."""
    gains = [one for one, _ in gains_of(scores)]
    return round(float(np.mean(gains)), 4) if gains else 0.0


def gains_of(scores: Scores) -> list[tuple[float, int]]:
    """Of each image whose angle is labelled, degrees, and its cluster."""
    return [
        (
            0.0 if s.analysis_angle_error_deg is None else (s.constant_angle_error_deg or 0.0) - s.analysis_angle_error_deg,
            s.cluster,
        )
        for s in scores
        if s.angle_is_labelled
    ]


def _less(scores: Scores, reference: Scores) -> dict[str, Any]:
    """How much higher this network scores than the reference on the same images, with an interval over clusters."""
    pairs = list(zip(scores, reference, strict=True))
    differences = {
        "aponeurosis Dice": [(_dice_difference(one.aponeurosis_iou, other.aponeurosis_iou), one.cluster) for one, other in pairs],
        "fascicle Dice": [(_minus(one.fascicle_dice, other.fascicle_dice), one.cluster) for one, other in pairs],
    }
    return {name: interval(values) for name, values in differences.items()}


def _dice_difference(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else 2 * one / (1 + one) - 2 * other / (1 + other)


def _minus(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one - other


def _milliseconds(onnx: Path) -> float:
    """Of the processor, the median of single frames, in ONNX Runtime: one thread, so what else runs hardly counts."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(onnx), options, providers=["CPUExecutionProvider"])
    image = np.random.default_rng(0).integers(1, 256, (1, 1, _SIZE, _SIZE), dtype=np.uint8)
    seconds = []
    for _ in range(_TIMED_FRAMES):
        begun = time.process_time()
        session.run(None, {"image": image})
        seconds.append(time.process_time() - begun)
    return 1e3 * float(np.median(seconds[_TIMED_FRAMES // 6 :]))


def _cell(value: dict[str, Any] | float | None) -> str:
    if value is None:
        return "-"
    if isinstance(value, dict):
        return f"{value['value']:.2f} ({value['low']:.2f} to {value['high']:.2f}), n {value['images']}"
    return f"{value:.2f}"


if __name__ == "__main__":
    main()
