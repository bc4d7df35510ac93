"""Clips a second through the encoder of myofascial pain: Triton, as a worker asks it, against bare ONNX Runtime on as many cores.

`python -m bench.encoder` writes bench/results/encoder.json. Both take turns with the same clips, in batches of
eight, and must come to the same latents. ONNX Runtime comes from Triton's environment; the service's own has none.
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
import numpy.typing as npt

from bench.bare_loop import TRITON_PACKAGES
from bench.ingest import machine
from service.adapters.cine_decoder import FileCineReader
from service.adapters.triton import TritonInferenceServer
from service.core.analyses.myofascial_pain import ENCODER, SHAPE, MyofascialPain
from service.core.clips import clips_of
from service.embedded.supervisor import ProcessSpec
from service.embedded.triton_repository import usable_cores
from simulator.write import simulate
from tests.embedded import supervised, triton_in
from tests.running import ROOT

BATCH = MyofascialPain().clips_per_batch
#: Of it clips of simulated cines, over and over.
CLIPS = 32 * BATCH
_CINES = 2
#: Latents of the two ways differ by rounding only.
_LARGEST_DIFFERENCE = 1e-4

Clips = npt.NDArray[np.uint8]
Latents = npt.NDArray[np.float32]
#: Clips (N, T, S, S) to latents (N, latent).
Encode = Callable[[Clips], Latents]


def main() -> None:
    """Run all rounds, print a line, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="two rounds")
    parser.add_argument("--output", type=Path, default=Path("bench/results/encoder.json"))
    given = parser.parse_args()
    result = {"machine": machine(), **run(2 if given.quick else given.rounds)}
    given.output.parent.mkdir(parents=True, exist_ok=True)
    given.output.write_text(json.dumps(result, indent=2) + "\n")
    print(
        f"Triton {result['triton']['median']:.0f} clips/s, bare ONNX Runtime {result['bare']['median']:.0f},"
        f" ratio {result['ratio']:.2f}; load {result['load_average'][0]:.1f}"
    )


def run(rounds: int) -> dict[str, Any]:
    """Both ways in turn, each warm."""
    with tempfile.TemporaryDirectory(prefix="sonomyo-encoder-") as folder:
        clips = some_clips(Path(folder))
        bare = open_bare()
        with open_triton(Path(folder)) as served:
            off = float(np.abs(served(clips) - bare(clips)).max())
            if off > _LARGEST_DIFFERENCE:
                raise SystemExit(f"Triton and bare ONNX Runtime differ by {off:.1e}")
            rates: dict[str, list[float]] = {"triton": [], "bare": []}
            for _ in range(rounds):
                rates["bare"].append(clips_a_second(bare, clips))
                rates["triton"].append(clips_a_second(served, clips))
    return {
        "clips": CLIPS,
        "batch": BATCH,
        "threads": usable_cores(),
        "rounds": rounds,
        "load_average": os.getloadavg(),
        "largest_difference": off,
        **{way: {"median": median(found), "least": min(found), "most": max(found)} for way, found in rates.items()},
        "ratio": median(rates["triton"]) / median(rates["bare"]),
    }


def some_clips(folder: Path) -> Clips:
    """(CLIPS, T, S, S) uint8."""
    reader, found = FileCineReader(), []
    try:
        for path in simulate("trapezius", folder / "cines", n=_CINES, seed=1, transfer_syntax="jpeg"):
            if path.suffix == ".dcm":
                with reader.open(path) as cine:
                    found += [clip.pixels for clip in clips_of(cine, SHAPE)]
    finally:
        reader.close()
    return np.stack([found[index % len(found)] for index in range(CLIPS)])


def open_bare() -> Encode:
    """One session in this process, on all cores."""
    sys.path.append(str(TRITON_PACKAGES))
    import onnxruntime  # noqa: PLC0415 - found only now

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = usable_cores()
    model = ROOT / "model_repository" / ENCODER.model_name / ENCODER.model_version / "model.onnx"
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    (name,) = (given.name for given in session.get_inputs())
    return lambda clips: np.concatenate([session.run(None, {name: batch})[0] for batch in _batches(clips)])


@contextmanager
def open_triton(folder: Path) -> Iterator[Encode]:
    """The embedded server with production's repository, and the worker's client."""
    triton = triton_in(folder / "server", ROOT / "model_repository")
    triton.prepare()
    with supervised(folder / "run", ProcessSpec(name="triton", command=triton.command, is_ready=triton.is_ready)):
        client = TritonInferenceServer(url=triton.url)
        try:
            yield lambda clips: np.concatenate(
                [answer["latent"].astype(np.float32) for answer in client.infer(ENCODER, ({"clip": b} for b in _batches(clips)))]
            )
        finally:
            client.close()


def clips_a_second(encode: Encode, clips: Clips) -> float:
    """Of one pass over all clips."""
    begun = time.perf_counter()
    encode(clips)
    return len(clips) / (time.perf_counter() - begun)


def _batches(clips: Clips) -> Iterator[Clips]:
    for start in range(0, len(clips), BATCH):
        yield clips[start : start + BATCH]


if __name__ == "__main__":
    main()
