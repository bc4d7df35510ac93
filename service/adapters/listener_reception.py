"""One C-STORE: from its first byte to a durable file and a committed row, in pieces, never whole in memory."""

from collections.abc import Callable
from contextlib import ExitStack

from service.adapters.incoming import IncomingFile, IncomingFolder
from service.adapters.listener_hooks import Gate
from service.core.association import ContextRecord
from service.core.attributes import WANTED, is_uid, read_attributes
from service.core.dataset_scan import DataSetScanner
from service.core.deflated_scan import InflatingScanner, scanner_for
from service.core.dicom_syntaxes import VERIFICATION
from service.core.dimse import Command, CommandField
from service.core.instance import ContentDigest, InstanceAttributes
from service.core.part10 import encode_head
from service.errors import InputRejected, Unavailable


class Reception:
    """Takes the data set of one command. The first trouble is remembered; what still arrives is then let fall."""

    def __init__(self, *, command: Command, context: ContextRecord, incoming: IncomingFolder, maximum_bytes: int) -> None:
        self._command = command
        self._incoming = incoming
        self._resources = ExitStack()
        self._file: IncomingFile | None = None
        self._syntax = context.accepted_transfer_syntax or ""
        self._maximum_bytes = maximum_bytes
        self._scanner: DataSetScanner | InflatingScanner | None = None
        self.bytes_received = 0
        self.trouble: Exception | None = check_command(command, context)

    def open(self, gate: Gate) -> None:
        """Ask for room and make the file, unless the command alone is trouble enough."""
        if self.trouble is not None:
            return
        try:
            _pass(gate)
            self._scanner = scanner_for(
                transfer_syntax_uid=self._syntax, wanted=WANTED, maximum_inflated_bytes=self._maximum_bytes
            )
            self._file = self._resources.enter_context(self._incoming.create())
            head = encode_head(
                sop_class_uid=self._command.sop_class_uid or "",
                sop_instance_uid=self._command.sop_instance_uid or "",
                transfer_syntax_uid=self._syntax,
            )
            self._file.write(head)
        except Exception as error:  # noqa: BLE001 - whatever it is, the peer gets a status
            self._fail(error)

    def take(self, data: memoryview) -> None:
        """The next bytes of the data set."""
        self.bytes_received += len(data)
        if self.trouble is not None or self._file is None or self._scanner is None:
            return
        try:
            self._file.write(data)
            self._scanner.feed(data)
        except Exception as error:  # noqa: BLE001 - whatever it is, the peer gets a status
            self._fail(error)

    def complete(self, keep: Callable[[IncomingFile, InstanceAttributes, ContentDigest], None]) -> None:
        """Judge the whole object and hand it to `keep`; afterwards `trouble` tells the outcome."""
        try:
            if self.trouble is None and self._file is not None and self._scanner is not None:
                scanned = self._scanner.finish()
                attributes = read_attributes(scanned)
                self._compare(attributes)
                keep(self._file, attributes, scanned.digest)
        except Exception as error:  # noqa: BLE001 - whatever it is, the peer gets a status
            self._fail(error)
        finally:
            self.close()

    def close(self) -> None:
        """Leave nothing behind."""
        self._resources.close()
        self._file = None

    def _compare(self, attributes: InstanceAttributes) -> None:
        if attributes.sop_class_uid != self._command.sop_class_uid:
            raise InputRejected("The data set is of another SOP class than the command", reason="sop_class_mismatch")
        if attributes.sop_instance_uid != self._command.sop_instance_uid:
            raise InputRejected("The data set has another SOP instance UID", reason="sop_instance_mismatch")

    def _fail(self, error: Exception) -> None:
        self.trouble = error
        self._scanner = None
        self.close()


def _pass(gate: Gate) -> None:
    refusal = gate()
    if refusal is not None:
        raise Unavailable(refusal, reason="no_room")


def check_command(command: Command, context: ContextRecord) -> InputRejected | None:
    """What the command alone gives away."""
    if command.sop_class_uid != context.abstract_syntax:
        return InputRejected("The SOP class is not that of the presentation context", reason="sop_class_not_of_context")
    if command.field is not CommandField.C_STORE or context.abstract_syntax == VERIFICATION:
        return InputRejected("This operation is not offered here", reason="unrecognised_operation")
    if not is_uid(command.sop_instance_uid or ""):
        return InputRejected("The SOP instance UID is no UID", reason="invalid_sop_instance_uid")
    if not command.has_data_set:
        return InputRejected("The command comes without a data set", reason="no_data_set")
    return None
