"""An iterative walk over a data set as its bytes arrive (PS3.5 7): no recursion, and no values kept but those asked for.

It proves that every length holds, that sequences nest at most 64 deep and that nothing is cut off, finds the top-level Pixel
Data element, and hashes what lies inside and outside of it on the way.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Literal

from blake3 import blake3
from pydicom._dicom_dict import DicomDictionary

from service.core.instance import ContentDigest
from service.errors import InputRejected

IMPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2"
EXPLICIT_BIG_ENDIAN = "1.2.840.10008.1.2.2"
#: Deflated Explicit VR Little Endian; JPIP Referenced Deflate; JPIP HTJ2K Referenced Deflate.
DEFLATED_EXPLICIT = "1.2.840.10008.1.2.1.99"
DEFLATED = frozenset({DEFLATED_EXPLICIT, "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205"})

MAXIMUM_DEPTH = 64
#: A million empty elements cost a reader that keeps them all half a gigabyte.
MAXIMUM_ELEMENTS = 1_000_000
#: Bytes kept of a value that is asked for; text and identifiers are shorter, the rest is cut.
MAXIMUM_KEPT_BYTES = 16384
MAXIMUM_KEPT_ITEMS = 256

PIXEL_DATA = 0x7FE00010
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_UNDEFINED = 0xFFFFFFFF
_ENDLESS = 1 << 62
_LONG_VRS = frozenset({b"OB", b"OW", b"OF", b"OD", b"OL", b"OV", b"SQ", b"UC", b"UN", b"UR", b"UT", b"SV", b"UV"})
_SHORT_VRS = frozenset(
    {b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FL", b"FD", b"IS", b"LO", b"LT"}
    | {b"PN", b"SH", b"SL", b"SS", b"ST", b"TM", b"UI", b"UL", b"US"}
)
_DATASET, _SEQUENCE, _FRAGMENTS = 0, 1, 2
#: The last tag of the command and file meta groups (PS3.5 7.1).
_LAST_OUTSIDE = 0x0003FFFF
#: (implicit, byte order) -> tag, value representation (none of zero bytes when implicit) and length.
_HEADERS = {
    (implicit, order): struct.Struct(order + ("HH0sL" if implicit else "HH2sH")) for implicit in (True, False) for order in "<>"
}

ItemValues = dict[int, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which values to keep: of the top level, and of the items of top-level sequences."""

    elements: frozenset[int] = frozenset()
    sequences: Mapping[int, frozenset[int]] = field(default_factory=dict)
    #: Items kept of a sequence; what follows is walked over.
    maximum_items: int = MAXIMUM_KEPT_ITEMS


@dataclass(frozen=True, slots=True, kw_only=True)
class ScannedDataSet:
    """What a whole data set holds: its wanted values as raw bytes, its digest, and where its Pixel Data is."""

    transfer_syntax_uid: str
    byte_order: Literal["little", "big"]
    values: Mapping[int, bytes]
    items: Mapping[int, tuple[ItemValues, ...]]
    digest: ContentDigest
    size_bytes: int
    element_count: int
    has_pixel_data: bool
    #: Offset in the data set and length of the top-level Pixel Data value; None without one.
    pixel_data_span: tuple[int, int] | None


@dataclass(slots=True)
class _Frame:
    """An open data set, item or sequence: where it ends, and how its elements are encoded."""

    kind: int
    end: int
    undefined: bool
    implicit: bool
    order: str
    #: Values to keep from this level, and where they go.
    wanted: frozenset[int] = frozenset()
    kept: ItemValues | None = None
    #: Of a wanted top-level sequence: its tag.
    tag: int = 0
    last_tag: int = -1


class DataSetScanner:
    """Takes a data set in pieces of any size.

    `feed` and `finish` raise InputRejected with a reason: `deflated`, `nesting_too_deep`,
    `too_many_elements`, `truncated`, `not_a_data_set`, `duplicate_element`, `empty_data_set`.
    """

    def __init__(self, *, transfer_syntax_uid: str, wanted: Wanted, inflated: bool = False) -> None:
        if transfer_syntax_uid in DEFLATED and not inflated:
            raise InputRejected("A deflated data set is not taken; send it in another transfer syntax", reason="deflated")
        self._syntax = transfer_syntax_uid
        self._wanted = wanted
        self._values: ItemValues = {}
        self._items: dict[int, list[ItemValues]] = {}
        implicit = transfer_syntax_uid == IMPLICIT_LITTLE_ENDIAN
        self._order = ">" if transfer_syntax_uid == EXPLICIT_BIG_ENDIAN else "<"
        root = _Frame(_DATASET, _ENDLESS, True, implicit, self._order, wanted.elements, self._values)  # noqa: FBT003 - positional: made for each nested item
        self._stack = [root]
        self._depth = 0
        self._elements = 0
        self._tail = b""
        self._offset = 0
        self._skip = 0
        # The transfer syntax belongs to the identity: the same bytes in another syntax are another content.
        self._attributes_hash = blake3(transfer_syntax_uid.encode())
        self._pixels_hash = blake3()
        self._hash = self._attributes_hash
        self._mark = 0
        self._pixel_start: int | None = None
        self._pixel_end: int | None = None

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        """Walk over the next bytes; nothing of `data` is kept by reference."""
        piece: bytes | bytearray | memoryview = b"".join((self._tail, data)) if self._tail else data
        self._mark = 0
        position = self._walk(piece)
        if position > self._mark:
            self._hash.update(memoryview(piece)[self._mark : position])
        self._tail = bytes(memoryview(piece)[position:])
        self._offset += position

    def finish(self) -> ScannedDataSet:
        """Say that no bytes follow."""
        self._close_frames(0)
        if self._tail or self._skip or len(self._stack) > 1:
            raise InputRejected("The data set ends in the middle of an element", reason="truncated")
        if not self._elements:
            raise InputRejected("The data set is empty", reason="empty_data_set")
        span = None if self._pixel_start is None else (self._pixel_start, (self._pixel_end or 0) - self._pixel_start)
        return ScannedDataSet(
            transfer_syntax_uid=self._syntax,
            byte_order="big" if self._order == ">" else "little",
            values=self._values,
            items={tag: tuple(items) for tag, items in self._items.items()},
            digest=ContentDigest(attributes=self._attributes_hash.hexdigest(), pixels=self._pixels_hash.hexdigest()),
            size_bytes=self._offset,
            element_count=self._elements,
            has_pixel_data=span is not None,
            pixel_data_span=span,
        )

    def _walk(self, piece: bytes | bytearray | memoryview) -> int:
        """Read every whole header of `piece`; gives the position of the first byte that must wait for more."""
        size = len(piece)
        position = 0
        while True:
            if self._skip:
                step = min(self._skip, size - position)
                position += step
                self._skip -= step
                if self._skip:
                    return position
            self._close_frames(position, piece)
            passed = self._pass_plain(self._stack[-1], piece, position, size)
            if passed > position:
                position = passed
                continue
            after = self._read_header(piece, position, size)
            if after < 0:
                return position
            position = after

    def _close_frames(self, position: int, piece: bytes | bytearray | memoryview = b"") -> None:
        """Leave every level of defined length that ends here."""
        here = self._offset + position
        if here == self._pixel_end:
            self._leave_pixel_data(position, piece)
        while len(self._stack) > 1 and here >= self._stack[-1].end and not self._stack[-1].undefined:
            self._pop()

    def _pass_plain(self, frame: _Frame, piece: bytes | bytearray | memoryview, position: int, size: int) -> int:
        """The fast way over elements in order, whole in this piece, of the short length form and no sequences."""
        if frame.kind != _DATASET:
            return position
        limit = min(size, frame.end - self._offset)
        last = max(frame.last_tag, _LAST_OUTSIDE if len(self._stack) == 1 else -1)
        forms = {b""} if frame.implicit else _SHORT_VRS
        apart = _sequence_tags() if frame.implicit else frozenset()
        wanted, kept = frame.wanted, frame.kept
        header = _HEADERS[frame.implicit, frame.order]
        passed = 0
        while limit - position >= 8:  # noqa: PLR2004 - tag and a short length, PS3.5 7.1
            group, element, vr, length = header.unpack_from(piece, position)
            tag = (group << 16) | element
            after = position + 8 + length
            if vr not in forms or after > limit or tag <= last or tag in apart or group == 0xFFFE or tag == PIXEL_DATA:  # noqa: PLR2004 - item and delimiter tags, PS3.5 section 7.5
                break
            if tag in wanted and kept is not None:
                if tag in kept:
                    break
                kept[tag] = bytes(piece[position + 8 : min(after, position + 8 + MAXIMUM_KEPT_BYTES)])
            last, position = tag, after
            passed += 1
        if passed:
            frame.last_tag = last
            self._add(passed)
        return position

    def _read_header(self, piece: bytes | bytearray | memoryview, position: int, size: int) -> int:
        """Read the header at `position`; gives the position after it, or -1 when it is not whole yet."""
        if size - position < 8:  # noqa: PLR2004 - tag and a short length, PS3.5 7.1
            return -1
        frame = self._stack[-1]
        if self._offset + position + 8 > frame.end:
            raise InputRejected("An element reaches beyond the sequence that holds it", reason="not_a_data_set")
        group, element = struct.unpack_from(frame.order + "HH", piece, position)
        tag = (group << 16) | element
        if frame.kind != _DATASET or group == 0xFFFE:  # noqa: PLR2004 - the group of items and delimiters
            return self._read_delimiter(frame, tag, piece, position)
        if frame.implicit:
            vr = b""
            (length,) = struct.unpack_from(frame.order + "L", piece, position + 4)
            after = position + 8
        else:
            vr = bytes(piece[position + 4 : position + 6])
            if vr in _SHORT_VRS:
                (length,) = struct.unpack_from(frame.order + "H", piece, position + 6)
                after = position + 8
            elif vr in _LONG_VRS:
                if size - position < 12:  # noqa: PLR2004 - PS3.5 7.1.2
                    return -1
                (length,) = struct.unpack_from(frame.order + "L", piece, position + 8)
                after = position + 12
            else:
                raise InputRejected("The data set is not encoded in its transfer syntax", reason="not_a_data_set")
        return self._enter_element(frame, tag, vr, length, piece, position, after)

    def _enter_element(
        self, frame: _Frame, tag: int, vr: bytes, length: int, piece: bytes | bytearray | memoryview, position: int, after: int
    ) -> int:
        keep = tag in frame.wanted
        if keep and length != _UNDEFINED and min(length, MAXIMUM_KEPT_BYTES) > len(piece) - after:
            # The value comes with a later piece: look at this element again then, unless it can never fit.
            self._check_end(frame, after, length)
            return -1
        self._count(frame, tag, keep=keep)
        if tag == PIXEL_DATA and len(self._stack) == 1:
            self._enter_pixel_data(piece, position, after, length)
        if length == _UNDEFINED:
            fragments = tag == PIXEL_DATA or vr in (b"OB", b"OW")
            if not fragments and vr not in (b"", b"SQ", b"UN"):
                raise InputRejected("An element that is no sequence has no length", reason="not_a_data_set")
            self._push(_FRAGMENTS if fragments else _SEQUENCE, frame, tag, frame.end, undefined=True, un=vr == b"UN")
            return after
        self._check_end(frame, after, length)
        if vr == b"SQ" or (not vr and tag in _sequence_tags()):
            self._push(_SEQUENCE, frame, tag, self._offset + after + length, undefined=False)
            return after
        if keep and frame.kept is not None:
            frame.kept[tag] = bytes(piece[after : after + min(length, MAXIMUM_KEPT_BYTES)])
        self._skip = length
        return after

    def _read_delimiter(self, frame: _Frame, tag: int, piece: bytes | bytearray | memoryview, position: int) -> int:
        """An item, or the end of an item or sequence (PS3.5 7.5)."""
        after = position + 8
        if len(self._stack) == 1:
            self._skip_stray(struct.unpack_from(frame.order + "L", piece, position + 4)[0])
        elif frame.kind == _DATASET:
            if tag != _ITEM_END or not frame.undefined:
                raise InputRejected("A delimiter stands where an element should", reason="not_a_data_set")
            self._pop()
        elif tag == _SEQUENCE_END:
            if not frame.undefined:
                raise InputRejected("A sequence ends where it should not", reason="not_a_data_set")
            self._pop()
            if len(self._stack) == 1 and frame.tag == PIXEL_DATA:
                self._pixel_end = self._offset + after
                self._leave_pixel_data(after, piece)
        elif tag != _ITEM:
            raise InputRejected("A sequence holds something that is no item", reason="not_a_data_set")
        else:
            self._open_item(frame, after, struct.unpack_from(frame.order + "L", piece, position + 4)[0])
        return after

    def _skip_stray(self, length: int) -> None:
        """Seen from devices: a delimiter too many after pixel data, an item whose sequence was edited away. Harmless."""
        if length == _UNDEFINED:
            raise InputRejected("An item stands outside of any sequence", reason="not_a_data_set")
        self._skip = length

    def _open_item(self, sequence: _Frame, after: int, length: int) -> None:
        undefined = length == _UNDEFINED
        if not undefined:
            self._check_end(sequence, after, length)
        if sequence.kind == _FRAGMENTS:
            if undefined:
                raise InputRejected("A fragment of pixel data has no length", reason="not_a_data_set")
            self._skip = length
            return
        end = sequence.end if undefined else self._offset + after + length
        kept: ItemValues | None = None
        wanted: frozenset[int] = frozenset()
        if sequence.wanted:
            items = self._items.setdefault(sequence.tag, [])
            if len(items) < self._wanted.maximum_items:
                kept = {}
                items.append(kept)
                wanted = sequence.wanted
        self._stack.append(_Frame(_DATASET, end, undefined, sequence.implicit, sequence.order, wanted, kept))

    def _push(self, kind: int, frame: _Frame, tag: int, end: int, *, undefined: bool, un: bool = False) -> None:
        """Enter a sequence, or the fragments of encapsulated pixel data."""
        if kind == _SEQUENCE:
            self._depth += 1
            if self._depth > MAXIMUM_DEPTH:
                raise InputRejected(f"Sequences nest deeper than {MAXIMUM_DEPTH}", reason="nesting_too_deep")
        wanted = self._wanted.sequences.get(tag, frozenset()) if len(self._stack) == 1 else frozenset()
        # UN of undefined length holds Implicit VR Little Endian whatever the transfer syntax (PS3.5 6.2.2 note 4).
        order = "<" if un else frame.order
        self._stack.append(_Frame(kind, end, undefined, frame.implicit or un, order, wanted, None, tag))

    def _pop(self) -> None:
        if self._stack.pop().kind == _SEQUENCE:
            self._depth -= 1

    def _count(self, frame: _Frame, tag: int, *, keep: bool) -> None:
        """Count an element, and refuse what two readers would read as two things."""
        self._add(1)
        if tag <= _LAST_OUTSIDE and len(self._stack) == 1:
            raise InputRejected("The data set begins with elements that belong outside of it", reason="not_a_data_set")
        twice = tag == frame.last_tag or (keep and frame.kept is not None and tag in frame.kept)
        if twice or (tag == PIXEL_DATA and len(self._stack) == 1 and self._pixel_start is not None):
            raise InputRejected("The data set holds an element twice", reason="duplicate_element")
        frame.last_tag = tag

    def _add(self, count: int) -> None:
        self._elements += count
        if self._elements > MAXIMUM_ELEMENTS:
            raise InputRejected(f"The data set has more than {MAXIMUM_ELEMENTS} elements", reason="too_many_elements")

    def _check_end(self, frame: _Frame, after: int, length: int) -> None:
        if self._offset + after + length > frame.end:
            raise InputRejected("An element reaches beyond the sequence that holds it", reason="not_a_data_set")

    def _enter_pixel_data(self, piece: bytes | bytearray | memoryview, position: int, after: int, length: int) -> None:
        if position > self._mark:
            self._hash.update(memoryview(piece)[self._mark : position])
        self._mark = after
        self._hash = self._pixels_hash
        self._pixel_start = self._offset + after
        if length != _UNDEFINED:
            self._pixel_end = self._pixel_start + length

    def _leave_pixel_data(self, position: int, piece: bytes | bytearray | memoryview) -> None:
        if self._hash is self._attributes_hash:
            return
        if position > self._mark:
            self._hash.update(memoryview(piece)[self._mark : position])
        self._mark = position
        self._hash = self._attributes_hash


@cache
def _sequence_tags() -> frozenset[int]:
    """Tags whose value representation is SQ (PS3.6 6), needed where the encoding does not say it."""
    return frozenset(tag for tag, entry in DicomDictionary.items() if entry[0] == "SQ")
