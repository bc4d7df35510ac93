"""Ready or not: each part that the service rests on is asked, side by side, and an answer serves for a moment."""

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from datetime import UTC, datetime

from service.errors import SonomyoError

DEADLINE_SECONDS = 4.0
#: Anyone may ask, so asking must cost nothing.
KEPT_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class PartState:
    """One part; `problem` is None when it is ready."""

    name: str
    problem: str | None


@dataclass(frozen=True, slots=True)
class ReadyState:
    """All parts as they were at one moment."""

    at: datetime
    parts: tuple[PartState, ...]

    @property
    def ready(self) -> bool:
        """True when nothing is amiss."""
        return all(part.problem is None for part in self.parts)


class Readiness:
    """`probes`: name -> a call that raises SonomyoError when the part is not ready."""

    def __init__(self, *, probes: Mapping[str, Callable[[], object]]) -> None:
        self._probes = probes
        self._pool = ThreadPoolExecutor(max_workers=max(1, len(probes)), thread_name_prefix="probe")
        self._lock = threading.Lock()
        self._pending: dict[str, Future[str | None]] = {}
        self._last: tuple[float, ReadyState] | None = None

    def state(self) -> ReadyState:
        """Asks every part, unless an answer is at hand."""
        with self._lock:
            if self._last is None or time.monotonic() - self._last[0] > KEPT_SECONDS:
                self._last = (time.monotonic(), self._ask())
            return self._last[1]

    def close(self) -> None:
        """Let the threads go."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _ask(self) -> ReadyState:
        deadline = time.monotonic() + DEADLINE_SECONDS
        for name, probe in self._probes.items():
            # A part that hangs keeps one thread, not one more with each question.
            if name not in self._pending:
                self._pending[name] = self._pool.submit(_problem_of, probe)
        return ReadyState(datetime.now(UTC), tuple(self._answer(name, deadline) for name in self._probes))

    def _answer(self, name: str, deadline: float) -> PartState:
        pending = self._pending[name]
        try:
            problem = pending.result(timeout=max(0.0, deadline - time.monotonic()))
        except FutureTimeoutError:
            return PartState(name, "It does not answer.")
        del self._pending[name]
        return PartState(name, problem)


def _problem_of(probe: Callable[[], object]) -> str | None:
    try:
        probe()
    except SonomyoError as error:
        return str(error)
    except Exception as error:  # noqa: BLE001 - a probe that fails in a new way is a part that is not ready
        return f"internal error: {type(error).__name__}"
    return None
