"""Put a trained network into the model repository: `python -m training.muscle_segmentation.export --run RUN`."""

import argparse
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from torch import nn

from training.exporting import export, largest_difference
from training.muscle_segmentation.card import model_card, triton_config
from training.muscle_segmentation.evaluate import load_network
from training.muscle_segmentation.model import LABELS, giga_multiply_accumulates, number_of_parameters
from training.muscle_segmentation.quantise import SERVED_RECIPE, Images, calibration_images, quantise
from training.muscle_segmentation.served_figures import served_figures

MODEL_NAME = "muscle_segmentation"
_SIZE = 256
#: Maps are bytes: rounding may differ by one between runtimes.
_LARGEST_DIFFERENCE = 1
#: Of int8 from fp32; whether the numbers of a report hold is for `bench.precision` to say.
_LARGEST_MEAN_DIFFERENCE = 0.5
#: Kept, so that the arithmetic can be chosen anew without training.
FP32 = Path(__file__).parent / "weights" / "fp32.onnx"


def main() -> None:
    """Export, compare with torch, quantise, compare again, write the folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True, help="folder with last.pt and evaluation.json")
    parser.add_argument("--to", type=Path, default=Path("model_repository"))
    parser.add_argument("--results", type=Path, default=Path("bench/results"), help="what the benchmarks measured, for the card")
    parser.add_argument("--remark", default="", help="a sentence for the card, for instance that training is not finished")
    arguments = parser.parse_args()
    export_run(arguments.run, arguments.to, arguments.results, arguments.remark)


def export_run(run: Path, to: Path, results: Path, remark: str = "") -> Path:
    """The file that is served; its folder has configuration, labels and card."""
    network = load_network(run / "last.pt")
    folder = to / MODEL_NAME
    (folder / "1").mkdir(parents=True, exist_ok=True)
    model = folder / "1" / "model.onnx"
    export_maps(network, FP32)
    if (off := largest_difference(network, FP32, random_pictures())) > _LARGEST_DIFFERENCE:
        raise SystemExit(f"ONNX Runtime differs from torch by {off:.0f} of 255")
    images = list(calibration_images())
    quantise(FP32, SERVED_RECIPE, images, model)
    difference = mean_difference(FP32, model, images)
    if difference > _LARGEST_MEAN_DIFFERENCE:
        raise SystemExit(f"int8 differs from fp32 by {difference:.2f} of 255 in the mean")
    print(f"{model}: mean difference from fp32 {difference:.2f} of 255")
    describe(run, to, results, remark)
    return model


def describe(run: Path, to: Path, results: Path, remark: str = "") -> None:
    """Configuration, labels, figures and card of the file that is there, from what was measured until now."""
    folder = to / MODEL_NAME
    digest = hashlib.sha256((folder / "1" / "model.onnx").read_bytes()).hexdigest()
    network = load_network(run / "last.pt")
    tables = json.loads((run / "evaluation.json").read_text())
    tables = {title: table for title, table in tables.items() if table.get("sha256", digest) == digest}
    kept = {"fp32_sha256": hashlib.sha256(FP32.read_bytes()).hexdigest(), "weights_sha256": digest, **tables}
    (results / "segmentation.json").write_text(json.dumps(kept, indent=1) + "\n")
    checkpoint = torch.load(run / "last.pt", weights_only=True)
    facts = {
        "digest": digest,
        "parameters": number_of_parameters(network),
        "giga_multiply_accumulates": giga_multiply_accumulates(network),
        "stages": checkpoint["stages"],
        "averaged": checkpoint.get("averaged", []),
        "remark": remark,
        "served": served_figures(digest, results),
    }
    (folder / "labels.txt").write_text("\n".join(LABELS) + "\n")
    (folder / "config.pbtxt").write_text(triton_config(digest))
    (folder / "model_card.md").write_text(model_card(facts, tables))
    print(f"{folder}: SHA-256 {digest}")


def export_maps(network: nn.Module, path: Path) -> None:
    """In fp32."""
    export(network, torch.from_numpy(random_pictures()[:2]), path, inputs=["image"], outputs=["masks"])


def random_pictures() -> Images:
    """Four (4, 1, S, S) with padding, for comparing runtimes."""
    image = np.random.default_rng(0).integers(1, 256, (4, 1, _SIZE, _SIZE), dtype=np.uint8)
    image[:, :, :, :20] = 0
    return image


def mean_difference(one: Path, other: Path, images: Sequence[Images]) -> float:
    """Between the maps of two networks, in steps of 1/255."""
    sessions = [onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"]) for path in (one, other)]
    pairs = [[session.run(["masks"], {"image": batch})[0].astype(np.int16) for session in sessions] for batch in images]
    return float(np.mean([np.abs(first - second).mean() for first, second in pairs]))


if __name__ == "__main__":
    main()
