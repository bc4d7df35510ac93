"""Runs the processes of one machine: starts each when what it needs is ready, restarts a dead one with back-off, stops all."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from service.embedded.processes import ChildProcess, Command, end_leftovers, pid_file_of
from service.errors import SonomyoError

FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 10.0
#: A process that lived this long starts again without a pause.
STEADY_SECONDS = 30.0
#: Deaths before it ever served after which the whole start is given up.
DEATHS_AT_START = 3
POLL_SECONDS = 0.05


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
        self._gave_up: str | None = None
        self._keepers = [threading.Thread(target=self._keep, args=(spec,), name=f"keep-{spec.name}") for spec in processes]

    def start(self) -> None:
        """End what an earlier supervisor left behind, then start everything."""
        self._run_folder.mkdir(parents=True, exist_ok=True)
        for name in end_leftovers(self._run_folder):
            self._say(f"sonomyo | ended {name}, left behind by an earlier run")
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
        """Stop in the reverse order of the start, each with its own deadline."""
        self._stopping.set()
        for spec in reversed(self._processes):
            child = self._states[spec.name].child
            if child is not None:
                child.stop()
        for keeper in self._keepers:
            keeper.join()

    def _keep(self, spec: ProcessSpec) -> None:
        state = self._states[spec.name]
        pause = FIRST_PAUSE_SECONDS
        while self._may_start(spec):
            started = time.monotonic()
            self._live_once(spec, state)
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
        try:
            child = ChildProcess(spec.command(), pid_file=pid_file_of(self._run_folder, spec.name))
        except SonomyoError as error:
            self._say(f"{spec.name:<8} | {error}")
            return
        state.child = child
        if self._stopping.is_set():
            child.stop()
        pump = threading.Thread(target=self._pump, args=(spec, state, child), name=f"log-{spec.name}")
        pump.start()
        try:
            self._see_it_ready(spec, state, child)
            while child.exit_status() is None:
                time.sleep(POLL_SECONDS)
        finally:
            state.ready.clear()
            status = child.clean_up()
            pump.join()
        if not self._stopping.is_set():
            self._say(f"sonomyo | {spec.name} ended with status {status}")

    def _see_it_ready(self, spec: ProcessSpec, state: _State, child: ChildProcess) -> None:
        while child.exit_status() is None and not self._stopping.is_set() and not state.ready.is_set():
            if spec.is_ready is not None and spec.is_ready():
                self._announce(spec, state)
            time.sleep(POLL_SECONDS)

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
