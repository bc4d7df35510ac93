"""A Triton whose every answer is scripted, on tritonclient's own servicer: for the faults that the real one will not commit."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
import numpy as np
from tritonclient.grpc import service_pb2, service_pb2_grpc

from service.core.analyses.analysis import ModelSpec, TensorSpec

FRAMES = TensorSpec(name="frames", datatype="UINT8", shape=(1, 4, 4))
MODEL = ModelSpec(
    model_name="segment",
    model_version="1",
    inputs=(FRAMES,),
    outputs=(TensorSpec(name="masks", datatype="FP32", shape=(3, 4, 4)),),
    max_batch_size=8,
)
#: Makes the answer to a request; may call `context.abort`.
Script = Callable[[Any, grpc.ServicerContext], Any]


class ScriptedTriton(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]  # generated code without types
    """Answers `ModelInfer` by `script`; says of the model what `metadata` and `config` hold."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.requests: list[Any] = []
        self.registered: dict[str, int] = {}
        self.unregistered: list[str] = []
        self.metadata = service_pb2.ModelMetadataResponse(name="segment", versions=["1"])
        self.metadata.inputs.add(name="frames", datatype="UINT8", shape=[-1, 1, 4, 4])
        self.metadata.outputs.add(name="masks", datatype="FP32", shape=[-1, 3, 4, 4])
        self.config = service_pb2.ModelConfigResponse()
        self.config.config.max_batch_size = 8
        self.config.config.backend = "onnxruntime"
        for name, value in {"weights_sha256_1": "ab" * 32, "evidence": "simulated"}.items():
            self.config.config.parameters[name].string_value = value
        self.ready = True
        self.opens_regions = True

    def ModelInfer(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802 - the servicer's names
        self.requests.append(request)
        return self.script(request, context)

    def ModelReady(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802, ARG002 - the servicer's names
        return service_pb2.ModelReadyResponse(ready=self.ready)

    def ModelMetadata(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802, ARG002 - the servicer's names
        return self.metadata

    def ModelConfig(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802, ARG002 - the servicer's names
        return self.config

    def SystemSharedMemoryRegister(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802 - the servicer's names
        if not self.opens_regions:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "Unable to open shared memory region")
        self.registered[request.name] = request.byte_size
        return service_pb2.SystemSharedMemoryRegisterResponse()

    def SystemSharedMemoryUnregister(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802, ARG002 - the servicer's names
        self.registered.pop(request.name, None)
        self.unregistered.append(request.name)
        return service_pb2.SystemSharedMemoryUnregisterResponse()

    def SystemSharedMemoryStatus(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802, ARG002 - the servicer's names
        return service_pb2.SystemSharedMemoryStatusResponse()


@contextmanager
def serving(servicer: ScriptedTriton, *, port: int = 0) -> Iterator[str]:
    """HOST:PORT of a server with this script."""
    server = grpc.server(ThreadPoolExecutor(max_workers=8))
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(grace=None).wait()


def frames(value: int, *, rows: int = 2) -> dict[str, Any]:
    """A batch whose every byte is `value`."""
    return {"frames": np.full((rows, 1, 4, 4), value, np.uint8)}


def masks_of(request: Any) -> np.ndarray[Any, Any]:
    """What the scripted network answers: three times each frame, times two."""
    content = np.frombuffer(request.raw_input_contents[0], np.uint8).reshape(request.inputs[0].shape)
    return np.repeat(content.astype(np.float32) * 2, 3, axis=1)


def answer(masks: np.ndarray[Any, Any], *, datatype: str = "FP32", version: str = "1", name: str = "masks") -> Any:
    """A `ModelInfer` answer with this output."""
    response = service_pb2.ModelInferResponse(model_name="segment", model_version=version)
    response.outputs.add(name=name, datatype=datatype, shape=list(masks.shape))
    response.raw_output_contents.append(masks.tobytes())
    return response
