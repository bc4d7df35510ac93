"""A network opened as the embedded Triton's backend opens it, for timing and for maps."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.bare_loop import Network
from service.core.cine import Pixels


@dataclass(frozen=True, slots=True)
class Variant:
    """A file, and what OpenVINO computes its floats in."""

    path: Path
    hint: str = "f32"


def open_openvino(variant: Variant, threads: int) -> Network:
    """As the embedded Triton's backend does."""
    import openvino  # noqa: PLC0415 - found only once Triton's packages are on the path

    properties = {
        "INFERENCE_PRECISION_HINT": variant.hint,
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
    }
    request = openvino.Core().compile_model(str(variant.path), "CPU", properties).create_infer_request()

    def network(images: Pixels) -> Pixels:
        return np.array(request.infer([images], share_inputs=True, share_outputs=True)[0])

    return network


def open_onnxruntime(variant: Variant, threads: int) -> Network:
    """As the embedded Triton's backend does without its accelerator."""
    import onnxruntime  # noqa: PLC0415 - as above

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = onnxruntime.InferenceSession(str(variant.path), options, providers=["CPUExecutionProvider"])

    def network(images: Pixels) -> Pixels:
        return np.asarray(session.run(["masks"], {"image": images})[0])

    return network
