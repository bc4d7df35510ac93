"""What flow needs of the outside world. Adapters implement these; fakes and real ones pass one contract suite."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from service.commitment_ports import CommitmentRows
from service.core.analyses.analysis import ModelSpec, Tensors
from service.core.cine import Cine
from service.core.comparison import EarlierReport
from service.core.delivery_rules import DeliveryDecision
from service.core.findings import ModelUsed
from service.core.instance import ContentDigest
from service.core.report import Delivery, Report, SentObject, StudyHeader
from service.core.routing import RoutingDecision
from service.records import ReceivedInstance, RenderedObject, ShadowAnalysis, StoredAnalysis, StoredInstance, StudyState


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

    def versions(self, model: ModelSpec) -> Sequence[str]:
        """Which versions of a model are served, whichever `model` names. Raises Unavailable, ModelContractError."""

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

    def shadow_analysis(self, instance_id: int, analysis_name: str) -> None:
        """Run the models in shadow on one instance, once nothing else waits."""

    def complete_study(self, study_instance_uid: str, *, after_seconds: float) -> None:
        """Look whether the study is complete, after a delay."""

    def compose_report(self, study_instance_uid: str) -> None:
        """Compose the next report version of a study."""

    def capture_cine(self, report_id: str, instance_id: int, analysis_name: str, kind: str) -> None:
        """Draw what a report says of one analysis of one cine into a capture of it."""

    def deliver_report(self, report_id: str, destination: str, kind: str, *, after_seconds: float = 0.0) -> None:
        """Send one rendered object to one destination, or look where its commitment stands."""

    def hasten_delivery(self, report_id: str, destination: str, kind: str) -> None:
        """Look at a delivery now, by the job that waits for later if there is one; one that is running will look by itself."""

    def report_commitment(self, request_id: int) -> None:
        """Tell a peer what we hold of what it asked for."""

    def hasten_deliveries(self, destination: str) -> None:
        """What waits for a destination is due now, for it answers again."""

    def compare_pixels(self, instance_id: int) -> None:
        """Decode an instance kept as a conflict and the current one, and tell whether the pixels are the same."""


class InstanceRows(Protocol):
    """Rows of `instances`."""

    def save(self, received: ReceivedInstance, *, names_study: bool = True) -> StoredInstance:
        """Insert, judging duplicates by content (architecture decision 2); an identical one gives its existing row.

        `names_study`: the patient and accession of this instance become those of the study.
        """

    def get(self, instance_id: int) -> StoredInstance:
        """Raises NotFound."""

    def all_of(self, sop_instance_uid: str) -> Sequence[StoredInstance]:
        """Every row kept under one SOP Instance UID, oldest first."""

    def current(self, study_instance_uid: str) -> Sequence[StoredInstance]:
        """The current row of each SOP Instance UID of a study, returned ones left out, oldest first."""

    def supersede(self, instance_id: int, *, names_study: bool = True) -> None:
        """Make a row that was kept as a conflict the current one, for its decoded pixels proved to be the same."""


class AnalysisRows(Protocol):
    """Rows of `analyses`."""

    def open(self, instance_id: int, decision: RoutingDecision) -> None:
        """A row in state `queued`; a no-op when there is one."""

    def reopen(self, study_instance_uid: str, model_versions: Mapping[str, str] | None = None) -> Sequence[tuple[int, str]]:
        """Set every analysis of the study's current instances to `queued`; gives (instance_id, analysis_name)."""

    def close(self, analysis: StoredAnalysis) -> None:
        """Save the outcome of one analysis of one instance."""

    def get(self, instance_id: int, analysis_name: str) -> StoredAnalysis | None:
        """One row, or None."""

    def of_study(self, study_instance_uid: str) -> Sequence[StoredAnalysis]:
        """The analyses of the study's current instances, oldest instance first."""

    def without_pictures(self, study_instance_uid: str) -> Sequence[StoredAnalysis]:
        """The same without pictures and masks, which may be many megabytes."""


class ShadowRows(Protocol):
    """Rows of `shadow_analyses`."""

    def save(self, shadow: ShadowAnalysis) -> None:
        """Insert, or replace what the same models made of the same instance before."""


class StudyRows(Protocol):
    """Rows of `studies`."""

    def lock(self, study_instance_uid: str) -> StudyState:
        """SELECT ... FOR UPDATE. Raises NotFound."""

    def header(self, study_instance_uid: str) -> StudyHeader:
        """The identity that a report of this study carries. Raises NotFound."""

    def touch(self, study_instance_uid: str, *, identity_changed: bool = False) -> None:
        """Something that routing selects arrived now: the study is not complete, and its report is stale."""

    def request_completion(self, study_instance_uid: str) -> None:
        """The report is wanted as soon as the analyses are done."""

    def mark_complete(self, study_instance_uid: str) -> None:
        """Complete as of now; answers a request for completion."""

    def mark_reported(self, study_instance_uid: str) -> None:
        """The newest report version holds all that the analyses say."""

    def release_hold(self, study_instance_uid: str) -> Sequence[tuple[str, str, str]]:
        """Acknowledge a changed identity; gives the (report_id, destination, kind) that may go now."""


class ReportRows(Protocol):
    """Rows of `reports` and of the objects rendered from them; immutable."""

    def save(self, report: Report, *, pictures_of: str | None = None) -> None:
        """Insert one version, with the pictures of another one or of the analyses. Raises Conflict when that version exists."""

    def newest(self, study_instance_uid: str) -> Report | None:
        """The newest version, its delivery states filled in."""

    def official(self, study_instance_uid: str) -> Report | None:
        """The newest version that is signed, or was withdrawn after that; where none is, the newest."""

    def get(self, report_id: str) -> Report:
        """One version, its delivery states filled in. Raises NotFound."""

    def versions(self, study_instance_uid: str) -> Sequence[Report]:
        """All versions, oldest first."""

    def earlier_of_patient(self, study: StudyHeader) -> Sequence[EarlierReport]:
        """The official version for each earlier study of the patient whose identity is not on hold, newest study first."""

    def pictures(self, report_id: str) -> Mapping[str, bytes]:
        """The annotated frame of each instance that has one, by SOP Instance UID, as this version shows it."""

    def save_rendered(self, rendered: RenderedObject) -> None:
        """Keep the bytes of an object that we made; a second call with the same UID is a no-op."""

    def rendered(self, report_id: str, kind: str) -> RenderedObject:
        """Raises NotFound."""

    def is_rendered(self, report_id: str, kind: str) -> bool:
        """Whether an object of a kind is kept."""

    def save_failure(self, report_id: str, kind: str, reason: str) -> None:
        """Why an object of a kind was not made; the newest reason is kept."""


class OutboxRows(Protocol):
    """Rows of `deliveries`: one object on its way to one destination."""

    def open(self, report_id: str, destination: str, kind: str, *, state: str) -> None:
        """A row, `pending` or `held`; a no-op when there is one."""

    def lock(self, report_id: str, destination: str, kind: str) -> Delivery:
        """Read one row for update. Raises NotFound."""

    def close(self, report_id: str, destination: str, kind: str, *, state: str, error: str | None) -> None:
        """Count an attempt and set its outcome."""

    def set_aside(self, report_id: str, destination: str, kind: str, *, state: str, reason: str | None) -> None:
        """Another state without an attempt: `held`, `superseded`, or what a destination's commitment makes of it."""

    def supersede_before(self, report: Report) -> None:
        """What older versions of a study's report have not delivered gives way to this version."""

    def keep_decisions(self, report_id: str, decisions: Sequence[DeliveryDecision]) -> None:
        """Which destinations get a report, and why; what was kept of it before stays."""

    def decisions(self, report_id: str) -> Sequence[DeliveryDecision]:
        """What was kept, by destination; empty when nothing was decided."""

    def reached(self, report: Report) -> Mapping[str, frozenset[str]]:
        """The destinations that have an older version of a study's report, and in which kinds (`seg` of `seg.1`)."""

    def sent(self, report: Report, kinds: Collection[str]) -> Mapping[str, Sequence[SentObject]]:
        """What each destination has of older versions in these kinds, oldest first."""

    def rejections(self, report: Report) -> Sequence[tuple[str, RenderedObject]]:
        """The rejection notes of versions up to this one that went out or will, each beside its destination."""


class CircuitRows(Protocol):
    """Rows of `destination_circuits`: a destination that does not answer is left alone for a growing while."""

    def admit(self, destination: str) -> None:
        """Let a delivery try; after a pause only one. Raises Paused."""

    def answered(self, destination: str) -> bool:
        """It answers, a refusal included; True when it had been paused."""

    def failed(self, destination: str, error: str, *, began_at: datetime) -> None:
        """It did not answer to what began at `began_at`; after some failures in a row it is paused."""


class AuditRows(Protocol):
    """What people did, beside what they did it to: committed together, or neither is."""

    def append(self, *, actor: str, action: str, subject: str, detail: Mapping[str, Any] | None = None) -> None:
        """One entry; `actor` and `subject` are UIDs or ids, never names. Writers wait for each other until they commit."""


class UnitOfWork(Protocol):
    """One transaction: commits on a clean exit together with the jobs deferred in it, rolls back otherwise."""

    instances: InstanceRows
    analyses: AnalysisRows
    shadows: ShadowRows
    studies: StudyRows
    reports: ReportRows
    outbox: OutboxRows
    circuits: CircuitRows
    commitments: CommitmentRows
    audit: AuditRows
    jobs: JobQueue

    def now(self) -> datetime:
        """The database's clock."""


class UnitOfWorkFactory(Protocol):
    """Opens a transaction."""

    def __call__(self) -> AbstractContextManager[UnitOfWork]:
        """Raises Unavailable when the database is away."""


class Arrivals(Protocol):
    """The short way for the usual arrival: an instance that nothing is known of."""

    def save(
        self, received: ReceivedInstance, selected: Sequence[RoutingDecision], *, after_seconds: float
    ) -> StoredInstance | None:
        """Commit instance, study, analyses and jobs. None, and nothing done, when its UID is known. Raises Unavailable."""
