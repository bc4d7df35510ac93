"""Rows of `reports`, `report_pictures` and `rendered_objects`: immutable, a trigger refuses UPDATE and DELETE.

Rows of `rendering_failures` stand beside them, and are not.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import ScalarSelect, Select, Text, bindparam, func, select, text
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.orm import Session, defer

from service.adapters.jobs import delivery_lock
from service.adapters.rendered_attributes import save_attributes, supersede_attributes, to_rendered
from service.adapters.tables import DeliveryRow, RenderedRow, RenderingFailureRow, ReportPictureRow, ReportRow
from service.core.comparison import COMPARED, EarlierReport
from service.core.recent import Recent
from service.core.report import Delivery, Report, ReportStatus, StudyHeader
from service.errors import Conflict, NotFound
from service.records import RenderedObject

_WAITING_JOBS = text(
    "SELECT queueing_lock, scheduled_at FROM procrastinate_jobs WHERE queueing_lock = ANY(:locks) AND status = 'todo'"
).bindparams(bindparam("locks", type_=ARRAY(Text())))

_KEEP_PICTURES = text(
    "INSERT INTO report_pictures (report_id, sop_instance_uid, analysis_name, picture)"
    " SELECT :report, i.sop_instance_uid, a.analysis_name, a.picture"
    " FROM instances i JOIN analyses a ON a.instance_id = i.id"
    " WHERE i.study_instance_uid = :study AND i.is_current AND NOT i.is_returned AND a.picture IS NOT NULL"
)

_COPY_PICTURES = text(
    "INSERT INTO report_pictures (report_id, sop_instance_uid, analysis_name, picture)"
    " SELECT :report, sop_instance_uid, analysis_name, picture FROM report_pictures WHERE report_id = :other"
)

#: Studies are found by ix_studies_patient_id; series and lines, the bulk of a body, stay in the database. Which of them are
#: of the patient and earlier is judged by core, on what the reports say.
_EARLIER = text(
    "SELECT r.report_id, r.body->'study' AS study, coalesce(f.findings, '[]') AS findings"
    " FROM (SELECT study_instance_uid, study_date, study_time FROM studies"
    " WHERE patient_id = :patient_id AND issuer_of_patient_id IS NOT DISTINCT FROM :issuer"
    " AND patient_birth_date IS NOT DISTINCT FROM :birth_date AND study_instance_uid <> :study AND study_date <= :date"
    " AND NOT identity_hold ORDER BY study_date DESC, study_time DESC NULLS LAST LIMIT :most) s"
    " CROSS JOIN LATERAL (SELECT report_id, status, body FROM reports"
    " WHERE study_instance_uid = s.study_instance_uid ORDER BY is_settled DESC, version DESC LIMIT 1) r"
    " CROSS JOIN LATERAL (SELECT jsonb_agg((one - 'series' - 'contractions') #- '{evidence,lines}' ORDER BY place) AS findings"
    " FROM jsonb_array_elements(r.body->'findings') WITH ORDINALITY AS all_of_them (one, place)"
    " WHERE one->>'name' = ANY(:names)) f"
    " WHERE r.status <> 'cancelled' AND r.body->'study' IS NOT NULL"
    " ORDER BY s.study_date DESC, s.study_time DESC NULLS LAST, s.study_instance_uid"
).bindparams(bindparam("names", type_=ARRAY(Text())))
#: The study's row is locked meanwhile, so what is read has a bound.
_MOST_EARLIER = 100


class PostgresReportRows:
    """Implements ports.ReportRows."""

    def __init__(self, *, session: Session, bodies: Recent[str, Report] | None = None) -> None:
        """With `bodies`, a version that was read lately is not fetched and parsed again: it never changes."""
        self._session = session
        self._bodies = bodies
        self._options = [] if bodies is None else [defer(ReportRow.body)]

    def save(self, report: Report, *, pictures_of: str | None = None) -> None:
        """Insert one version, with the pictures of another one or of the analyses. Raises Conflict when that version exists."""
        statement = insert(ReportRow).values(
            report_id=report.report_id,
            study_instance_uid=report.study.study_instance_uid,
            version=report.version,
            status=report.status.value,
            is_settled=report.is_settled,
            body=report.model_dump(mode="json", exclude={"delivery", "draft"}),
            created_at=report.created_at,
        )
        saved = self._session.execute(statement.on_conflict_do_nothing().returning(ReportRow.report_id)).scalar_one_or_none()
        if saved is None:
            raise Conflict(f"Version {report.version} of this study's report exists already.")
        if is_official(self._session, report.report_id):
            supersede_attributes(self._session, report.study.study_instance_uid)
        if pictures_of is not None:
            self._session.execute(_COPY_PICTURES, {"report": report.report_id, "other": pictures_of})
            return
        # The study's row is locked by whoever makes a version, so these are the analyses that it rests on.
        self._session.execute(_KEEP_PICTURES, {"report": report.report_id, "study": report.study.study_instance_uid})

    def newest(self, study_instance_uid: str) -> Report | None:
        """The newest version."""
        newest = _of_study(study_instance_uid).order_by(ReportRow.version.desc()).limit(1)
        row = self._session.scalars(newest.options(*self._options)).one_or_none()
        return None if row is None else self._read(row)

    def official(self, study_instance_uid: str) -> Report | None:
        """The newest version that is signed, or was withdrawn after that; where none is, the newest."""
        row = self._session.scalars(_in_force(study_instance_uid).options(*self._options)).one_or_none()
        return None if row is None else self._read(row)

    def get(self, report_id: str) -> Report:
        """One version. Raises NotFound."""
        row = self._session.get(ReportRow, report_id, options=self._options)
        if row is None:
            raise NotFound("There is no report with that identifier.")
        return self._read(row)

    def versions(self, study_instance_uid: str) -> Sequence[Report]:
        """All versions, oldest first."""
        every = _of_study(study_instance_uid).order_by(ReportRow.version)
        return [self._read(row) for row in self._session.scalars(every.options(*self._options))]

    def earlier_of_patient(self, study: StudyHeader) -> Sequence[EarlierReport]:
        """The official version for each earlier study of the patient, as far as it can be compared; newest study first."""
        who = {"patient_id": study.patient_id, "issuer": study.issuer_of_patient_id, "birth_date": study.patient_birth_date}
        when = {"study": study.study_instance_uid, "date": study.study_date}
        names = sorted({name for _, name in COMPARED})
        found = self._session.execute(_EARLIER, {**who, **when, "names": names, "most": _MOST_EARLIER})
        return [EarlierReport.model_validate(row._asdict()) for row in found]

    def pictures(self, report_id: str) -> Mapping[str, bytes]:
        """The annotated frame of each instance that has one, as this version shows it."""
        query = (
            select(ReportPictureRow.sop_instance_uid, ReportPictureRow.picture)
            .where(ReportPictureRow.report_id == report_id)
            .order_by(ReportPictureRow.analysis_name)
        )
        return {row.sop_instance_uid: row.picture for row in self._session.execute(query)}

    def save_rendered(self, rendered: RenderedObject) -> None:
        """Keep the bytes of an object that we made; a second call with the same UID is a no-op."""
        statement = insert(RenderedRow).values(
            sop_instance_uid=rendered.sop_instance_uid,
            sop_class_uid=rendered.sop_class_uid,
            report_id=rendered.report_id,
            kind=rendered.kind,
            media_type=rendered.media_type,
            content=rendered.content,
        )
        self._session.execute(statement.on_conflict_do_nothing())
        save_attributes(self._session, rendered, is_shown=is_official(self._session, rendered.report_id))

    def rendered(self, report_id: str, kind: str) -> RenderedObject:
        """Raises NotFound."""
        row = self._session.scalars(
            select(RenderedRow).where(RenderedRow.report_id == report_id, RenderedRow.kind == kind)
        ).one_or_none()
        if row is None:
            raise NotFound(f"This report has no object of kind {kind}.")
        return to_rendered(row)

    def is_rendered(self, report_id: str, kind: str) -> bool:
        """Whether an object of a kind is kept."""
        found = select(RenderedRow.kind).where(RenderedRow.report_id == report_id, RenderedRow.kind == kind)
        return self._session.execute(found).one_or_none() is not None

    def save_failure(self, report_id: str, kind: str, reason: str) -> None:
        """Why an object of a kind was not made; the newest reason is kept."""
        statement = insert(RenderingFailureRow).values(report_id=report_id, kind=kind, reason=reason)
        key = [RenderingFailureRow.report_id, RenderingFailureRow.kind]
        self._session.execute(
            statement.on_conflict_do_update(index_elements=key, set_={"reason": reason, "created_at": func.now()})
        )

    def _read(self, row: ReportRow) -> Report:
        found = self._session.execute(
            select(DeliveryRow, RenderedRow.sop_instance_uid)
            .outerjoin(RenderedRow, (RenderedRow.report_id == DeliveryRow.report_id) & (RenderedRow.kind == DeliveryRow.kind))
            .where(DeliveryRow.report_id == row.report_id)
            .order_by(DeliveryRow.id)
        )
        rows = [(outbox, uid) for outbox, uid in found]
        due = self._next_attempts([outbox for outbox, _ in rows if outbox.state in ("pending", "awaiting_commitment")])
        delivery = tuple(to_delivery(outbox, uid, next_attempt_at=due.get(outbox.id)) for outbox, uid in rows)
        return self._body(row).model_copy(update={"delivery": delivery, "draft": self._draft_beside(row)})

    def _body(self, row: ReportRow) -> Report:
        def read() -> Report:
            return Report.model_validate(row.body)

        return read() if self._bodies is None else self._bodies.get_or_make(row.report_id, read)

    def _draft_beside(self, row: ReportRow) -> str | None:
        """The draft that waits for a signature beside a signed version."""
        if not row.is_settled:
            return None
        newer = select(ReportRow.report_id, ReportRow.status).where(
            ReportRow.study_instance_uid == row.study_instance_uid, ReportRow.version > row.version
        )
        newest = self._session.execute(newer.order_by(ReportRow.version.desc()).limit(1)).one_or_none()
        return newest.report_id if newest is not None and newest.status == ReportStatus.PRELIMINARY else None

    def _next_attempts(self, pending: Sequence[DeliveryRow]) -> dict[int, datetime]:
        """When each delivery's job is due, by delivery; one that is being tried, or that no job is for, is left out."""
        if not pending:
            return {}
        locks = {delivery_lock(row.report_id, row.destination, row.kind): row for row in pending}
        waiting = self._session.execute(_WAITING_JOBS, {"locks": list(locks)})
        return {locks[job.queueing_lock].id: job.scheduled_at or locks[job.queueing_lock].updated_at for job in waiting}


def is_official(session: Session, report_id: str) -> bool:
    """Whether this version is its study's official one."""
    study = select(ReportRow.study_instance_uid).where(ReportRow.report_id == report_id).scalar_subquery()
    return session.scalar(_in_force(study).with_only_columns(ReportRow.report_id)) == report_id


def to_delivery(row: DeliveryRow, sop_instance_uid: str | None, *, next_attempt_at: datetime | None = None) -> Delivery:
    """The value that a report shows of one row of the outbox."""
    return Delivery(
        destination=row.destination,
        kind=row.kind,
        state=row.state,
        sop_instance_uid=sop_instance_uid,
        attempts=row.attempts,
        next_attempt_at=next_attempt_at,
        last_error=row.last_error,
    )


def _in_force(study_instance_uid: str | ScalarSelect[str]) -> Select[ReportRow]:
    """The newest version that is signed, or was withdrawn after that; where none is, the newest."""
    order = (ReportRow.is_settled.desc(), ReportRow.version.desc())
    return _of_study(study_instance_uid).order_by(*order).limit(1)


def _of_study(study_instance_uid: str | ScalarSelect[str]) -> Select[ReportRow]:
    return select(ReportRow).where(ReportRow.study_instance_uid == study_instance_uid)
