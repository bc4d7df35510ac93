"""Storage Commitment Push Model (PS3.4 J): what is asked and answered, as values and as data sets."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType
from typing import Literal

from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from service.core.attributes import is_uid
from service.core.dataset_scan import (
    EXPLICIT_BIG_ENDIAN,
    IMPLICIT_LITTLE_ENDIAN,
    DataSetScanner,
    ItemValues,
    ScannedDataSet,
    Wanted,
)
from service.errors import InputRejected, SonomyoError, Unavailable

#: The well-known instance that every request and report is about (PS3.4 J.3.5).
STORAGE_COMMITMENT_INSTANCE = "1.2.840.10008.1.20.1.1"
#: The only Action Type there is (PS3.4 J.3.2).
REQUEST_ACTION = 1
ALL_COMMITTED, SOME_FAILED = 1, 2
#: Instances that one request may name; a study of ultrasound has some hundred.
MAXIMUM_REFERENCES = 10_000
#: What so many references take in the longest of encodings, and some.
MAXIMUM_DATA_SET_BYTES = 3 << 20

_TRANSACTION_UID, _FAILURE_REASON = 0x00081195, 0x00081197
_FAILED_SOP_SEQUENCE, _REFERENCED_SOP_SEQUENCE = 0x00081198, 0x00081199
_SOP_CLASS_UID, _SOP_INSTANCE_UID = 0x00081150, 0x00081155
_WANTED = Wanted(
    elements=frozenset({_TRANSACTION_UID}),
    sequences={
        _REFERENCED_SOP_SEQUENCE: frozenset({_SOP_CLASS_UID, _SOP_INSTANCE_UID}),
        _FAILED_SOP_SEQUENCE: frozenset({_SOP_CLASS_UID, _SOP_INSTANCE_UID, _FAILURE_REASON}),
    },
    maximum_items=MAXIMUM_REFERENCES + 1,
)


class FailureReason(IntEnum):
    """Why we do not commit to an instance (PS3.3 C.14.1.1)."""

    PROCESSING_FAILURE = 0x0110
    NO_SUCH_OBJECT_INSTANCE = 0x0112
    CLASS_INSTANCE_CONFLICT = 0x0119


#: What others may answer, too, in words.
_REASONS: Mapping[int, str] = MappingProxyType(
    {
        0x0110: "processing failure",
        0x0112: "no such object instance",
        0x0119: "class-instance conflict",
        0x0122: "SOP class not supported",
        0x0131: "duplicate transaction UID",
        0x0213: "resource limitation",
    }
)


class CommitmentStatus(IntEnum):
    """The statuses that we give to N-ACTION and N-EVENT-REPORT (PS3.7 10.1.1.1.8, 10.1.4.1.10, C)."""

    SUCCESS = 0x0000
    PROCESSING_FAILURE = 0x0110
    NO_SUCH_SOP_INSTANCE = 0x0112
    NO_SUCH_EVENT_TYPE = 0x0113
    INVALID_ARGUMENT_VALUE = 0x0115
    NO_SUCH_SOP_CLASS = 0x0118
    NO_SUCH_ACTION = 0x0123
    UNRECOGNISED_OPERATION = 0x0211
    RESOURCE_LIMITATION = 0x0213


#: The reason of an InputRejected -> status; any other reason is that of a data set which cannot be read.
_STATUS_OF_REASON: Mapping[str, CommitmentStatus] = MappingProxyType(
    {
        "sop_class_not_of_context": CommitmentStatus.NO_SUCH_SOP_CLASS,
        "wrong_sop_instance": CommitmentStatus.NO_SUCH_SOP_INSTANCE,
        "unknown_action": CommitmentStatus.NO_SUCH_ACTION,
        "unknown_event": CommitmentStatus.NO_SUCH_EVENT_TYPE,
        "unrecognised_operation": CommitmentStatus.UNRECOGNISED_OPERATION,
        "too_many_references": CommitmentStatus.RESOURCE_LIMITATION,
    }
)


@dataclass(frozen=True, slots=True)
class Reference:
    """One instance that a commitment is about."""

    sop_class_uid: str
    sop_instance_uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitmentRequest:
    """Action Information of an N-ACTION (PS3.4 table J.3-1)."""

    transaction_uid: str
    references: tuple[Reference, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitmentResult:
    """Event Information of an N-EVENT-REPORT (PS3.4 table J.3-2)."""

    transaction_uid: str
    committed: tuple[Reference, ...] = ()
    #: With the Failure Reason of each.
    failed: tuple[tuple[Reference, int], ...] = ()

    @property
    def event_type(self) -> int:
        """Event Type ID (PS3.4 J.3.3.1.1)."""
        return SOME_FAILED if self.failed else ALL_COMMITTED

    def failure_of(self, sop_instance_uid: str) -> int | None:
        """The Failure Reason of one instance; None when it is committed. Raises InputRejected when it is not named."""
        for reference, reason in self.failed:
            if reference.sop_instance_uid == sop_instance_uid:
                return reason
        if any(reference.sop_instance_uid == sop_instance_uid for reference in self.committed):
            return None
        raise InputRejected("The report does not name what the transaction was about", reason="not_named")


@dataclass(frozen=True, slots=True)
class KeptCopy:
    """Something that is kept, or was, under a SOP Instance UID."""

    sop_class_uid: str
    bytes_are: Literal["whole", "altered", "missing"]


def judge_copies(reference: Reference, copies: Sequence[KeptCopy]) -> FailureReason | None:
    """None when one of the copies is whole and of the class that is named."""
    of_class = {copy.bytes_are for copy in copies if copy.sop_class_uid == reference.sop_class_uid}
    if "whole" in of_class:
        return None
    if "altered" in of_class:
        return FailureReason.PROCESSING_FAILURE
    if not of_class and any(copy.bytes_are == "whole" for copy in copies):
        return FailureReason.CLASS_INSTANCE_CONFLICT
    return FailureReason.NO_SUCH_OBJECT_INSTANCE


def name_reason(reason: int) -> str:
    """A Failure Reason for people."""
    return f"0x{reason:04X} {_REASONS.get(reason, '')}".strip()


def status_of(error: Exception) -> CommitmentStatus:
    """The status that answers `error`: what may pass is a limitation of resources, our own faults are not."""
    match error:
        case InputRejected():
            return _STATUS_OF_REASON.get(error.reason, CommitmentStatus.INVALID_ARGUMENT_VALUE)
        case Unavailable():
            return CommitmentStatus.RESOURCE_LIMITATION
        case _:
            return CommitmentStatus.PROCESSING_FAILURE


def comment_of(error: Exception) -> str:
    """The ErrorComment: the message of an error that we raised on purpose, nothing of any other."""
    return str(error) if isinstance(error, SonomyoError) else "A fault of ours; the log of the service says which"


def read_request(data_set: bytes, transfer_syntax_uid: str) -> CommitmentRequest:
    """Raises InputRejected when it is no request, or one of too many instances."""
    scanned = _scan(data_set, transfer_syntax_uid)
    references = tuple(dict.fromkeys(map(_reference, _items(scanned, _REFERENCED_SOP_SEQUENCE))))
    if not references:
        raise InputRejected("The request names no instance", reason="no_references")
    return CommitmentRequest(transaction_uid=_transaction(scanned), references=references)


def read_result(data_set: bytes, transfer_syntax_uid: str) -> CommitmentResult:
    """Raises InputRejected when it is no report. What it lists counts, whatever its Event Type: some peers mistake that."""
    scanned = _scan(data_set, transfer_syntax_uid)
    failed = tuple((_reference(item), _reason(item, scanned)) for item in _items(scanned, _FAILED_SOP_SEQUENCE))
    committed = tuple(map(_reference, _items(scanned, _REFERENCED_SOP_SEQUENCE)))
    return CommitmentResult(transaction_uid=_transaction(scanned), committed=committed, failed=failed)


def request_data_set(request: CommitmentRequest) -> Dataset:
    """Action Information."""
    data_set = Dataset()
    data_set.TransactionUID = request.transaction_uid
    data_set.ReferencedSOPSequence = list(map(_item, request.references))
    return data_set


def result_data_set(result: CommitmentResult) -> Dataset:
    """Event Information; a sequence without items is left out (PS3.4 table J.3-2)."""
    data_set = Dataset()
    data_set.TransactionUID = result.transaction_uid
    if result.failed:
        data_set.FailedSOPSequence = [_item(reference, reason) for reference, reason in result.failed]
    if result.committed:
        data_set.ReferencedSOPSequence = list(map(_item, result.committed))
    return data_set


def encode(data_set: Dataset, transfer_syntax_uid: str) -> bytes:
    """In one of the three uncompressed transfer syntaxes."""
    buffer = DicomBytesIO()
    buffer.is_implicit_VR = transfer_syntax_uid == IMPLICIT_LITTLE_ENDIAN
    buffer.is_little_endian = transfer_syntax_uid != EXPLICIT_BIG_ENDIAN
    write_dataset(buffer, data_set)
    return bytes(buffer.getvalue())


def _scan(data_set: bytes, transfer_syntax_uid: str) -> ScannedDataSet:
    scanner = DataSetScanner(transfer_syntax_uid=transfer_syntax_uid, wanted=_WANTED)
    scanner.feed(data_set)
    return scanner.finish()


def _items(scanned: ScannedDataSet, tag: int) -> Iterable[ItemValues]:
    items = scanned.items.get(tag, ())
    if len(items) > MAXIMUM_REFERENCES:
        raise InputRejected(f"More than {MAXIMUM_REFERENCES} instances are named; ask in parts", reason="too_many_references")
    return items


def _transaction(scanned: ScannedDataSet) -> str:
    return _uid(scanned.values, _TRANSACTION_UID, "Transaction UID")


def _reference(item: ItemValues) -> Reference:
    return Reference(
        _uid(item, _SOP_CLASS_UID, "Referenced SOP Class UID"), _uid(item, _SOP_INSTANCE_UID, "Referenced SOP Instance UID")
    )


def _reason(item: ItemValues, scanned: ScannedDataSet) -> int:
    value = item.get(_FAILURE_REASON, b"")
    return int.from_bytes(value[:2], scanned.byte_order) or FailureReason.PROCESSING_FAILURE


def _uid(values: Mapping[int, bytes], tag: int, name: str) -> str:
    text = values.get(tag, b"").rstrip(b"\0 ").decode("latin-1")
    if not is_uid(text):
        raise InputRejected(f"A {name} is missing or is no UID", reason="invalid_uid")
    return text


def _item(reference: Reference, reason: int | None = None) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = reference.sop_class_uid
    item.ReferencedSOPInstanceUID = reference.sop_instance_uid
    if reason is not None:
        item.FailureReason = reason
    return item
