"""Frames a second through the analysis of muscle states: Triton, as a worker asks it, against bare ONNX Runtime on as many cores.

`python -m bench.muscle_state` writes bench/results/muscle_state.json. Both take turns with the same cine, decoded beforehand, and
must come to the same states.
"""

import tempfile
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bench.against_bare import command, in_turn, open_bare, open_triton, refuse_apart
from service.adapters.cine_decoder import FileCineReader
from service.core.analyses.analysis import Infer, ModelSpec
from service.core.analyses.muscle_state import MODEL, MuscleState
from service.core.cine import Cine
from service.core.findings import Finding, ModelUsed
from simulator.write import simulate

FRAMES = 128
#: Degrees, per cent, newton metres: the two ways round differently, and the segmentation is int8.
_LARGEST_DIFFERENCE = 1.0


def main() -> None:
    """Run all rounds, print a line, write JSON."""
    command(__doc__, "muscle_state.json", "frames/s", run)


def run(rounds: int) -> dict[str, Any]:
    """Both ways in turn, each warm."""
    with tempfile.TemporaryDirectory(prefix="sonomyo-states-") as folder:
        cine, bare = some_cine(Path(folder)), open_bare(MuscleState().models)
        with open_triton(Path(folder)) as client:
            off = refuse_apart(_apart(analysed(cine, bare), analysed(cine, client.infer)), _LARGEST_DIFFERENCE)
            a_second = partial(frames_a_second, cine)
            rates = in_turn(rounds, bare=partial(a_second, bare), served=partial(a_second, client.infer))
    return {"frames": FRAMES, "largest_difference": off, **rates}


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
