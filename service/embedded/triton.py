"""The real `tritonserver` for one machine: the binary of the wheel nvidia-pytriton, on loopback, as our supervisor's child."""

import http.client
import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path

from service.embedded.processes import Command
from service.embedded.triton_environment import TritonEnvironment, find_environment
from service.embedded.triton_repository import SELF_TEST, Choice, derive_repository, processor_flags, usable_cores

#: Embedded means loopback only: this release of Triton has known vulnerabilities, and none of its ports asks who calls.
LOOPBACK = "127.0.0.1"
SELF_TEST_INPUT = [0.0, 1.0, -2.5, 1000.0]
SELF_TEST_ANSWER = [1.0, 3.0, -4.0, 2001.0]
STUB = "triton_python_backend_stub"
#: Unanswered self-tests, each with its own deadline, after which the server counts as hung; a loaded machine is slow, too.
SILENCES = 6
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - where POSIX shared memory lies (shm_overview(7))


class EmbeddedTriton:
    """Serves `model_repository` from `folder`, where the derived repository lies; `say` takes one line about each choice."""

    def __init__(
        self,
        *,
        folder: Path,
        environment: Path,
        model_repository: Path,
        grpc_port: int,
        http_port: int,
        metrics_port: int,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._folder = folder.resolve()
        self._environment = environment.absolute()
        self._model_repository = model_repository.resolve()
        self._ports = {"http": http_port, "grpc": grpc_port, "metrics": metrics_port}
        self._say = say
        self._reported: set[str] = set()
        self._stubs_when_ready = 0
        self._silences = 0
        digest = sha256(os.fsencode(self._folder)).hexdigest()[:12]
        #: Begins the name of each piece of shared memory between the server and its stubs.
        self.memory_prefix = f"sonomyo_stub_{digest}_"

    @property
    def url(self) -> str:
        """HOST:PORT of the gRPC endpoint."""
        return f"{LOOPBACK}:{self._ports['grpc']}"

    def prepare(self) -> tuple[Choice, ...]:
        """Lay out backends and repository anew; call before each start. Raises Unavailable naming what is not installed."""
        environment = find_environment(self._environment)
        self._reported.clear()
        # A model's process outlives a server that is killed together with its supervisor.
        for stub in self._stubs():
            with suppress(ProcessLookupError):
                os.kill(int(stub.name), signal.SIGKILL)
        for leftover in SHARED_MEMORY.glob(self.memory_prefix + "*"):  # of a server that was killed
            leftover.unlink(missing_ok=True)
        _lay_out_backends(self._folder / "backends", environment)
        choices = derive_repository(
            self._model_repository,
            self._folder / "repository",
            versions=environment.versions,
            cores=usable_cores(),
            flags=processor_flags(),
        )
        for choice in choices:
            runs_on = f"{choice.runtime}, {choice.precision}, {choice.threads} threads ({choice.why})"
            self._say(f"{choice.model_name} {choice.model_version}: {runs_on}")
        return tuple(choices)

    def command(self) -> Command:
        """How to serve it. Models that fail to load are left out, so that one broken model does not stop the others."""
        environment = find_environment(self._environment)
        addresses = [f"--{name}-address={LOOPBACK}" for name in self._ports]
        ports = [f"--{name}-port={port}" for name, port in self._ports.items()]
        return Command(
            arguments=[
                str(environment.server),
                f"--model-repository={self._folder / 'repository'}",
                f"--backend-directory={self._folder / 'backends'}",
                f"--backend-config=python,shm-region-prefix-name={self.memory_prefix}",
                "--backend-config=python,stub-timeout-seconds=120",
                "--model-control-mode=none",
                "--exit-on-error=false",
                "--exit-timeout-secs=5",
                "--allow-gpu-metrics=false",
                "--log-info=false",
                *addresses,
                *ports,
            ],
            environment={
                # The stub's interpreter is isolated: it ignores PYTHONPATH and finds its packages by the first python3 on PATH.
                "PATH": f"{self._environment / 'bin'}:{os.defpath}",
                "HOME": str(self._folder),
                "LD_LIBRARY_PATH": ":".join(str(folder) for folder in environment.library_folders),
                "PYTHONDONTWRITEBYTECODE": "1",
                "CUDA_VISIBLE_DEVICES": "",
            },
            stop_seconds=15.0,
        )

    def is_alive(self) -> bool:
        """Does every model still have its process, and does the known answer come?

        Triton never starts a model's process again when that one died, and goes on saying that the model is ready.
        """
        if len(self._stubs()) < self._stubs_when_ready:
            return False
        try:
            with self._connection() as connection:
                answers = self._self_test_passes(connection)
        except (OSError, http.client.HTTPException, ValueError):
            answers = False
        self._silences = 0 if answers else self._silences + 1
        return self._silences < SILENCES

    def is_ready(self) -> bool:
        """Is it live, and does it give the one known answer? Says once which models could not be loaded, and why.

        Right shapes with zero bytes are what a wrong numpy in its environment looks like: hence a known answer, not a status.
        """
        try:
            with self._connection() as connection:
                if not self._self_test_passes(connection):
                    return False
                if not self._models_are_settled(connection):
                    return False
        except (OSError, http.client.HTTPException, ValueError):
            return False
        self._stubs_when_ready, self._silences = len(self._stubs()), 0
        return True

    def _stubs(self) -> list[Path]:
        """The living processes of models: those that run our copy of the stub."""
        stub = self._folder / "backends" / "python" / STUB
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if (process / "exe").readlink() == stub:
                    found.append(process)
        return found

    @contextmanager
    def _connection(self) -> Iterator[http.client.HTTPConnection]:
        connection = http.client.HTTPConnection(LOOPBACK, self._ports["http"], timeout=5)
        try:
            yield connection
        finally:
            connection.close()

    def _self_test_passes(self, connection: http.client.HTTPConnection) -> bool:
        tensor = {"name": "x", "shape": [1, 4], "datatype": "FP32", "data": SELF_TEST_INPUT}
        connection.request("POST", f"/v2/models/{SELF_TEST}/infer", json.dumps({"inputs": [tensor]}))
        response = connection.getresponse()
        body = response.read()
        if response.status != http.client.OK:
            return False
        answer = json.loads(body)["outputs"][0]["data"]
        if answer != SELF_TEST_ANSWER:
            self._say_once(f"self-test failed: expected {SELF_TEST_ANSWER}, got {answer}; is its environment damaged?")
            return False
        return True

    def _models_are_settled(self, connection: http.client.HTTPConnection) -> bool:
        connection.request("POST", "/v2/repository/index", "{}")
        models = json.loads(connection.getresponse().read())
        if any(model.get("state") in {"LOADING", "UNLOADING", None} for model in models):
            return False
        for model in models:
            if model["state"] != "READY":
                self._say_once(f"model {model['name']} is not served: {model.get('reason', model['state'])}")
        return True

    def _say_once(self, line: str) -> None:
        if line not in self._reported:
            self._reported.add(line)
            self._say(line)


def _lay_out_backends(target: Path, environment: TritonEnvironment) -> None:
    """A backends folder of ours: the Python backend with the stub of the right interpreter, and our `onnxruntime` on top of it.

    Copies (2 MB), because Triton refuses a backend library behind a link that leaves the folder.
    """
    shutil.rmtree(target, ignore_errors=True)
    python = target / "python"
    python.mkdir(parents=True)
    # Copies, for Triton refuses a library that is a link out of its backend directory.
    for name in ("libtriton_python.so", "triton_python_backend_utils.py"):
        shutil.copy2(environment.python_backend / name, python / name)
    shutil.copy2(environment.stub, python / STUB)
    onnxruntime = target / "onnxruntime"
    onnxruntime.mkdir()
    shutil.copy2(Path(__file__).parent / "triton_backend" / "onnxruntime" / "model.py", onnxruntime / "model.py")
