"""Runs the processes of one machine: starts each when what it needs is ready, restarts a dead one with back-off, stops all."""

import fcntl
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from service.embedded.processes import ChildProcess, Command, end_leftovers, pid_file_of
from service.errors import Conflict, SonomyoError

FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 10.0
#: A process that lived this long starts again without a pause.
STEADY_SECONDS = 30.0
#: Deaths before it ever served after which the whole start is given up.
DEATHS_AT_START = 3
POLL_SECONDS = 0.05
ALIVE_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSpec:
    """One process: what it needs, how it is run, and how one sees that it serves."""

    name: str
    #: Called before each start; may take long, may raise SonomyoError.
    command: Callable[[], Command]
    #: Polled while it starts; None: it serves when `ready_line` appears in its output.
    is_ready: Callable[[], bool] | None = None
    ready_line: str | None = None
    #: Called each time it has become ready, before those that need it start.
    once_ready: Callable[[], None] = lambda: None
    #: Asked every few seconds while it serves; False: it hangs or lost a part of itself, and is killed and started again.
    is_alive: Callable[[], bool] = lambda: True
    needs: Sequence[str] = ()
    #: Shown in the one line about this process: its port, mostly.
    address: str = ""


@dataclass(slots=True)
class _State:
    ready: threading.Event = field(default_factory=threading.Event)
    child: ChildProcess | None = None
    deaths: int = 0
    was_ready: bool = False


class Supervisor:
    """Keeps `processes` running between `start` and `stop`; `say` gets each line of output with its process's name before it."""

    def __init__(self, processes: Sequence[ProcessSpec], *, run_folder: Path, say: Callable[[str], None]) -> None:
        self._processes = processes
        self._run_folder = run_folder
        self._say = say
        self._states = {spec.name: _State() for spec in processes}
        self._stopping = threading.Event()
        self._lock: IO[str] | None = None
        self._gave_up: str | None = None
        self._keepers = [threading.Thread(target=self._keep, args=(spec,), name=f"keep-{spec.name}") for spec in processes]

    def start(self, first: Callable[[], None] = lambda: None) -> None:
        """End what an earlier supervisor left behind, ask `first`, which may raise, then start everything.

        Raises Conflict when one runs in this folder.
        """
        self._run_folder.mkdir(parents=True, exist_ok=True)
        self._lock = _locked(self._run_folder / "lock")
        for name in end_leftovers(self._run_folder):
            self._say(f"sonomyo | ended {name}, left behind by an earlier run")
        try:
            first()
        except BaseException:
            self._lock.close()
            raise
        for keeper in self._keepers:
            keeper.start()

    def wait_until_ready(self, stop: threading.Event) -> bool:
        """True when all serve; False when the start was given up or `stop` was set."""
        while not stop.is_set() and self._gave_up is None:
            if all(state.ready.is_set() for state in self._states.values()):
                return True
            time.sleep(POLL_SECONDS)
        return False

    @property
    def failure(self) -> str | None:
        """Why the start was given up."""
        return self._gave_up

    def stop(self) -> None:
        """Stop in the reverse order of the start, together what does not need one another, each with its own deadline."""
        self._stopping.set()
        running = list(self._processes)
        with ThreadPoolExecutor() as stoppers:
            while running:
                needed = {name for spec in running for name in spec.needs}
                leaving = [spec for spec in running if spec.name not in needed] or running
                list(stoppers.map(self._stop_one, leaving))
                running = [spec for spec in running if spec not in leaving]
        for keeper in self._keepers:
            keeper.join()
        if self._lock is not None:
            self._lock.close()

    def _stop_one(self, spec: ProcessSpec) -> None:
        child = self._states[spec.name].child
        if child is not None:
            child.stop()

    def _keep(self, spec: ProcessSpec) -> None:
        state = self._states[spec.name]
        pause = FIRST_PAUSE_SECONDS
        while self._may_start(spec):
            started = time.monotonic()
            try:
                self._live_once(spec, state)
            except Exception as error:  # noqa: BLE001 - whatever it was, the process is tried again, and the reason is said
                self._say(f"{spec.name:<8} | {type(error).__name__}: {error}")
            if self._stopping.is_set():
                return
            state.deaths += 1
            if not state.was_ready and state.deaths >= DEATHS_AT_START:
                self._gave_up = f"{spec.name} stopped {state.deaths} times before it served; its last lines are above"
                return
            steady = time.monotonic() - started > STEADY_SECONDS
            pause = FIRST_PAUSE_SECONDS if steady else min(pause * 2, LONGEST_PAUSE_SECONDS)
            self._say(f"sonomyo | {spec.name} ended; starting it again in {pause:.1f} s")
            self._stopping.wait(pause)

    def _may_start(self, spec: ProcessSpec) -> bool:
        while not self._stopping.is_set() and self._gave_up is None:
            if all(self._states[name].ready.is_set() for name in spec.needs):
                return True
            time.sleep(POLL_SECONDS)
        return False

    def _live_once(self, spec: ProcessSpec, state: _State) -> None:
        child = ChildProcess(spec.command(), pid_file=pid_file_of(self._run_folder, spec.name))
        state.child = child
        if self._stopping.is_set():
            child.stop()
        pump = threading.Thread(target=self._pump, args=(spec, state, child), name=f"log-{spec.name}")
        pump.start()
        try:
            self._see_it_ready(spec, state, child)
            self._see_it_alive(spec, state, child)
        finally:
            state.ready.clear()
            status = child.clean_up()
            pump.join()
        if not self._stopping.is_set():
            self._say(f"sonomyo | {spec.name} ended with status {status}")

    def _see_it_ready(self, spec: ProcessSpec, state: _State, child: ChildProcess) -> None:
        while not self._stopping.is_set() and not state.ready.is_set():
            if spec.is_ready is not None and spec.is_ready():
                self._announce(spec, state)
            if child.wait(POLL_SECONDS):
                return

    def _see_it_alive(self, spec: ProcessSpec, state: _State, child: ChildProcess) -> None:
        while not child.wait(ALIVE_SECONDS):
            if state.ready.is_set() and not self._stopping.is_set() and not spec.is_alive():
                self._say(f"sonomyo | {spec.name} no longer answers; it is killed")
                child.kill()

    def _announce(self, spec: ProcessSpec, state: _State) -> None:
        try:
            spec.once_ready()
        except SonomyoError as error:
            self._say(f"{spec.name:<8} | {error}")
            return
        first = not state.was_ready
        state.was_ready = True
        state.ready.set()
        self._say(f"sonomyo | {spec.name} {'serves' if first else 'serves again'}{spec.address and ' on ' + spec.address}")

    def _pump(self, spec: ProcessSpec, state: _State, child: ChildProcess) -> None:
        with child.output:
            for raw in child.output:
                line = raw.decode(errors="replace").rstrip()
                self._say(f"{spec.name:<8} | {line}")
                if spec.ready_line is not None and spec.ready_line in line and not state.ready.is_set():
                    self._announce(spec, state)


def _locked(path: Path) -> IO[str]:
    """An open file that holds the folder's lock; the kernel lets go of it however this process ends."""
    file = path.open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        raise Conflict(
            f"Another Sonomyo runs in {path.parent.parent}; stop it first, or choose another SONOMYO_DATA_DIR."
        ) from error
    return file
