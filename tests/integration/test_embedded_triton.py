import hashlib
import os
import re
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from service.adapters.triton import TritonInferenceServer
from service.core.analyses.analysis import ModelSpec, TensorSpec
from service.embedded.supervisor import ProcessSpec
from service.embedded.triton import EmbeddedTriton
from service.embedded.triton_repository import OPENVINO_SWITCH, SELF_TEST, SELF_TEST_CONFIG, SELF_TEST_WEIGHTS, derive_repository
from service.errors import ModelContractError, Unavailable
from tests.embedded import supervised, triton_in
from tests.running import ROOT, poll

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - the operating system's
#: y = 2 * x + 1, the self-test's own network, as one that is sent to.
LINE = ModelSpec(
    model_name=SELF_TEST,
    model_version="1",
    inputs=(TensorSpec(name="x", datatype="FP32", shape=(4,)),),
    outputs=(TensorSpec(name="y", datatype="FP32", shape=(4,)),),
    max_batch_size=1,
)
SEGMENTATION = ModelSpec(
    model_name="muscle_segmentation",
    model_version="1",
    inputs=(TensorSpec(name="image", datatype="UINT8", shape=(1, 256, 256)),),
    outputs=(TensorSpec(name="masks", datatype="UINT8", shape=(3, 256, 256)),),
    max_batch_size=8,
)


@contextmanager
def client_of(triton: EmbeddedTriton, **options: Any) -> Iterator[TritonInferenceServer]:
    client = TritonInferenceServer(**{"url": triton.url, **options})
    try:
        yield client
    finally:
        client.close()


@pytest.fixture
def own_triton(tmp_path: Path) -> Iterator[tuple[EmbeddedTriton, list[str]]]:
    """A server of this test's own, without models but the self-test's, and what was said."""
    (tmp_path / "models").mkdir()
    triton = triton_in(tmp_path / "server", tmp_path / "models")

    def command() -> Any:
        triton.prepare()
        return triton.command()

    spec = ProcessSpec(name="triton", command=command, is_ready=triton.is_ready, is_alive=triton.is_alive)
    with supervised(tmp_path / "run", spec) as lines:
        yield triton, lines


def server_process(port: int) -> psutil.Process:
    return next(
        process
        for process in psutil.process_iter(["name", "cmdline"])
        # One that has ended and is not yet waited for has no command line.
        if process.info["name"] == "tritonserver" and f"--grpc-port={port}" in (process.info["cmdline"] or ())
    )


def port_of(triton: EmbeddedTriton) -> int:
    return int(triton.url.rpartition(":")[2])


def line_batches(count: int) -> Iterator[dict[str, Any]]:
    for value in range(count):
        yield {"x": np.full((1, 4), value, np.float32)}


def random_frames(batches: int, rows: int) -> list[dict[str, Any]]:
    numbers = np.random.default_rng(7)
    return [{"image": numbers.integers(0, 256, (rows, 1, 256, 256), dtype=np.uint8)} for _ in range(batches)]


def test_served_model_answers_the_same_over_shared_memory_and_plain_grpc(triton_server: EmbeddedTriton) -> None:
    batches = random_frames(4, 8) + random_frames(1, 3)
    with client_of(triton_server, shared_memory="on") as regions, client_of(triton_server, shared_memory="off") as plain:
        over_regions = [answer["masks"] for answer in regions.infer(SEGMENTATION, batches)]
        over_grpc = [answer["masks"] for answer in plain.infer(SEGMENTATION, batches)]
    assert [masks.shape for masks in over_regions] == [(8, 3, 256, 256)] * 4 + [(3, 3, 256, 256)]
    assert all(np.array_equal(one, other) for one, other in zip(over_regions, over_grpc, strict=True))
    assert any(masks.any() for masks in over_grpc)


def test_served_model_answers_as_onnx_runtime_called_directly(triton_server: EmbeddedTriton, tmp_path: Path) -> None:
    batch = random_frames(1, 2)[0]
    np.save(tmp_path / "image.npy", batch["image"])
    weights = ROOT / "model_repository" / "muscle_segmentation" / "1" / "model.onnx"
    program = (
        "import sys, numpy, onnxruntime; s = onnxruntime.InferenceSession(sys.argv[1]);"
        "numpy.save(sys.argv[3], s.run(['masks'], {'image': numpy.load(sys.argv[2])})[0])"
    )
    python = ROOT / ".triton" / "bin" / "python"
    subprocess.run([python, "-c", program, weights, tmp_path / "image.npy", tmp_path / "masks.npy"], check=True)
    with client_of(triton_server) as client:
        used = client.describe(SEGMENTATION)
        served = next(client.infer(SEGMENTATION, [batch]))["masks"]
    direct = np.load(tmp_path / "masks.npy")
    apart = np.abs(served.astype(int) - direct.astype(int))
    assert apart.max() <= (1 if used.precision == "fp32" else 24)
    assert direct.any()


def test_served_model_is_checked_and_described_with_what_computes_it(triton_server: EmbeddedTriton) -> None:
    with client_of(triton_server) as client:
        assert client.versions(SEGMENTATION) == ("1",)
        client.check([SEGMENTATION])
        used = client.describe(SEGMENTATION)
    assert used.runtime is not None
    assert used.runtime.startswith("openvino 20")
    assert used.precision in {"fp32", "bf16", "int8"}
    assert len(used.sha256) == 64


def test_check_of_another_model_names_the_mismatch(triton_server: EmbeddedTriton) -> None:
    other = ModelSpec(
        model_name="muscle_segmentation",
        model_version="1",
        inputs=SEGMENTATION.inputs,
        outputs=(TensorSpec(name="masks", datatype="FP32", shape=(3, 128, 128)),),
        max_batch_size=8,
    )
    with client_of(triton_server) as client, pytest.raises(ModelContractError, match="output masks is UINT8"):
        client.check([other])


def test_server_listens_on_loopback_only(triton_server: EmbeddedTriton) -> None:
    addresses = {
        connection.laddr.ip.removeprefix("::ffff:")  # a v4 address on a v6 socket (RFC 4291 2.5.5.2)
        for connection in server_process(port_of(triton_server)).net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert addresses == {"127.0.0.1"}


def test_infer_server_killed_midway_answers_again_after_its_restart(own_triton: tuple[EmbeddedTriton, list[str]]) -> None:
    triton, lines = own_triton
    with client_of(triton, shared_memory="on", deadline_seconds=60) as client:
        answers = client.infer(LINE, line_batches(12))
        first = [float(next(answers)["y"][0, 0]) for _ in range(4)]
        server_process(port_of(triton)).kill()
        rest = [float(answer["y"][0, 0]) for answer in answers]
    assert first + rest == [2.0 * value + 1 for value in range(12)]
    assert any("serves again" in line for line in lines)


def test_infer_from_many_threads_through_a_kill_gives_each_its_own_answers(
    own_triton: tuple[EmbeddedTriton, list[str]],
) -> None:
    triton, _ = own_triton
    with client_of(triton, shared_memory="on", deadline_seconds=60) as client, ThreadPoolExecutor(4) as threads:

        def ask(start: int) -> list[float]:
            values = range(start, start + 40)
            batches = ({"x": np.full((1, 4), value, np.float32)} for value in values)
            return [float(answer["y"][0, 3]) for answer in client.infer(LINE, batches)]

        asked = [threads.submit(ask, 1000 * number) for number in range(4)]
        server_process(port_of(triton)).kill()
        answers = [each.result() for each in asked]
    assert answers == [[2.0 * (1000 * number + step) + 1 for step in range(40)] for number in range(4)]


def test_server_killed_leaves_no_stub_and_no_shared_memory_after_its_restart(
    own_triton: tuple[EmbeddedTriton, list[str]],
) -> None:
    triton, lines = own_triton
    server = server_process(port_of(triton))
    stubs = server.children()
    before = {path.name for path in SHARED_MEMORY.glob(f"{triton.memory_prefix}*")}
    assert stubs
    assert before
    server.kill()
    poll(lambda: any("serves again" in line for line in lines), timeout_seconds=60, what="a restart")
    assert not any(stub.is_running() for stub in stubs)
    assert before.isdisjoint(path.name for path in SHARED_MEMORY.glob(f"{triton.memory_prefix}*"))


def test_model_whose_process_was_killed_answers_again(own_triton: tuple[EmbeddedTriton, list[str]]) -> None:
    triton, lines = own_triton
    with client_of(triton, deadline_seconds=60) as client:
        next(client.infer(LINE, line_batches(1)))
        for stub in server_process(port_of(triton)).children():
            stub.kill()

        def answered() -> bool:
            try:
                return float(next(client.infer(LINE, line_batches(1)))["y"][0, 0]) == 1.0
            except Unavailable:
                return False

        poll(answered, timeout_seconds=60, what="an answer")
    assert "sonomyo | triton no longer answers; it is killed" in lines


def test_server_whose_supervisor_was_killed_leaves_no_process(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    source = f"""
        import threading, time
        from pathlib import Path
        from service.embedded.supervisor import ProcessSpec
        from tests.embedded import supervised, triton_in
        folder = Path({str(tmp_path)!r})
        triton = triton_in(folder / "server", folder / "models")
        triton.prepare()
        with supervised(folder / "run", ProcessSpec(name="triton", command=triton.command, is_ready=triton.is_ready)):
            print(triton.url, flush=True)
            time.sleep(600)
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(source)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline().rpartition(":")[2])
        server = server_process(port)
        left = [server, *server.children()]
        assert len(left) > 1
        process.kill()
        poll(lambda: not any(one.is_running() for one in left), timeout_seconds=60, what="their end")
    successor = triton_in(tmp_path / "server", tmp_path / "models")
    successor.prepare()
    assert list(SHARED_MEMORY.glob(f"{successor.memory_prefix}*")) == []


def test_stubs_left_by_a_server_that_nobody_watched_are_ended_before_the_next_start(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    triton = triton_in(tmp_path / "server", tmp_path / "models")
    triton.prepare()
    with subprocess.Popen(triton.command().arguments, env=triton.command().environment, stderr=subprocess.DEVNULL) as server:
        poll(triton.is_ready, timeout_seconds=60, what="the server")
        stubs = psutil.Process(server.pid).children()
        assert stubs
        server.kill()
    triton.prepare()
    _, alive = psutil.wait_procs(stubs, timeout=10)
    assert not alive


def test_region_of_a_dead_client_is_unlinked_and_unregistered_by_the_next(own_triton: tuple[EmbeddedTriton, list[str]]) -> None:
    triton, _ = own_triton
    program = (
        "import numpy, os, signal, sys; from service.adapters.triton import TritonInferenceServer;"
        "from tests.integration.test_embedded_triton import LINE, line_batches;"
        "print(next(TritonInferenceServer(url=sys.argv[1], shared_memory='on').infer(LINE, line_batches(2)))['y'], flush=True);"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    died = subprocess.run([sys.executable, "-c", program, triton.url], cwd=ROOT, capture_output=True, text=True, check=False)
    assert died.returncode == -signal.SIGKILL, died.stderr
    with client_of(triton, shared_memory="on") as client:
        next(client.infer(LINE, line_batches(1)))
        registered = client._client.get_system_shared_memory_status().regions
        assert [name.split("-")[1] for name in registered] == [str(os.getpid())]
        names = [path.name for path in SHARED_MEMORY.glob("sonomyo-*")]
        assert set(registered) <= set(names)
    assert not any(name in registered for name in (path.name for path in SHARED_MEMORY.glob("sonomyo-*")))


#: y = 3 * x + 1: the self-test's network with another factor.
OTHER_WEIGHTS = SELF_TEST_WEIGHTS.replace(np.float32(2).tobytes(), np.float32(3).tobytes())


def lay_out_versions(model: Path, weights: dict[str, bytes], hashes: dict[str, str]) -> None:
    """A model with these versions, whose config.pbtxt says these hashes."""
    for version, content in weights.items():
        (model / version).mkdir(parents=True)
        (model / version / "model.onnx").write_bytes(content)
    said = {f"weights_sha256_{version}": digest for version, digest in hashes.items()} | {"evidence": "simulated"}
    parameters = "".join(f'parameters {{ key: "{key}" value: {{ string_value: "{value}" }} }}\n' for key, value in said.items())
    policy = f"version_policy: {{ specific: {{ versions: [ {', '.join(weights)} ] }} }}\n"
    (model / "config.pbtxt").write_text(SELF_TEST_CONFIG + policy + parameters)


@contextmanager
def served_from(folder: Path) -> Iterator[tuple[EmbeddedTriton, list[str]]]:
    """A server of the models below `folder`, ready, and what it said of them."""
    said: list[str] = []
    triton = triton_in(folder / "server", folder / "models", say=said.append)
    triton.prepare()
    with supervised(folder / "run", ProcessSpec(name="triton", command=triton.command, is_ready=triton.is_ready)):
        yield triton, said


def test_two_versions_with_different_weights_answer_each_under_its_own_hash(tmp_path: Path) -> None:
    weights = {"1": SELF_TEST_WEIGHTS, "2": OTHER_WEIGHTS}
    hashes = {version: hashlib.sha256(content).hexdigest() for version, content in weights.items()}
    lay_out_versions(tmp_path / "models" / "line", weights, hashes)
    one = replace(LINE, model_name="line")
    two = replace(one, model_version="2")
    with served_from(tmp_path) as (triton, said), client_of(triton) as client:
        assert client.versions(one) == ("1", "2"), said
        client.check([one, two])
        assert {spec.model_version: client.describe(spec).sha256 for spec in (one, two)} == hashes
        answers = [float(next(client.infer(spec, [{"x": np.full((1, 4), 5, np.float32)}]))["y"][0, 0]) for spec in (one, two)]
    assert answers == [11.0, 16.0]


def test_version_whose_hash_is_not_given_is_refused_by_name_and_the_other_described(tmp_path: Path) -> None:
    known = hashlib.sha256(SELF_TEST_WEIGHTS).hexdigest()
    lay_out_versions(tmp_path / "models" / "line", {"1": SELF_TEST_WEIGHTS, "2": OTHER_WEIGHTS}, {"1": known})
    one = replace(LINE, model_name="line")
    two = replace(one, model_version="2")
    with served_from(tmp_path) as (triton, _), client_of(triton) as client:
        assert client.describe(one).sha256 == known
        with pytest.raises(ModelContractError, match=r"line: the weights of version 2 are not known.*weights_sha256_2"):
            client.describe(two)
        with pytest.raises(ModelContractError, match="line: the weights of version 2 are not known"):
            client.check([two])


def test_version_with_other_weights_than_it_says_is_not_served_and_said_so(tmp_path: Path) -> None:
    right = hashlib.sha256(SELF_TEST_WEIGHTS).hexdigest()
    lay_out_versions(tmp_path / "models" / "wrong", {"1": SELF_TEST_WEIGHTS, "2": OTHER_WEIGHTS}, {"1": right, "2": right})
    with served_from(tmp_path) as (triton, said), client_of(triton) as client:
        assert any("wrong is not served" in line and f"weights_sha256_2 {right}" in line for line in said), said
        with pytest.raises(ModelContractError, match="wrong version 2 is not ready"):
            client.check([replace(LINE, model_name="wrong", model_version="2")])


@pytest.mark.parametrize(
    ("flags", "switch", "expected"),
    [
        (frozenset({"amx_bf16"}), True, ("openvino 1", "bf16")),
        (frozenset({"avx512_vnni"}), True, ("openvino 1", "fp32")),
        (frozenset({"amx_bf16"}), False, ("onnxruntime 2", "fp32")),
    ],
)
def test_repository_runtime_and_precision_follow_switch_and_processor(
    tmp_path: Path, flags: frozenset[str], *, switch: bool, expected: tuple[str, str]
) -> None:
    model = tmp_path / "models" / "one"
    (model / "1").mkdir(parents=True)
    (model / "1" / "model.onnx").write_bytes(SELF_TEST_WEIGHTS)
    accelerator = "optimization: { execution_accelerators: { cpu_execution_accelerator: [ { name: 'openvino' } ] } }\n"
    text = SELF_TEST_CONFIG + (accelerator.replace("'", '"') if switch else f"# {accelerator}")
    (model / "config.pbtxt").write_text(text)
    versions = {"openvino": "1", "onnxruntime": "2"}
    choices = derive_repository(tmp_path / "models", tmp_path / "derived", versions=versions, cores=4, flags=flags)
    assert (choices[0].runtime, choices[0].precision) == expected
    assert (model / "config.pbtxt").read_text() == text
    assert f'string_value: "{expected[1]}"' in (tmp_path / "derived" / "one" / "config.pbtxt").read_text()


def test_repository_gives_each_version_the_precision_of_its_own_file(tmp_path: Path) -> None:
    hashes = {"1": "ab" * 32, "2": "cd" * 32}
    weights = {"1": SELF_TEST_WEIGHTS + b"QuantizeLinear", "2": SELF_TEST_WEIGHTS}
    lay_out_versions(tmp_path / "models" / "line", weights, hashes)
    config = tmp_path / "models" / "line" / "config.pbtxt"
    config.write_text(config.read_text() + OPENVINO_SWITCH)
    choices = derive_repository(tmp_path / "models", tmp_path / "derived", versions={}, cores=4, flags=frozenset({"amx_bf16"}))
    assert [(choice.model_version, choice.precision) for choice in choices[:2]] == [("1", "int8"), ("2", "bf16")]
    served = (tmp_path / "derived" / "line" / "config.pbtxt").read_text()
    assert re.findall(r'"(precision_\d)" value \{ string_value: "(\w+)"', served) == [
        ("precision_1", "int8"),
        ("precision_2", "bf16"),
    ]
