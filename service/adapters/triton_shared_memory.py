"""Triton's system shared-memory extension, for the embedded server on loopback.

Rules, each learnt from a failure: names are unique to this process's start; a region is never resized, and its pages are reserved
before anybody writes to them; one whose request did not complete is retired and never used again, for Triton may still write into
it; what dead owners left is unregistered and unlinked by the next process that starts.
"""

import mmap
import os
import secrets
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tritonclient.utils import InferenceServerException

_PREFIX = "sonomyo-"
_FOLDER = Path("/dev/shm")  # noqa: S108 - where POSIX shared memory lies (shm_overview(7))
_SMALLEST = 1 << 20
_CALL_SECONDS = 5.0
#: How long plain gRPC serves after a refusal before shared memory is tried again.
_REFUSED_SECONDS = 60.0
#: Triton answers so when it cannot open the region: it runs elsewhere, or in a container with a shared memory of its own.
_REFUSALS = frozenset({"StatusCode.INVALID_ARGUMENT", "StatusCode.INTERNAL", "StatusCode.UNIMPLEMENTED", "StatusCode.NOT_FOUND"})


class RegionRefused(Exception):
    """No region can be had: the reason is for people. Plain gRPC does the same work."""


def is_local(url: str) -> bool:
    """Does Triton run on this machine, so that it could open our shared memory?"""
    return url.rpartition(":")[0] in {"127.0.0.1", "localhost", "[::1]"}


class Region:
    """One piece of shared memory, its size fixed for good."""

    def __init__(self, name: str, size: int) -> None:
        self.name = name
        self.size = size
        descriptor = os.open(_FOLDER / name, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
        try:
            # Reserved now: writing to a page that a full /dev/shm cannot give kills the writer by SIGBUS, Triton included.
            os.posix_fallocate(descriptor, 0, size)
            self._bytes = mmap.mmap(descriptor, size)
        except BaseException:
            self.unlink()
            raise
        finally:
            os.close(descriptor)

    def write(self, offset: int, array: npt.NDArray[np.generic]) -> None:
        """Copy an array in."""
        target = np.frombuffer(self._bytes, dtype=array.dtype, count=array.size, offset=offset).reshape(array.shape)
        target[...] = array

    def read(self, offset: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> npt.NDArray[np.generic]:
        """Copy an array out, for the region is used again."""
        count = int(np.prod(shape))
        return np.frombuffer(self._bytes, dtype=dtype, count=count, offset=offset).reshape(shape).copy()

    def unlink(self) -> None:
        """Take the name away; the memory goes when the last process lets go of it."""
        (_FOLDER / self.name).unlink(missing_ok=True)


class RegionPool:
    """Regions of one client; as many as requests are in flight at once."""

    def __init__(self, client: Any) -> None:  # noqa: ANN401 - tritonclient has no types
        self._client = client
        self._lock = threading.Lock()
        self._free: list[Region] = []
        #: Names that Triton still knows, to be unregistered once their late requests have ended.
        self._retired: set[str] = set()
        self._made = 0
        self._refused_until = 0.0
        self._owner = f"{_PREFIX}{os.getpid()}-{_start_ticks(os.getpid())}-{secrets.token_hex(4)}"
        self._swept = False
        weakref.finalize(self, _unlink_all_of, self._owner, os.getpid())

    @contextmanager
    def lease(self, size: int) -> Iterator[Region]:
        """A region of at least `size` bytes, retired when the request in it fails. Raises RegionRefused."""
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
        """Retire every idle region."""
        with self._lock:
            idle, self._free = self._free, []
        for region in idle:
            self._retire(region)

    def _take(self, size: int) -> Region:
        self._unregister_retired()
        with self._lock:
            fitting = next((region for region in self._free if region.size >= size), None)
            if fitting is not None:
                self._free.remove(fitting)
                return fitting
            if time.monotonic() < self._refused_until:
                raise RegionRefused("shared memory was refused a moment ago")
            self._made += 1
            name = f"{self._owner}-{self._made}"
        try:
            region = Region(name, max(_SMALLEST, 1 << (size - 1).bit_length()))
        except OSError as error:
            self._refused_until = time.monotonic() + _REFUSED_SECONDS
            raise RegionRefused(f"no shared memory: {error.strerror}") from error
        self._register(region)
        return region

    def _register(self, region: Region) -> None:
        try:
            self._client.register_system_shared_memory(region.name, f"/{region.name}", region.size, client_timeout=_CALL_SECONDS)
        except InferenceServerException as error:
            region.unlink()
            if error.status() in _REFUSALS:
                self._refused_until = time.monotonic() + _REFUSED_SECONDS
                raise RegionRefused(f"Triton cannot open our shared memory: {error.message()}") from error
            raise

    def _retire(self, region: Region) -> None:
        region.unlink()
        with self._lock:
            self._retired.add(region.name)
        self._unregister_retired()

    def _unregister_retired(self) -> None:
        """Triton refuses while a request still uses a region; it is asked again at the next lease."""
        with self._lock:
            retired = tuple(self._retired)
        for name in retired:
            if self._unregister(name):
                with self._lock:
                    self._retired.discard(name)

    def _unregister(self, name: str) -> bool:
        try:
            self._client.unregister_system_shared_memory(name, client_timeout=_CALL_SECONDS)
        except InferenceServerException as error:
            return error.status() in {"StatusCode.NOT_FOUND", "StatusCode.INVALID_ARGUMENT"}
        return True

    def _sweep_once(self) -> None:
        """Remove what dead owners left on the disk and in Triton; their names say which process they were."""
        with self._lock:
            if self._swept:
                return
            self._swept = True
        names = {path.name for path in _FOLDER.glob(f"{_PREFIX}*")}
        with suppress(InferenceServerException):
            names |= set(self._client.get_system_shared_memory_status(client_timeout=_CALL_SECONDS).regions)
        for name in names:
            if _owner_is_dead(name):
                (_FOLDER / name).unlink(missing_ok=True)
                if not self._unregister(name):
                    with self._lock:
                        self._retired.add(name)


def _unlink_all_of(owner: str, pid: int) -> None:
    """At the end of the process, or of the pool; a fork of the process is not its end."""
    if os.getpid() == pid:
        for path in _FOLDER.glob(f"{owner}-*"):
            path.unlink(missing_ok=True)


def _owner_is_dead(name: str) -> bool:
    parts = name.removeprefix(_PREFIX).split("-")
    if not name.startswith(_PREFIX) or not parts[0].isdigit() or len(parts) < 3:  # noqa: PLR2004 - pid, start, token, number
        return False
    return str(_start_ticks(int(parts[0]))) != parts[1]


def _start_ticks(pid: int) -> int | None:
    """When a process started (proc(5) stat, field 22): with the pid it names one process for good."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])
