"""Peak memory of the analysis of motor units over a short and a long cine: `python -m bench.motor_memory`.

Writes bench/results/motor_memory.json. Each cine is analysed in a process of its own, with bare ONNX Runtime in it; what
that takes idle, warm after a window, stands beside the peak, and the difference is what the cine cost.
"""

import argparse
import gc
import hashlib
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from bench.against_bare import open_bare
from bench.ingest import machine
from service.adapters.cine_decoder import FileCineReader
from service.core.analyses.analysis import ModelSpec
from service.core.analyses.motor_units import MAPS, TRAINS, MotorUnits
from service.core.findings import ModelUsed
from simulator.write import simulate

#: The shortest and the longest cine that the analysis takes: 2.05 and 30 s.
FRAMES = (512, 7500)
_SEED = 1


def main() -> None:
    """Make the cines, measure each, print a line, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cine", type=Path, help="measure the analysis of this file in this process, and print JSON")
    parser.add_argument("--frames", type=int, nargs="+", default=FRAMES, help="of each cine; 7500 take a quarter of an hour")
    parser.add_argument("--work-dir", type=Path, default=None, help="a folder with room for 2.4 GB")
    parser.add_argument("--output", type=Path, default=Path("bench/results/motor_memory.json"))
    given = parser.parse_args()
    if given.cine is not None:
        print(json.dumps(measured(given.cine)))
        return
    with tempfile.TemporaryDirectory(prefix="sonomyo-units-", dir=given.work_dir) as folder:
        cines = [_of(Path(folder) / str(frames), frames) for frames in given.frames]
    given.output.parent.mkdir(parents=True, exist_ok=True)
    given.output.write_text(json.dumps({"machine": machine(), "cines": cines}, indent=1) + "\n", encoding="utf-8")


def measured(path: Path) -> dict[str, Any]:
    """Resident bytes before and at the peak, seconds, and what was found, in short."""
    infer, reader = open_bare([MAPS, TRAINS]), FileCineReader()
    warm = {"velocity": np.zeros((1, *MAPS.inputs[0].shape), np.float32)}
    list(infer(MAPS, [warm]))
    gc.collect()
    idle, begun = _peak_bytes(is_reset=True), time.perf_counter()
    try:
        with reader.open(path) as cine:
            findings = MotorUnits().analyse(cine, infer, _described)
            frames = cine.number_of_frames
    finally:
        reader.close()
    told = json.dumps([finding.model_dump(mode="json") for finding in findings], sort_keys=True)
    return {
        "frames": frames,
        "seconds": round(time.perf_counter() - begun, 1),
        "idle_bytes": idle,
        "peak_bytes": _peak_bytes(),
        "units": sum(finding.motor_unit is not None for finding in findings),
        "findings_sha256": hashlib.sha256(told.encode()).hexdigest(),
    }


def _of(folder: Path, frames: int) -> dict[str, Any]:
    (path,) = simulate("motor-units", folder, n=1, seed=_SEED, transfer_syntax="rle", number_of_frames=frames)
    ran = subprocess.run(
        [sys.executable, "-m", "bench.motor_memory", "--cine", str(path)], capture_output=True, text=True, check=True
    )
    path.unlink()
    told: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    cost = (told["peak_bytes"] - told["idle_bytes"]) / 1e6
    print(f"{frames} frames: {cost:.0f} MB over {told['idle_bytes'] / 1e6:.0f}, {told['units']} units", flush=True)
    return told


def _described(model: ModelSpec) -> ModelUsed:
    return ModelUsed(name=model.model_name, version=model.model_version, sha256="0" * 64, evidence="simulated")


def _peak_bytes(*, is_reset: bool = False) -> int:
    """The most that this process ever had (VmHWM); what it has now from here on."""
    if is_reset:
        Path("/proc/self/clear_refs").write_text("5")
    words = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:")).split()
    return int(words[1]) << 10


if __name__ == "__main__":
    main()
