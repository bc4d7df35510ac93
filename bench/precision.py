"""Whether a cheaper arithmetic may serve: the network in int8 (and bf16 where the processor has it) against fp32 as trained.

`python -m bench.precision` writes bench/results/precision.json: for each variant its size, the milliseconds a frame on one core
and on all in both runtimes, how far its maps are from those of fp32, and what becomes of the numbers (bench.accuracy), frame by
frame against fp32. The rule: the faster one ships if no error leaves the 95 % interval that fp32 has itself.
"""

import argparse
import hashlib
import json
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from bench.accuracy import Answers, analyse, error_of_each, inferring, interval, take
from bench.bare_loop import FRAMES_PER_BATCH, MODEL, ROOT, TRITON_PACKAGES, Network
from bench.ingest import machine
from bench.labelled_images import Labelled, shared_folder, simulated, timtrack, without_muscle
from bench.runtimes import Variant, open_onnxruntime, open_openvino
from service.core.analyses.muscle_architecture import MuscleArchitecture
from service.core.analyses.prepared import prepare
from service.core.cine import Pixels
from service.embedded.triton_repository import BF16_FLAGS, processor_flags, usable_cores
from service.errors import NotMeasurable
from training.muscle_segmentation.quantise import CALIBRATION_SUBJECTS, Recipe, calibration_images, quantise

REFERENCE = "fp32"
FP32 = ROOT / "training" / "muscle_segmentation" / "weights" / "fp32.onnx"
SERVED = "int8, as served"
_BETWEEN = ("Conv", "Relu", "MaxPool", "Concat", "Add", "Resize")
#: Beside the one that is served.
RECIPES = {
    "int8 U8S8, convolutions": Recipe(),
    "int8 S8S8, convolutions": Recipe("QInt8"),
    "int8 U8S8, what lies between too": Recipe(operators=_BETWEEN),
    "int8 U8S8, what lies between too, first and last in floats": Recipe(operators=_BETWEEN, in_floats=(0, -1)),
}
Sets = Mapping[str, Mapping[str, Answers]]


def main() -> None:
    """All variants."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("bench/results/precision.json"))
    parser.add_argument("--runtime-from", type=Path, default=TRITON_PACKAGES)
    parser.add_argument("--subjects", type=int, default=20, help="simulated subjects of each device group")
    parser.add_argument("--calibration-subjects", type=int, default=CALIBRATION_SUBJECTS)
    parser.add_argument("--rounds", type=int, default=15)
    given = parser.parse_args()
    sys.path.append(str(given.runtime_from))
    with tempfile.TemporaryDirectory(prefix="sonomyo-precision-") as folder:
        images = list(calibration_images(given.calibration_subjects))
        variants = make_variants(Path(folder), images)
        figures = {
            "machine": machine(),
            "weights_sha256": hashlib.sha256(MODEL.read_bytes()).hexdigest(),
            "bf16": "measured" if "bf16" in variants else "not measured: the processor has no bf16 or fp16 arithmetic",
            "calibration_frames": sum(len(batch) for batch in images),
            "bytes": {name: variant.path.stat().st_size for name, variant in variants.items()},
            "milliseconds_a_frame": speeds(variants, full_batch(images), given.rounds),
        }
        networks = {name: open_openvino(variant, usable_cores()) for name, variant in variants.items()}
        figures |= {"maps": differences(networks, shared_folder()), **numbers(networks, shared_folder(), given.subjects)}
    figures["verdict"] = verdict(figures)
    given.output.parent.mkdir(parents=True, exist_ok=True)
    given.output.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    print(table(figures))


def make_variants(folder: Path, images: Sequence[Pixels]) -> dict[str, Variant]:
    """By name, the reference first."""
    variants = {REFERENCE: Variant(FP32), SERVED: Variant(MODEL)}
    if BF16_FLAGS & processor_flags():
        variants["bf16"] = Variant(FP32, "bf16")
    for name, recipe in RECIPES.items():
        path = folder / f"{len(variants)}.onnx"
        quantise(FP32, recipe, images, path)
        variants[name] = Variant(path)
    return variants


def full_batch(images: Sequence[Pixels]) -> Pixels:
    """The first frames (8, 1, S, S)."""
    return np.concatenate(images)[:FRAMES_PER_BATCH]


def speeds(variants: Mapping[str, Variant], images: Pixels, rounds: int) -> dict[str, dict[str, dict[str, float]]]:
    """Milliseconds a frame in batches of eight, of the clock and of the processor; variants take turns."""
    found: dict[str, dict[str, dict[str, float]]] = {name: {} for name in variants}
    openers: Mapping[str, Callable[[Variant, int], Network]] = {"openvino": open_openvino, "onnxruntime": open_onnxruntime}
    for runtime, open_network in openers.items():
        for threads in sorted({1, usable_cores()}):
            able = {name: variant for name, variant in variants.items() if runtime == "openvino" or variant.hint == "f32"}
            networks = {name: open_network(variant, threads) for name, variant in able.items()}
            for name, rows in _times(networks, images, rounds).items():
                wall, processor = (sorted(1e3 * each / len(images) for each in column) for column in zip(*rows, strict=True))
                row = {"median": median(wall), "least": wall[0], "processor": median(processor)}
                found[name][f"{runtime}, {threads} cores"] = row
    return found


def _times(networks: Mapping[str, Network], images: Pixels, rounds: int) -> dict[str, list[tuple[float, float]]]:
    """Seconds of the clock and of the processor."""
    taken = defaultdict(list)
    for number in range(rounds + 1):
        for name, network in networks.items():
            begun, used = time.perf_counter(), time.process_time()
            network(images)
            if number:  # the first of each is slower
                taken[name].append((time.perf_counter() - begun, time.process_time() - used))
    return taken


def differences(networks: Mapping[str, Network], data: Path | None) -> dict[str, dict[str, float]]:
    """Of the maps from fp32's, in steps of 1/255, over real frames, or simulated ones where there are none."""
    reference, found = networks[REFERENCE], defaultdict(list)
    for _, labelled in some_frames(data):
        for batch in MuscleArchitecture().inputs(prepare(labelled.cine)):
            images = np.asarray(batch["image"], np.uint8)
            wanted = reference(images).astype(np.int16)
            for name, network in networks.items():
                off = np.abs(network(images).astype(np.int16) - wanted)
                found[name].append((int(off.max()), float(off.mean()), float((off > 25).mean())))
    return {
        name: {
            "largest": max(row[0] for row in rows),
            "mean": float(np.mean([row[1] for row in rows])),
            "share_beyond_a_tenth": float(np.mean([row[2] for row in rows])),
        }
        for name, rows in found.items()
    }


def some_frames(data: Path | None) -> Iterator[tuple[str, Labelled]]:
    """Real frames of every set."""
    if data is not None:
        yield from timtrack(data)
    else:
        yield from (("simulated", labelled) for labelled in simulated(8, "common"))


def numbers(networks: Mapping[str, Network], data: Path | None, subjects: int) -> dict[str, Any]:
    """What each variant comes to on frames with a known answer, and on pictures without a muscle."""
    sets: dict[str, dict[str, dict[str, Answers]]] = {name: defaultdict(lambda: defaultdict(Answers)) for name in networks}
    for said, labelled in labelled_frames(data, subjects):
        for name, network in networks.items():
            take(sets[name][said], labelled, inferring(network))
    wrong = dict.fromkeys(networks, 0)
    pictures = 0
    for _, cine in without_muscle(data, 2 * subjects):
        pictures += 1
        for name, network in networks.items():
            try:
                wrong[name] += any(finding.name == "thickness" for finding in analyse(cine, inferring(network)))
            except NotMeasurable:
                continue
    return {
        "errors": {name: compared(found, sets[REFERENCE]) for name, found in sets.items()},
        "measured_without_muscle": {"pictures": pictures, **wrong},
    }


def labelled_frames(data: Path | None, subjects: int) -> Iterator[tuple[str, Labelled]]:
    """By the set's name."""
    if data is not None:
        for name, labelled in timtrack(data):
            yield f"TimTrack {name}", labelled
    for labelled in simulated(subjects, "common"):
        yield "simulated, known devices", labelled
    for labelled in simulated(subjects, "held-out"):
        yield "simulated, held-out devices", labelled


def compared(sets: Sets, served: Sets) -> dict[str, dict[str, dict[str, Any]]]:
    """Mean errors, and the difference from fp32 frame by frame; intervals draw groups anew."""
    return {
        name: {kind: difference(answers, served[name][kind], kind) for kind, answers in kinds.items()}
        for name, kinds in sets.items()
    }


def difference(answers: Answers, served: Answers, kind: str) -> dict[str, Any]:
    """One measurement on one set; `is_beyond` is the rule's, `is_worse` holds where the paired interval lies above 0."""
    ours, theirs = error_of_each(answers, kind), error_of_each(served, kind)
    low, high = interval(ours - theirs, served.groups)
    bounds = interval(theirs, served.groups)
    return {
        "mean_absolute_error": float(ours.mean()),
        "interval_of_fp32": list(bounds),
        "difference": float((ours - theirs).mean()),
        "interval_of_difference": [low, high],
        "is_beyond": bool(ours.mean() > bounds[1]),
        "is_worse": bool(low > 0),
        "answered": int(np.isfinite(answers.answered).sum()),
    }


def verdict(figures: Mapping[str, Any]) -> dict[str, Any]:
    """By the rule, for each runtime on one core, in the processor's own time, which other programs hardly change."""
    kept = [name for name, sets in figures["errors"].items() if not _where(sets, "is_beyond")]
    fastest = {}
    for runtime in ("openvino", "onnxruntime"):
        place = f"{runtime}, 1 cores"
        took = {name: row[place]["processor"] for name, row in figures["milliseconds_a_frame"].items() if place in row}
        best = min((name for name in kept if name in took), key=took.__getitem__)
        fastest[runtime] = {"variant": best, "times_as_fast_as_fp32": took[REFERENCE] / took[best]}
    return {
        "beyond": {name: _where(sets, "is_beyond") for name, sets in figures["errors"].items()},
        "worse": {name: _where(sets, "is_worse") for name, sets in figures["errors"].items()},
        "fastest_that_keeps_the_numbers": fastest,
    }


def _where(sets: Mapping[str, Mapping[str, Mapping[str, Any]]], what: str) -> list[str]:
    return [f"{name}: {kind}" for name, kinds in sets.items() for kind, row in kinds.items() if row[what]]


def table(figures: Mapping[str, Any]) -> str:
    """For people."""
    lines = []
    for name, milliseconds in figures["milliseconds_a_frame"].items():
        maps, found = figures["maps"][name], figures["verdict"]
        lines.append(
            f"{name}: {figures['bytes'][name] / 1e6:.2f} MB; "
            + ", ".join(f"{place} {each['median']:.1f} ms (least {each['least']:.1f})" for place, each in milliseconds.items())
            + f"; maps off by {maps['mean']:.2f} in the mean, {maps['largest']:.0f} at most;"
            f" beyond fp32's interval in {len(found['beyond'][name])}, worse in {len(found['worse'][name])};"
            f" measured without muscle {figures['measured_without_muscle'][name]}"
        )
    for name, sets in figures["errors"].items():
        lines.append(f"\n{name}")
        for said, kinds in sets.items():
            for kind, row in kinds.items():
                low, high = row["interval_of_difference"]
                marks = " worse" * row["is_worse"] + " beyond" * row["is_beyond"]
                lines.append(
                    f"  {said[:30] + ': ' + kind:58s}{row['mean_absolute_error']:7.2f}{row['difference']:+8.3f}"
                    f" ({low:+.3f} to {high:+.3f}){marks}"
                )
    lines.append(json.dumps(figures["verdict"]["fastest_that_keeps_the_numbers"]))
    return "\n".join(lines)


if __name__ == "__main__":
    main()
