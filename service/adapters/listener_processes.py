"""Several processes that accept on the same sockets, so that Python's lock does not bound taking instances to one core.

The parent runs no thread and opens nothing but the sockets, so that it can fork again at any time.
"""

import ctypes
import gc
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from service.adapters.listener_sockets import ListenerSockets

#: A process that dies is replaced after this pause.
PAUSE_SECONDS = 0.5
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_PR_SET_PDEATHSIG = 1

_log = logging.getLogger("sonomyo.listener")


class ListenerProcesses:
    """Runs `serve(row)` in a process for each row until SIGINT or SIGTERM, which each of them gets too."""

    def __init__(self, count: int, sockets: ListenerSockets, serve: Callable[[int], None]) -> None:
        self._count = count
        self._sockets = sockets
        self._serve = serve
        self._rows: dict[int, int] = {}
        self._stopping = False

    def run(self) -> None:
        """Returns when all have ended."""
        gc.collect()
        gc.freeze()  # what is shared stays shared: the collector writes into each object that it looks at
        for number in _STOP_SIGNALS:
            signal.signal(number, self._stop)
        for row in range(self._count):
            self._fork(row)
        while self._rows:
            process_id, status = os.wait()
            row = self._rows.pop(process_id)
            if not self._stopping:
                _log.warning("listener_process_died", extra={"status": status})
                time.sleep(PAUSE_SECONDS)
                self._fork(row)

    def _stop(self, *_: object) -> None:
        self._stopping = True
        self._sockets.close()  # while one holds it open, a peer's connection waits instead of being refused
        for process_id in self._rows:
            with suppress(ProcessLookupError):
                os.kill(process_id, signal.SIGTERM)

    def _fork(self, row: int) -> None:
        parent = os.getpid()
        with _no_stop_signal():
            if self._stopping:
                return
            process_id = os.fork()
            if process_id:
                self._rows[process_id] = row
                return
            for number in _STOP_SIGNALS:
                signal.signal(number, signal.SIG_DFL)
        _be_child(parent, self._serve, row)


@contextmanager
def _no_stop_signal() -> Iterator[None]:
    """A signal that comes meanwhile is seen afterwards, when the new process is known."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOP_SIGNALS)


def _be_child(parent: int, serve: Callable[[int], None], row: int) -> None:
    """Never returns: nothing of the parent's stack may run twice."""
    status = 1
    try:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() == parent:
            serve(row)
            status = 0
    except Exception:  # noqa: BLE001 - logged; the parent starts another
        _log.exception("listener_process_failed")
    finally:
        with suppress(Exception):
            logging.shutdown()
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)
