"""What is read for people and programs: the values that the REST interface and the pages show, and who reads them."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from enum import StrEnum
from typing import Any, Literal, Protocol, Self

from service.access import AuditEntry
from service.core.findings import Value
from service.core.instance import InstanceAttributes
from service.core.overlays import Overlays
from service.core.report import Report, ReportStatus
from service.core.shadow import ShadowComparison
from service.ports import RenderedObject


class StudyStatus(StrEnum):
    """Where a study stands."""

    RECEIVING = "receiving"
    ANALYSING = "analysing"
    COMPLETE = "complete"
    REPORTED = "reported"


class JobState(StrEnum):
    """Where a job stands; `dead` ones wait for a person to requeue them."""

    QUEUED = "queued"
    SCHEDULED = "scheduled"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    DEAD = "dead"
    CANCELLED = "cancelled"


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


class DeliveryView(Value):
    """One object of a report on its way to one destination."""

    delivery_id: int
    study_instance_uid: str
    report_id: str
    destination: str
    kind: str
    state: str
    attempts: int
    last_error: str | None = None
    created_at: datetime
    updated_at: datetime


class DeliveryState(StrEnum):
    """Where a delivery stands."""

    PENDING = "pending"
    #: The identity of its study changed, and nobody has acknowledged that.
    HELD = "held"
    #: It was stored, and the destination has not said yet that it holds it (PS3.4 J).
    AWAITING_COMMITMENT = "awaiting_commitment"
    DELIVERED = "delivered"
    #: The destination will not take it.
    REFUSED = "refused"
    #: Every attempt failed.
    FAILED = "failed"
    SUPERSEDED = "superseded"
    #: An operator gave it up.
    ABANDONED = "abandoned"


class CircuitView(Value):
    """How a destination has answered of late."""

    state: Literal["answers", "failing", "paused"] = "answers"
    consecutive_failures: int = 0
    #: When it is tried next, while it is paused.
    retry_at: datetime | None = None
    #: The newest error, also of one that answers again.
    last_error: str | None = None
    last_error_at: datetime | None = None


class DeliveryPage(Value):
    """A page of deliveries, newest first."""

    deliveries: tuple[DeliveryView, ...]
    next_cursor: str | None = None


class JobView(Value):
    """One job of the queue."""

    job_id: int
    task: str
    queue: str
    state: JobState
    attempts: int
    created_at: datetime | None = None
    scheduled_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    study_instance_uid: str | None = None
    instance_id: int | None = None
    analysis_name: str | None = None
    report_id: str | None = None
    destination: str | None = None
    kind: str | None = None
    failure: str | None = None


class JobPage(Value):
    """A page of jobs, newest first."""

    jobs: tuple[JobView, ...]
    next_cursor: str | None = None


class StudyDetail(StudySummary):
    """A study with all that hangs on it."""

    instances: tuple[InstanceView, ...] = ()
    analyses: tuple[AnalysisView, ...] = ()
    jobs: tuple[JobView, ...] = ()
    reports: tuple[ReportSummary, ...] = ()
    deliveries: tuple[DeliveryView, ...] = ()


class AssociationView(Value):
    """One DICOM association: what was offered, accepted, refused and why."""

    association_id: int
    listener: str
    peer_address: str
    peer_port: int | None = None
    calling_ae_title: str | None = None
    called_ae_title: str | None = None
    tls: bool
    outcome: str
    reason: str | None = None
    offered: list[Any]
    accepted: list[Any]
    refused: list[Any]
    failures: list[Any]
    instances: int
    bytes_received: int
    opened_at: datetime
    closed_at: datetime | None = None
    duration_seconds: float | None = None


class AssociationPage(Value):
    """A page of associations, newest first."""

    associations: tuple[AssociationView, ...]
    next_cursor: str | None = None


class AuditPage(Value):
    """A page of the audit trail, newest first."""

    entries: tuple[AuditEntry, ...]
    next_cursor: str | None = None


class EventPosition(Value):
    """How far the sources of events were read: the queue's events, the instances that were stored, and what people did."""

    job_event: int = 0
    instance: int = 0
    act: int = 0

    def __str__(self) -> str:
        """As an event stream's id."""
        return f"{self.job_event}-{self.instance}-{self.act}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """The other way round; one that an earlier release gave has no third part. Raises ValueError."""
        return cls(**dict(zip(cls.model_fields, map(int, text.split("-")), strict=False)))

    def past(self, other: Self) -> Self:
        """The further of both in each source."""
        return type(self)(
            job_event=max(self.job_event, other.job_event),
            instance=max(self.instance, other.instance),
            act=max(self.act, other.act),
        )

    def before(self, count: int) -> Self:
        """So many back in each source that commits out of order; people's acts commit in theirs."""
        return type(self)(job_event=self.job_event - count, instance=self.instance - count, act=self.act)


class ServiceEvent(Value):
    """Something that happened, for those who wait for it; it names no patient."""

    #: Its own place in the source that it is from, 0 in the others: no two events have the same.
    position: EventPosition
    #: instance_stored, analysis_done, report_ready, delivered, delivery_refused, a failure of one of these, or what a person did.
    name: str
    at: datetime
    job_id: int | None = None
    instance_id: int | None = None
    sop_instance_uid: str | None = None
    study_instance_uid: str | None = None
    report_id: str | None = None
    destination: str | None = None


class Counters(Value):
    """Figures for monitoring; each maps label values to a count."""

    instances: Mapping[tuple[str, ...], int]
    studies: Mapping[tuple[str, ...], int]
    analyses: Mapping[tuple[str, ...], int]
    jobs: Mapping[tuple[str, ...], int]
    deliveries: Mapping[tuple[str, ...], int]
    associations: Mapping[tuple[str, ...], int]
    oldest_waiting_job_seconds: float


class DiskState(Value):
    """The disk of the instance store."""

    free_bytes: int
    total_bytes: int
    #: Below this C-STORE is refused.
    reserve_bytes: int


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


class JobViews(Protocol):
    """The queue."""

    def jobs(self, *, state: JobState | None, task: str | None, limit: int, cursor: str | None) -> JobPage:
        """Newest first. Raises InputRejected for a cursor that is none."""

    def job(self, job_id: int) -> JobView:
        """Raises NotFound."""

    def of_instances(self, instance_ids: Sequence[int]) -> Sequence[JobView]:
        """The jobs about these instances, oldest first."""

    def events_after(self, position: EventPosition, *, limit: int) -> Sequence[ServiceEvent]:
        """What happened after a position, oldest first; `limit` holds for each source."""

    def newest_event(self) -> EventPosition:
        """Where to begin listening."""


class OperationViews(Protocol):
    """What a PACS administrator looks at."""

    def associations(self, *, outcome: str | None, limit: int, cursor: str | None) -> AssociationPage:
        """Newest first. Raises InputRejected for a cursor that is none."""

    def audit(self, *, limit: int, cursor: str | None) -> AuditPage:
        """Newest first. Raises InputRejected for a cursor that is none."""

    def deliveries(self, *, state: DeliveryState | None, destination: str | None, limit: int, cursor: str | None) -> DeliveryPage:
        """Newest first. Raises InputRejected for a cursor that is none."""

    def delivery(self, delivery_id: int) -> DeliveryView:
        """Raises NotFound."""

    def deliveries_by_destination(self) -> Mapping[str, Mapping[str, int]]:
        """Destination -> state -> how many."""

    def circuits(self) -> Mapping[str, CircuitView]:
        """By destination; one that never failed is not among them."""

    def counters(self) -> Counters:
        """Figures for monitoring."""

    def shadow_comparisons(self) -> tuple[ShadowComparison, ...]:
        """Models in shadow against the served ones, over all instances that both have seen."""
