"""The head of a DICOM file: preamble and File Meta Information (PS3.10 7.1)."""

import struct

from service.core.identifiers import derive_uid
from service.errors import InputRejected

PREAMBLE_BYTES = 128
_PREFIX = b"DICM"
_TRANSFER_SYNTAX_UID = 0x0010
_LONG_VRS = (b"OB", b"OW", b"OF", b"OD", b"OL", b"OV", b"SQ", b"UC", b"UN", b"UR", b"UT")
#: No File Meta Information that anyone writes is longer.
MAXIMUM_HEAD_BYTES = 65536

IMPLEMENTATION_CLASS_UID = derive_uid("implementation class")
IMPLEMENTATION_VERSION_NAME = "SONOMYO"


def encode_head(*, sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str) -> bytes:
    """A zeroed preamble, the prefix and the File Meta Information; a function of its arguments alone."""
    elements = _element(0x0001, b"OB", b"\x00\x01")
    elements += _element(0x0002, b"UI", _uid(sop_class_uid))
    elements += _element(0x0003, b"UI", _uid(sop_instance_uid))
    elements += _element(_TRANSFER_SYNTAX_UID, b"UI", _uid(transfer_syntax_uid))
    elements += _element(0x0012, b"UI", _uid(IMPLEMENTATION_CLASS_UID))
    elements += _element(0x0013, b"SH", IMPLEMENTATION_VERSION_NAME.encode().ljust(8))
    return bytes(PREAMBLE_BYTES) + _PREFIX + _element(0x0000, b"UL", struct.pack("<L", len(elements))) + elements


def parse_head(head: bytes) -> tuple[str, int]:
    """Transfer syntax and the offset of the data set; `head` holds at least the File Meta Information.

    The elements are walked and not jumped over by the group length, which some writers get wrong.
    Raises InputRejected (`not_a_dicom_file`).
    """
    if head[PREAMBLE_BYTES : PREAMBLE_BYTES + 4] != _PREFIX:
        raise InputRejected("The file is no DICOM file: it lacks the prefix DICM", reason="not_a_dicom_file")
    position = PREAMBLE_BYTES + 4
    transfer_syntax_uid = ""
    while head[position : position + 2] == b"\x02\x00":
        try:
            element, vr, length = struct.unpack_from("<2xH2sH", head, position)
            position += 8
            if vr in _LONG_VRS:
                (length,) = struct.unpack_from("<L", head, position)
                position += 4
        except struct.error as error:
            raise InputRejected("The file ends inside its File Meta Information", reason="not_a_dicom_file") from error
        if element == _TRANSFER_SYNTAX_UID:
            transfer_syntax_uid = head[position : position + length].rstrip(b"\0 ").decode("latin-1")
        position += length
    if not transfer_syntax_uid or position > len(head):
        raise InputRejected("The file names no transfer syntax", reason="not_a_dicom_file")
    return transfer_syntax_uid, position


def _element(element: int, vr: bytes, value: bytes) -> bytes:
    if vr == b"OB":
        return struct.pack("<HH2sHL", 2, element, vr, 0, len(value)) + value
    return struct.pack("<HH2sH", 2, element, vr, len(value)) + value


def _uid(uid: str) -> bytes:
    value = uid.encode("ascii")
    return value + b"\0" * (len(value) % 2)
