"""NVIDIA Triton over gRPC: a few batches in flight while the caller goes on decoding, answers in order, every answer checked."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt
from tritonclient import grpc as triton
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from service.adapters.triton_contract import check_answer, check_numbers, mismatches, numpy_type, stated, unsaid, weights_key
from service.adapters.triton_shared_memory import Region, RegionPool, RegionRefused, is_local
from service.core.analyses.analysis import ModelSpec, Tensors
from service.core.findings import ModelUsed
from service.errors import ModelContractError, Unavailable

T = TypeVar("T")
Arrays = dict[str, npt.NDArray[np.generic]]
#: gRPC statuses that pass: the server restarts, is overloaded or was cut off.
_PASSING = frozenset({"StatusCode.UNAVAILABLE", "StatusCode.RESOURCE_EXHAUSTED", "StatusCode.ABORTED"})
_CONTRACT = frozenset({"StatusCode.INVALID_ARGUMENT", "StatusCode.NOT_FOUND", "StatusCode.UNIMPLEMENTED"})
_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 2.0
#: For questions about models, which health checks ask too.
_QUESTION_SECONDS = 5.0
_CHANNEL_OPTIONS = (
    ("grpc.max_receive_message_length", 256 << 20),
    ("grpc.max_send_message_length", 256 << 20),
    # gRPC would wait up to two minutes before it tries a server again that was restarted.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
)


class TritonInferenceServer:
    """Implements ports.InferenceServer. One gRPC channel, shared by the threads of a worker; make it after any fork.

    `deadline_seconds` bounds a batch with all its retries. With `auto`, shared memory serves where Triton can open it.
    """

    def __init__(
        self,
        *,
        url: str,
        deadline_seconds: float = 30.0,
        batches_in_flight: int = 3,
        shared_memory: Literal["auto", "on", "off"] = "auto",
    ) -> None:
        self._client: Any = triton.InferenceServerClient(url, channel_args=list(_CHANNEL_OPTIONS))
        self._deadline_seconds = deadline_seconds
        self._batches_in_flight = batches_in_flight
        self._insists_on_regions = shared_memory == "on"
        uses_regions = shared_memory == "on" or (shared_memory == "auto" and is_local(url))
        self._regions = RegionPool(self._client) if uses_regions else None
        self._executor = ThreadPoolExecutor(max_workers=32, thread_name_prefix="triton")

    def close(self) -> None:
        """Give regions and threads back."""
        self._executor.shutdown(wait=True, cancel_futures=True)
        if self._regions is not None:
            self._regions.close()
        self._client.close()

    def infer(self, model: ModelSpec, batches: Iterable[Tensors]) -> Iterator[Tensors]:
        """Answers in the order of `batches`; the iterator is asked for the next batch only when one may be sent."""
        in_flight: deque[Future[Arrays]] = deque()
        abandoned = threading.Event()
        try:
            for batch in batches:
                in_flight.append(self._executor.submit(self._infer_one, model, batch, abandoned))
                if len(in_flight) >= self._batches_in_flight:
                    yield in_flight.popleft().result()
            while in_flight:
                yield in_flight.popleft().result()
        finally:
            abandoned.set()
            for waiting in in_flight:
                waiting.cancel()

    def describe(self, model: ModelSpec) -> ModelUsed:
        """Version, its own weights and evidence from the served configuration's parameters.

        Raises Unavailable, and ModelContractError where a parameter is missing: another version's hash is never given.
        """
        config = self._config(model)
        parameters = _parameters(config)
        if missing := unsaid(model, parameters):
            raise ModelContractError("; ".join(missing))
        return ModelUsed(
            name=model.model_name,
            version=model.model_version,
            sha256=parameters[weights_key(model)].lower(),
            evidence="real" if stated(model, parameters, "evidence") == "real" else "simulated",
            pretraining=stated(model, parameters, "pretraining"),
            runtime=parameters.get("runtime", f"triton {config.backend}"),
            precision=parameters.get(f"precision_{model.model_version}"),
        )

    def versions(self, model: ModelSpec) -> Sequence[str]:
        """Which versions of a model are served. Raises Unavailable, ModelContractError."""
        name = model.model_name
        return tuple(_asked(lambda: self._client.get_model_metadata(name, client_timeout=_QUESTION_SECONDS)).versions)

    def check(self, models: Sequence[ModelSpec]) -> None:
        """Compare names, types, shapes, versions, readiness, and what `describe` needs.

        Raises ModelContractError naming every mismatch, Unavailable.
        """
        found = [problem for model in models for problem in self._problems(model)]
        if found:
            raise ModelContractError("Triton does not serve what this version expects: " + "; ".join(found))

    def _problems(self, model: ModelSpec) -> list[str]:
        name, version = model.model_name, model.model_version
        if not _asked(lambda: self._client.is_model_ready(name, version, client_timeout=_QUESTION_SECONDS)):
            return [f"{name} version {version} is not ready"]
        metadata = _asked(lambda: self._client.get_model_metadata(name, version, client_timeout=_QUESTION_SECONDS))
        config = self._config(model)
        return mismatches(model, metadata, config.max_batch_size) + unsaid(model, _parameters(config))

    def _config(self, model: ModelSpec) -> Any:  # noqa: ANN401 - a protobuf message without types
        name, version = model.model_name, model.model_version
        return _asked(lambda: self._client.get_model_config(name, version, client_timeout=_QUESTION_SECONDS)).config

    def _infer_one(self, model: ModelSpec, batch: Tensors, abandoned: threading.Event) -> Arrays:
        """One batch until it is answered, its deadline has passed, or nobody waits for it any more."""
        ends = time.monotonic() + self._deadline_seconds
        pause = _FIRST_PAUSE_SECONDS
        while True:
            try:
                return self._try(model, batch, max(0.001, ends - time.monotonic()), abandoned)
            except InferenceServerException as error:
                if not self._passes(error) or time.monotonic() + pause > ends or abandoned.wait(pause):
                    raise _translated(error) from error
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)

    def _try(self, model: ModelSpec, batch: Tensors, seconds: float, abandoned: threading.Event) -> Arrays:
        fixed = all(size >= 0 for output in model.outputs for size in output.shape)
        if self._regions is not None and fixed:
            try:
                return self._over_regions(self._regions, model, batch, seconds)
            except RegionRefused as refused:
                if self._insists_on_regions:
                    raise Unavailable(f"{refused}.", reason="triton_shared_memory") from refused
        return self._over_grpc(model, batch, seconds, abandoned)

    def _over_grpc(self, model: ModelSpec, batch: Tensors, seconds: float, abandoned: threading.Event) -> Arrays:
        inputs = []
        for name, array in batch.items():
            tensor: Any = triton.InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype))
            tensor.set_data_from_numpy(np.ascontiguousarray(array))
            inputs.append(tensor)
        outputs = [triton.InferRequestedOutput(output.name) for output in model.outputs]
        result = _waited(self._send(model, inputs, outputs, seconds), abandoned)
        check_answer(model, result.get_response(), _rows(batch))
        try:
            answers: Arrays = {output.name: result.as_numpy(output.name) for output in model.outputs}
        except ValueError as error:
            raise ModelContractError(f"{model.model_name} gave fewer bytes than its shapes say") from error
        check_numbers(model, answers)
        return answers

    def _over_regions(self, regions: RegionPool, model: ModelSpec, batch: Tensors, seconds: float) -> Arrays:
        """As over gRPC, but never cancelled: only a request that has ended lets go of its region."""
        shapes = {output.name: (_rows(batch), *output.shape) for output in model.outputs}
        types = {output.name: numpy_type(output) for output in model.outputs}
        sizes = {name: int(np.prod(shape)) * types[name].itemsize for name, shape in shapes.items()}
        with regions.lease(sum(array.nbytes for array in batch.values()) + sum(sizes.values())) as region:
            inputs, offset = _place_inputs(region, batch)
            outputs, places = _place_outputs(region, sizes, offset)
            _, answer = self._send(model, inputs, outputs, seconds)
            check_answer(model, answer.result().get_response(), _rows(batch))
            answers = {name: region.read(places[name], shapes[name], types[name]) for name in shapes}
        check_numbers(model, answers)
        return answers

    def _send(self, model: ModelSpec, inputs: Sequence[Any], outputs: Sequence[Any], seconds: float) -> tuple[Any, "Future[Any]"]:
        """A handle that can be cancelled, and the answer to come."""
        answer: Future[Any] = Future()

        def answered(result: Any, error: Exception | None) -> None:  # noqa: ANN401 - no types
            if error is None:
                answer.set_result(result)
            else:
                answer.set_exception(error)

        handle = self._client.async_infer(
            model.model_name,
            inputs,
            answered,
            model_version=model.model_version,
            outputs=outputs,
            priority=model.priority,
            client_timeout=seconds,
        )
        return handle, answer

    def _passes(self, error: InferenceServerException) -> bool:
        if self._regions is not None and "shared memory region" in str(error.message()):
            # Triton was restarted and knows none of the regions that were registered with its predecessor.
            self._regions.close()
            return True
        return error.status() in _PASSING


def _parameters(config: Any) -> dict[str, str]:  # noqa: ANN401 - a protobuf message without types
    return {name: value.string_value for name, value in config.parameters.items()}


def _rows(batch: Tensors) -> int:
    return int(next(iter(batch.values())).shape[0])


def _waited(sent: tuple[Any, "Future[Any]"], abandoned: threading.Event) -> Any:  # noqa: ANN401 - no types
    """The answer; cancelled on the server too when the caller has gone away."""
    handle, answer = sent
    answered = threading.Event()
    answer.add_done_callback(lambda _: answered.set())
    while not answered.wait(0.1):
        if abandoned.is_set():
            handle.cancel()
            break
    return answer.result()


def _asked(question: Callable[[], T]) -> T:
    try:
        return question()
    except InferenceServerException as error:
        raise _translated(error) from error


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


def _translated(error: InferenceServerException) -> Unavailable | ModelContractError:
    status, message = error.status(), error.message()
    if status in _CONTRACT:
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

    def versions(self, model: ModelSpec) -> Sequence[str]:
        """As the server does."""
        return self._connect().versions(model)

    def check(self, models: Sequence[ModelSpec]) -> None:
        """As the server does."""
        self._connect().check(models)
