"""How true velocity from B-mode is: simulated cines of motor units, by depth and by the receiver's noise.

`python -m bench.tissue_velocity` writes bench/results/tissue_velocity.json and a table beside it.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from service.core.measure.tissue_velocity import WINDOW, tissue_velocity
from simulator.device import draw_device
from simulator.motor_cine import simulate_motor_units
from simulator.motor_units import FRAME_RATE_HZ, without_common_motion

RESULTS = Path("bench/results/tissue_velocity.json")
#: Of the receiver, as shares of the echoes' mean amplitude; the simulator's scanners are between -2.2 and -1.2.
_NOISE_LOG10 = (-2.2, -1.7, -1.2)
_THIRDS = ("0 to 13 mm", "13 to 27 mm", "27 to 40 mm")
_FIRST_SEED = 400_001
_MEASURES = ("r", "slope", "rms_error_mm_s", "rms_true_mm_s")

Floats = npt.NDArray[np.float32]


def main() -> None:
    """Measure, write, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cines", type=int, default=6)
    parser.add_argument("--frames", type=int, default=64)
    parser.add_argument("--output", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    rows = [row for noise in _NOISE_LOG10 for row in _rows(noise, arguments.cines, arguments.frames)]
    kept = {"cines": arguments.cines, "frames": arguments.frames, "rows": rows}
    arguments.output.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    arguments.output.with_suffix(".md").write_text(table(rows), encoding="utf-8")
    print(table(rows))


def agreement(true: Floats, found: Floats) -> dict[str, float]:
    """Pearson's r, slope of found on true, and the error (RMS, mm/s) of velocities of equal shape."""
    a, b = true.ravel().astype(np.float64), found.ravel().astype(np.float64)
    return {
        "r": float(np.corrcoef(a, b)[0, 1]),
        "slope": float(np.polyfit(a, b, 1)[0]),
        "rms_error_mm_s": float(np.sqrt(np.mean((a - b) ** 2))),
        "rms_true_mm_s": float(np.sqrt(np.mean(a**2))),
    }


def table(rows: list[dict[str, object]]) -> str:
    """One line a row: mean over cines, least and most in brackets."""
    heads = ["receiver noise, dB", "depth", "r", "slope", "RMS error, mm/s", "RMS of the truth, mm/s"]
    lines = ["|" + "|".join(heads) + "|", "|---" * len(heads) + "|"]
    lines += ["|" + "|".join(str(row[key]) for key in ("noise_db", "depth", *_MEASURES)) + "|" for row in rows]
    return "\n".join(lines) + "\n"


def _rows(noise_log10: float, cines: int, frames: int) -> Iterator[dict[str, object]]:
    found = [_of_cine(_FIRST_SEED + number, noise_log10, frames) for number in range(cines)]
    for place, depth in enumerate(_THIRDS):
        values = {name: [one[place][name] for one in found] for name in _MEASURES}
        told = {name: f"{np.mean(some):.3f} ({min(some):.3f} to {max(some):.3f})" for name, some in values.items()}
        yield {"noise_db": round(20 * noise_log10), "depth": depth, **told}


def _of_cine(seed: int, noise_log10: float, frames: int) -> list[dict[str, float]]:
    """In each third of the depth; common motion subtracted from both, as the analysis of motor units does."""
    cine = simulate_motor_units(seed, frames, device=replace(draw_device(seed), noise=10**noise_log10))
    shown = list(cine.frames())
    found = tissue_velocity((one.sector for one in shown), mm_per_pixel=cine.mm_per_pixel, frame_rate_hz=FRAME_RATE_HZ)
    true = np.stack([one.velocity for one in shown])
    inner = slice(WINDOW // 2, -(WINDOW // 2))
    pair = [without_common_motion(one[inner]) for one in (true, found)]
    edges = np.linspace(0, true.shape[1], len(_THIRDS) + 1).round().astype(int)
    return [agreement(pair[0][:, top:bottom], pair[1][:, top:bottom]) for top, bottom in pairwise(edges)]


if __name__ == "__main__":
    main()
