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


def derive_report_id(study_instance_uid: str, version: int) -> ReportID:
    """The identifier of one version of a study's report."""
    return ReportID(str(uuid.uuid5(_NAMESPACE, f"report\x1f{study_instance_uid}\x1f{version}")))
