"""Child processes that never outlive the supervisor: started by `launch.py`, recorded in pid files, stopped with deadlines."""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from service.errors import Unavailable

LAUNCHER = Path(__file__).with_name("launch.py")
#: How long a killed process group may take to vanish; only a process in uninterruptible sleep takes longer.
KILL_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One program to run. `uid` and `binds` (source, target) need root; `death_signal` arrives when the supervisor dies.

    `niceness` is nice(2)'s: with 10 it gets a tenth of a processor that another one wants, too.
    """

    arguments: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    uid: int | None = None
    binds: Sequence[tuple[Path, Path]] = ()
    stop_signal: signal.Signals = signal.SIGTERM
    stop_seconds: float = 15.0
    death_signal: signal.Signals = signal.SIGKILL
    niceness: int = 0


class ChildProcess:
    """A running child, leader of its own process group, so that a Ctrl-C in the terminal reaches the supervisor only.

    Start it from a thread that lives as long as the supervisor: the kernel sends the death signal when that *thread* ends.
    """

    def __init__(self, command: Command, *, pid_file: Path | None = None) -> None:
        self._command = command
        self._pid_file = pid_file
        self._popen = subprocess.Popen(  # noqa: S603 - no shell, and the arguments are our own
            launch_arguments(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=dict(command.environment),
            process_group=0,
        )
        self._descriptor = os.pidfd_open(self._popen.pid)
        weakref.finalize(self, os.close, self._descriptor)
        assert self._popen.stdout is not None  # noqa: S101 - for the type checker: PIPE was asked for
        self.output = self._popen.stdout
        if pid_file is not None:
            _record(pid_file, self._popen.pid, command)

    @property
    def pid(self) -> int:
        """The process id; the launcher's, then the program's, which is the same."""
        return self._popen.pid

    def exit_status(self) -> int | None:
        """None while it runs; negative for a signal."""
        return self._popen.poll()

    def wait(self, seconds: float) -> bool:
        """Has it ended? Waits at most so long, without polling."""
        if self._popen.returncode is None:
            select.select([self._descriptor], [], [], seconds)
        return self._popen.poll() is not None

    def ask_to_stop(self) -> None:
        """Send the stop signal, once."""
        if self._popen.poll() is None:
            self._popen.send_signal(self._command.stop_signal)

    def kill(self) -> None:
        """SIGKILL to the whole group, the leader dead or not."""
        _signal_group(self._popen.pid, signal.SIGKILL)

    def stop(self) -> int:
        """Ask, wait for the deadline, kill; gives the exit status."""
        self.ask_to_stop()
        self.wait(self._command.stop_seconds)
        return self.clean_up()

    def clean_up(self) -> int:
        """Kill what is left of the group, reap the leader, remove the pid file. Safe to call twice."""
        self.kill()
        status = self._popen.wait(KILL_SECONDS)
        if self._pid_file is not None:
            self._pid_file.unlink(missing_ok=True)
        return status


def launch_arguments(command: Command) -> list[str]:
    """The command line that runs `command` through the launcher as a child of this process."""
    options = ["--parent", str(os.getpid()), "--death-signal", str(int(command.death_signal))]
    options += ["--niceness", str(command.niceness)]
    if command.uid is not None:
        options += ["--uid", str(command.uid)]
    for source, target in command.binds:
        options += ["--bind", str(source), str(target)]
    return [sys.executable, "-I", "-S", str(LAUNCHER), *options, "--", *command.arguments]


def run_to_end(command: Command, *, timeout_seconds: float | None = None) -> str:
    """Run a helper program such as initdb; gives its output. Raises Unavailable with the last lines when it fails."""
    result = subprocess.run(  # noqa: S603 - no shell, and the arguments are our own
        launch_arguments(command),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=dict(command.environment),
        timeout=timeout_seconds,
        check=False,
    )
    output = result.stdout.decode(errors="replace")
    if result.returncode != 0:
        last_lines = "\n".join(output.strip().splitlines()[-8:])
        raise Unavailable(f"{Path(command.arguments[0]).name} failed with status {result.returncode}:\n{last_lines}")
    return output


def end_leftovers(run_folder: Path) -> tuple[str, ...]:
    """End what an earlier supervisor left running, by its pid files; gives the names. No other process is ever touched."""
    ended = []
    for pid_file in sorted(run_folder.glob("*.pid.json")):
        with contextlib.suppress(OSError, ValueError, KeyError):
            record = json.loads(pid_file.read_text())
            if start_ticks(record["pid"]) == record["start_ticks"]:
                _end(record["pid"], signal.Signals(record["stop_signal"]), record["stop_seconds"])
                ended.append(pid_file.name.removesuffix(".pid.json"))
        pid_file.unlink(missing_ok=True)
    return tuple(ended)


def pid_file_of(run_folder: Path, name: str) -> Path:
    """Where the process `name` is recorded."""
    return run_folder / f"{name}.pid.json"


def start_ticks(pid: int) -> int | None:
    """When a process started, in clock ticks since boot (proc(5) stat, field 22); None when it is dead or does not exist.

    Pid and start together name a process: pids are reused.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def _record(pid_file: Path, pid: int, command: Command) -> None:
    record = {
        "pid": pid,
        "start_ticks": start_ticks(pid),
        "stop_signal": int(command.stop_signal),
        "stop_seconds": command.stop_seconds,
    }
    temporary = pid_file.with_suffix(".new")
    temporary.write_text(json.dumps(record))
    temporary.replace(pid_file)


def _end(pid: int, stop_signal: signal.Signals, stop_seconds: float) -> None:
    """End a process that is not our child, and its group."""
    try:
        descriptor = os.pidfd_open(pid)
    except OSError:
        return
    try:
        with contextlib.suppress(OSError):
            signal.pidfd_send_signal(descriptor, stop_signal)
        select.select([descriptor], [], [], stop_seconds)
        _signal_group(pid, signal.SIGKILL)
        select.select([descriptor], [], [], KILL_SECONDS)
    finally:
        os.close(descriptor)


def _signal_group(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def wait_until_gone(pids: Sequence[int], *, timeout_seconds: float) -> bool:
    """True when none of these processes runs any more."""
    deadline = time.monotonic() + timeout_seconds
    while any(start_ticks(pid) is not None for pid in pids):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
