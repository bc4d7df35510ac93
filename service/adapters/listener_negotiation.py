"""Association PDUs (PS3.8 9.3.2 to 9.3.8): requests decoded by pynetdicom, the few short answers packed here."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from pynetdicom.pdu import A_ASSOCIATE_RQ
from pynetdicom.pdu_items import PresentationContextItemRQ, SCP_SCU_RoleSelectionSubItem

from service.adapters.listener_transport import INVALID_PARAMETER, ProtocolViolation
from service.core.association import ContextRecord, Rejection
from service.core.dataset_scan import IMPLICIT_LITTLE_ENDIAN
from service.core.dicom_syntaxes import STORAGE_COMMITMENT
from service.core.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"
_MAXIMUM_CONTEXTS = 128
_MAXIMUM_CHARACTERS = 64
#: Called and calling AE title in the body of a request (PS3.8 9.3.2).
_AE_TITLES = slice(4, 36)


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferedContext:
    """One presentation context of a request."""

    context_id: int
    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Roles:
    """What the requestor proposes to be for one SOP class (PS3.7 D.3.3.4); without a proposal it is the SCU."""

    sop_class_uid: str
    scu: bool
    scp: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AssociationRequest:
    """What an A-ASSOCIATE-RQ says."""

    calling_ae_title: str
    called_ae_title: str
    protocol_version: int
    application_context: str
    contexts: tuple[OfferedContext, ...]
    #: Longest P-DATA-TF that the peer takes; 0 is any.
    maximum_pdu_size: int
    implementation_class_uid: str | None
    implementation_version_name: str | None
    roles: tuple[Roles, ...] = ()


def decode_request(body: bytes) -> AssociationRequest:
    """`body` is the PDU without its header. Raises ProtocolViolation."""
    try:
        pdu = A_ASSOCIATE_RQ()
        # Some devices pad AE titles with NUL instead of spaces.
        titles = body[_AE_TITLES].replace(b"\0", b" ")
        pdu.decode(struct.pack(">BBL", 1, 0, len(body)) + body[: _AE_TITLES.start] + titles + body[_AE_TITLES.stop :])
        # Not `to_primitive`: it builds and judges every context anew, which is three quarters of the time of a long request.
        contexts = tuple(map(_offered, pdu.presentation_context))
        user = pdu.user_information
        request = AssociationRequest(
            calling_ae_title=_clean(pdu.calling_ae_title),
            called_ae_title=_clean(pdu.called_ae_title),
            protocol_version=pdu.protocol_version,
            application_context=str(pdu.application_context_name or ""),
            contexts=contexts,
            maximum_pdu_size=int((user and user.maximum_length) or 0),
            implementation_class_uid=_text(user and user.implementation_class_uid),
            implementation_version_name=_text(user and user.implementation_version_name),
            roles=tuple(map(_roles, user.role_selection.values() if user else ())),
        )
    except Exception as error:  # pynetdicom raises whatever its parsing meets
        raise ProtocolViolation("the association request cannot be understood", reason=INVALID_PARAMETER) from error
    identifiers = [context.context_id for context in contexts]
    if len(set(identifiers)) != len(identifiers) or len(identifiers) > _MAXIMUM_CONTEXTS:
        raise ProtocolViolation("the association request uses a presentation context ID twice", reason=INVALID_PARAMETER)
    return request


def encode_accept(request: AssociationRequest, contexts: Sequence[ContextRecord], *, maximum_pdu_size: int) -> bytes:
    """An A-ASSOCIATE-AC. Roles are accepted as proposed for Storage Commitment, whose SCP calls its SCU (PS3.4 J.3.3).

    Every other role and extension is left out, which means their defaults (PS3.7 D.3.3).

    Not pynetdicom's: it judges each UID three times, 5 ms for 128 contexts, and many senders open an association an instance.
    """
    titles = b"".join(
        title.encode("latin-1", "replace")[:16].ljust(16) for title in (request.called_ae_title, request.calling_ae_title)
    )
    user = (
        _item(0x51, struct.pack(">L", maximum_pdu_size))
        + _item(0x52, IMPLEMENTATION_CLASS_UID.encode())
        + _item(0x55, IMPLEMENTATION_VERSION_NAME.encode())
        + b"".join(map(_answer_roles, _accepted_roles(request, contexts)))
    )
    items = _item(0x10, APPLICATION_CONTEXT.encode()) + b"".join(map(_answer, contexts)) + _item(0x50, user)
    body = struct.pack(">HH", 1, 0) + titles + bytes(32) + items
    return struct.pack(">BBL", 2, 0, len(body)) + body


def encode_reject(rejection: Rejection) -> bytes:
    """An A-ASSOCIATE-RJ."""
    return struct.pack(">BBLBBBB", 3, 0, 4, 0, rejection.result, rejection.source, rejection.reason)


def encode_release_response() -> bytes:
    """An A-RELEASE-RP."""
    return struct.pack(">BBLL", 6, 0, 4, 0)


def encode_abort(*, by_provider: bool, reason: int = 0) -> bytes:
    """An A-ABORT; the reason has a meaning only from the service provider."""
    return struct.pack(">BBLBBBB", 7, 0, 4, 0, 0, 2 if by_provider else 0, reason if by_provider else 0)


def encode_data(context_id: int, message: bytes, *, maximum_pdu_size: int, is_command: bool = True) -> bytes:
    """A command set or data set as P-DATA-TF PDUs of one PDV each, none longer than the peer takes (PS3.8 9.3.5, E.2)."""
    step = max(1, maximum_pdu_size - 6) if maximum_pdu_size else len(message)
    pdus = []
    for first in range(0, len(message), step):
        fragment = message[first : first + step]
        control = (0x02 if first + step >= len(message) else 0x00) | is_command
        pdus.append(struct.pack(">BBLLBB", 4, 0, len(fragment) + 6, len(fragment) + 2, context_id, control) + fragment)
    return b"".join(pdus)


def _roles(item: SCP_SCU_RoleSelectionSubItem) -> Roles:
    return Roles(sop_class_uid=_clean(str(item.uid)), scu=bool(item.scu_role), scp=bool(item.scp_role))


def _offered(context: PresentationContextItemRQ) -> OfferedContext:
    if not (context.context_id or 0) & 1 or context.abstract_syntax is None or not context.transfer_syntax:
        raise ValueError("a presentation context is incomplete, or its ID is even")
    return OfferedContext(
        context_id=int(context.context_id or 0),
        abstract_syntax=_clean(str(context.abstract_syntax)),
        transfer_syntaxes=tuple(_clean(str(syntax)) for syntax in context.transfer_syntax),
    )


def _answer(record: ContextRecord) -> bytes:
    # The transfer syntax of a refused context means nothing, but must stand there (PS3.8 9.3.3.2).
    syntax = record.accepted_transfer_syntax or IMPLICIT_LITTLE_ENDIAN
    return _item(0x21, struct.pack(">BBBB", record.context_id, 0, record.result, 0) + _item(0x40, syntax.encode()))


def _accepted_roles(request: AssociationRequest, contexts: Sequence[ContextRecord]) -> list[Roles]:
    is_accepted = any(each.abstract_syntax == STORAGE_COMMITMENT and not each.result for each in contexts)
    return [each for each in request.roles if is_accepted and each.sop_class_uid == STORAGE_COMMITMENT]


def _answer_roles(roles: Roles) -> bytes:
    uid = roles.sop_class_uid.encode()
    return _item(0x54, struct.pack(">H", len(uid)) + uid + bytes([roles.scu, roles.scp]))


def _item(item_type: int, value: bytes) -> bytes:
    """An item or sub-item of a PDU (PS3.8 9.3.2)."""
    return struct.pack(">BBH", item_type, 0, len(value)) + value


def _text(value: object) -> str | None:
    return None if value is None else _clean(str(value))


def _clean(text: str) -> str:
    """What a peer calls itself or its syntaxes, fit for a log and a database: some pad with NUL, hostile ones send anything."""
    printable = text if text.isprintable() else "".join(character for character in text if character.isprintable())
    return printable.strip()[:_MAXIMUM_CHARACTERS]
