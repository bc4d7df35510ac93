"""Windows a second through the maps network of motor units: Triton, as a worker asks it, against bare ONNX Runtime.

`python -m bench.motor_units` writes bench/results/motor_units_served.json. Both take turns with the same windows, one at a time,
on as many cores, and must come to the same maps. Beside them: how long the whole analysis of one simulated cine takes.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from bench.bare_loop import TRITON_PACKAGES
from bench.ingest import machine
from service.adapters.cine_decoder import FileCineReader
from service.adapters.triton import TritonInferenceServer
from service.core.analyses.motor_units import MAPS, MotorUnits
from service.core.measure.motor_maps import Floats
from service.embedded.supervisor import ProcessSpec
from service.embedded.triton_repository import usable_cores
from simulator.motor_units import simulate_sequence
from simulator.write import simulate
from tests.embedded import supervised, triton_in
from tests.running import ROOT

WINDOWS = 16
_MUSCLES = 4
#: Of logits, which are tens where the network is sure.
_LARGEST_DIFFERENCE = 5e-3

#: Windows (N, 512, 64, 64) to maps (N, 14, 64, 64).
Ask = Callable[[Floats], Floats]


def main() -> None:
    """Run all rounds, print a line, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="two rounds")
    parser.add_argument("--output", type=Path, default=Path("bench/results/motor_units_served.json"))
    given = parser.parse_args()
    result = {"machine": machine(), **run(2 if given.quick else given.rounds)}
    given.output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(
        f"Triton {result['triton']['median']:.2f} windows/s, bare ONNX Runtime {result['bare']['median']:.2f},"
        f" ratio {result['ratio']:.2f}; a cine {result['cine_seconds']:.1f} s; load {result['load_average'][0]:.1f}"
    )


def run(rounds: int) -> dict[str, Any]:
    """Both ways in turn, each warm."""
    muscles = np.stack([simulate_sequence(seed).velocity for seed in range(_MUSCLES)])
    windows = muscles[np.arange(WINDOWS) % _MUSCLES]
    bare = open_bare()
    with tempfile.TemporaryDirectory(prefix="sonomyo-units-") as folder, open_triton(Path(folder)) as client:
        served = asking(client)
        off = float(np.abs(served(muscles) - bare(muscles)).max())
        if off > _LARGEST_DIFFERENCE:
            raise SystemExit(f"Triton and bare ONNX Runtime differ by {off:.1e}")
        rates: dict[str, list[float]] = {"triton": [], "bare": []}
        for _ in range(rounds):
            rates["bare"].append(windows_a_second(bare, windows))
            rates["triton"].append(windows_a_second(served, windows))
        cine_seconds = of_a_cine(Path(folder), client)
    return {
        "windows": WINDOWS,
        "threads": usable_cores(),
        "rounds": rounds,
        "load_average": os.getloadavg(),
        "largest_difference": off,
        **{way: {"median": median(found), "least": min(found), "most": max(found)} for way, found in rates.items()},
        "ratio": median(rates["triton"]) / median(rates["bare"]),
        "cine_seconds": cine_seconds,
    }


def open_bare() -> Ask:
    """One session in this process, on all cores."""
    sys.path.append(str(TRITON_PACKAGES))
    import onnxruntime  # noqa: PLC0415 - found only now

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = usable_cores()
    model = ROOT / "model_repository" / MAPS.model_name / MAPS.model_version / "model.onnx"
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    return lambda windows: np.concatenate([session.run(None, {"velocity": one[None, None]})[0] for one in windows])


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


def asking(client: TritonInferenceServer) -> Ask:
    """As a worker asks."""
    return lambda windows: np.concatenate(
        [answer["maps"].astype(np.float32) for answer in client.infer(MAPS, ({"velocity": one[None, None]} for one in windows))]
    )


def of_a_cine(folder: Path, client: TritonInferenceServer) -> float:
    """Seconds of the whole analysis of one simulated cine."""
    (path,) = simulate("motor-units", folder / "cines", n=1, seed=1, transfer_syntax="explicit")
    reader = FileCineReader()
    try:
        begun = time.perf_counter()
        with reader.open(path) as cine:
            MotorUnits().analyse(cine, client.infer, client.describe)
        return round(time.perf_counter() - begun, 2)
    finally:
        reader.close()


def windows_a_second(ask: Ask, windows: Floats) -> float:
    """Of one pass over all."""
    begun = time.perf_counter()
    ask(windows)
    return len(windows) / (time.perf_counter() - begun)


if __name__ == "__main__":
    main()
