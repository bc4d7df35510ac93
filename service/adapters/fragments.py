"""The items of encapsulated Pixel Data (PS3.5 A.4): walked over by their headers, read only where asked."""

import io
import os
from array import array
from dataclasses import dataclass

from service.errors import InputRejected

_ITEM, _SEQUENCE_END = 0xE000, 0xE0DD
_MAXIMUM_FRAGMENTS = 1_000_000


@dataclass(frozen=True, slots=True)
class Fragments:
    """The items of encapsulated Pixel Data after the Basic Offset Table, and that table."""

    start: int
    end: int
    basic_offsets: tuple[int, ...]
    positions: "array[int]"
    lengths: "array[int]"


def read_fragments(descriptor: int, start: int, size: int) -> Fragments:
    """Walk over item headers; no value is read but the Basic Offset Table's (PS3.5 A.4)."""
    table_length = _item_length(descriptor, start, size)
    if table_length is None:
        raise InputRejected("Encapsulated Pixel Data holds no items", reason="fragments_missing")
    if table_length > 4 * _MAXIMUM_FRAGMENTS:
        raise InputRejected("The Basic Offset Table is too long", reason="fragments_invalid")
    table = array("I", read_exactly(descriptor, start + 8, table_length - table_length % 4))
    positions, lengths = array("Q"), array("Q")
    position = start + 8 + table_length
    while (length := _item_length(descriptor, position, size)) is not None:
        if len(positions) == _MAXIMUM_FRAGMENTS:
            raise InputRejected("Pixel Data has too many fragments", reason="fragments_invalid")
        positions.append(position + 8)
        lengths.append(length)
        position += 8 + length
    if not positions:
        raise InputRejected("Encapsulated Pixel Data holds no fragment", reason="fragments_missing")
    return Fragments(start, position, tuple(table), positions, lengths)


def _item_length(descriptor: int, position: int, size: int) -> int | None:
    """The length of the item at `position`; None at the sequence's end or where the file ends between items."""
    header = os.pread(descriptor, 8, position)
    if not header:
        return None
    group, element = int.from_bytes(header[:2], "little"), int.from_bytes(header[2:4], "little")
    length = int.from_bytes(header[4:8], "little")
    if (group, element) == (0xFFFE, _SEQUENCE_END):
        return None
    if (group, element) != (0xFFFE, _ITEM) or len(header) < 8:  # noqa: PLR2004 - tag and length
        raise InputRejected("Between the fragments of Pixel Data stands something else", reason="fragments_invalid")
    if position + 8 + length > size:
        raise InputRejected("A fragment of Pixel Data reaches beyond the file", reason="fragments_truncated")
    return length


class FragmentStream(io.BufferedIOBase):
    """Fragments joined, read where asked; nothing is kept."""

    def __init__(self, descriptor: int, fragments: Fragments) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._fragments = fragments
        self._size = sum(fragments.lengths)
        self._position = 0
        #: Where the current fragment begins in the joined stream, and which it is; reads are mostly in order.
        self._index, self._base = 0, 0

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def tell(self) -> int:
        """Bytes from the beginning."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """As files do; kept within the stream."""
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}.get(whence, 0)
        self._position = min(max(origin + offset, 0), self._size)
        if self._position < self._base:
            self._index, self._base = 0, 0
        return self._position

    def read(self, size: int | None = -1, /) -> bytes:
        """At most to the end of the current fragment; empty at the end of the stream."""
        lengths = self._fragments.lengths
        while self._index < len(lengths) and self._position >= self._base + lengths[self._index]:
            self._base += lengths[self._index]
            self._index += 1
        if self._index == len(lengths):
            return b""
        inside = self._position - self._base
        wanted = lengths[self._index] - inside
        if size is not None and size >= 0:
            wanted = min(wanted, size)
        data = os.pread(self._descriptor, wanted, self._fragments.positions[self._index] + inside)
        self._position += len(data)
        return data


def read_exactly(descriptor: int, position: int, size: int) -> bytes:
    """Exactly `size` bytes; one system call unless the kernel gives less."""
    data = os.pread(descriptor, size, position)
    while len(data) < size:
        more = os.pread(descriptor, size - len(data), position + len(data))
        if not more:
            raise InputRejected("Pixel Data ends before its frames do", reason="pixel_data_too_short")
        data += more
    return data
