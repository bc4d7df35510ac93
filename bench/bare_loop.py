"""The floor of an analysis: one warm process that decodes, runs the network and computes the geometry, one after the other.

`python -m bench.bare_loop FILE` answers each line on its standard input by one run and a line of JSON. It has the service's
pure functions, the file's bytes in memory and the machine's fastest runtime; it has no queue, database, server or sandbox, makes
no picture and checks nothing. OpenVINO comes from Triton's environment (`--runtime-from`); the service's own has none.
"""

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import simplejpeg
from pydicom.encaps import generate_frames

from service.core.cine import Pixels, Region
from service.core.cine_header import read_cine_header
from service.core.measure.architecture import FrameArchitecture, measure_frame
from service.core.measure.plane import scale_of
from service.core.preprocess import find_sector, model_input, place
from service.embedded.triton_repository import BF16_FLAGS, is_quantised, processor_flags, usable_cores

FRAMES_PER_BATCH = 8
SECTOR_FRAMES = 4
ROOT = Path(__file__).resolve().parents[1]
MODEL = ROOT / "model_repository" / "muscle_segmentation" / "1" / "model.onnx"
TRITON_PACKAGES = ROOT / ".triton" / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"

#: (B, 1, S, S) uint8 to (B, 3, S, S) uint8.
Network = Callable[[Pixels], Pixels]


class Stopwatch:
    """Seconds by part; the parts follow one another, so that they add up to the whole."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._since = time.perf_counter()

    def lap(self, part: str) -> None:
        """What passed since the last lap was this part."""
        now = time.perf_counter()
        self.seconds[part] = self.seconds.get(part, 0.0) + now - self._since
        self._since = now


def main() -> None:
    """Load the runtime, say so, then one run for each line until the input ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--runtime-from", type=Path, default=TRITON_PACKAGES)
    given = parser.parse_args()
    network, runtime = open_network(given.runtime_from)
    print(json.dumps(runtime), flush=True)
    for _ in sys.stdin:
        print(json.dumps(run(given.file, network)), flush=True)


def open_network(packages: Path) -> tuple[Network, dict[str, Any]]:
    """The segmentation network on all cores, warmed up, and what it runs on."""
    sys.path.append(str(packages))
    import openvino  # noqa: PLC0415 - found only now

    precision = "bf16" if BF16_FLAGS & processor_flags() and not is_quantised(MODEL) else "f32"
    properties = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": usable_cores(), "PERFORMANCE_HINT": "LATENCY"}
    compiled = openvino.Core().compile_model(str(MODEL), "CPU", properties)
    request = compiled.create_infer_request()

    def network(images: Pixels) -> Pixels:
        return np.asarray(request.infer([images], share_inputs=True, share_outputs=True)[0])

    network(np.ones((FRAMES_PER_BATCH, 1, 256, 256), np.uint8))
    return network, {
        "runtime": f"openvino {openvino.__version__}",
        "precision": "int8" if is_quantised(MODEL) else precision,
        "threads": usable_cores(),
    }


def run(path: Path, network: Network) -> dict[str, Any]:
    """One cine from its file to every frame's numbers; wall and processor seconds, and the seconds of each part."""
    begun, processor = time.perf_counter(), _processor_seconds()
    watch = Stopwatch()
    frames = list(measure(path, network, watch))
    return {
        "seconds": time.perf_counter() - begun,
        "processor_seconds": _processor_seconds() - processor,
        "parts": watch.seconds,
        "numbers": [numbers_of(frame) for frame in frames],
    }


def measure(path: Path, network: Network, watch: Stopwatch) -> Iterator[FrameArchitecture]:
    """The loop."""
    with pydicom.dcmread(path) as dataset:
        header = read_cine_header(dataset)
        stored = generate_frames(dataset.PixelData, number_of_frames=header.number_of_frames)
        decoded = _decoded(stored, header.region)
        first = list(islice(decoded, SECTOR_FRAMES))
        watch.lap("decode")
        placement = place(find_sector(first))
        scale = scale_of(header.region.calibration, placement)
        watch.lap("preprocess")
        number = 0
        for pixels in _batches(chain(first, decoded)):
            watch.lap("decode")
            images = np.stack([model_input(frame, placement) for frame in pixels])
            watch.lap("preprocess")
            masks = network(images[:, None])
            watch.lap("infer")
            for image, mask in zip(images, masks, strict=True):
                number += 1
                yield measure_frame(number, image, mask, placement, scale)
            watch.lap("geometry")


def numbers_of(frame: FrameArchitecture) -> list[float | int | None]:
    """What a frame came to, to compare two ways of computing it exactly."""
    return [frame.number, frame.thickness, frame.pennation_deg, frame.fascicle_length, frame.echo_intensity]


def _decoded(stored: Iterator[bytes], region: Region) -> Iterator[Pixels]:
    box = region.box
    for data in stored:
        yield simplejpeg.decode_jpeg(data, colorspace="GRAY")[box.y0 : box.y1, box.x0 : box.x1, 0]


def _batches(frames: Iterator[Pixels]) -> Iterator[list[Pixels]]:
    while batch := list(islice(frames, FRAMES_PER_BATCH)):
        yield batch


def _processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
