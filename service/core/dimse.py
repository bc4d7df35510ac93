"""DIMSE command sets (PS3.7 6.3, 9.3, E): read and written as bytes, Implicit VR Little Endian."""

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from textwrap import shorten

from service.errors import InputRejected


class CommandField(IntEnum):
    """Requests that PS3.7 E.1 defines; a response is the request with bit 15 set."""

    C_STORE = 0x0001
    C_GET = 0x0010
    C_FIND = 0x0020
    C_MOVE = 0x0021
    C_ECHO = 0x0030
    N_EVENT_REPORT = 0x0100
    N_GET = 0x0110
    N_SET = 0x0120
    N_ACTION = 0x0130
    N_CREATE = 0x0140
    N_DELETE = 0x0150
    C_CANCEL = 0x0FFF
    #: The only response that anybody owes us.
    N_EVENT_REPORT_RSP = 0x8100


RESPONSE = 0x8000
_NO_DATA_SET, _WITH_DATA_SET = 0x0101, 0x0001

_GROUP_LENGTH, _AFFECTED_SOP_CLASS_UID, _REQUESTED_SOP_CLASS_UID, _COMMAND_FIELD = 0x0000, 0x0002, 0x0003, 0x0100
_MESSAGE_ID, _MESSAGE_ID_BEING_RESPONDED_TO, _COMMAND_DATA_SET_TYPE, _STATUS = 0x0110, 0x0120, 0x0800, 0x0900
_ERROR_COMMENT, _AFFECTED_SOP_INSTANCE_UID, _REQUESTED_SOP_INSTANCE_UID = 0x0902, 0x1000, 0x1001
_EVENT_TYPE_ID, _ACTION_TYPE_ID = 0x1002, 0x1008
#: Which element says what kind of action or event it is.
_TYPE_ELEMENTS = {CommandField.N_ACTION: _ACTION_TYPE_ID, CommandField.N_EVENT_REPORT: _EVENT_TYPE_ID}
#: Longest Error Comment (LO, PS3.7 C).
_COMMENT_CHARACTERS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A request, or the response to one of ours; UIDs as they came, without padding, and not yet judged."""

    field: CommandField
    #: Of a response that of the request which it answers.
    message_id: int
    has_data_set: bool
    sop_class_uid: str | None
    sop_instance_uid: str | None
    #: Action Type ID of an N-ACTION, Event Type ID of an N-EVENT-REPORT; None where it is missing.
    type_id: int | None = None
    #: Of a response.
    status: int | None = None


def parse_command(encoded: bytes) -> Command:
    """Raises InputRejected (`bad_command`) when it is neither a request that could be answered nor a response that we know."""
    elements = _parse_elements(encoded)
    try:
        field = CommandField(_unsigned(elements, _COMMAND_FIELD))
    except ValueError as error:
        raise InputRejected("The command has an unknown Command Field", reason="bad_command") from error
    refers_back = field in (CommandField.C_CANCEL, CommandField.N_EVENT_REPORT_RSP)
    type_element = _TYPE_ELEMENTS.get(field, -1)
    return Command(
        field=field,
        message_id=_unsigned(elements, _MESSAGE_ID_BEING_RESPONDED_TO if refers_back else _MESSAGE_ID),
        has_data_set=_unsigned(elements, _COMMAND_DATA_SET_TYPE) != _NO_DATA_SET,
        sop_class_uid=_uid(elements, _AFFECTED_SOP_CLASS_UID, _REQUESTED_SOP_CLASS_UID),
        sop_instance_uid=_uid(elements, _AFFECTED_SOP_INSTANCE_UID, _REQUESTED_SOP_INSTANCE_UID),
        type_id=_unsigned(elements, type_element) if type_element in elements else None,
        status=_unsigned(elements, _STATUS) if field is CommandField.N_EVENT_REPORT_RSP else None,
    )


def encode_response(command: Command, *, status: int, comment: str = "") -> bytes:
    """The response to `command`; the comment is cut, between words, to what fits the element (PS3.7 9.3, C)."""
    elements = []
    if command.sop_class_uid is not None:
        elements.append((_AFFECTED_SOP_CLASS_UID, _encode_uid(command.sop_class_uid)))
    elements += [
        (_COMMAND_FIELD, struct.pack("<H", command.field | RESPONSE)),
        (_MESSAGE_ID_BEING_RESPONDED_TO, struct.pack("<H", command.message_id)),
        (_COMMAND_DATA_SET_TYPE, struct.pack("<H", _NO_DATA_SET)),
        (_STATUS, struct.pack("<H", status)),
    ]
    if comment:
        shortened = shorten(comment, _COMMENT_CHARACTERS, placeholder="...")
        elements.append((_ERROR_COMMENT, _pad(shortened.encode("ascii", "replace"), b" ")))
    if command.sop_instance_uid is not None:
        elements.append((_AFFECTED_SOP_INSTANCE_UID, _encode_uid(command.sop_instance_uid)))
    return _encode_elements(elements)


def encode_event_report(*, sop_class_uid: str, sop_instance_uid: str, event_type: int, message_id: int) -> bytes:
    """An N-EVENT-REPORT-RQ whose Event Information follows (PS3.7 10.3.1.1)."""
    return _encode_elements(
        [
            (_AFFECTED_SOP_CLASS_UID, _encode_uid(sop_class_uid)),
            (_COMMAND_FIELD, struct.pack("<H", CommandField.N_EVENT_REPORT)),
            (_MESSAGE_ID, struct.pack("<H", message_id)),
            (_COMMAND_DATA_SET_TYPE, struct.pack("<H", _WITH_DATA_SET)),
            (_AFFECTED_SOP_INSTANCE_UID, _encode_uid(sop_instance_uid)),
            (_EVENT_TYPE_ID, struct.pack("<H", event_type)),
        ]
    )


def _encode_elements(elements: Iterable[tuple[int, bytes]]) -> bytes:
    body = b"".join(struct.pack("<HHL", 0, element, len(value)) + value for element, value in elements)
    return struct.pack("<HHLL", 0, _GROUP_LENGTH, 4, len(body)) + body


def _parse_elements(encoded: bytes) -> dict[int, bytes]:
    elements: dict[int, bytes] = {}
    position = 0
    while position < len(encoded):
        if len(encoded) - position < 8:  # noqa: PLR2004 - tag and length
            raise InputRejected("The command ends in the middle of an element", reason="bad_command")
        group, element, length = struct.unpack_from("<HHL", encoded, position)
        position += 8
        if group != 0 or length > len(encoded) - position or element in elements:
            raise InputRejected("The command is not a command set", reason="bad_command")
        elements[element] = encoded[position : position + length]
        position += length
    return elements


def _unsigned(elements: dict[int, bytes], element: int) -> int:
    value = elements.get(element, b"")
    if len(value) != 2:  # noqa: PLR2004 - US
        raise InputRejected(f"The command lacks element (0000,{element:04X})", reason="bad_command")
    return int.from_bytes(value, "little")


def _uid(elements: dict[int, bytes], affected: int, requested: int) -> str | None:
    value = elements.get(affected, elements.get(requested))
    return None if value is None else value.rstrip(b"\0 ").decode("latin-1")


def _encode_uid(uid: str) -> bytes:
    return _pad(uid[:64].encode("latin-1"), b"\0")


def _pad(value: bytes, padding: bytes) -> bytes:
    return value + padding * (len(value) % 2)
