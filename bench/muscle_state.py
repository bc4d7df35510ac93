"""Frames a second through the analysis of muscle states: Triton, as a worker asks it, against bare ONNX Runtime on as many cores.

`python -m bench.muscle_state` writes bench/results/muscle_state.json. Both take turns with the same cine, decoded beforehand, and
must come to the same states. ONNX Runtime comes from Triton's environment; the service's own has none.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from bench.bare_loop import TRITON_PACKAGES
from bench.ingest import machine
from service.adapters.cine_decoder import FileCineReader
from service.adapters.triton import TritonInferenceServer
from service.core.analyses.analysis import Infer, ModelSpec, Tensors
from service.core.analyses.muscle_state import MODEL, MuscleState
from service.core.cine import Cine
from service.core.findings import Finding, ModelUsed
from service.embedded.supervisor import ProcessSpec
from service.embedded.triton_repository import usable_cores
from simulator.write import simulate
from tests.embedded import supervised, triton_in
from tests.running import ROOT

FRAMES = 128
#: Degrees, per cent, newton metres: the two ways round differently, and the segmentation is int8.
_LARGEST_DIFFERENCE = 1.0


def main() -> None:
    """Run all rounds, print a line, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="two rounds")
    parser.add_argument("--output", type=Path, default=Path("bench/results/muscle_state.json"))
    given = parser.parse_args()
    result = {"machine": machine(), **run(2 if given.quick else given.rounds)}
    given.output.parent.mkdir(parents=True, exist_ok=True)
    given.output.write_text(json.dumps(result, indent=2) + "\n")
    print(
        f"Triton {result['triton']['median']:.0f} frames/s, bare ONNX Runtime {result['bare']['median']:.0f},"
        f" ratio {result['ratio']:.2f}; load {result['load_average'][0]:.1f}"
    )


def run(rounds: int) -> dict[str, Any]:
    """Both ways in turn, each warm."""
    with tempfile.TemporaryDirectory(prefix="sonomyo-states-") as folder:
        cine = some_cine(Path(folder))
        bare = open_bare()
        with open_triton(Path(folder)) as served:
            off = _apart(analysed(cine, bare), analysed(cine, served))
            if off > _LARGEST_DIFFERENCE:
                raise SystemExit(f"Triton and bare ONNX Runtime differ by {off:.1e}")
            rates: dict[str, list[float]] = {"triton": [], "bare": []}
            for _ in range(rounds):
                rates["bare"].append(frames_a_second(cine, bare))
                rates["triton"].append(frames_a_second(cine, served))
    return {
        "frames": FRAMES,
        "threads": usable_cores(),
        "rounds": rounds,
        "load_average": os.getloadavg(),
        "largest_difference": off,
        **{way: {"median": median(found), "least": min(found), "most": max(found)} for way, found in rates.items()},
        "ratio": median(rates["triton"]) / median(rates["bare"]),
    }


def some_cine(folder: Path) -> Cine:
    """Simulated, its frames in memory."""
    (path,) = simulate("calf-states", folder / "cines", seed=1, transfer_syntax="jpeg", number_of_frames=FRAMES)
    reader = FileCineReader()
    try:
        with reader.open(path) as cine:
            frames = list(cine.frames())
            return replace(cine, frames=lambda: iter(frames), pixel_sha256=lambda: "0" * 64, is_colour=False)
    finally:
        reader.close()


def analysed(cine: Cine, infer: Infer) -> tuple[Finding, ...]:
    """By the service's analysis."""
    return MuscleState().analyse(cine, infer, _described)


def open_bare() -> Infer:
    """Sessions in this process, on all cores."""
    sys.path.append(str(TRITON_PACKAGES))
    import onnxruntime  # noqa: PLC0415 - found only now

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = usable_cores()
    sessions = {}
    for model in MuscleState().models:
        path = ROOT / "model_repository" / model.model_name / model.model_version / "model.onnx"
        sessions[model.model_name] = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def infer(model: ModelSpec, batches: Iterable[Tensors]) -> Iterator[Tensors]:
        names = [output.name for output in model.outputs]
        for batch in batches:
            yield dict(zip(names, sessions[model.model_name].run(names, dict(batch)), strict=True))

    return infer


@contextmanager
def open_triton(folder: Path) -> Iterator[Infer]:
    """The embedded server with production's repository, and the worker's client."""
    triton = triton_in(folder / "server", ROOT / "model_repository")
    triton.prepare()
    with supervised(folder / "run", ProcessSpec(name="triton", command=triton.command, is_ready=triton.is_ready)):
        client = TritonInferenceServer(url=triton.url)
        try:
            yield client.infer
        finally:
            client.close()


def frames_a_second(cine: Cine, infer: Infer) -> float:
    """Of one pass over the cine."""
    begun = time.perf_counter()
    analysed(cine, infer)
    return cine.number_of_frames / (time.perf_counter() - begun)


def _apart(one: tuple[Finding, ...], other: tuple[Finding, ...]) -> float:
    """The largest difference between two series of a state."""
    pairs = zip(one, other, strict=True)
    series = [(a.series.values, b.series.values) for a, b in pairs if a.series is not None and b.series is not None]
    return max(float(np.abs(np.array(a, float) - np.array(b, float)).max()) for a, b in series)


def _described(model: ModelSpec) -> ModelUsed:
    return ModelUsed(name=MODEL.model_name, version=model.model_version, sha256="0" * 64, evidence="simulated")


if __name__ == "__main__":
    main()
