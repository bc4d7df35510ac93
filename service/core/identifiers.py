"""Names of things, and the UIDs of what we make."""

import uuid
from typing import NewType

StudyInstanceUID = NewType("StudyInstanceUID", str)
SeriesInstanceUID = NewType("SeriesInstanceUID", str)
SOPInstanceUID = NewType("SOPInstanceUID", str)
SOPClassUID = NewType("SOPClassUID", str)
TransferSyntaxUID = NewType("TransferSyntaxUID", str)
AETitle = NewType("AETitle", str)
ReportID = NewType("ReportID", str)

_NAMESPACE = uuid.UUID("5f0f3e3c-6a55-4d1b-9a0e-4f6d1f2c9b11")


def derive_uid(*parts: str | int) -> str:
    """A UID that is a function of `parts`, so that making the same object twice gives the same name.

    UUID-derived UID under the root 2.25 (PS3.5 B.2), from a version 5 UUID (RFC 9562 5.5).
    """
    name = "\x1f".join(str(part) for part in parts)
    return f"2.25.{uuid.uuid5(_NAMESPACE, name).int}"


def new_report_id() -> ReportID:
    """A name that no other report has, here or elsewhere.

    Random, not derived: two installations, or one that was restored from an older backup, make different reports of one
    study, and every object made from a report is named after it (PS3.5 9.1: a UID must never name two objects).
    """
    return ReportID(str(uuid.uuid4()))
