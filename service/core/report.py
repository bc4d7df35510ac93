"""A report: what the findings of one study come to. Immutable; every change is a new version."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from service.core.findings import Code, Finding, Interval, ModelUsed, Value
from service.core.identifiers import derive_uid

#: Stands on everything that we make; a test fails where it is missing.
RESEARCH_USE = "Research use only - not for diagnosis"


class ReportStatus(StrEnum):
    """Life of a report; AI output is `preliminary` until a person signs."""

    PRELIMINARY = "preliminary"
    FINAL = "final"
    AMENDED = "amended"
    CANCELLED = "cancelled"


#: Statuses that only a person's signature gives.
SIGNED = frozenset({ReportStatus.FINAL, ReportStatus.AMENDED})


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
    #: Of one whose job waits, to be sent or to be asked after; none while it is being tried.
    next_attempt_at: datetime | None = None
    last_error: str | None = None


class SentObject(Value):
    """A DICOM object of a report version that a destination has, or may have."""

    report_id: str
    kind: str
    sop_class_uid: str
    sop_instance_uid: str


Side = Literal["left", "right"]


class Compared(Value):
    """One of the two numbers of a comparison: the median over the cines that measured it."""

    value: float
    #: That of the finding; null where the number is the median of several.
    interval: Interval | None = None
    finding_ids: tuple[str, ...]


class EarlierStudy(Value):
    """Where an earlier number stands; the date is as the study gives it, `YYYYMMDD`."""

    report_id: str
    study_instance_uid: str
    study_date: str


class _OfTwo(Value):
    """What every comparison of two numbers says."""

    name: str
    analysis: str
    unit: str
    #: Null where the muscle is not coded: both numbers are then taken to be of one.
    muscle: Code | None = None
    #: What did not measure both in the same version.
    differs_in: tuple[Literal["analysis", "model"], ...] = ()
    #: Null where one of them has no interval, or theirs are of two levels.
    is_within_uncertainty: bool | None = None
    text: str


class SideComparison(_OfTwo):
    """Left against right in one study; `difference` is left minus right, in `unit`."""

    kind: Literal["left_right"] = "left_right"
    left: Compared
    right: Compared
    difference: float
    #: 100 * |left - right| / max(left, right); null unless both are positive.
    asymmetry_percent: float | None = None


class EarlierComparison(_OfTwo):
    """A side of this study against the same side in an earlier one; `change` is now minus then, in `unit`."""

    kind: Literal["earlier"] = "earlier"
    laterality: Side
    now: Compared
    earlier: Compared
    earlier_study: EarlierStudy
    change: float
    #: Of the earlier value; null unless that is positive.
    change_percent: float | None = None


Comparison = Annotated[SideComparison | EarlierComparison, Field(discriminator="kind")]


class Act(Value):
    """What a person did to make a version of another one."""

    kind: Literal["amended", "signed", "cancelled"]
    by: str
    user_id: str
    #: The institution that the person answers to.
    organization: str | None = None
    at: datetime
    #: Null for a signature, which says why by itself.
    why: str | None = None
    #: The version that it was done to.
    report_id: str
    #: Of what was asked for, so that the same request once more is known as such.
    request_sha256: str


class Remark(Value):
    """What a person wrote into a report."""

    text: str
    by: str
    user_id: str
    at: datetime


class Gone(Value):
    """What earlier versions of a report said and this one does not say any more; no value is left of it.

    `identity` is that of `finding_identity.identities`, by which receivers know it.
    """

    identity: str
    finding: Finding


class Report(Value):
    """One version of a study's report."""

    report_id: str
    version: int
    status: ReportStatus = ReportStatus.PRELIMINARY
    study: StudyHeader
    created_at: datetime
    signed_by: str | None = None
    signed_at: datetime | None = None
    #: The version that this one takes the place of, or will when it is signed; drafts beside a signed version all name that.
    predecessor: str | None = None
    predecessor_version: int | None = None
    predecessor_status: ReportStatus | None = None
    #: The version that this report began with, by which receivers know all its versions as one; null for that version itself.
    first_report_id: str | None = None
    #: Null where the service composed this version.
    act: Act | None = None
    #: Of a cancelled version: the status of the one that was withdrawn.
    withdrawn: ReportStatus | None = None
    #: The report_id of an unsigned version that waits beside this signed one; filled in when the report is read.
    draft: str | None = None
    impression: str
    #: Where a person wrote the impression: the same words, who and when.
    written_impression: Remark | None = None
    comment: Remark | None = None
    limitations: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    #: What official versions before had and this one has not.
    gone: tuple[Gone, ...] = ()
    #: Identities of findings that are as the signed version before had them, and had not been changed after a signature there.
    kept: tuple[str, ...] = ()
    #: As they stood when this version was made; a later version of an earlier report changes nothing here.
    comparisons: tuple[Comparison, ...] = ()
    provenance: Provenance
    delivery: tuple[Delivery, ...] = ()

    @property
    def is_signed(self) -> bool:
        """Whether a person stands for what it says."""
        return self.status in SIGNED

    @property
    def lineage(self) -> str:
        """The `report_id` of the version that this report began with: all its versions share it, and no other report has it."""
        return self.first_report_id or self.report_id

    @property
    def replaces_signed(self) -> bool:
        """Whether the version whose place it takes was signed."""
        return self.predecessor_status in SIGNED

    @property
    def is_settled(self) -> bool:
        """Signed, or withdrawn after it was: such a version is the official one until a newer one is settled."""
        return self.is_signed or self.withdrawn in SIGNED

    def findings_of(self, analysis_name: str, sop_instance_uid: str) -> tuple[Finding, ...]:
        """What one analysis says of one instance, in order."""
        return tuple(
            finding
            for finding in self.findings
            if finding.analysis.name == analysis_name and finding.evidence.sop_instance_uid == sop_instance_uid
        )


def object_uid(report_id: str, version: int, kind: str) -> str:
    """SOP Instance UID of an object made from a report: a function of (report id, version, kind)."""
    return derive_uid("object", report_id, version, kind)
