"""Which DIMSE status answers which trouble (PS3.4 B.2.3, PS3.7 C): the policy as a table.

Refuse only what cannot be identified or safely kept; what the analyses cannot use is accepted and parked.
"""

from enum import IntEnum
from types import MappingProxyType

from service.errors import Conflict, InputRejected, SonomyoError, Unavailable


class StoreStatus(IntEnum):
    """The statuses that the listener gives, and STOW-RS as FailureReason (PS3.18 Table I.2-2)."""

    SUCCESS = 0x0000
    PROCESSING_FAILURE = 0x0110
    INVALID_SOP_INSTANCE = 0x0117
    SOP_CLASS_NOT_SUPPORTED = 0x0122
    UNRECOGNISED_OPERATION = 0x0211
    OUT_OF_RESOURCES = 0xA700
    DATA_SET_DOES_NOT_MATCH_SOP_CLASS = 0xA900
    CANNOT_UNDERSTAND = 0xC000
    TRANSFER_SYNTAX_NOT_SUPPORTED = 0xC122


#: The reason of an InputRejected -> status; any other reason is CANNOT_UNDERSTAND.
STATUS_OF_REASON = MappingProxyType(
    {
        "invalid_sop_instance_uid": StoreStatus.INVALID_SOP_INSTANCE,
        "sop_class_not_of_context": StoreStatus.SOP_CLASS_NOT_SUPPORTED,
        "unrecognised_operation": StoreStatus.UNRECOGNISED_OPERATION,
        "sop_class_mismatch": StoreStatus.DATA_SET_DOES_NOT_MATCH_SOP_CLASS,
        "sop_instance_mismatch": StoreStatus.DATA_SET_DOES_NOT_MATCH_SOP_CLASS,
        "sop_class_not_supported": StoreStatus.SOP_CLASS_NOT_SUPPORTED,
        "transfer_syntax_not_supported": StoreStatus.TRANSFER_SYNTAX_NOT_SUPPORTED,
        "study_mismatch": StoreStatus.DATA_SET_DOES_NOT_MATCH_SOP_CLASS,
        "object_too_large": StoreStatus.OUT_OF_RESOURCES,
        "no_data_set": StoreStatus.CANNOT_UNDERSTAND,
        "empty_data_set": StoreStatus.CANNOT_UNDERSTAND,
        "truncated": StoreStatus.CANNOT_UNDERSTAND,
        "not_a_data_set": StoreStatus.CANNOT_UNDERSTAND,
        "nesting_too_deep": StoreStatus.CANNOT_UNDERSTAND,
        "too_many_elements": StoreStatus.CANNOT_UNDERSTAND,
        "duplicate_element": StoreStatus.CANNOT_UNDERSTAND,
        "unidentified": StoreStatus.CANNOT_UNDERSTAND,
        "inflates_too_far": StoreStatus.CANNOT_UNDERSTAND,
        "deflated": StoreStatus.CANNOT_UNDERSTAND,
    }
)


def status_of(error: Exception) -> StoreStatus:
    """The status that answers `error`: what may pass when sent again is out of resources, our own faults are not."""
    match error:
        case InputRejected():
            return STATUS_OF_REASON.get(error.reason, StoreStatus.CANNOT_UNDERSTAND)
        case Unavailable() | OSError() | Conflict():
            return StoreStatus.OUT_OF_RESOURCES
        case _:
            return StoreStatus.PROCESSING_FAILURE


def comment_of(error: Exception) -> str:
    """The ErrorComment: the message of an error that we raised on purpose; nothing of any other, which may hold anything."""
    return str(error) if isinstance(error, SonomyoError) else "The instance could not be stored; the log of the service says why"
