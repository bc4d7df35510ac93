"""Storage Commitment on one association of the listener (PS3.4 J): requests to us, our reports on it, and reports to us."""

from collections.abc import Callable

import structlog

from service.adapters.listener_hooks import CommitmentHooks, Gate
from service.adapters.listener_record import AssociationLedger
from service.adapters.listener_transport import ProtocolViolation
from service.core.association import ContextRecord
from service.core.commitment import (
    ALL_COMMITTED,
    MAXIMUM_DATA_SET_BYTES,
    REQUEST_ACTION,
    SOME_FAILED,
    STORAGE_COMMITMENT_INSTANCE,
    CommitmentResult,
    CommitmentStatus,
    comment_of,
    encode,
    read_request,
    read_result,
    result_data_set,
    status_of,
)
from service.core.dicom_syntaxes import STORAGE_COMMITMENT
from service.core.dimse import Command, CommandField, encode_event_report, encode_response
from service.errors import InputRejected, SonomyoError, Unavailable

#: Context ID, command set, and the data set that follows it.
SendMessage = Callable[[int, bytes, bytes], None]


class CommitmentReception:
    """Takes the data set of one message whole, for it is short; what is longer is counted and let fall."""

    def __init__(self) -> None:
        self._data = bytearray()
        self.bytes_received = 0

    def take(self, data: memoryview) -> None:
        """The next bytes of the data set."""
        self.bytes_received += len(data)
        if self.bytes_received <= MAXIMUM_DATA_SET_BYTES:
            self._data += data

    def whole(self) -> bytes:
        """Raises InputRejected (`too_many_references`) when it was too long."""
        if self.bytes_received > MAXIMUM_DATA_SET_BYTES:
            said = f"The data set is longer than {MAXIMUM_DATA_SET_BYTES} bytes; ask in parts"
            raise InputRejected(said, reason="too_many_references")
        return bytes(self._data)

    def close(self) -> None:
        """Nothing is left behind."""


class CommitmentDialogue:
    """Answers the messages of one association; used by its thread alone."""

    def __init__(self, hooks: CommitmentHooks, *, gate: Gate, ledger: AssociationLedger, send: SendMessage) -> None:
        self._hooks = hooks
        self._gate = gate
        self._ledger = ledger
        self._send = send
        self._message_id = 0
        #: Reports on this association that the peer has not answered: message ID -> request and what was reported.
        self._unanswered: dict[int, tuple[int, CommitmentResult]] = {}

    def answer(self, command: Command, context: ContextRecord, reception: CommitmentReception) -> None:
        """The whole message is there. Raises ProtocolViolation for a response that nobody asked for."""
        if command.field is CommandField.N_EVENT_REPORT_RSP:
            self._take_response(command)
            return
        report_here = None
        try:
            report_here = self._act(command, context, reception)
        except Exception as error:  # noqa: BLE001 - whatever it is, the peer gets a status
            self._refuse(command, context, error, reception.bytes_received)
        else:
            self._send(context.context_id, encode_response(command, status=CommitmentStatus.SUCCESS), b"")
        if report_here is not None:
            self._report(report_here, context)

    def _act(self, command: Command, context: ContextRecord, reception: CommitmentReception) -> int | None:
        """Gives the request that is to be reported here."""
        check_command(command)
        data_set, syntax = reception.whole(), context.accepted_transfer_syntax or ""
        request = self._ledger.request
        calling, called = (request.calling_ae_title, request.called_ae_title) if request is not None else ("", "")
        log = structlog.get_logger()
        if command.field is CommandField.N_EVENT_REPORT:
            result = read_result(data_set, syntax)
            self._hooks.answer(result, ae_title=calling)
            log.info(
                "commitment_answered", transaction_uid=result.transaction_uid, failed=len(result.failed), calling_ae_title=calling
            )
            return None
        asked = read_request(data_set, syntax)
        if (refusal := self._gate()) is not None:
            raise Unavailable(refusal, reason="no_room")
        kept = self._hooks.keep(asked, calling_ae_title=calling, called_ae_title=called)
        log.info(
            "commitment_requested",
            transaction_uid=asked.transaction_uid,
            instances=len(asked.references),
            calling_ae_title=calling,
        )
        return kept.request_id if kept.is_reported_here else None

    def _refuse(self, command: Command, context: ContextRecord, error: Exception, size_bytes: int) -> None:
        status, comment = status_of(error), comment_of(error)
        self._ledger.count_refused(command, status=status, error=error, size_bytes=size_bytes)
        fault = None if isinstance(error, SonomyoError) else error
        event = {"operation": command.field.name, "status": f"0x{status:04X}", "comment": comment}
        structlog.get_logger().warning("commitment_refused", exc_info=fault, **event)
        self._send(context.context_id, encode_response(command, status=status, comment=comment), b"")

    def _report(self, request_id: int, context: ContextRecord) -> None:
        """N-EVENT-REPORT on this association, for nobody knows another way to the peer."""
        try:
            result = self._hooks.judge(request_id)
        except Exception as error:  # noqa: BLE001 - logged: the request was answered, and the peer can ask again
            structlog.get_logger().warning("commitment_not_reported", request_id=request_id, exc_info=error)
            return
        self._message_id = self._message_id % 0xFFFF + 1
        self._unanswered[self._message_id] = request_id, result
        command = encode_event_report(
            sop_class_uid=STORAGE_COMMITMENT,
            sop_instance_uid=STORAGE_COMMITMENT_INSTANCE,
            event_type=result.event_type,
            message_id=self._message_id,
        )
        self._send(context.context_id, command, encode(result_data_set(result), context.accepted_transfer_syntax or ""))

    def _take_response(self, command: Command) -> None:
        request_id, result = self._unanswered.pop(command.message_id, (0, None))
        if result is None:
            raise ProtocolViolation("the peer answers a report that was not sent")
        log = structlog.get_logger()
        if command.status != CommitmentStatus.SUCCESS:
            log.warning("commitment_report_refused", request_id=request_id, status=f"0x{command.status or 0:04X}")
            return
        try:
            self._hooks.reported(request_id, result)
        except SonomyoError as error:
            log.warning("commitment_report_not_recorded", request_id=request_id, exc_info=error)


def check_command(command: Command) -> None:
    """What the command alone gives away (PS3.4 J.3.2, J.3.3). Raises InputRejected."""
    types = {CommandField.N_ACTION: (REQUEST_ACTION,), CommandField.N_EVENT_REPORT: (ALL_COMMITTED, SOME_FAILED)}
    if command.field not in types:
        raise InputRejected("This operation is not offered for Storage Commitment", reason="unrecognised_operation")
    if command.sop_class_uid != STORAGE_COMMITMENT:
        raise InputRejected("The SOP class is not that of the presentation context", reason="sop_class_not_of_context")
    if command.sop_instance_uid != STORAGE_COMMITMENT_INSTANCE:
        raise InputRejected(f"The SOP instance must be {STORAGE_COMMITMENT_INSTANCE}", reason="wrong_sop_instance")
    if command.type_id not in types[command.field]:
        is_action = command.field is CommandField.N_ACTION
        said = "There is no such action; 1 asks for commitment" if is_action else "There is no such event; 1 and 2 report"
        raise InputRejected(said, reason="unknown_action" if is_action else "unknown_event")
    if not command.has_data_set:
        raise InputRejected("The command comes without a data set", reason="no_data_set")
