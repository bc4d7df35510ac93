"""What the processes of one listener share: how many associations there are, and who is the least busy of them."""

import fcntl
import mmap
import os
import struct
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address

_ADDRESS_BYTES = 16
_FREE = bytes(_ADDRESS_BYTES)
_COUNT = struct.Struct("=L")


class Admission:
    """How many associations there are, in all and from one address, over every process forked after this was made.

    Each process writes a row of its own in shared memory, so that what a killed one held is forgotten with its row; a file
    lock, which the kernel takes from the dead, makes counting and entering one step.
    """

    def __init__(self, *, maximum: int, maximum_per_address: int, processes: int = 1) -> None:
        self._maximum = maximum
        self._maximum_per_address = maximum_per_address
        self._row_bytes = maximum * _ADDRESS_BYTES
        self._table = mmap.mmap(-1, processes * self._row_bytes)
        self._between_processes = os.memfd_create("associations")
        weakref.finalize(self, os.close, self._between_processes)
        self._between_threads = threading.Lock()
        self._row = 0

    def take_row(self, row: int) -> None:
        """This process is number `row` from now on; nothing of its predecessor counts any more."""
        self._row = row
        with self._alone():
            self._table[row * self._row_bytes : (row + 1) * self._row_bytes] = bytes(self._row_bytes)

    def enter(self, address: str) -> str | None:
        """Count one more; or say why not."""
        packed = _packed(address)
        with self._alone():
            held = list(self._slots(0, len(self._table)))
            if sum(each != _FREE for each in held) >= self._maximum:
                return f"{self._maximum} associations are open, the most that the service takes"
            if held.count(packed) >= self._maximum_per_address:
                return f"{self._maximum_per_address} associations are open from this address, the most that it may have"
            self._replace(_FREE, packed)
            return None

    def leave(self, address: str) -> None:
        """Count one less."""
        with self._alone():
            self._replace(_packed(address), _FREE)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with self._between_threads:
            fcntl.lockf(self._between_processes, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.lockf(self._between_processes, fcntl.LOCK_UN)

    def _replace(self, old: bytes, new: bytes) -> None:
        """In the first slot of our own row that holds `old`; a row has room for all associations that there may be."""
        start = self._row * self._row_bytes
        at = start + _ADDRESS_BYTES * list(self._slots(start, start + self._row_bytes)).index(old)
        self._table[at : at + _ADDRESS_BYTES] = new

    def _slots(self, start: int, end: int) -> Iterator[bytes]:
        return (self._table[at : at + _ADDRESS_BYTES] for at in range(start, end, _ADDRESS_BYTES))


class Siblings:
    """How many connections each process serves, so that a busy one leaves the next to an idler one."""

    def __init__(self, processes: int = 1) -> None:
        self._table = mmap.mmap(-1, processes * _COUNT.size)
        self._row = 0

    def take_row(self, row: int) -> None:
        """This process is number `row` from now on."""
        self._row = row
        self.tell(0)

    def tell(self, connections: int) -> None:
        """How many this process serves now."""
        _COUNT.pack_into(self._table, self._row * _COUNT.size, connections)

    def is_busiest(self) -> bool:
        """True when another process serves fewer."""
        counts: list[int] = [count for (count,) in _COUNT.iter_unpack(self._table[:])]
        return counts[self._row] > min(counts)


def _packed(address: str) -> bytes:
    """Never equal to a free slot; an IPv4 address as IPv6 writes it (RFC 4291 2.5.5.2)."""
    parsed = ip_address(address.partition("%")[0])
    return parsed.packed if parsed.version == 6 else bytes(10) + b"\xff\xff" + parsed.packed  # noqa: PLR2004 - IPv6
