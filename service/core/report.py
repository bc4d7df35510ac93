"""A report: what the findings of one study come to. Immutable; every change is a new version."""

from datetime import datetime
from enum import StrEnum

from service.core.findings import Finding, ModelUsed, Value
from service.core.identifiers import derive_uid

#: Stands on everything that we make; a test fails where it is missing.
RESEARCH_USE = "Research use only - not for diagnosis"


class ReportStatus(StrEnum):
    """Life of a report; AI output is `preliminary` until a person signs."""

    PRELIMINARY = "preliminary"
    FINAL = "final"
    AMENDED = "amended"
    CANCELLED = "cancelled"


class StudyHeader(Value):
    """The identity that a report carries, as the current instances give it; text is Unicode."""

    study_instance_uid: str
    accession_number: str | None = None
    patient_id: str | None = None
    patient_name: str | None = None
    patient_birth_date: str | None = None
    patient_sex: str | None = None
    issuer_of_patient_id: str | None = None
    study_date: str | None = None
    study_time: str | None = None
    study_id: str | None = None
    referring_physician_name: str | None = None
    description: str | None = None


#: A report that says otherwise than its study in one of these is about somebody else, or answers another order.
_WHOSE = ("patient_id", "issuer_of_patient_id", "patient_name", "patient_birth_date", "accession_number")


def is_about_the_same(made: StudyHeader, now: StudyHeader) -> bool:
    """Whether what a report said of patient and order still holds; what it left out contradicts nothing."""
    return all(getattr(made, name) in (None, getattr(now, name)) for name in _WHOSE)


class Provenance(Value):
    """What made the report, so that every number can be traced."""

    service_version: str
    models: tuple[ModelUsed, ...] = ()
    configuration_sha256: str | None = None


class Delivery(Value):
    """Where one object of the report stands on its way to one destination."""

    destination: str
    kind: str
    state: str
    sop_instance_uid: str | None = None
    attempts: int = 0
    #: Of a pending one whose job waits; none while it is being tried.
    next_attempt_at: datetime | None = None
    last_error: str | None = None


class Report(Value):
    """One version of a study's report."""

    report_id: str
    version: int
    status: ReportStatus = ReportStatus.PRELIMINARY
    study: StudyHeader
    created_at: datetime
    signed_by: str | None = None
    signed_at: datetime | None = None
    predecessor: str | None = None
    impression: str
    limitations: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    provenance: Provenance
    delivery: tuple[Delivery, ...] = ()


def object_uid(report_id: str, version: int, kind: str) -> str:
    """SOP Instance UID of an object made from a report: a function of (report id, version, kind)."""
    return derive_uid("object", report_id, version, kind)
