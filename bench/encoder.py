"""Clips a second of the video encoder: through Triton as a worker asks it, against bare ONNX Runtime on the same cores.

`python -m bench.encoder` writes bench/results/encoder.json. Both get equal clips in batches of eight and take turns, warm; the
medians of the rounds are compared. The service's way holds gRPC or shared memory, the server's batching, and every check of the
answers.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from statistics import median

import numpy as np
import numpy.typing as npt

from bench.bare_loop import ROOT, TRITON_PACKAGES
from bench.ingest import machine
from service.bootstrap import Service
from service.commands.whole import triton_for
from service.core.analyses.analysis import Tensors
from service.core.analyses.myofascial_pain import ENCODER
from service.core.cine import Pixels
from service.embedded.triton_repository import usable_cores
from service.settings import Settings

_BATCH = 8
MODEL = ROOT / "model_repository" / ENCODER.model_name / ENCODER.model_version / "model.onnx"

Latents = npt.NDArray[np.float32]
#: (B, T, S, S) uint8 to latents.
Encoder = Callable[[Pixels], Latents]


def main() -> None:
    """Run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=240)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--output", type=Path, default=Path("bench/results/encoder.json"))
    given = parser.parse_args()
    clips = np.random.default_rng(0).integers(1, 256, (given.clips, *ENCODER.inputs[0].shape), dtype=np.uint8)
    bare = open_onnxruntime(usable_cores())
    with (
        tempfile.TemporaryDirectory() as folder,
        triton_for(Settings(data_dir=Path(folder))) as settings,
        closing(Service(settings)) as service,
    ):

        def served(batches: Pixels) -> Latents:
            answers = service.server.infer(ENCODER, _batches(batches))
            return np.concatenate([answer["latent"].astype(np.float32) for answer in answers])

        result = measure({"service": served, "onnxruntime": bare}, clips, given.rounds)
    result |= {"clips": given.clips, "batch": _BATCH, "machine": machine()}
    given.output.parent.mkdir(parents=True, exist_ok=True)
    given.output.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps({name: result[name] for name in ("clips_per_second", "ratio", "largest_difference")}, indent=1))


def measure(encoders: dict[str, Encoder], clips: Pixels, rounds: int) -> dict[str, object]:
    """Clips a second of each, the median ratio of the same round, and how far apart their latents are."""
    latents = {name: encode(clips) for name, encode in encoders.items()}  # warm
    seconds: dict[str, list[float]] = {name: [] for name in encoders}
    for _ in range(rounds):
        for name, encode in encoders.items():
            begun = time.perf_counter()
            encode(clips)
            seconds[name].append(time.perf_counter() - begun)
    ratios = [one / other for one, other in zip(seconds["service"], seconds["onnxruntime"], strict=True)]
    return {
        "clips_per_second": {name: len(clips) / median(took) for name, took in seconds.items()},
        "ratio": median(ratios),
        "ratios": ratios,
        "largest_difference": float(np.abs(latents["service"] - latents["onnxruntime"]).max()),
    }


def open_onnxruntime(threads: int) -> Encoder:
    """The same file, in this process."""
    sys.path.append(str(TRITON_PACKAGES))
    import onnxruntime  # noqa: PLC0415 - found only once Triton's packages are on the path

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(MODEL), options, providers=["CPUExecutionProvider"])

    def encode(clips: Pixels) -> Latents:
        return np.concatenate([session.run(["latent"], dict(batch))[0] for batch in _batches(clips)])

    return encode


def _batches(clips: Pixels) -> Iterator[Tensors]:
    for start in range(0, len(clips), _BATCH):
        yield {"clip": clips[start : start + _BATCH]}


if __name__ == "__main__":
    main()
