"""The tables, as Alembic migrates them. Text UIDs are natural keys, so that idempotency is the database's."""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Computed,
    DateTime,
    FetchedValue,
    ForeignKey,
    Identity,
    Index,
    LargeBinary,
    MetaData,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, TSVECTOR
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class Row(DeclarativeBase):
    """Base of every row; times are UTC from the database's clock."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads it from the class
        str: Text(),
        datetime: DateTime(timezone=True),
        dict[str, Any]: JSONB(),
        list[Any]: JSONB(),
        bytes: LargeBinary(),
    }


class AssociationRow(Row):
    """One DICOM association: who came, what was offered, what became of it."""

    __tablename__ = "associations"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    listener: Mapped[str]
    peer_address: Mapped[str]
    peer_port: Mapped[int | None]
    calling_ae_title: Mapped[str | None]
    called_ae_title: Mapped[str | None]
    tls: Mapped[bool] = mapped_column(server_default=text("false"))
    outcome: Mapped[str] = mapped_column(server_default="open")
    reason: Mapped[str | None]
    offered: Mapped[list[Any]] = mapped_column(server_default=text("'[]'"))
    accepted: Mapped[list[Any]] = mapped_column(server_default=text("'[]'"))
    refused: Mapped[list[Any]] = mapped_column(server_default=text("'[]'"))
    failures: Mapped[list[Any]] = mapped_column(server_default=text("'[]'"))
    instances: Mapped[int] = mapped_column(server_default=text("0"))
    bytes_received: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    opened_at: Mapped[datetime] = mapped_column(server_default=func.now())
    closed_at: Mapped[datetime | None]
    #: Renewed by its listener while it is open.
    alive_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (
        Index(None, "opened_at"),
        Index("ix_associations_open", "listener", postgresql_where=text("closed_at IS NULL")),
    )


class StudyRow(Row):
    """One study: its identity as the newest instance gives it, and where its report stands."""

    __tablename__ = "studies"

    study_instance_uid: Mapped[str] = mapped_column(primary_key=True)
    patient_id: Mapped[str | None]
    issuer_of_patient_id: Mapped[str | None]
    patient_name: Mapped[str | None]
    patient_birth_date: Mapped[str | None]
    patient_sex: Mapped[str | None]
    accession_number: Mapped[str | None]
    study_date: Mapped[str | None]
    study_time: Mapped[str | None]
    study_id: Mapped[str | None]
    study_description: Mapped[str | None]
    referring_physician_name: Mapped[str | None]
    modalities: Mapped[list[Any]] = mapped_column(server_default=text("'[]'"))
    status: Mapped[str] = mapped_column(server_default="receiving")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    last_received_at: Mapped[datetime] = mapped_column(server_default=func.now())
    last_selected_at: Mapped[datetime | None]
    completed_at: Mapped[datetime | None]
    completion_requested_at: Mapped[datetime | None]
    is_stale: Mapped[bool] = mapped_column(server_default=text("false"))
    identity_hold: Mapped[bool] = mapped_column(server_default=text("false"))
    #: The newest version of the report waits for a signature; a trigger on `reports` keeps it.
    needs_review: Mapped[bool] = mapped_column(server_default=text("false"))
    #: The folded words of name and ID; read by the database only.
    search_terms: Mapped[str] = mapped_column(
        TSVECTOR, Computed("sonomyo_search_terms(patient_name, patient_id)", persisted=True), deferred=True
    )

    __table_args__ = (
        Index("ix_studies_search_terms", "search_terms", postgresql_using="gin"),
        Index("ix_studies_accession_prefix", text("lower(accession_number) text_pattern_ops")),
        Index("ix_studies_needs_review", "created_at", "study_instance_uid", postgresql_where=text("needs_review")),
        Index(None, "created_at", "study_instance_uid"),
        Index(None, "patient_id"),
        Index(None, "accession_number"),
        Index(None, "study_date"),
        Index("ix_studies_status", "status", "created_at", "study_instance_uid"),
        Index("ix_studies_undated", "created_at", postgresql_where=text("coalesce(study_date, '') = ''")),
        CheckConstraint("status IN ('receiving', 'analysing', 'complete', 'reported')", name="status"),
    )


class InstanceRow(Row):
    """One arrival of an instance that differs from all before it; nothing is ever overwritten."""

    __tablename__ = "instances"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    sop_instance_uid: Mapped[str]
    sop_class_uid: Mapped[str]
    study_instance_uid: Mapped[str] = mapped_column(ForeignKey("studies.study_instance_uid"))
    series_instance_uid: Mapped[str]
    transfer_syntax_uid: Mapped[str]
    attributes: Mapped[dict[str, Any]]
    attributes_digest: Mapped[str]
    pixels_digest: Mapped[str]
    storage_key: Mapped[str]
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    disposition: Mapped[str]
    identity_changed: Mapped[bool] = mapped_column(server_default=text("false"))
    is_current: Mapped[bool]
    is_returned: Mapped[bool] = mapped_column(server_default=text("false"))
    calling_ae_title: Mapped[str | None]
    called_ae_title: Mapped[str | None]
    peer_address: Mapped[str | None]
    association_id: Mapped[int | None] = mapped_column(ForeignKey("associations.id", ondelete="SET NULL"))
    received_at: Mapped[datetime] = mapped_column(server_default=func.now())
    #: Set by retention when the bytes were removed; the row stays as the record of what was received.
    removed_at: Mapped[datetime | None]

    __table_args__ = (
        UniqueConstraint("sop_instance_uid", "attributes_digest", "pixels_digest"),
        Index("uq_instances_current", "sop_instance_uid", unique=True, postgresql_where=text("is_current")),
        Index(None, "study_instance_uid"),
        Index(
            "ix_instances_held",
            "study_instance_uid",
            "series_instance_uid",
            "sop_instance_uid",
            postgresql_where=text("is_current AND NOT is_returned AND removed_at IS NULL"),
        ),
        Index(None, "series_instance_uid"),
        Index(None, "storage_key"),
        Index(None, "association_id"),
    )


class AnalysisRow(Row):
    """What one analysis made of one instance."""

    __tablename__ = "analyses"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    instance_id: Mapped[int] = mapped_column(ForeignKey("instances.id"))
    #: Of the instance; a trigger notes it.
    study_instance_uid: Mapped[str] = mapped_column(server_default=FetchedValue())
    analysis_name: Mapped[str]
    analysis_version: Mapped[str | None]
    state: Mapped[str]
    #: The name of the rule that selected it.
    rule: Mapped[str | None]
    why: Mapped[str]
    #: Pinned by a request to analyse again: model name -> version.
    model_versions: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))
    findings: Mapped[list[Any]] = mapped_column(server_default=text("'[]'"))
    picture: Mapped[bytes | None]
    masks: Mapped[bytes | None]
    failure: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    finished_at: Mapped[datetime | None]

    __table_args__ = (
        UniqueConstraint("instance_id", "analysis_name"),
        Index("ix_analyses_of_study", "analysis_name", "study_instance_uid", "instance_id"),
        Index("ix_analyses_failed", "study_instance_uid", "instance_id", postgresql_where=text("state = 'failed'")),
        CheckConstraint("state IN ('queued', 'done', 'rejected', 'failed')", name="state"),
    )


class ShadowAnalysisRow(Row):
    """What models in shadow mode made of one instance, and what was reported of it then; no report ever reads this."""

    __tablename__ = "shadow_analyses"

    instance_id: Mapped[int] = mapped_column(ForeignKey("instances.id"), primary_key=True)
    analysis_name: Mapped[str] = mapped_column(primary_key=True)
    #: Of the models in shadow: model name -> version.
    model_versions: Mapped[dict[str, Any]] = mapped_column(primary_key=True)
    analysis_version: Mapped[str]
    findings: Mapped[list[Any]]
    served_findings: Mapped[list[Any]]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class ReportRow(Row):
    """One immutable version of a study's report; a trigger refuses UPDATE and DELETE."""

    __tablename__ = "reports"

    report_id: Mapped[str] = mapped_column(primary_key=True)
    study_instance_uid: Mapped[str] = mapped_column(ForeignKey("studies.study_instance_uid"))
    version: Mapped[int]
    status: Mapped[str]
    body: Mapped[dict[str, Any]]
    #: Signed, or withdrawn after that: the newest such version is the official one.
    is_settled: Mapped[bool] = mapped_column(server_default=text("false"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (
        UniqueConstraint("study_instance_uid", "version"),
        Index("ix_reports_settled", "study_instance_uid", "version", postgresql_where=text("is_settled")),
    )


class ReportPictureRow(Row):
    """The annotated frame of one analysis as a report version shows it; immutable, as the version is."""

    __tablename__ = "report_pictures"

    report_id: Mapped[str] = mapped_column(ForeignKey("reports.report_id"), primary_key=True)
    sop_instance_uid: Mapped[str] = mapped_column(primary_key=True)
    analysis_name: Mapped[str] = mapped_column(primary_key=True)
    picture: Mapped[bytes]


class RenderedRow(Row):
    """The bytes of one object made from a report: rendered once, re-sent as they are."""

    __tablename__ = "rendered_objects"

    sop_instance_uid: Mapped[str] = mapped_column(primary_key=True)
    sop_class_uid: Mapped[str]
    report_id: Mapped[str] = mapped_column(ForeignKey("reports.report_id"))
    kind: Mapped[str]
    media_type: Mapped[str]
    content: Mapped[bytes]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (UniqueConstraint("report_id", "kind"),)


class RenderedAttributesRow(Row):
    """What an object that we made says of itself, for DICOMweb; `is_newest` while its report is its study's official one."""

    __tablename__ = "rendered_attributes"

    sop_instance_uid: Mapped[str] = mapped_column(ForeignKey("rendered_objects.sop_instance_uid"), primary_key=True)
    study_instance_uid: Mapped[str] = mapped_column(ForeignKey("studies.study_instance_uid"))
    series_instance_uid: Mapped[str]
    attributes: Mapped[dict[str, Any]]
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    is_newest: Mapped[bool]

    __table_args__ = (
        Index(
            "ix_rendered_attributes_held",
            "study_instance_uid",
            "series_instance_uid",
            "sop_instance_uid",
            postgresql_where=text("is_newest"),
        ),
        Index(None, "series_instance_uid"),
    )


class RenderingFailureRow(Row):
    """Why an object of a report was not made: what its dead letter says. One that was made since has it no less."""

    __tablename__ = "rendering_failures"

    report_id: Mapped[str] = mapped_column(ForeignKey("reports.report_id"), primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    reason: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class DeliveryRow(Row):
    """The outbox: one rendered object on its way to one destination."""

    __tablename__ = "deliveries"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    report_id: Mapped[str]
    destination: Mapped[str]
    kind: Mapped[str]
    state: Mapped[str]
    attempts: Mapped[int] = mapped_column(server_default=text("0"))
    last_error: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (
        UniqueConstraint("report_id", "destination", "kind"),
        Index(
            "ix_deliveries_unfinished",
            "report_id",
            postgresql_where=text("state IN ('pending', 'held', 'awaiting_commitment', 'failed', 'refused')"),
        ),
        CheckConstraint(
            "state IN ('pending', 'held', 'delivered', 'refused', 'failed', 'superseded', 'abandoned', 'awaiting_commitment')",
            name="state",
        ),
    )


class DeliveryDecisionRow(Row):
    """Whether one report goes to one destination, as the rules were when it was composed."""

    __tablename__ = "delivery_decisions"

    report_id: Mapped[str] = mapped_column(ForeignKey("reports.report_id"), primary_key=True)
    destination: Mapped[str] = mapped_column(primary_key=True)
    selected: Mapped[bool]
    kinds: Mapped[list[Any]]
    #: The name of the rule that decided; NULL where none did.
    rule: Mapped[str | None]
    why: Mapped[str]
    decided_at: Mapped[datetime] = mapped_column(server_default=func.now())


class CircuitRow(Row):
    """How a destination has answered of late."""

    __tablename__ = "destination_circuits"

    destination: Mapped[str] = mapped_column(primary_key=True)
    #: In a row; an answer sets it back.
    failures: Mapped[int] = mapped_column(server_default=text("0"))
    #: When the pause was begun or made longer.
    paused_at: Mapped[datetime | None]
    #: Before it nothing is sent there; None while it is not paused.
    retry_at: Mapped[datetime | None]
    #: Kept when it answers again.
    last_error: Mapped[str | None]
    last_error_at: Mapped[datetime | None]


class ApiKeyRow(Row):
    """An API key; only its hash is kept."""

    __tablename__ = "api_keys"

    key_id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    role: Mapped[str]
    sha256: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    revoked_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]


class SignInRow(Row):
    """A one-time sign-in link, then the session that it opened; only hashes are kept."""

    __tablename__ = "sign_ins"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    link_sha256: Mapped[str] = mapped_column(unique=True)
    session_sha256: Mapped[str | None] = mapped_column(unique=True)
    role: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    used_at: Mapped[datetime | None]
    expires_at: Mapped[datetime]


class AuditRow(Row):
    """Append-only: who did what to which object; each row holds the hash of the one before it."""

    __tablename__ = "audit"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    at: Mapped[datetime] = mapped_column(server_default=func.now())
    actor: Mapped[str]
    action: Mapped[str]
    subject: Mapped[str]
    detail: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))
    previous_sha256: Mapped[str | None]
    sha256: Mapped[str]

    #: What people did, for those who wait for it (`act_queries`).
    __table_args__ = (
        Index(
            "ix_audit_acts",
            "id",
            postgresql_where=text(
                "action IN ('report_amended', 'report_signed', 'report_cancelled', 'identity_acknowledged', 'job_requeued',"
                " 'delivery_requeued', 'delivery_abandoned')"
            ),
        ),
    )
