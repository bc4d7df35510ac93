"""Means of stages of one network, beside the stage that they start from: which mean is served rests on this list (ADR 0048).

`python -m bench.averages --data DLTRACK --stage NAME=RUN --averages RUN ...` quantises each run of
`training.muscle_segmentation.average` as the served one is, and scores the int8 file as `bench.networks` does. Means have the
graph of their stages, and so the time that `bench.networks` has written of NAME.
"""

import argparse
import hashlib
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from bench.bare_loop import TRITON_PACKAGES
from bench.geometry import SUBJECTS, Geometry, geometry_of, less, validation_subjects
from bench.networks import KEY, RESULTS, contender
from bench.runtimes import Variant, open_openvino
from training.muscle_segmentation.evaluate import load_network
from training.muscle_segmentation.export import export_maps
from training.muscle_segmentation.folds import fold_named
from training.muscle_segmentation.quantise import SERVED_RECIPE, calibration_images, quantise
from training.muscle_segmentation.real import load_real

AVERAGES = "averages of the slim network's stages, int8 as served, the same validation data; time of one graph as above"
Row = dict[str, Any]


def main() -> None:
    """Quantise, score, write the list into the table of `bench.networks`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with DL_Track's images, masks and manifest.csv")
    parser.add_argument("--stage", type=contender, required=True, help="NAME in networks.json=folder with last.pt")
    parser.add_argument("--averages", nargs="+", type=Path, required=True, help="folders with last.pt")
    parser.add_argument("--runtime-from", type=Path, default=TRITON_PACKAGES)
    parser.add_argument("--subjects", type=int, default=SUBJECTS, help="simulated validation subjects")
    parser.add_argument("--output", type=Path, default=RESULTS)
    given = parser.parse_args()
    sys.path.append(str(given.runtime_from))
    name, stage = given.stage
    kept = json.loads(RESULTS.read_text())
    took = kept[KEY]["networks"][name]["milliseconds"]["batch of 8"]["median"]
    rows = scored(stage, given.averages, given.data, given.subjects, took)
    given.output.write_text(json.dumps(kept | {AVERAGES: {"milliseconds": took, "averages": rows}}, indent=1) + "\n")
    print(table(rows))


def scored(stage: Path, averages: Sequence[Path], data: Path, subjects: int, milliseconds: float) -> list[Row]:
    """The mean with the greatest share first."""
    images = load_real(data)
    folds = fold_named(images, "served")
    shown = [(images[i], folds.clusters[i]) for i in folds.validation]
    made, to_calibrate = validation_subjects(subjects), list(calibration_images())
    measured: list[tuple[Geometry, str]] = []
    with tempfile.TemporaryDirectory(prefix="sonomyo-averages-") as folder:
        as_trained, served = Path(folder) / "fp32.onnx", Path(folder) / "int8.onnx"
        for run in (stage, *averages):
            export_maps(load_network(run / "last.pt"), as_trained)
            quantise(as_trained, SERVED_RECIPE, to_calibrate, served)
            found = geometry_of(open_openvino(Variant(served), 1), shown, made)
            measured.append((found, hashlib.sha256(served.read_bytes()).hexdigest()))
    (first, _), *others = measured
    rows = []
    for run, (geometry, digest) in zip(averages, others, strict=True):
        value, low, high = less(geometry, first)
        rows.append(
            {
                "shares_of_stages": shares_of_stages(torch.load(run / "last.pt", weights_only=True)),
                "sha256": digest,
                "gained_on_a_constant": geometry.gained(),
                "gained_per_millisecond": geometry.gained() / milliseconds,
                "shares": geometry.shares(),
                "gained_less_the_first_stage": {"value": value, "low": low, "high": high, "images": len(shown)},
            }
        )
    return sorted(rows, key=lambda row: -float(row["gained_on_a_constant"]))


def shares_of_stages(checkpoint: Mapping[str, Any]) -> dict[str, float]:
    """Of each part of a mean, which is called by the steps of its stages."""
    return {
        " + ".join(f"{stage['stopped_at']:,}" for stage in part["stages"]) + " steps": round(part["share"], 4)
        for part in checkpoint["averaged"]
    }


def table(rows: Sequence[Row]) -> str:
    """For people, in Markdown. A constant's own share is 0."""
    lines = ["|mean of|share of a constant's error gone|the same a ms|less the stage beside it|", "|---|---|---|---|"]
    for row in rows:
        said = ", ".join(f"{share:g} of {name}" for name, share in row["shares_of_stages"].items())
        apart = "{value:.4f} ({low:.4f} to {high:.4f})".format(**row["gained_less_the_first_stage"])
        lines.append(f"|{said}|{row['gained_on_a_constant']:.4f}|{row['gained_per_millisecond']:.4f}|{apart}|")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
