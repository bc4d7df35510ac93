"""`sonomyo demo` ended from outside: nothing of it goes on running, and what it wrote is its owner's."""

import fcntl
import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from service.embedded.processes import wait_until_gone
from tests.running import ROOT, free_port, poll


@pytest.mark.timeout(150)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_demo_ended_by_a_signal_leaves_nothing_running(number: signal.Signals, tmp_path: Path) -> None:
    data = tmp_path / "data"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SONOMYO_")}
    ports = {"SONOMYO_DICOM__PORT": str(free_port()), "SONOMYO_HTTP__PORT": str(free_port())}
    # Under nohup, SIGHUP is ignored, and would be by the demo.
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    demo = subprocess.Popen(
        [sys.executable, "-m", "service", "demo"],
        cwd=ROOT,
        env={**environment, **ports, "SONOMYO_DATA_DIR": str(data)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    signal.signal(signal.SIGHUP, before)
    try:
        poll(lambda: "postgres serves" in _log(data), timeout_seconds=60, what="PostgreSQL serves")
        assert stat.S_IMODE((data / "demo.log").stat().st_mode) == 0o600
        assert stat.S_IMODE(data.stat().st_mode) in {0o700, 0o711}
        children = [json.loads(path.read_text())["pid"] for path in (data / "run").glob("*.pid.json")]
        assert children
    finally:
        demo.send_signal(number)
    status = demo.wait(timeout=60)
    assert status == (-number if number == signal.SIGKILL else 128 + number)
    poll(lambda: _unlocked(data / "run" / "lock"), timeout_seconds=60, what="`sonomyo up` ended")
    assert wait_until_gone(children, timeout_seconds=5)


def _log(data: Path) -> str:
    log = data / "demo.log"
    return log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""


def _unlocked(lock: Path) -> bool:
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
