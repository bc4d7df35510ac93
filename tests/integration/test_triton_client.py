import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from service.adapters.triton import TritonInferenceServer
from service.errors import ModelContractError, SonomyoError, Unavailable
from tests.running import free_port, poll
from tests.scripted_triton import MODEL, Script, ScriptedTriton, answer, frames, masks_of, serving

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - the operating system's


@contextmanager
def client_of(url: str, **options: Any) -> Iterator[TritonInferenceServer]:
    client = TritonInferenceServer(**{"url": url, "shared_memory": "off", **options})
    try:
        yield client
    finally:
        client.close()


def infer_one(script: Script, **options: Any) -> Any:
    with serving(ScriptedTriton(script)) as url, client_of(url, **options) as client:
        return list(client.infer(MODEL, [frames(1)]))


def right(request: Any, _: grpc.ServicerContext) -> Any:
    return answer(masks_of(request))


def test_infer_many_batches_answers_in_order_although_the_server_does_not() -> None:
    def later_ones_first(request: Any, _: grpc.ServicerContext) -> Any:
        time.sleep(0.02 if request.raw_input_contents[0][0] % 2 == 0 else 0)
        return answer(masks_of(request))

    with serving(ScriptedTriton(later_ones_first)) as url, client_of(url, batches_in_flight=4) as client:
        answers = list(client.infer(MODEL, (frames(value) for value in range(12))))
    assert [int(each["masks"][0, 0, 0, 0]) for each in answers] == [2 * value for value in range(12)]
    assert all(each["masks"].shape == (2, 3, 4, 4) for each in answers)


def test_infer_slow_consumer_is_never_more_than_the_batches_in_flight_ahead() -> None:
    taken: list[int] = []

    def batches() -> Iterator[dict[str, Any]]:
        for value in range(20):
            taken.append(value)
            yield frames(value)

    with serving(ScriptedTriton(right)) as url, client_of(url, batches_in_flight=3) as client:
        for number, _ in enumerate(client.infer(MODEL, batches())):
            assert len(taken) <= number + 3
    assert len(taken) == 20


def test_infer_asks_for_the_next_batch_while_the_last_is_computed() -> None:
    second_was_asked = threading.Event()

    def waits_for_the_second(request: Any, _: grpc.ServicerContext) -> Any:
        assert second_was_asked.wait(10)
        return answer(masks_of(request))

    def batches() -> Iterator[dict[str, Any]]:
        yield frames(1)
        second_was_asked.set()
        yield frames(2)

    with serving(ScriptedTriton(waits_for_the_second)) as url, client_of(url) as client:
        assert len(list(client.infer(MODEL, batches()))) == 2


def test_infer_failing_input_iterator_passes_its_error_on() -> None:
    def batches() -> Iterator[dict[str, Any]]:
        yield frames(1)
        raise SonomyoError("the cine is cut off")

    with (
        serving(ScriptedTriton(right)) as url,
        client_of(url) as client,
        pytest.raises(SonomyoError, match="cut off"),
    ):
        list(client.infer(MODEL, batches()))


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (lambda masks: answer(np.where(masks > 0, np.nan, 0).astype(np.float32)), "not numbers"),
        (lambda masks: answer(np.full_like(masks, np.inf)), "not numbers"),
        (lambda masks: answer(masks[:, :2]), "shape|as FP32"),
        (lambda masks: answer(masks[:1]), "shape|as FP32"),
        (lambda masks: answer(masks.astype(np.uint8), datatype="UINT8"), "UINT8"),
        (lambda masks: answer(masks, version="2"), "version 2 answered"),
        (lambda masks: answer(masks, name="mask"), "no output masks"),
    ],
    ids=["nan", "infinite", "channels", "rows", "datatype", "version", "name"],
)
def test_infer_spoilt_answer_is_a_contract_error_that_names_it(spoil: Callable[[Any], Any], named: str) -> None:
    with pytest.raises(ModelContractError, match=named):
        infer_one(lambda request, _: spoil(masks_of(request)))


def test_infer_truncated_bytes_are_a_contract_error() -> None:
    def truncated(request: Any, _: grpc.ServicerContext) -> Any:
        response = answer(masks_of(request))
        response.raw_output_contents[0] = response.raw_output_contents[0][:-8]
        return response

    with pytest.raises(ModelContractError, match="fewer bytes"):
        infer_one(truncated)


def test_infer_hanging_server_is_unavailable_at_the_deadline() -> None:
    let_go = threading.Event()

    def hang(_: Any, __: grpc.ServicerContext) -> Any:
        let_go.wait(30)

    with serving(ScriptedTriton(hang)) as url, client_of(url, deadline_seconds=0.5) as client:
        started = time.monotonic()
        with pytest.raises(Unavailable, match="deadline"):
            list(client.infer(MODEL, [frames(1)]))
        assert time.monotonic() - started < 5
        let_go.set()


def test_infer_passing_unavailability_is_retried_until_it_passes() -> None:
    refusals = iter([True, True, False])

    def busy_twice(request: Any, context: grpc.ServicerContext) -> Any:
        if next(refusals):
            context.abort(grpc.StatusCode.UNAVAILABLE, "not now")
        return answer(masks_of(request))

    assert int(infer_one(busy_twice)[0]["masks"][0, 0, 0, 0]) == 2


def test_infer_server_that_comes_back_is_found_again_within_the_deadline() -> None:
    port = free_port()
    with client_of(f"127.0.0.1:{port}", deadline_seconds=20) as client:
        answers: list[Any] = []
        asking = threading.Thread(target=lambda: answers.extend(client.infer(MODEL, [frames(1)])))
        asking.start()
        time.sleep(1)  # the server is really away for a while: what is tested
        with serving(ScriptedTriton(right), port=port):
            asking.join(20)
        assert len(answers) == 1


def test_infer_refused_connection_is_unavailable_at_the_deadline() -> None:
    with client_of(f"127.0.0.1:{free_port()}", deadline_seconds=1) as client, pytest.raises(Unavailable):
        list(client.infer(MODEL, [frames(1)]))


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, ModelContractError),
        (grpc.StatusCode.NOT_FOUND, ModelContractError),
        (grpc.StatusCode.INTERNAL, Unavailable),
    ],
)
def test_infer_refused_by_status_is_the_error_class_that_decides_on_retry(
    status: grpc.StatusCode, kind: type[SonomyoError]
) -> None:
    with pytest.raises(kind):
        infer_one(lambda _, context: context.abort(status, "no"))


def test_infer_closed_by_its_consumer_cancels_what_is_in_flight() -> None:
    cancelled: list[bool] = []

    def endless(request: Any, context: grpc.ServicerContext) -> Any:
        if request.raw_input_contents[0][0] == 0:
            return answer(masks_of(request))
        gone = threading.Event()
        context.add_callback(gone.set)
        cancelled.append(gone.wait(20))
        return answer(masks_of(request))

    servicer = ScriptedTriton(endless)
    with serving(servicer) as url, client_of(url, batches_in_flight=3) as client:
        answers = client.infer(MODEL, (frames(value) for value in range(9)))
        next(answers)
        poll(lambda: len(servicer.requests) == 3, timeout_seconds=10, what="three requests")
        started = time.monotonic()
        answers.close()  # type: ignore[attr-defined]  # a generator
        poll(lambda: len(cancelled) == 2, timeout_seconds=10, what="two cancellations")
        assert time.monotonic() - started < 5
    assert cancelled == [True, True]


def test_infer_deadline_with_shared_memory_retires_the_region_for_good() -> None:
    let_go = threading.Event()
    names: list[str] = []

    def hang_once(request: Any, _: grpc.ServicerContext) -> Any:
        names.append(request.inputs[0].parameters["shared_memory_region"].string_param)
        if len(names) == 1:
            let_go.wait(30)
        response = answer(np.zeros((2, 3, 4, 4), np.float32))
        del response.raw_output_contents[:]
        return response

    servicer = ScriptedTriton(hang_once)
    with (
        serving(servicer) as url,
        client_of(url, deadline_seconds=0.5, shared_memory="on") as client,
    ):
        with pytest.raises(Unavailable, match="deadline"):
            list(client.infer(MODEL, [frames(1)]))
        list(client.infer(MODEL, [frames(1), frames(2)]))
        let_go.set()
        assert names[0] not in names[1:]
        assert not (SHARED_MEMORY / names[0]).exists()
    assert names[0] in servicer.unregistered
    assert not any((SHARED_MEMORY / name).exists() for name in names)


def test_infer_server_without_our_memory_falls_back_to_plain_grpc() -> None:
    servicer = ScriptedTriton(right)
    servicer.opens_regions = False
    with serving(servicer) as url:
        with client_of(url, shared_memory="auto") as client:
            assert int(next(client.infer(MODEL, [frames(3)]))["masks"][0, 0, 0, 0]) == 6
        with client_of(url, shared_memory="on") as client, pytest.raises(Unavailable, match="shared memory"):
            next(client.infer(MODEL, [frames(3)]))


def test_check_fitting_model_passes() -> None:
    with serving(ScriptedTriton(right)) as url, client_of(url) as client:
        client.check([MODEL])


def test_check_mismatch_names_every_difference() -> None:
    servicer = ScriptedTriton(right)
    servicer.metadata.versions[:] = ["2"]
    servicer.metadata.inputs[0].datatype = "FP32"
    servicer.metadata.outputs[0].name = "mask"
    servicer.config.config.max_batch_size = 4
    with serving(servicer) as url, client_of(url) as client, pytest.raises(ModelContractError) as caught:
        client.check([MODEL])
    for named in ("version 1", "input frames is FP32", "output masks is missing", "batches of 4"):
        assert named in str(caught.value)


def test_check_model_that_is_not_ready_names_it() -> None:
    servicer = ScriptedTriton(right)
    servicer.ready = False
    with (
        serving(servicer) as url,
        client_of(url) as client,
        pytest.raises(ModelContractError, match="segment version 1 is not ready"),
    ):
        client.check([MODEL])


def test_check_server_away_is_unavailable() -> None:
    with client_of(f"127.0.0.1:{free_port()}") as client, pytest.raises(Unavailable):
        client.check([MODEL])


def test_versions_are_those_that_the_server_tells_whichever_is_expected() -> None:
    servicer = ScriptedTriton(right)
    servicer.metadata.versions[:] = ["2", "3"]
    with serving(servicer) as url, client_of(url) as client:
        assert client.versions(MODEL) == ("2", "3")


def test_describe_model_gives_weights_evidence_and_backend() -> None:
    with serving(ScriptedTriton(right)) as url, client_of(url) as client:
        used = client.describe(MODEL)
    assert (used.version, used.sha256, used.evidence, used.runtime) == ("1", "ab" * 32, "simulated", "triton onnxruntime")


def test_describe_model_prefers_what_is_stated_of_its_own_version() -> None:
    servicer = ScriptedTriton(right)
    parameters = servicer.config.config.parameters
    parameters["evidence_1"].string_value, parameters["evidence_2"].string_value = "real", "simulated"
    parameters["pretraining_2"].string_value = "SimCLR"
    with serving(servicer) as url, client_of(url) as client:
        used = client.describe(MODEL)
    assert (used.evidence, used.pretraining) == ("real", None)


def test_describe_model_without_evidence_is_a_contract_error() -> None:
    servicer = ScriptedTriton(right)
    del servicer.config.config.parameters["evidence"]
    with serving(servicer) as url, client_of(url) as client, pytest.raises(ModelContractError, match="evidence"):
        client.describe(MODEL)


def test_describe_and_check_of_a_version_without_its_own_hash_never_give_another_versions() -> None:
    servicer = ScriptedTriton(right)
    servicer.metadata.versions[:] = ["1", "2"]
    second = replace(MODEL, model_version="2")
    with serving(servicer) as url, client_of(url) as client:
        assert client.describe(MODEL).sha256 == "ab" * 32
        for question in (lambda: client.describe(second), lambda: client.check([second])):
            with pytest.raises(ModelContractError, match=r"segment: the weights of version 2 .* weights_sha256_2"):
                question()
        servicer.config.config.parameters["weights_sha256_2"].string_value = "CD" * 32
        assert client.describe(second).sha256 == "cd" * 32
