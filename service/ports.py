"""What flow needs of the outside world. Adapters implement these; fakes and real ones pass one contract suite."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from service.core.analyses.analysis import ModelSpec, Tensors
from service.core.cine import Cine
from service.core.findings import Finding, ModelUsed
from service.core.instance import ContentDigest, InstanceAttributes
from service.core.report import Delivery, Report


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedInstance:
    """A durable file (already fsynced and renamed) about to become a row."""

    attributes: InstanceAttributes
    digest: ContentDigest
    storage_key: str
    size_bytes: int
    calling_ae_title: str | None = None
    called_ae_title: str | None = None
    peer_address: str | None = None
    association_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredInstance:
    """One row of `instances`."""

    instance_id: int
    attributes: InstanceAttributes
    digest: ContentDigest
    storage_key: str
    size_bytes: int
    disposition: str
    is_current: bool
    is_returned: bool
    called_ae_title: str | None
    received_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredAnalysis:
    """One row of `analyses`: what one analysis made of one instance's pixels."""

    instance_id: int
    sop_instance_uid: str
    analysis_name: str
    analysis_version: str
    state: str
    why: str
    findings: tuple[Finding, ...] = ()
    failure: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderedObject:
    """One object that we made: rendered once, its bytes kept and re-sent as they are."""

    sop_instance_uid: str
    sop_class_uid: str
    kind: str
    report_id: str
    media_type: str
    content: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyState:
    """A study row, locked for the transaction that read it."""

    study_instance_uid: str
    last_activity_at: datetime
    completed_at: datetime | None
    open_associations: int
    unfinished_analyses: int
    report_version: int
    #: True when something selected for analysis arrived after the newest report version was composed.
    is_stale: bool
    identity_hold: bool


class InstanceStore(Protocol):
    """Durable bytes under server-made keys."""

    def adopt(self, incoming: Path, digest: ContentDigest) -> str:
        """fsync(file), rename into place, fsync(folder); gives the storage key. Raises Unavailable when out of space."""

    def path(self, storage_key: str) -> Path:
        """A local file holding the object, for reading. Raises NotFound."""

    def keys(self) -> Iterator[str]:
        """Every stored key, for reconciliation."""

    def delete(self, storage_key: str) -> None:
        """Remove an object; used by retention only."""


class CineReader(Protocol):
    """Opens a stored file as a cine; decoding happens where a hostile file cannot take the worker down."""

    def open(self, path: Path) -> AbstractContextManager[Cine]:
        """Raises InputRejected (with a named reason) when it cannot be decoded."""


class InferenceServer(Protocol):
    """The neural networks, behind Triton."""

    def infer(self, model: ModelSpec, batches: Iterable[Tensors]) -> Iterator[Tensors]:
        """Answers in order, a few batches in flight. Raises Unavailable, ModelContractError."""

    def describe(self, model: ModelSpec) -> ModelUsed:
        """Which weights serve. Raises Unavailable, ModelContractError."""

    def check(self, models: Sequence[ModelSpec]) -> None:
        """Compare every model's served metadata with what core expects. Raises ModelContractError naming the mismatch."""


class Destination(Protocol):
    """Where results go."""

    @property
    def name(self) -> str:
        """The configured name."""

    @property
    def kinds(self) -> frozenset[str]:
        """Which kinds of object it takes."""

    def send(self, rendered: RenderedObject) -> None:
        """Deliver one object. Raises Unavailable (retry) or InputRejected (the peer refuses for good)."""


class JobQueue(Protocol):
    """Defers the next step inside the transaction that saved this one; each task is idempotent."""

    def analyse_instance(self, instance_id: int, analysis_name: str) -> None:
        """Analyse one instance."""

    def complete_study(self, study_instance_uid: str, *, after_seconds: float) -> None:
        """Look whether the study is complete, after a delay."""

    def compose_report(self, study_instance_uid: str) -> None:
        """Compose the next report version of a study."""

    def deliver_report(self, report_id: str, destination: str, kind: str) -> None:
        """Send one rendered object to one destination."""


class UnitOfWork(Protocol):
    """One transaction, and the questions and changes that the flow needs; commits on a clean exit, rolls back otherwise."""

    jobs: JobQueue

    def now(self) -> datetime:
        """The database's clock."""

    def save_instance(self, received: ReceivedInstance) -> StoredInstance:
        """Insert, judging duplicates by content (architecture decision 2). Returns the existing row for an identical one."""

    def instance(self, instance_id: int) -> StoredInstance:
        """Raises NotFound."""

    def current_instances(self, study_instance_uid: str) -> Sequence[StoredInstance]:
        """The current instance of each SOP Instance UID of a study, those we made left out, oldest first."""

    def save_analysis(self, analysis: StoredAnalysis) -> None:
        """Insert or replace the analysis of one instance under its name and version."""

    def analysis_of_pixels(self, sop_instance_uid: str, pixels: str, name: str, version: str) -> StoredAnalysis | None:
        """A finished analysis of the same pixels, to be reused when only attributes were corrected."""

    def analyses(self, study_instance_uid: str) -> Sequence[StoredAnalysis]:
        """The analyses of the study's current instances."""

    def lock_study(self, study_instance_uid: str) -> StudyState:
        """SELECT ... FOR UPDATE on the study row. Raises NotFound."""

    def mark_complete(self, study_instance_uid: str) -> None:
        """Set the study complete as of now."""

    def save_report(self, report: Report) -> None:
        """Insert one immutable version. Raises Conflict when that version exists."""

    def newest_report(self, study_instance_uid: str) -> Report | None:
        """The newest version, its delivery states filled in."""

    def report(self, report_id: str) -> Report:
        """One version. Raises NotFound."""

    def save_rendered(self, rendered: RenderedObject) -> None:
        """Keep the bytes of an object that we made; a second call with the same UID is a no-op."""

    def rendered(self, report_id: str, kind: str) -> RenderedObject:
        """Raises NotFound."""

    def open_delivery(self, report_id: str, destination: str, kind: str, sop_instance_uid: str) -> None:
        """A row of the outbox, state `pending`."""

    def delivery(self, report_id: str, destination: str, kind: str) -> Delivery:
        """Lock and read one row of the outbox. Raises NotFound."""

    def close_delivery(self, report_id: str, destination: str, kind: str, *, state: str, error: str | None) -> None:
        """Count an attempt and set its outcome."""


class UnitOfWorkFactory(Protocol):
    """Opens a transaction."""

    def __call__(self) -> AbstractContextManager[UnitOfWork]:
        """Raises Unavailable when the database is away."""
