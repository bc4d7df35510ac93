import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from service.embedded.processes import ChildProcess, Command, end_leftovers, pid_file_of, start_ticks
from service.embedded.supervisor import ProcessSpec, Supervisor
from service.errors import Conflict, Unavailable
from tests.running import ROOT, poll

#: Writes its pid, says that it serves, and stays until SIGTERM.
SERVES = "import os, sys, time; print('pid', os.getpid()); print('serving', flush=True); time.sleep(600)"


def python(program: str, **options: object) -> Command:
    return Command(**{"arguments": [sys.executable, "-u", "-c", program], "environment": dict(os.environ), **options})  # type: ignore[arg-type]  # of mixed types


def spec_of(name: str, program: str = SERVES, **options: object) -> ProcessSpec:
    command = python(program)
    return ProcessSpec(**{"name": name, "command": lambda: command, "ready_line": "serving", **options})  # type: ignore[arg-type]  # of mixed types


@contextmanager
def running(folder: Path, *specs: ProcessSpec, ready: bool = True) -> Iterator[tuple[Supervisor, list[str]]]:
    lines: list[str] = []
    supervisor = Supervisor(specs, run_folder=folder, say=lines.append)
    supervisor.start()
    try:
        assert supervisor.wait_until_ready(threading.Event()) == ready, lines
        yield supervisor, lines
    finally:
        supervisor.stop()


def pids_of(lines: list[str], name: str) -> list[int]:
    start = f"{name:<8} | pid "
    return [int(line.removeprefix(start)) for line in lines if line.startswith(start)]


def is_gone(pid: int) -> Callable[[], bool]:
    return lambda: start_ticks(pid) is None


def test_processes_start_in_the_order_of_their_needs_with_named_lines(tmp_path: Path) -> None:
    with running(tmp_path, spec_of("second", needs=["first"]), spec_of("first", address="a port")) as (_, lines):
        served = [line for line in lines if "serves" in line]
        assert served == ["sonomyo | first serves on a port", "sonomyo | second serves"]
        assert "first    | serving" in lines


def test_stop_ends_what_needs_others_first(tmp_path: Path) -> None:
    program = (
        "import signal, sys, time\n"
        "def leave(*_):\n    time.sleep(0.2)\n    print('left', flush=True)\n    sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, leave)\nprint('serving', flush=True)\ntime.sleep(600)"
    )
    with running(tmp_path, spec_of("server", program), spec_of("role", program, needs=["server"])) as (_, lines):
        pass
    assert [line for line in lines if line.endswith("left")] == ["role     | left", "server   | left"]
    assert list(tmp_path.glob("*.pid.json")) == []


def test_stop_of_a_process_that_will_not_leave_kills_it_at_its_deadline(tmp_path: Path) -> None:
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + SERVES
    command = python(deaf, stop_seconds=0.3)
    with running(tmp_path, spec_of("deaf", command=lambda: command)) as (_, lines):
        pid = pids_of(lines, "deaf")[0]
    assert is_gone(pid)()


def test_killed_process_is_started_again_and_serves_again(tmp_path: Path) -> None:
    with running(tmp_path, spec_of("role")) as (_, lines):
        os.kill(pids_of(lines, "role")[0], signal.SIGKILL)
        poll(lambda: "sonomyo | role serves again" in lines, timeout_seconds=20, what="a restart")
        assert "sonomyo | role ended with status -9" in lines
        assert len(pids_of(lines, "role")) == 2


def test_process_that_dies_again_and_again_waits_longer_each_time(tmp_path: Path) -> None:
    with running(tmp_path, spec_of("brief", "import time; print('serving', flush=True); time.sleep(0.1)")) as (_, lines):
        pauses = poll(
            lambda: found if len(found := [line for line in lines if "again in" in line]) >= 3 else None,
            timeout_seconds=30,
            what="three restarts",
        )
    seconds = [float(line.split(" in ")[1].split()[0]) for line in pauses[:3]]
    assert seconds == sorted(seconds)
    assert seconds[2] > seconds[0]


def test_process_that_never_serves_ends_the_start_with_its_name(tmp_path: Path) -> None:
    with running(tmp_path, spec_of("broken", "print('no such thing')"), ready=False) as (supervisor, lines):
        assert supervisor.failure is not None
        assert "broken" in supervisor.failure
        assert "broken   | no such thing" in lines


@pytest.mark.parametrize("error", [Unavailable("not installed"), PermissionError("not yours")])
def test_command_that_cannot_be_made_ends_the_start_with_the_reason(tmp_path: Path, error: Exception) -> None:
    def command() -> Command:
        raise error

    with running(tmp_path, spec_of("postgres", command=command), ready=False) as (_, lines):
        assert any(str(error) in line for line in lines)


def test_process_that_hangs_is_killed_and_started_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.embedded.supervisor.ALIVE_SECONDS", 0.05)
    hangs = threading.Event()
    with running(tmp_path, spec_of("role", is_alive=lambda: not hangs.is_set())) as (_, lines):
        pid = pids_of(lines, "role")[0]
        hangs.set()
        poll(is_gone(pid), timeout_seconds=20, what="its end")
        hangs.clear()
        poll(lambda: "sonomyo | role serves again" in lines, timeout_seconds=20, what="a restart")


def test_dead_leader_takes_its_group_along(tmp_path: Path) -> None:
    parent = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {SERVES!r}]).wait()"
    with running(tmp_path, spec_of("worker", parent)) as (_, lines):
        grandchild = pids_of(lines, "worker")[0]
        leader = psutil.Process(grandchild).parent()
        assert leader is not None
        leader.kill()
        poll(is_gone(grandchild), timeout_seconds=20, what="the grandchild's end")


def supervisor_in_a_process(folder: Path, program: str) -> "subprocess.Popen[str]":
    source = f"""
        import functools, threading
        from pathlib import Path
        from service.embedded.supervisor import Supervisor
        from tests.integration.test_supervisor import spec_of
        say = functools.partial(print, flush=True)
        supervisor = Supervisor([spec_of("role", {program!r})], run_folder=Path({str(folder)!r}), say=say)
        supervisor.start()
        supervisor.wait_until_ready(threading.Event())
        threading.Event().wait()
    """
    return subprocess.Popen([sys.executable, "-c", textwrap.dedent(source)], cwd=ROOT, stdout=subprocess.PIPE, text=True)


def test_supervisor_killed_takes_its_children_along(tmp_path: Path) -> None:
    with supervisor_in_a_process(tmp_path, SERVES) as process:
        assert process.stdout is not None
        pid = next(int(line.rpartition(" ")[2]) for line in process.stdout if "| pid " in line)
        process.kill()
        poll(is_gone(pid), timeout_seconds=20, what="the child's end")


def test_second_supervisor_in_the_same_folder_is_refused_and_the_first_lives_on(tmp_path: Path) -> None:
    with running(tmp_path / "run", spec_of("role")) as (_, lines):
        with pytest.raises(Conflict, match="Another Sonomyo"):
            Supervisor([spec_of("role")], run_folder=tmp_path / "run", say=lambda _: None).start()
        assert start_ticks(pids_of(lines, "role")[0]) is not None


def test_leftover_of_an_earlier_run_is_ended_at_the_next_start(tmp_path: Path) -> None:
    child = ChildProcess(python(SERVES), pid_file=pid_file_of(tmp_path, "role"))
    assert child.output.readline().startswith(b"pid")
    with running(tmp_path, spec_of("role")) as (_, lines):
        assert "sonomyo | ended role, left behind by an earlier run" in lines
        assert child.exit_status() is not None
    child.clean_up()
    child.output.close()


def test_leftover_pid_that_another_process_has_now_is_left_alone(tmp_path: Path) -> None:
    child = ChildProcess(python(SERVES), pid_file=pid_file_of(tmp_path, "role"))
    pid_file = pid_file_of(tmp_path, "role")
    ticks = start_ticks(child.pid)
    pid_file.write_text(pid_file.read_text().replace(str(ticks), str((ticks or 0) - 1)))
    assert end_leftovers(tmp_path) == ()
    assert child.exit_status() is None
    assert not pid_file.exists()
    child.stop()
    child.output.close()
