"""An association that we open to send instances on it (PS3.4 B, PS3.7 9.1.1), with every wait bounded."""

import os
import queue
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydicom.uid import UID
from pynetdicom import AE, _config, evt
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import A_ASSOCIATE, P_DATA
from pynetdicom.presentation import build_context, build_role

from service.adapters.tls import client_context
from service.core.delivery_status import judge_status
from service.core.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from service.destination_settings import TlsSettings
from service.errors import InputRejected, SonomyoError, Unavailable

#: SOP class and transfer syntax.
Context = tuple[str, str]

_PDU_SIZE = 131072
#: An LO, which ErrorComment is, has 64 characters; some peers write more.
_MAXIMUM_COMMENT = 200
#: PDUs read ahead of the socket: 4 MiB, however large the file.
_QUEUED_PDUS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Whom to call, and as whom; every wait ends after `timeout_seconds`."""

    host: str
    port: int
    ae_title: str
    calling_ae_title: str = "SONOMYO"
    timeout_seconds: float = 30.0
    #: In the clear without it.
    tls: TlsSettings | None = None


@contextmanager
def open_association(
    peer: Peer, contexts: Iterable[Context], *, as_scp_of: str | None = None, handlers: Sequence[evt.EventHandlerType] = ()
) -> Iterator[Association]:
    """An established association, released at the end. Raises Unavailable or, when no context is accepted, InputRejected.

    `as_scp_of` is a SOP class whose SCP we are on it (PS3.7 D.3.3.4); `handlers` serve what the peer asks meanwhile.
    """
    association = _associate(peer, contexts, as_scp_of, handlers)
    if not association.is_established:
        raise _refusal(association)
    association.dul.to_provider_queue = _ShortQueue(timeout_seconds=peer.timeout_seconds)
    try:
        yield association
    finally:
        if association.is_established:
            association.release()


def _associate(
    peer: Peer, contexts: Iterable[Context], as_scp_of: str | None, handlers: Sequence[evt.EventHandlerType]
) -> Association:
    _config.STORE_SEND_CHUNKED_DATASET = True  # a file goes out piece by piece, as it lies there
    entity = AE(ae_title=peer.calling_ae_title)
    entity.implementation_class_uid = UID(IMPLEMENTATION_CLASS_UID)
    entity.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = peer.timeout_seconds
    entity.connection_timeout = peer.timeout_seconds
    try:
        return entity.associate(
            peer.host,
            peer.port,
            contexts=[build_context(sop_class, transfer_syntax) for sop_class, transfer_syntax in contexts],
            ae_title=peer.ae_title,
            max_pdu=_PDU_SIZE,
            evt_handlers=[(evt.EVT_CONN_OPEN, _limit_waits, [peer.timeout_seconds]), *handlers],
            ext_neg=[] if as_scp_of is None else [build_role(as_scp_of, scp_role=True)],
            tls_args=None if peer.tls is None else (client_context(peer.tls), peer.host),
        )
    except (OSError, UnicodeError) as error:
        raise Unavailable(f"The host {peer.host} is not known.", reason="unknown_host") from error


def _limit_waits(event: evt.Event, timeout_seconds: float) -> None:
    """A peer that stops reading or answers half a PDU must not hold us for good: pynetdicom's socket waits without end."""
    transport = event.assoc.dul.socket
    if transport is not None and transport.socket is not None:
        transport.socket.settimeout(timeout_seconds)


class _ShortQueue(queue.Queue[Any]):
    """pynetdicom's queue to the socket, short for data, so that a large file is not read into memory ahead of the peer."""

    def __init__(self, *, timeout_seconds: float) -> None:
        super().__init__()
        self._timeout_seconds = timeout_seconds

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:  # noqa: ANN401, FBT001, FBT002 - as queue has it
        """Raises queue.Full when the peer takes nothing for the whole timeout."""
        if isinstance(item, P_DATA):
            with self.not_full:
                if not self.not_full.wait_for(self._has_room, timeout=self._timeout_seconds):
                    raise queue.Full
        super().put(item, block, timeout)

    def _has_room(self) -> bool:
        return len(self.queue) < _QUEUED_PDUS


def accepted_contexts(association: Association) -> frozenset[Context]:
    """What the peer takes of what was proposed."""
    return frozenset((str(each.abstract_syntax), str(each.transfer_syntax[0])) for each in association.accepted_contexts)


def _refusal(association: Association) -> SonomyoError:
    if association.rejected_contexts:
        return _no_context()
    answer = association.acceptor.primitive if association.is_rejected else association.dul.peek_next_pdu()
    # A rejection that comes before pynetdicom looks whether it is connected is taken for no connection, and stays in the queue.
    if isinstance(answer, A_ASSOCIATE) and answer.result:
        return Unavailable(f"The peer rejected the association: {answer.reason_str}.", reason="association_rejected")
    return Unavailable("The peer cannot be reached, or ended TLS or the association at once.", reason="no_association")


def _no_context() -> InputRejected:
    return InputRejected("The peer takes no such SOP class in that transfer syntax.", reason="no_accepted_context")


@dataclass(frozen=True, slots=True)
class Answer:
    """The status of a C-STORE, and the peer's comment on it: printable, cut short, and fit for no log, for it may hold a name."""

    status: int
    comment: str = ""


def store(association: Association, path: Path, context: Context) -> str:
    """Send one file and judge the answer; gives a warning, or nothing. Raises Unavailable or InputRejected."""
    return judge(send(association, path, context))


def send(association: Association, path: Path, context: Context) -> Answer:
    """Send one file, which is in `context`. Raises Unavailable or InputRejected when that could not be done."""
    if context not in accepted_contexts(association):
        raise _no_context()
    try:
        answer = association.send_c_store(path)
    except (ValueError, AttributeError) as error:
        raise InputRejected("Its File Meta Information holds what cannot be sent.", reason="invalid_file_meta") from error
    except (queue.Full, RuntimeError, OSError) as error:
        _end(association)
        raise Unavailable("The association ended before the instance was sent.", reason="association_lost") from error
    if "Status" not in answer:
        _end(association)
        raise Unavailable("The peer took the instance and gave no answer.", reason="no_answer")
    return Answer(int(answer.Status), _printable(str(answer.get("ErrorComment", ""))))


def _printable(comment: str) -> str:
    """Nothing in it may steer a terminal."""
    return "".join(each if each.isprintable() else " " for each in comment[:_MAXIMUM_COMMENT]).strip()


def _end(association: Association) -> None:
    """Leave nothing of an association that failed: pynetdicom may not have seen yet that it is over."""
    if association.is_established:
        association.abort()


def judge(answer: Answer) -> str:
    """What a C-STORE status means for us (PS3.4 B.2.3, PS3.7 C): a warning, or nothing. Raises Unavailable or InputRejected.

    The peer's comment is left out, for what this says is logged and kept.
    """
    return judge_status(answer.status)


@contextmanager
def file_in_memory(content: bytes) -> Iterator[Path]:
    """A path to bytes: pynetdicom sends unchanged bytes from a path only, and this one leads to no disk."""
    descriptor = os.memfd_create("sonomyo-object")
    try:
        with os.fdopen(os.dup(descriptor), "wb") as file:
            file.write(content)
        yield Path(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)
