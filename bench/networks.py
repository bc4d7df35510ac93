"""Geometry per millisecond as served: which segmentation network is served rests on this table (ADRs 0018, 0048).

`python -m bench.networks --data DLTRACK --networks NAME=FILE.onnx|RUN ...` quantises each network as the served one is, times it
in OpenVINO on one core, taking turns, and scores the same int8 file on the validation images of the served fold and on simulated
subjects, which no network trained on. Networks of one graph, the stages of one training for instance, have one time: their
arithmetic is the same. Of a network in `--graphs` no weights are left: it is timed with random ones.
"""

import argparse
import hashlib
import json
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor

from bench.bare_loop import FRAMES_PER_BATCH, TRITON_PACKAGES, Network
from bench.geometry import SUBJECTS, Geometry, geometry_of, less, validation_subjects
from bench.ingest import machine
from bench.runtimes import Variant, open_openvino
from service.core.cine import Pixels
from training.muscle_segmentation.cross_validate import gained
from training.muscle_segmentation.evaluate import load_network, predict, summary
from training.muscle_segmentation.export import export_maps
from training.muscle_segmentation.folds import fold_named
from training.muscle_segmentation.model import NETWORKS, ServedSegmentation
from training.muscle_segmentation.quantise import SERVED_RECIPE, calibration_images, quantise
from training.muscle_segmentation.real import load_real
from training.muscle_segmentation.scores import baselines_of, score

RESULTS = Path("bench/results/networks.json")
KEY = "int8 as served, one core, validation images of the served fold and simulated validation subjects"
_SHOWN = (
    ("both lines within 3 px", "both_lines_within_3_pixels"),
    ("aponeurosis IoU", "aponeurosis_iou"),
    ("fascicle F1 at 2 px", "fascicle_f1_at_2_pixels"),
    ("fragment angle, deg", "angle_mae_deg"),
    ("analysis' angle, deg", "analysis_angle_mae_deg"),
    ("constant angle, deg", "constant_angle_mae_deg"),
    ("structure tensor, deg", "tensor_angle_mae_deg"),
    ("images with the analysis' angle", "analysis_angle_answered"),
    ("thickness, %", "thickness_mae_percent"),
    ("constant thickness, %", "constant_thickness_mae_percent"),
)


def main() -> None:
    """Quantise, time, score, write the table beside those of `training.muscle_segmentation.cross_validate`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with DL_Track's images, masks and manifest.csv")
    parser.add_argument(
        "--networks", nargs="+", type=contender, default=[], help="NAME=exported fp32 network, or folder with last.pt"
    )
    parser.add_argument("--graphs", nargs="*", choices=sorted(NETWORKS), default=[], help="timed only")
    parser.add_argument("--runtime-from", type=Path, default=TRITON_PACKAGES)
    parser.add_argument("--subjects", type=int, default=SUBJECTS, help="simulated validation subjects")
    parser.add_argument("--rounds", type=int, default=25)
    given = parser.parse_args()
    sys.path.append(str(given.runtime_from))
    with tempfile.TemporaryDirectory(prefix="sonomyo-networks-") as folder:
        files = _in_int8(dict(given.networks), given.graphs, Path(folder))
        networks = {name: open_openvino(Variant(path), 1) for name, path in files.items()}
        first = first_of_each_graph(files)
        timed = milliseconds({name: networks[name] for name in dict.fromkeys(first.values())}, given.rounds)
        taken = {name: timed[first[name]] for name in networks}
        digests = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()}
        scored = geometry({name: networks[name] for name, _ in given.networks}, given.data, given.subjects)
    rows = {name: {"sha256": digests[name], "milliseconds": taken[name], **scored.get(name, {})} for name in networks}
    for row in rows.values():
        if "gained_on_a_constant" in row:
            row["gained_per_millisecond"] = row["gained_on_a_constant"] / row["milliseconds"]["batch of 8"]["median"]
    kept = json.loads(RESULTS.read_text()) | {KEY: {"machine": machine(), "networks": rows}}
    RESULTS.write_text(json.dumps(kept, indent=1) + "\n")
    print(table(rows))


def first_of_each_graph(files: Mapping[str, Path]) -> dict[str, str]:
    """Of each file the first one whose operators and shapes are the same."""
    found: dict[str, str] = {}
    seen: dict[tuple[Any, ...], str] = {}
    for name, path in files.items():
        graph = onnx.load(str(path)).graph
        shapes = tuple(sorted(tuple(weights.dims) for weights in graph.initializer))
        found[name] = seen.setdefault((tuple(node.op_type for node in graph.node), shapes), name)
    return found


def milliseconds(networks: Mapping[str, Network], rounds: int) -> dict[str, dict[str, dict[str, float]]]:
    """Of one frame, processor time, alone and in full batches; the networks take turns."""
    random = np.random.default_rng(0)
    found: dict[str, dict[str, dict[str, float]]] = {name: {} for name in networks}
    for frames in (1, FRAMES_PER_BATCH):
        images: Pixels = random.integers(1, 256, (frames, 1, 256, 256), dtype=np.uint8)
        seconds: dict[str, list[float]] = {name: [] for name in networks}
        for _ in range(rounds + 2):
            for name, network in networks.items():
                begun = time.process_time()
                network(images)
                seconds[name].append(time.process_time() - begun)
        for name, each in seconds.items():
            per_frame = [1e3 * one / frames for one in each[2:]]
            found[name][f"batch of {frames}"] = {"median": median(per_frame), "least": min(per_frame)}
    return found


def geometry(networks: Mapping[str, Network], data: Path, subjects: int) -> dict[str, dict[str, Any]]:
    """Of each network on validation data: the share of a constant's error that is gone, that less the last one's, and more."""
    images = load_real(data)
    folds = fold_named(images, "served")
    baselines = baselines_of([images[i] for i in folds.train])
    shown = [(images[i], folds.clusters[i]) for i in folds.validation]
    found: dict[str, dict[str, Any]] = {}
    made = validation_subjects(subjects)
    measured: dict[str, Geometry] = {}
    for name, network in networks.items():
        maps = predict(_of_tensors(network), [item for item, _ in shown])
        scores = [score(item, m, cluster, baselines) for (item, cluster), m in zip(shown, maps, strict=True)]
        measured[name] = geometry_of(network, shown, made)
        found[name] = {
            "gained_on_a_constant": measured[name].gained(),
            "shares": measured[name].shares(),
            "degrees_gained_on_a_constant": gained(scores),
            "scores": summary(scores),
        }
    for name, each in measured.items():
        value, low, high = less(each, list(measured.values())[-1])
        found[name]["gained_less_the_last"] = {"value": value, "low": low, "high": high, "images": len(shown)}
    return found


def table(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """For people, in Markdown."""
    lines = ["| |" + "|".join(rows) + "|", "|---|" + "---|" * len(rows)]
    for batch in ("batch of 1", f"batch of {FRAMES_PER_BATCH}"):
        cells = (
            f"{row['milliseconds'][batch]['median']:.1f} ({row['milliseconds'][batch]['least']:.1f})" for row in rows.values()
        )
        lines.append(f"|ms a frame, {batch}: median (least)|" + "|".join(cells) + "|")
    for title, key in (("share of a constant's error gone", "gained_on_a_constant"), ("the same a ms", "gained_per_millisecond")):
        lines.append(f"|{title}|" + "|".join(f"{row[key]:.3f}" if key in row else "" for row in rows.values()) + "|")
    shares = [row.get("shares", {}) for row in rows.values()]
    kinds: Sequence[str] = list(next((one for one in shares if one), {}))
    lines += [f"|{kind}|" + "|".join(f"{one[kind]:.3f}" if one else "" for one in shares) + "|" for kind in kinds]
    apart = (_cell(row.get("gained_less_the_last"), 3) for row in rows.values())
    older = (f"{row['degrees_gained_on_a_constant']:.3f}" if "shares" in row else "" for row in rows.values())
    lines.append("|degrees gained on a constant angle (the rule before)|" + "|".join(older) + "|")
    lines.append("|gone, less what the last one takes away|" + "|".join(apart) + "|")
    for title, key in _SHOWN:
        lines.append(f"|{title}|" + "|".join(_cell(row.get("scores", {}).get(key)) for row in rows.values()) + "|")
    return "\n".join(lines)


def contender(argument: str) -> tuple[str, Path]:
    """An argument of the command line."""
    name, _, path = argument.partition("=")
    if not name or not Path(path).exists():
        raise argparse.ArgumentTypeError(f"{argument}: a name, =, an exported network or a folder with last.pt")
    return name, Path(path)


def _in_int8(networks: Mapping[str, Path], graphs: Sequence[str], folder: Path) -> dict[str, Path]:
    """The files to be served, by name."""
    sources: dict[str, Path] = {}
    for number, (name, path) in enumerate(networks.items()):
        sources[name] = path if path.suffix == ".onnx" else folder / f"{number}.onnx"
        if path.suffix != ".onnx":
            export_maps(load_network(path / "last.pt"), sources[name])
    for name in graphs:
        sources[f"{name}, graph"] = folder / f"{name}.onnx"
        export_maps(ServedSegmentation(NETWORKS[name]()).eval(), sources[f"{name}, graph"])
    images, files = list(calibration_images()), {}
    for number, (name, source) in enumerate(sources.items()):
        files[name] = folder / f"{number}-int8.onnx"
        quantise(source, SERVED_RECIPE, images, files[name])
    return files


def _of_tensors(network: Network) -> Callable[[Tensor], Tensor]:
    def called(image: Tensor) -> Tensor:
        return torch.from_numpy(network(image.numpy()))

    return called


def _cell(value: Mapping[str, Any] | float | None, digits: int = 2) -> str:
    if value is None:
        return ""
    if isinstance(value, Mapping):
        middle, low, high = (f"{value[key]:.{digits}f}" for key in ("value", "low", "high"))
        return f"{middle} ({low} to {high}), n {value['images']}"
    return f"{value:.{digits}f}"


if __name__ == "__main__":
    main()
