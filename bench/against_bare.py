"""A served model against bare ONNX Runtime: both ask in turn, each warm, with the same input and as many cores.

ONNX Runtime comes from Triton's environment; the service's own has none.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from bench.bare_loop import TRITON_PACKAGES
from bench.ingest import machine
from service.adapters.triton import TritonInferenceServer
from service.core.analyses.analysis import Infer, ModelSpec, Tensors
from service.embedded.supervisor import ProcessSpec
from service.embedded.triton_repository import usable_cores
from tests.embedded import supervised, triton_in
from tests.running import ROOT


def command(description: str | None, output: str, unit: str, run: Callable[[int], dict[str, Any]]) -> None:
    """Read the arguments, run all rounds, write JSON, print a line."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="two rounds")
    parser.add_argument("--output", type=Path, default=Path("bench/results") / output)
    given = parser.parse_args()
    result = {"machine": machine(), **run(2 if given.quick else given.rounds)}
    given.output.parent.mkdir(parents=True, exist_ok=True)
    given.output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(
        f"Triton {result['triton']['median']:.1f} {unit}, bare ONNX Runtime {result['bare']['median']:.1f},"
        f" ratio {result['ratio']:.2f}; load {result['load_average'][0]:.1f}"
    )


def in_turn(rounds: int, *, bare: Callable[[], float], served: Callable[[], float]) -> dict[str, Any]:
    """Rates of both, and the ratio of their medians. Each call is one round, and gives its rate."""
    rates: dict[str, list[float]] = {"triton": [], "bare": []}
    for _ in range(rounds):
        rates["bare"].append(bare())
        rates["triton"].append(served())
    return {
        "threads": usable_cores(),
        "rounds": rounds,
        "load_average": os.getloadavg(),
        **{way: {"median": median(found), "least": min(found), "most": max(found)} for way, found in rates.items()},
        "ratio": median(rates["triton"]) / median(rates["bare"]),
    }


def refuse_apart(off: float, most: float) -> float:
    """The difference between both ways, when it is no more than rounding. Raises SystemExit."""
    if off > most:
        raise SystemExit(f"Triton and bare ONNX Runtime differ by {off:.1e}")
    return off


def open_bare(models: Sequence[ModelSpec]) -> Infer:
    """Sessions in this process, each on all cores."""
    sys.path.append(str(TRITON_PACKAGES))
    import onnxruntime  # noqa: PLC0415 - found only now

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = usable_cores()
    paths = {one.model_name: ROOT / "model_repository" / one.model_name / one.model_version / "model.onnx" for one in models}
    providers = ["CPUExecutionProvider"]
    sessions = {name: onnxruntime.InferenceSession(str(path), options, providers=providers) for name, path in paths.items()}

    def infer(model: ModelSpec, batches: Iterable[Tensors]) -> Iterator[Tensors]:
        names = [output.name for output in model.outputs]
        for batch in batches:
            yield dict(zip(names, sessions[model.model_name].run(names, dict(batch)), strict=True))

    return infer


@contextmanager
def open_triton(folder: Path) -> Iterator[TritonInferenceServer]:
    """The embedded server with production's repository, and the worker's client."""
    triton = triton_in(folder / "server", ROOT / "model_repository")
    triton.prepare()
    with supervised(folder / "run", ProcessSpec(name="triton", command=triton.command, is_ready=triton.is_ready)):
        client = TritonInferenceServer(url=triton.url)
        try:
            yield client
        finally:
            client.close()
