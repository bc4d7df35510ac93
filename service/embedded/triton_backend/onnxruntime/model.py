"""Triton's `onnxruntime` backend for one machine: `<repository>/<version>/model.onnx` by ONNX Runtime or OpenVINO.

A Python-based backend: the same `config.pbtxt` runs on NGC's native one. `service/embedded/triton_repository.py` decides runtime,
precision and threads and passes them as parameters; this file obeys or refuses to load, so that what is reported is what runs.
Runs in Triton's own environment (numpy 1.26): nothing of the service can be imported here.
"""

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils

#: Inputs by name to the outputs in the order that was asked for.
Network = Callable[[dict[str, Any]], list[Any]]


class TritonPythonModel:
    """One instance of one model."""

    def initialize(self, args: dict[str, str]) -> None:
        """Open the network. Raises TritonModelException, which fails the load of this model alone, with its reason."""
        if int(np.__version__.split(".", maxsplit=1)[0]) > 1:
            raise pb_utils.TritonModelException(f"numpy {np.__version__}: with numpy 2 this Triton answers zero bytes")
        config = json.loads(args["model_config"])
        parameters = {name: value["string_value"] for name, value in config.get("parameters", {}).items()}
        os.nice(int(parameters["niceness"]))  # of this instance's own process, before the runtime starts its threads
        path = Path(args["model_repository"], args["model_version"], "model.onnx")
        _check_weights(path, f"weights_sha256_{args['model_version']}", parameters)
        self._output_names = [output["name"] for output in config["output"]]
        self._input_names = [entry["name"] for entry in config["input"]]
        open_network = _open_openvino if parameters["runtime"].startswith("openvino") else _open_onnxruntime
        precision = parameters[f"precision_{args['model_version']}"]
        self._run = open_network(path, precision, int(parameters["threads"]), self._output_names)
        pb_utils.Logger.log_info(
            f"{args['model_name']} {args['model_version']}: {parameters['runtime']}, {precision}, {parameters['threads']} threads"
        )

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Answer each request by a run of its own, so that an answer never depends on what it was batched with."""
        return [self._answer(request) for request in requests]

    def _answer(self, request: Any) -> Any:  # noqa: ANN401 - Triton's module has no types
        if request.is_cancelled():
            return pb_utils.InferenceResponse(error=pb_utils.TritonError("cancelled", pb_utils.TritonError.CANCELLED))
        try:
            inputs = {name: pb_utils.get_input_tensor_by_name(request, name).as_numpy() for name in self._input_names}
            outputs = zip(self._output_names, self._run(inputs), strict=True)
            return pb_utils.InferenceResponse([pb_utils.Tensor(name, np.ascontiguousarray(value)) for name, value in outputs])
        except Exception as error:  # noqa: BLE001 - any failure of the runtime is this request's answer, not the server's end
            return pb_utils.InferenceResponse(error=pb_utils.TritonError(f"{type(error).__name__}: {error}"))


def _check_weights(path: Path, key: str, parameters: dict[str, str]) -> None:
    """Each version by its own parameter; one without is loaded, and the service uses none whose hash it is not told."""
    expected = parameters.get(key)
    if expected is None:
        return
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != expected.lower():
        raise pb_utils.TritonModelException(f"{path}: SHA-256 {found}, but config.pbtxt says {key} {expected}")


def _open_onnxruntime(path: Path, precision: str, threads: int, output_names: list[str]) -> Network:
    del precision  # of the file itself
    import onnxruntime  # noqa: PLC0415 - only the runtime that is used is loaded: each takes a second and 100 MB

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda inputs: list(session.run(output_names, inputs))


def _open_openvino(path: Path, precision: str, threads: int, output_names: list[str]) -> Network:
    import openvino  # noqa: PLC0415 - as above

    hint = "bf16" if precision == "bf16" else "f32"  # an int8 network keeps its own quantisation under either
    properties = {
        "INFERENCE_PRECISION_HINT": hint,
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
    }
    compiled = openvino.Core().compile_model(str(path), "CPU", properties)
    chosen = compiled.get_property("INFERENCE_PRECISION_HINT").to_string()
    if chosen != hint:
        raise pb_utils.TritonModelException(f"OpenVINO chose {chosen} where {hint} was asked for")
    request = compiled.create_infer_request()
    ports = [compiled.output(name) for name in output_names]

    def run(inputs: dict[str, Any]) -> list[Any]:
        results = request.infer(inputs, share_inputs=True)  # outputs are copied: the next run overwrites them
        return [results[port] for port in ports]

    return run
