"""Triton's system shared-memory extension, for the embedded server on loopback.

Rules, each learnt from a failure: names are unique to this process's start; a region is never resized; one whose request did
not complete is retired and never used again, for Triton may still write into it; regions of dead owners are unregistered and
unlinked by the next process that starts.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tritonclient.utils import InferenceServerException

_PREFIX = "sonomyo-"
_FOLDER = Path("/dev/shm")  # noqa: S108 - where POSIX shared memory lies (shm_overview(7))
_SMALLEST = 1 << 20


def is_local(url: str) -> bool:
    """Does Triton run on this machine, so that it could open our shared memory?"""
    return url.rpartition(":")[0] in {"127.0.0.1", "localhost", "[::1]"}


class Region:
    """One registered piece of shared memory."""

    def __init__(self, name: str, size: int) -> None:
        self.name = name
        self.size = size
        self.memory = SharedMemory(name, create=True, size=size)
        # Unlinked by its owner or by the owner's successor, never by Python's tracker in a third process.
        resource_tracker.unregister(f"/{name}", "shared_memory")

    @property
    def _bytes(self) -> memoryview:
        assert self.memory.buf is not None  # noqa: S101 - for the type checker: None only once closed
        return self.memory.buf

    def write(self, offset: int, array: npt.NDArray[np.generic]) -> None:
        """Copy an array in."""
        target = np.frombuffer(self._bytes, dtype=array.dtype, count=array.size, offset=offset).reshape(array.shape)
        target[...] = array

    def read(self, offset: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> npt.NDArray[np.generic]:
        """Copy an array out, for the region is used again."""
        count = int(np.prod(shape))
        return np.frombuffer(self._bytes, dtype=dtype, count=count, offset=offset).reshape(shape).copy()

    def remove(self) -> None:
        """Unlink and unmap."""
        with suppress(FileNotFoundError):
            (_FOLDER / self.name).unlink()
        with suppress(BufferError):
            self.memory.close()


class RegionPool:
    """Regions of one client process; as many as requests are in flight."""

    def __init__(self, client: Any, *, deadline_seconds: float) -> None:  # noqa: ANN401 - tritonclient has no types
        self._client = client
        self._deadline_seconds = deadline_seconds
        self._lock = threading.Lock()
        self._free: list[Region] = []
        self._made = 0
        self._owner = f"{_PREFIX}{os.getpid()}-{_start_ticks(os.getpid())}"
        self._swept = False

    @contextmanager
    def lease(self, size: int) -> Iterator[Region]:
        """A region of at least `size` bytes; when the request in it fails, the region is retired."""
        self._sweep_once()
        region = self._take(size)
        try:
            yield region
        except BaseException:
            self._retire(region)
            raise
        with self._lock:
            self._free.append(region)

    def close(self) -> None:
        """Unregister and unlink every idle region."""
        with self._lock:
            idle, self._free = self._free, []
        for region in idle:
            self._retire(region)

    def _take(self, size: int) -> Region:
        with self._lock:
            fitting = next((region for region in self._free if region.size >= size), None)
            if fitting is not None:
                self._free.remove(fitting)
                return fitting
            self._made += 1
            name = f"{self._owner}-{self._made}"
        region = Region(name, max(_SMALLEST, 1 << (size - 1).bit_length()))
        try:
            self._client.register_system_shared_memory(name, f"/{name}", region.size, client_timeout=self._deadline_seconds)
        except BaseException:
            region.remove()
            raise
        return region

    def _retire(self, region: Region) -> None:
        self._unregister(region.name)
        region.remove()

    def _unregister(self, name: str) -> None:
        with suppress(InferenceServerException):
            self._client.unregister_system_shared_memory(name, client_timeout=self._deadline_seconds)

    def _sweep_once(self) -> None:
        """Remove what dead owners left; their names say which process they were."""
        with self._lock:
            if self._swept:
                return
            self._swept = True
        for path in _FOLDER.glob(f"{_PREFIX}*-*-*"):
            pid, ticks = path.name.removeprefix(_PREFIX).split("-")[:2]
            if pid.isdigit() and str(_start_ticks(int(pid))) != ticks:
                self._unregister(path.name)
                path.unlink(missing_ok=True)


def _start_ticks(pid: int) -> int | None:
    """When a process started (proc(5) stat, field 22): with the pid it names one process for good."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except (OSError, IndexError, ValueError):
        return None
