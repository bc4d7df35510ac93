"""Put a trained network into the model repository: `python -m training.muscle_segmentation.export --run RUN`."""

import argparse
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch

from training.muscle_segmentation.card import model_card, triton_config
from training.muscle_segmentation.evaluate import load_network
from training.muscle_segmentation.model import LABELS, ServedSegmentation, giga_multiply_accumulates, number_of_parameters
from training.muscle_segmentation.quantise import SERVED_RECIPE, Images, calibration_images, quantise
from training.muscle_segmentation.served_figures import served_figures

MODEL_NAME = "muscle_segmentation"
_OPSET = 18
_SIZE = 256
_CHECK_BATCHES = (1, 3)
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
    network = load_network(arguments.run / "last.pt")
    folder = arguments.to / MODEL_NAME
    (folder / "1").mkdir(parents=True, exist_ok=True)
    model = folder / "1" / "model.onnx"
    export(network, FP32)
    if (off := largest_difference(network, FP32)) > _LARGEST_DIFFERENCE:
        raise SystemExit(f"ONNX Runtime differs from torch by {off} of 255")
    images = list(calibration_images())
    quantise(FP32, SERVED_RECIPE, images, model)
    difference = mean_difference(FP32, model, images)
    if difference > _LARGEST_MEAN_DIFFERENCE:
        raise SystemExit(f"int8 differs from fp32 by {difference:.2f} of 255 in the mean")
    digest = hashlib.sha256(model.read_bytes()).hexdigest()
    tables = json.loads((arguments.run / "evaluation.json").read_text())
    kept = {"fp32_sha256": hashlib.sha256(FP32.read_bytes()).hexdigest(), "weights_sha256": digest, **tables}
    (arguments.results / "segmentation.json").write_text(json.dumps(kept, indent=1) + "\n")
    checkpoint = torch.load(arguments.run / "last.pt", weights_only=True)
    facts = {
        "digest": digest,
        "parameters": number_of_parameters(network),
        "giga_multiply_accumulates": giga_multiply_accumulates(network),
        "stages": checkpoint["stages"],
        "remark": arguments.remark,
        "served": served_figures(digest, arguments.results),
    }
    (folder / "labels.txt").write_text("\n".join(LABELS) + "\n")
    (folder / "config.pbtxt").write_text(triton_config(digest))
    (folder / "model_card.md").write_text(model_card(facts, tables))
    print(f"{model}: SHA-256 {digest}, mean difference from fp32 {difference:.2f} of 255")


def export(network: ServedSegmentation, path: Path) -> None:
    """One file, batch free, uint8 in and out."""
    network.eval()
    example = torch.zeros((2, 1, _SIZE, _SIZE), dtype=torch.uint8)
    aside = path.with_suffix(".writing.onnx")
    torch.onnx.export(
        network,
        (example,),
        str(aside),
        input_names=["image"],
        output_names=["masks"],
        dynamic_axes={"image": {0: "batch"}, "masks": {0: "batch"}},
        opset_version=_OPSET,
        dynamo=False,
    )
    onnx.checker.check_model(onnx.load(str(aside)), full_check=True)
    aside.replace(path)


def largest_difference(network: ServedSegmentation, path: Path) -> int:
    """Between ONNX Runtime and torch, in steps of 1/255, on random pictures with padding."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    random, largest = np.random.default_rng(0), 0
    for count in _CHECK_BATCHES:
        image = random.integers(1, 256, (count, 1, _SIZE, _SIZE), dtype=np.uint8)
        image[:, :, :, :20] = 0
        with torch.inference_mode():
            wanted = network(torch.from_numpy(image)).numpy().astype(np.int16)
        masks = session.run(["masks"], {"image": image})[0].astype(np.int16)
        largest = max(largest, int(np.abs(masks - wanted).max()))
    return largest


def mean_difference(one: Path, other: Path, images: Sequence[Images]) -> float:
    """Between the maps of two networks, in steps of 1/255."""
    sessions = [onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"]) for path in (one, other)]
    pairs = [[session.run(["masks"], {"image": batch})[0].astype(np.int16) for session in sessions] for batch in images]
    return float(np.mean([np.abs(first - second).mean() for first, second in pairs]))


if __name__ == "__main__":
    main()
