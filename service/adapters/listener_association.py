"""One association on its own thread: negotiation, then messages one after the other, then release or abort (PS3.8 9.2)."""

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import structlog

from service.adapters.incoming import IncomingFile
from service.adapters.keeping import keep_instance
from service.adapters.listener_commitment import CommitmentDialogue, CommitmentReception
from service.adapters.listener_negotiation import (
    APPLICATION_CONTEXT,
    AssociationRequest,
    decode_request,
    encode_abort,
    encode_accept,
    encode_data,
    encode_reject,
    encode_release_response,
)
from service.adapters.listener_reception import Reception
from service.adapters.listener_record import AssociationLedger
from service.adapters.listener_services import ListenerServices
from service.adapters.listener_transport import (
    A_ABORT,
    A_ASSOCIATE_RQ,
    A_RELEASE_RQ,
    P_DATA_TF,
    UNEXPECTED_PDU,
    Draining,
    PduStream,
    PeerGone,
    PeerTooSlow,
    ProtocolViolation,
)
from service.core.association import ContextRecord, Rejection
from service.core.dicom_syntaxes import STORAGE_COMMITMENT, VERIFICATION
from service.core.dimse import Command, CommandField, encode_response, parse_command
from service.core.instance import ContentDigest, InstanceAttributes
from service.core.store_status import StoreStatus, comment_of, status_of
from service.errors import InputRejected
from service.records import ReceivedInstance

_PDV = struct.Struct(">LBB")
_IS_COMMAND, _IS_LAST = 0x01, 0x02
#: How long we wait for the peer to close after our last PDU (ARTIM, PS3.8 9.1.5).
_LINGER_SECONDS = 1.0


@dataclass(slots=True)
class _Message:
    """A message that is arriving."""

    context: ContextRecord
    command_set: bytearray = field(default_factory=bytearray)
    command: Command | None = None
    reception: Reception | CommitmentReception | None = None


class AssociationSession:
    """Serves one connection; `run` returns when it is closed, and never raises."""

    def __init__(self, *, stream: PduStream, peer: tuple[str, int], tls: bool, services: ListenerServices) -> None:
        self._stream = stream
        self._peer = peer
        self._services = services
        self._ledger = AssociationLedger(peer=peer, tls=tls)
        self._contexts: dict[int, ContextRecord] = {}
        self._request: AssociationRequest | None = None
        self._message: _Message | None = None
        self._association_id: int | None = None
        self._admitted = False
        hooks, send = services.commitments, self._send
        self._commitment = CommitmentDialogue(hooks, gate=services.gate, ledger=self._ledger, send=send) if hooks else None

    def run(self, associated: Callable[[], None]) -> None:
        """The whole life of the association; `associated` is called when the association request is there."""
        try:
            self._live(associated)
        except ProtocolViolation as error:
            self._abort(error.reason, "aborted", str(error))
        except PeerTooSlow as error:
            self._abort(0, "timed_out", str(error))
        except Draining:
            self._abort(None, "drained", "the service stops")
        except PeerGone as error:
            self._ledger.end("connection_lost", str(error))
        except Exception:  # noqa: BLE001 - logged; the peer gets an A-ABORT and the process lives
            structlog.get_logger().exception("association_failed", peer_address=self._peer[0])
            self._abort(0, "aborted", "an internal error")
        finally:
            self._close()

    def _live(self, associated: Callable[[], None]) -> None:
        if not self._negotiate(associated):
            return
        while self._ledger.outcome == "open":
            pdu_type, body = self._stream.read(within_message=self._message is not None)
            if pdu_type == P_DATA_TF:
                self._take_values(body)
            elif pdu_type == A_RELEASE_RQ and self._message is None:
                self._leave()
                self._stream.write(encode_release_response())
                self._ledger.end("released")
            elif pdu_type == A_ABORT:
                self._ledger.end("aborted_by_peer")
            else:
                raise ProtocolViolation("the peer sent a PDU that does not belong here", reason=UNEXPECTED_PDU)

    def _negotiate(self, associated: Callable[[], None]) -> bool:
        """Answer the association request; True when it is accepted."""
        pdu_type, body = self._stream.read(within_message=False)
        associated()
        if pdu_type == A_ABORT:
            self._ledger.end("aborted_by_peer")
            return False
        if pdu_type != A_ASSOCIATE_RQ:
            raise ProtocolViolation("the peer sent data before an association request", reason=UNEXPECTED_PDU)
        request = decode_request(bytes(body))
        body.release()
        self._request = self._ledger.request = request
        judge = self._services.policy.judge_context
        contexts = tuple(judge(offer.context_id, offer.abstract_syntax, offer.transfer_syntaxes) for offer in request.contexts)
        self._ledger.accept(contexts)
        rejection = self._refuse(request)
        if rejection is not None:
            self._ledger.rejection = rejection
            self._stream.write(encode_reject(rejection))
            self._ledger.end("rejected", rejection.why)
            return False
        self._contexts = {context.context_id: context for context in contexts if not context.result}
        self._stream.write(encode_accept(request, contexts, maximum_pdu_size=self._services.settings.maximum_pdu_size))
        self._stream.establish()
        return True

    def _refuse(self, request: AssociationRequest) -> Rejection | None:
        if not request.protocol_version & 1:
            return Rejection(result=1, source=2, reason=2, why="protocol version not supported")
        if request.application_context != APPLICATION_CONTEXT:
            return Rejection(result=1, source=1, reason=2, why="application context name not supported")
        rejection = self._services.policy.refuse_peer(
            address=self._peer[0], calling_ae_title=request.calling_ae_title, called_ae_title=request.called_ae_title
        )
        if rejection is not None:
            return rejection
        if not request.contexts:
            return Rejection(result=1, source=1, reason=1, why="the request offers no presentation context")
        why = self._services.admission.enter(self._peer[0])
        self._admitted = why is None
        return None if why is None else Rejection(result=2, source=3, reason=2, why=why)

    def _take_values(self, body: memoryview) -> None:
        """The presentation data values of one P-DATA-TF (PS3.8 9.3.5.1)."""
        position = 0
        while position < len(body) or not position:
            if len(body) - position < _PDV.size:
                raise ProtocolViolation("a P-DATA-TF ends inside a presentation data value")
            length, context_id, control = _PDV.unpack_from(body, position)
            end = position + 4 + length
            if length < _PDV.size - 4 or end > len(body):
                raise ProtocolViolation("a presentation data value reaches beyond its PDU")
            data = body[position + _PDV.size : end]
            if control & _IS_COMMAND:
                self._take_command(context_id, data, last=bool(control & _IS_LAST))
            else:
                self._take_data(context_id, data, last=bool(control & _IS_LAST))
            position = end

    def _take_command(self, context_id: int, data: memoryview, *, last: bool) -> None:
        context = self._contexts.get(context_id)
        if context is None:
            raise ProtocolViolation("a message uses a presentation context that was not accepted")
        if self._message is None:
            self._message = _Message(context)
        message = self._message
        if message.command is not None or message.context is not context:
            raise ProtocolViolation("a command begins inside another message")
        if len(message.command_set) + len(data) > self._services.settings.maximum_command_bytes:
            raise ProtocolViolation("a command set is too long")
        message.command_set += data
        if last:
            self._begin(message)

    def _begin(self, message: _Message) -> None:
        """The command set is whole."""
        try:
            command = message.command = parse_command(bytes(message.command_set))
        except InputRejected as error:
            raise ProtocolViolation(str(error)) from error
        if command.field is CommandField.C_STORE and command.sop_instance_uid is None:
            raise ProtocolViolation("a C-STORE names no SOP instance")
        message.reception = self._receive(message, command)
        if not command.has_data_set:
            self._answer(message, command, message.reception)
        elif isinstance(message.reception, Reception) and command.field is CommandField.C_STORE:
            message.reception.open(self._services.gate)

    def _receive(self, message: _Message, command: Command) -> Reception | CommitmentReception:
        if message.context.abstract_syntax == STORAGE_COMMITMENT:
            return CommitmentReception()
        if command.field is CommandField.N_EVENT_REPORT_RSP:
            raise ProtocolViolation("the peer answers what it was not asked")
        return Reception(
            command=command,
            context=message.context,
            incoming=self._services.incoming,
            maximum_bytes=self._services.settings.maximum_object_bytes,
        )

    def _take_data(self, context_id: int, data: memoryview, *, last: bool) -> None:
        message = self._message
        if message is None or message.command is None or message.reception is None:
            raise ProtocolViolation("a data set comes without its command")
        if message.context.context_id != context_id:
            raise ProtocolViolation("a data set comes on another presentation context than its command")
        if message.reception.bytes_received + len(data) > self._services.settings.maximum_object_bytes:
            raise ProtocolViolation("an object is larger than the setting dicom.maximum_object_bytes")
        message.reception.take(data)
        if last:
            self._answer(message, message.command, message.reception)

    def _answer(self, message: _Message, command: Command, reception: Reception | CommitmentReception) -> None:
        self._message = None
        if command.field is CommandField.C_CANCEL:
            return
        if isinstance(reception, CommitmentReception):
            if self._commitment is not None:
                self._commitment.answer(command, message.context, reception)
            return
        if command.field is CommandField.C_ECHO and command.sop_class_uid == message.context.abstract_syntax == VERIFICATION:
            self._ledger.count_echo()
            self._respond(message, command, StoreStatus.SUCCESS, "")
            return
        reception.complete(self._keep)
        if reception.trouble is None:
            self._ledger.count_stored(reception.bytes_received)
            self._respond(message, command, StoreStatus.SUCCESS, "")
            return
        status, comment = status_of(reception.trouble), comment_of(reception.trouble)
        self._ledger.count_refused(command, status=status, error=reception.trouble, size_bytes=reception.bytes_received)
        event = {"status": f"0x{status:04X}", "comment": comment, "peer_address": self._peer[0]}
        fault = reception.trouble if status is StoreStatus.PROCESSING_FAILURE else None
        structlog.get_logger().warning("instance_refused", exc_info=fault, **event)
        self._respond(message, command, status, comment)

    def _keep(self, file: IncomingFile, attributes: InstanceAttributes, digest: ContentDigest) -> None:
        """Durable file, then committed row (architecture decision 1). Raises what the peer must be told."""
        if self._association_id is None:
            self._association_id = self._services.archive.open(self._ledger.record())
        size_bytes, request = file.size_bytes(), self._request

        def describe(storage_key: str) -> ReceivedInstance:
            return ReceivedInstance(
                attributes=attributes,
                digest=digest,
                storage_key=storage_key,
                size_bytes=size_bytes,
                calling_ae_title=request.calling_ae_title if request else None,
                called_ae_title=request.called_ae_title if request else None,
                peer_address=self._peer[0],
                association_id=self._association_id,
            )

        keep_instance(file.path, digest, store=self._services.store, save=self._services.save, describe=describe)

    def _respond(self, message: _Message, command: Command, status: StoreStatus, comment: str) -> None:
        self._send(message.context.context_id, encode_response(command, status=status, comment=comment))

    def _send(self, context_id: int, command_set: bytes, data_set: bytes = b"") -> None:
        longest = self._request.maximum_pdu_size if self._request else 0
        self._stream.write(encode_data(context_id, command_set, maximum_pdu_size=longest))
        if data_set:
            self._stream.write(encode_data(context_id, data_set, maximum_pdu_size=longest, is_command=False))

    def _abort(self, reason: int | None, outcome: Literal["aborted", "timed_out", "drained"], why: str) -> None:
        """A-ABORT by the provider with a reason, or by the user without; the slot is free at once."""
        self._ledger.end(outcome, why)
        self._leave()
        try:
            self._stream.write(encode_abort(by_provider=reason is not None, reason=reason or 0))
        except (PeerGone, PeerTooSlow):
            return

    def _close(self) -> None:
        if self._message is not None and self._message.reception is not None:
            self._message.reception.close()
        self._leave()
        if self._ledger.request is not None:
            self._services.archive.close(self._association_id, self._ledger.record())
        else:
            structlog.get_logger().info("connection_without_association", peer_address=self._peer[0], why=self._ledger.why)
        self._stream.linger(_LINGER_SECONDS, shut=self._ledger.outcome != "released")

    def _leave(self) -> None:
        if self._admitted:
            self._admitted = False
            self._services.admission.leave(self._peer[0])
