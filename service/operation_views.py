"""What is read of the service's own work: jobs, deliveries, associations, events and figures, and who reads them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal, Protocol, Self

from service.access import AuditEntry
from service.core.findings import Value
from service.core.shadow import ShadowComparison


class JobState(StrEnum):
    """Where a job stands; `dead` ones wait for a person to requeue them."""

    QUEUED = "queued"
    SCHEDULED = "scheduled"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    DEAD = "dead"
    CANCELLED = "cancelled"


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
