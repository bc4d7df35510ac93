"""NVIDIA Triton over gRPC: a few batches in flight while the caller goes on decoding, answers in order, every answer checked."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Literal, TypeVar

import grpc
import numpy as np
import numpy.typing as npt
from tritonclient import grpc as triton
from tritonclient.utils import InferenceServerException, np_to_triton_dtype, triton_to_np_dtype

from service.adapters.triton_contract import mismatches
from service.adapters.triton_shared_memory import Region, RegionPool, is_local
from service.core.analyses.analysis import ModelSpec, Tensors
from service.core.findings import ModelUsed
from service.errors import ModelContractError, Unavailable

T = TypeVar("T")
Arrays = dict[str, npt.NDArray[np.generic]]
#: gRPC statuses that pass: the server restarts, is overloaded or was cut off.
_PASSING = frozenset({"StatusCode.UNAVAILABLE", "StatusCode.RESOURCE_EXHAUSTED", "StatusCode.ABORTED"})
_TRIES = 4
_FIRST_PAUSE_SECONDS = 0.1
_MESSAGE_BYTES = 256 << 20


class TritonInferenceServer:
    """Implements ports.InferenceServer. One gRPC channel, shared by the threads of a worker."""

    def __init__(
        self,
        *,
        url: str,
        deadline_seconds: float = 30.0,
        batches_in_flight: int = 3,
        shared_memory: Literal["auto", "on", "off"] = "auto",
    ) -> None:
        options = [("grpc.max_receive_message_length", _MESSAGE_BYTES), ("grpc.max_send_message_length", _MESSAGE_BYTES)]
        self._client: Any = triton.InferenceServerClient(url, channel_args=options)
        self._deadline_seconds = deadline_seconds
        self._batches_in_flight = batches_in_flight
        uses_regions = shared_memory == "on" or (shared_memory == "auto" and is_local(url))
        self._regions = RegionPool(self._client, deadline_seconds=deadline_seconds) if uses_regions else None
        self._described: dict[tuple[str, str], ModelUsed] = {}
        self._executor = ThreadPoolExecutor(max_workers=32, thread_name_prefix="triton")
        self._lock = threading.Lock()

    def close(self) -> None:
        """Give regions and threads back."""
        self._executor.shutdown(wait=True, cancel_futures=True)
        if self._regions is not None:
            self._regions.close()
        self._client.close()

    def infer(self, model: ModelSpec, batches: Iterable[Tensors]) -> Iterator[Tensors]:
        """Answers in the order of `batches`; the iterator is asked for the next batch only when one may be sent."""
        in_flight: deque[Future[Arrays]] = deque()
        try:
            for batch in batches:
                in_flight.append(self._executor.submit(self._infer_one, model, batch))
                if len(in_flight) >= self._batches_in_flight:
                    yield in_flight.popleft().result()
            while in_flight:
                yield in_flight.popleft().result()
        finally:
            for waiting in in_flight:
                waiting.cancel()

    def describe(self, model: ModelSpec) -> ModelUsed:
        """Version, weights and evidence from the served configuration's parameters. Raises Unavailable, ModelContractError."""
        known = self._described.get((model.model_name, model.model_version))
        if known is not None:
            return known
        config = self._config(model)
        parameters = {name: value.string_value for name, value in config.parameters.items()}
        missing = [name for name in ("weights_sha256", "evidence") if name not in parameters]
        if missing or parameters.get("evidence") not in {"simulated", "real"}:
            raise ModelContractError(f"{model.model_name}: config.pbtxt lacks the parameters weights_sha256 and evidence.")
        used = ModelUsed(
            name=model.model_name,
            version=model.model_version,
            sha256=parameters["weights_sha256"],
            evidence=parameters["evidence"],
            runtime=parameters.get("runtime", f"triton {config.backend}"),
            precision=parameters.get("precision"),
        )
        with self._lock:
            self._described[model.model_name, model.model_version] = used
        return used

    def check(self, models: Sequence[ModelSpec]) -> None:
        """Compare names, types, shapes, versions and readiness. Raises ModelContractError naming every mismatch, Unavailable."""
        found = [problem for model in models for problem in self._problems(model)]
        if found:
            raise ModelContractError("Triton does not serve what this version expects: " + "; ".join(found))

    def _problems(self, model: ModelSpec) -> list[str]:
        name, version = model.model_name, model.model_version
        if not self._call(lambda: self._client.is_model_ready(name, version, client_timeout=self._deadline_seconds)):
            return [f"{name} version {version} is not ready"]
        metadata = self._call(lambda: self._client.get_model_metadata(name, version, client_timeout=self._deadline_seconds))
        return mismatches(model, metadata, self._config(model).max_batch_size)

    def _config(self, model: ModelSpec) -> Any:  # noqa: ANN401 - a protobuf message without types
        name, version = model.model_name, model.model_version
        return self._call(lambda: self._client.get_model_config(name, version, client_timeout=self._deadline_seconds)).config

    def _infer_one(self, model: ModelSpec, batch: Tensors) -> Arrays:
        if self._regions is None:
            return self._call(lambda: self._over_grpc(model, batch))
        return self._call(lambda: self._over_regions(model, batch))

    def _over_grpc(self, model: ModelSpec, batch: Tensors) -> Arrays:
        inputs = []
        for name, array in batch.items():
            tensor: Any = triton.InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype))
            tensor.set_data_from_numpy(np.ascontiguousarray(array))
            inputs.append(tensor)
        answer = self._ask(model, inputs, [triton.InferRequestedOutput(output.name) for output in model.outputs])
        rows = next(iter(batch.values())).shape[0]
        return {output.name: _checked(model, output.name, answer.as_numpy(output.name), rows) for output in model.outputs}

    def _over_regions(self, model: ModelSpec, batch: Tensors) -> Arrays:
        assert self._regions is not None  # noqa: S101 - for the type checker
        rows = next(iter(batch.values())).shape[0]
        shapes = {output.name: (rows, *output.shape) for output in model.outputs}
        if any(size < 0 for shape in shapes.values() for size in shape):
            return self._over_grpc(model, batch)
        types = {output.name: np.dtype(triton_to_np_dtype(output.datatype)) for output in model.outputs}
        sizes = {name: int(np.prod(shape)) * types[name].itemsize for name, shape in shapes.items()}
        needed = sum(array.nbytes for array in batch.values()) + sum(sizes.values())
        with self._regions.lease(needed) as region:
            inputs, offset = _place_inputs(region, batch)
            outputs, places = _place_outputs(region, sizes, offset)
            answer = self._ask(model, inputs, outputs)
            _check_places(model, answer, shapes)
            return {name: _checked(model, name, region.read(places[name], shapes[name], types[name]), rows) for name in shapes}

    def _ask(self, model: ModelSpec, inputs: Sequence[Any], outputs: Sequence[Any]) -> Any:  # noqa: ANN401 - no types
        return self._client.infer(
            model.model_name,
            inputs,
            model_version=model.model_version,
            outputs=outputs,
            client_timeout=self._deadline_seconds,
        )

    def _call(self, call: Callable[[], T]) -> T:
        pause = _FIRST_PAUSE_SECONDS
        for left in reversed(range(_TRIES)):
            try:
                return call()
            except InferenceServerException as error:
                if not self._passes(error) or left == 0:
                    raise _translated(error) from error
            except grpc.RpcError as error:
                raise Unavailable("Triton's connection broke; the step will be tried again.", reason="triton") from error
            time.sleep(pause)
            pause *= 2
        raise AssertionError("unreachable")

    def _passes(self, error: InferenceServerException) -> bool:
        if self._regions is not None and "shared memory region" in str(error.message()):
            # Triton was restarted and knows none of the regions that were registered with its predecessor.
            self._regions.close()
            return True
        return error.status() in _PASSING


def _place_inputs(region: Region, batch: Mapping[str, npt.NDArray[np.generic]]) -> tuple[list[Any], int]:
    inputs, offset = [], 0
    for name, array in batch.items():
        tensor: Any = triton.InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype))
        region.write(offset, array)
        tensor.set_shared_memory(region.name, array.nbytes, offset=offset)
        inputs.append(tensor)
        offset += array.nbytes
    return inputs, offset


def _place_outputs(region: Region, sizes: Mapping[str, int], offset: int) -> tuple[list[Any], dict[str, int]]:
    outputs, places = [], {}
    for name, size in sizes.items():
        wanted: Any = triton.InferRequestedOutput(name)
        wanted.set_shared_memory(region.name, size, offset=offset)
        outputs.append(wanted)
        places[name] = offset
        offset += size
    return outputs, places


def _check_places(model: ModelSpec, answer: Any, shapes: Mapping[str, tuple[int, ...]]) -> None:  # noqa: ANN401 - no types
    """The bytes lie in the region; their declared type and shape come with the answer."""
    for output in model.outputs:
        declared = answer.get_output(output.name)
        if declared is None or tuple(declared.shape) != shapes[output.name] or declared.datatype != output.datatype:
            raise ModelContractError(
                f"{model.model_name} answered {output.name} in another shape or type than {shapes[output.name]}."
            )


def _checked(model: ModelSpec, name: str, array: Any, rows: int) -> npt.NDArray[np.generic]:  # noqa: ANN401 - no types
    spec = next(output for output in model.outputs if output.name == name)
    if array is None:
        raise ModelContractError(f"{model.model_name} gave no output {name}.")
    expected = np.dtype(triton_to_np_dtype(spec.datatype))
    fits = len(array.shape) == len(spec.shape) + 1 and all(
        want in (-1, got) for want, got in zip((rows, *spec.shape), array.shape, strict=True)
    )
    if array.dtype != expected or not fits:
        raise ModelContractError(
            f"{model.model_name} answered {name} as {array.dtype} {array.shape}, expected {expected} {(rows, *spec.shape)}."
        )
    if np.issubdtype(array.dtype, np.floating) and not np.isfinite(array).all():
        raise ModelContractError(f"{model.model_name} answered {name} with values that are not numbers.")
    result: npt.NDArray[np.generic] = array
    return result


def _translated(error: InferenceServerException) -> Unavailable | ModelContractError:
    status, message = error.status(), error.message()
    if status in {"StatusCode.INVALID_ARGUMENT", "StatusCode.NOT_FOUND", "StatusCode.UNIMPLEMENTED"}:
        return ModelContractError(f"Triton refused the request: {message}")
    if status == "StatusCode.DEADLINE_EXCEEDED":
        return Unavailable("Triton did not answer within its deadline.", reason="triton_deadline")
    return Unavailable(f"Triton does not answer ({status}).", reason="triton")


class LazyInferenceServer:
    """An InferenceServer that is connected when first asked, so that processes that never infer need no Triton."""

    def __init__(self, connect: Callable[[], TritonInferenceServer]) -> None:
        self._connect = connect

    def infer(self, model: ModelSpec, batches: Iterable[Tensors]) -> Iterator[Tensors]:
        """As the server does."""
        return self._connect().infer(model, batches)

    def describe(self, model: ModelSpec) -> ModelUsed:
        """As the server does."""
        return self._connect().describe(model)

    def check(self, models: Sequence[ModelSpec]) -> None:
        """As the server does."""
        self._connect().check(models)
