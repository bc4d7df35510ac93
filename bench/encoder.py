"""Clips a second through the encoder of myofascial pain: Triton, as a worker asks it, against bare ONNX Runtime on as many cores.

`python -m bench.encoder` writes bench/results/encoder.json. Both take turns with the same clips, in batches of
eight, and must come to the same latents.
"""

import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.against_bare import command, in_turn, open_bare, open_triton, refuse_apart
from service.adapters.cine_decoder import FileCineReader
from service.core.analyses.analysis import Infer
from service.core.analyses.myofascial_pain import ENCODER, SHAPE, MyofascialPain
from service.core.clips import clips_of
from simulator.write import simulate

BATCH = MyofascialPain().clips_per_batch
#: Of it clips of simulated cines, over and over.
CLIPS = 32 * BATCH
_CINES = 2
#: Latents of the two ways differ by rounding only.
_LARGEST_DIFFERENCE = 1e-4

Clips = npt.NDArray[np.uint8]
Latents = npt.NDArray[np.float32]


def main() -> None:
    """Run all rounds, print a line, write JSON."""
    command(__doc__, "encoder.json", "clips/s", run)


def run(rounds: int) -> dict[str, Any]:
    """Both ways in turn, each warm."""
    with tempfile.TemporaryDirectory(prefix="sonomyo-encoder-") as folder:
        clips, bare = some_clips(Path(folder)), open_bare([ENCODER])
        with open_triton(Path(folder)) as client:
            off = refuse_apart(float(np.abs(latents(client.infer, clips) - latents(bare, clips)).max()), _LARGEST_DIFFERENCE)
            a_second = partial(clips_a_second, clips=clips)
            rates = in_turn(rounds, bare=partial(a_second, bare), served=partial(a_second, client.infer))
    return {"clips": CLIPS, "batch": BATCH, "largest_difference": off, **rates}


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


def latents(infer: Infer, clips: Clips) -> Latents:
    """Of clips (N, T, S, S): (N, latent)."""
    answers = infer(ENCODER, ({"clip": batch} for batch in _batches(clips)))
    return np.concatenate([answer["latent"].astype(np.float32) for answer in answers])


def clips_a_second(infer: Infer, clips: Clips) -> float:
    """Of one pass over all clips."""
    begun = time.perf_counter()
    latents(infer, clips)
    return len(clips) / (time.perf_counter() - begun)


def _batches(clips: Clips) -> Iterator[Clips]:
    for start in range(0, len(clips), BATCH):
        yield clips[start : start + BATCH]


if __name__ == "__main__":
    main()
