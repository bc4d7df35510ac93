"""Windows a second through the maps network of motor units: Triton, as a worker asks it, against bare ONNX Runtime.

`python -m bench.motor_units` writes bench/results/motor_units_served.json. Both take turns with the same windows, one at a time,
on as many cores, and must come to the same maps. Beside them: how long the whole analysis of one simulated cine takes.
"""

import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bench.against_bare import command, in_turn, open_bare, open_triton, refuse_apart
from service.adapters.cine_decoder import FileCineReader
from service.adapters.triton import TritonInferenceServer
from service.core.analyses.analysis import Infer
from service.core.analyses.motor_units import MAPS, MotorUnits
from service.core.measure.motor_maps import Floats
from simulator.motor_units import simulate_sequence
from simulator.write import simulate

WINDOWS = 16
_MUSCLES = 4
#: Of logits, which are tens where the network is sure.
_LARGEST_DIFFERENCE = 5e-3


def main() -> None:
    """Run all rounds, print a line, write JSON."""
    command(__doc__, "motor_units_served.json", "windows/s", run)


def run(rounds: int) -> dict[str, Any]:
    """Both ways in turn, each warm."""
    muscles = np.stack([simulate_sequence(seed).velocity for seed in range(_MUSCLES)])
    windows, bare = muscles[np.arange(WINDOWS) % _MUSCLES], open_bare([MAPS])
    with tempfile.TemporaryDirectory(prefix="sonomyo-units-") as folder, open_triton(Path(folder)) as client:
        off = refuse_apart(float(np.abs(maps(client.infer, muscles) - maps(bare, muscles)).max()), _LARGEST_DIFFERENCE)
        a_second = partial(windows_a_second, windows=windows)
        rates = in_turn(rounds, bare=partial(a_second, bare), served=partial(a_second, client.infer))
        seconds = of_a_cine(Path(folder), client)
    return {"windows": WINDOWS, "largest_difference": off, **rates, "cine_seconds": seconds}


def maps(infer: Infer, windows: Floats) -> Floats:
    """Of windows (N, 512, 64, 64): (N, 14, 64, 64)."""
    answers = infer(MAPS, ({"velocity": one[None, None]} for one in windows))
    return np.concatenate([answer["maps"].astype(np.float32) for answer in answers])


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


def windows_a_second(infer: Infer, windows: Floats) -> float:
    """Of one pass over all."""
    begun = time.perf_counter()
    maps(infer, windows)
    return len(windows) / (time.perf_counter() - begun)


if __name__ == "__main__":
    main()
