"""What is read of studies, for people and programs: the values that the REST interface and the pages show, and who reads them."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from enum import StrEnum
from typing import Protocol

from service.core.findings import Value
from service.core.instance import InstanceAttributes
from service.core.overlays import Overlays
from service.core.report import Report, ReportStatus
from service.operation_views import DeliveryView, JobView
from service.records import RenderedObject


class StudyStatus(StrEnum):
    """Where a study stands."""

    RECEIVING = "receiving"
    ANALYSING = "analysing"
    COMPLETE = "complete"
    REPORTED = "reported"


class ReportSummary(Value):
    """One version of a report, without its findings."""

    report_id: str
    version: int
    status: str
    created_at: datetime


class AnalysisCounts(Value):
    """How many analyses of a study's current instances are in each state."""

    queued: int = 0
    done: int = 0
    rejected: int = 0
    failed: int = 0


class StudySummary(Value):
    """One line of the worklist."""

    study_instance_uid: str
    patient_id: str | None = None
    issuer_of_patient_id: str | None = None
    patient_name: str | None = None
    patient_birth_date: str | None = None
    patient_sex: str | None = None
    accession_number: str | None = None
    study_date: str | None = None
    study_time: str | None = None
    description: str | None = None
    modalities: tuple[str, ...] = ()
    status: StudyStatus
    #: The identity changed and nobody has acknowledged it: deliveries wait.
    identity_hold: bool
    created_at: datetime
    last_received_at: datetime
    completed_at: datetime | None = None
    instance_count: int = 0
    analysis_counts: AnalysisCounts = AnalysisCounts()
    undelivered: int = 0
    #: The official version: the newest signed one, or the newest where none is.
    report: ReportSummary | None = None
    #: A version that waits for a signature beside a signed one.
    draft: ReportSummary | None = None


class StudyPage(Value):
    """A page of the worklist, newest first."""

    studies: tuple[StudySummary, ...]
    next_cursor: str | None = None


class StudyFlag(StrEnum):
    """What of a study waits for a person."""

    #: The newest version of its report waits for a signature.
    REVIEW = "review"
    #: An analysis of a current instance failed.
    FAILED = "failed"
    #: A result has not arrived everywhere.
    UNDELIVERED = "undelivered"


class StudyFilter(Value):
    """What the worklist is narrowed to; study dates count, the day of arrival where a study has none."""

    #: The beginning of the patient's ID, or beginnings of words of the name, in any order, without case or accents.
    patient: str | None = None
    accession_prefix: str | None = None
    #: One of a current instance, in whatever state.
    analysis: str | None = None
    flag: StudyFlag | None = None

    patient_id: str | None = None
    accession_number: str | None = None
    status: StudyStatus | None = None
    modality: str | None = None
    from_date: date | None = None
    to_date: date | None = None


class WorklistSearch(Value):
    """What names a patient in a search of the worklist, and so stands in no address."""

    patient: str | None = None
    accession_number: str | None = None


class ReportFilter(Value):
    """What reports are narrowed to, by what they say themselves; a report without a study date is outside of every date."""

    study_instance_uid: str | None = None
    report_id: str | None = None
    patient_id: str | None = None
    accession_number: str | None = None
    status: ReportStatus | None = None
    from_date: date | None = None
    to_date: date | None = None


class ReportPage(Value):
    """A page of reports without their deliveries, the newest arrival of a study first."""

    reports: tuple[Report, ...]
    next_cursor: str | None = None


class InstanceView(Value):
    """One arrival of an instance."""

    instance_id: int
    sop_instance_uid: str
    sop_class_uid: str
    series_instance_uid: str
    transfer_syntax_uid: str
    modality: str | None = None
    series_description: str | None = None
    number_of_frames: int | None = None
    rows: int | None = None
    columns: int | None = None
    size_bytes: int
    disposition: str
    is_current: bool
    is_returned: bool
    identity_changed: bool
    is_removed: bool
    calling_ae_title: str | None = None
    association_id: int | None = None
    received_at: datetime


class AnalysisView(Value):
    """One analysis of one instance, and why it runs."""

    instance_id: int
    sop_instance_uid: str
    analysis_name: str
    analysis_version: str | None = None
    state: str
    #: The name of the rule that selected it, or `analysis_ae_titles`.
    rule: str | None = None
    why: str
    failure: str | None = None
    created_at: datetime
    finished_at: datetime | None = None


class StudyDetail(StudySummary):
    """A study with all that hangs on it."""

    instances: tuple[InstanceView, ...] = ()
    analyses: tuple[AnalysisView, ...] = ()
    jobs: tuple[JobView, ...] = ()
    reports: tuple[ReportSummary, ...] = ()
    deliveries: tuple[DeliveryView, ...] = ()


class StudyViews(Protocol):
    """Studies, their instances and reports."""

    def worklist(self, wanted: StudyFilter, *, limit: int, cursor: str | None) -> StudyPage:
        """Newest first. Raises InputRejected for a cursor that is none."""

    def study(self, study_instance_uid: str) -> StudyDetail:
        """Raises NotFound."""

    def official_report(self, study_instance_uid: str) -> Report:
        """The newest version that is signed, or was withdrawn after that; where none is, the newest.

        Raises NotFound, whose message tells whether the study or only its report is missing.
        """

    def draft_report(self, study_instance_uid: str) -> Report:
        """The version that waits for a signature. Raises NotFound, also where none waits."""

    def report(self, report_id: str) -> Report:
        """Raises NotFound."""

    def versions(self, report_id: str) -> Sequence[Report]:
        """All versions of the report that this one is a version of, oldest first. Raises NotFound."""

    def reports(self, wanted: ReportFilter, *, limit: int, cursor: str | None) -> ReportPage:
        """The official version of each study that fits, or the version that is named. Raises InputRejected for a wrong cursor."""

    def attributes(self, study_instance_uid: str) -> Sequence[InstanceAttributes]:
        """Of each instance of the study, as it arrived last; also of those whose bytes are held no more."""

    def rendered(self, report_id: str, kind: str) -> RenderedObject:
        """Raises NotFound."""

    def pictures(self, report_id: str) -> Mapping[str, bytes]:
        """The annotated frame (PNG) of each instance that has one, by SOP Instance UID, as this version shows it."""

    def overlays(self, report_id: str, sop_instance_uid: str, frames: range) -> Overlays:
        """What the report's analyses drew in frames (from 1) of one cine. Raises NotFound for an unknown report."""


class WorklistSearches(Protocol):
    """What people search for, under a token that may stand in an address."""

    def keep(self, wanted: WorklistSearch, *, principal: str) -> str:
        """The token. Raises Unavailable."""

    def find(self, token: str, *, principal: str) -> WorklistSearch | None:
        """None when it is too old, unknown, or somebody else's. Raises Unavailable."""
