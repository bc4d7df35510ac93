"""The whole service as a user starts it: `sonomyo up` in a folder of its own, on free ports."""

import os
import random
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx2
import psutil

T = TypeVar("T")
ROOT = Path(__file__).resolve().parents[1]
#: Of this process; pytest-xdist numbers its own from gw0.
_PORTS = range(15_000 + int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 8, 32_000, 8)
_UNUSED = iter(random.sample(_PORTS, k=len(_PORTS)))


@dataclass(frozen=True)
class RunningService:
    """Where it listens, and a client with an administrator's key."""

    data_dir: Path
    dicom_port: int
    http_port: int
    log: Path
    process: "subprocess.Popen[bytes]"
    api: httpx2.Client
    environment: Mapping[str, str]

    def report(self, study_instance_uid: str, *, version: int = 1, timeout_seconds: float = 60) -> dict[str, Any]:
        """Poll until the study has that report version."""

        def newest() -> dict[str, Any] | None:
            answer = self.api.get(f"/api/v1/studies/{study_instance_uid}/report")
            found = answer.json() if answer.status_code == httpx2.codes.OK else None
            return found if found is not None and found["version"] >= version else None

        return poll(newest, timeout_seconds=timeout_seconds, what=f"report version {version}")

    def complete(self, study_instance_uid: str) -> None:
        """Ask for the report at once."""
        self.api.post(f"/api/v1/studies/{study_instance_uid}/complete").raise_for_status()


def poll(question: Callable[[], T | None], *, timeout_seconds: float, what: str) -> T:
    """Ask until the answer is truthy."""
    deadline = time.monotonic() + timeout_seconds
    while time.monotonic() < deadline:
        answer = question()
        if answer:
            return answer
        time.sleep(0.05)
    raise AssertionError(f"{what}: not within {timeout_seconds:.0f} s")


def free_port() -> int:
    """A port that was free a moment ago, below those that the kernel gives away (32768 and up): nobody takes it by accident.

    Each is given once, and the processes of a run draw from different ones: nobody is given a port that another is about to use.
    """
    for port in _UNUSED:
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise AssertionError(f"no port is left of those in {_PORTS}")


@contextmanager
def running_service(data_dir: Path, *, ready_seconds: float = 300, **settings: str) -> Iterator[RunningService]:
    """Start, wait for READY, and stop cleanly; `settings` are SONOMYO_* variables without the prefix."""
    key = secrets.token_urlsafe(16)
    dicom_port, http_port = free_port(), free_port()
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("SONOMYO_")},
        "SONOMYO_API__KEY": key,
        "SONOMYO_DICOM__PORT": str(dicom_port),
        "SONOMYO_HTTP__PORT": str(http_port),
        "SONOMYO_DATA_DIR": str(data_dir),
        **{f"SONOMYO_{name.upper()}": value for name, value in settings.items()},
    }
    data_dir.mkdir(parents=True, exist_ok=True)
    log = data_dir / "up.log"
    before = log.stat().st_size if log.exists() else 0  # of an earlier run in the same folder
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "service", "up"], cwd=ROOT, stdout=output, stderr=output, env=environment
        )
    try:
        poll(lambda: _ready(process, log, before), timeout_seconds=ready_seconds, what=f"READY in {log}")
        with httpx2.Client(
            base_url=f"http://127.0.0.1:{http_port}", headers={"Authorization": f"Bearer {key}"}, timeout=30
        ) as api:
            yield RunningService(data_dir, dicom_port, http_port, log, process, api, environment)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=120)


def _ready(process: "subprocess.Popen[bytes]", log: Path, before: int) -> bool:
    text = log.read_bytes()[before:].decode("utf-8", errors="replace")
    assert process.poll() is None, f"`sonomyo up` ended:\n{text[-3000:]}"
    return any(line.startswith("READY") for line in text.splitlines())


def decoders() -> list[psutil.Process]:
    """The decoder processes of this one that live."""
    found = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # it ends while it is looked at
            if process.status() != psutil.STATUS_ZOMBIE and "service.adapters.decoder_process" in process.cmdline():
                found.append(process)
    return found
