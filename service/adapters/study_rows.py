"""Rows of `studies`: the row lock under which a study is judged complete and reported."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import case, func, select, update
from sqlalchemy.orm import Session

from service.adapters.tables import AnalysisRow, AssociationRow, DeliveryRow, InstanceRow, ReportRow, StudyRow
from service.core.report import StudyHeader
from service.errors import NotFound
from service.records import StudyState


class PostgresStudyRows:
    """Implements ports.StudyRows."""

    def __init__(self, *, session: Session) -> None:
        self._session = session

    def lock(self, study_instance_uid: str) -> StudyState:
        """SELECT ... FOR UPDATE, with what completion depends on."""
        row = self._session.get(StudyRow, study_instance_uid, with_for_update=True, populate_existing=True)
        if row is None:
            raise NotFound("There is no study with that Study Instance UID.")
        return StudyState(
            study_instance_uid=study_instance_uid,
            last_selected_at=row.last_selected_at,
            completed_at=row.completed_at,
            completion_requested=row.completion_requested_at is not None,
            open_associations=self._open_associations(study_instance_uid),
            unfinished_analyses=self._unfinished_analyses(study_instance_uid),
            is_stale=row.is_stale,
            identity_hold=row.identity_hold,
        )

    def header(self, study_instance_uid: str) -> StudyHeader:
        """The identity that a report of this study carries."""
        row = self._session.get(StudyRow, study_instance_uid)
        if row is None:
            raise NotFound("There is no study with that Study Instance UID.")
        return StudyHeader(
            study_instance_uid=row.study_instance_uid,
            accession_number=row.accession_number,
            patient_id=row.patient_id,
            patient_name=row.patient_name,
            patient_birth_date=row.patient_birth_date,
            patient_sex=row.patient_sex,
            issuer_of_patient_id=row.issuer_of_patient_id,
            study_date=row.study_date,
            study_time=row.study_time,
            study_id=row.study_id,
            referring_physician_name=row.referring_physician_name,
            description=row.study_description,
        )

    def touch(self, study_instance_uid: str, *, identity_changed: bool = False) -> None:
        """Something that routing selects arrived now: the study is not complete, and its report is stale."""
        values: dict[str, Any] = {"last_selected_at": func.now(), "completed_at": None, "is_stale": True, "status": "analysing"}
        if identity_changed:
            values["identity_hold"] = True
        self._update(study_instance_uid, values)

    def request_completion(self, study_instance_uid: str) -> None:
        """The report is wanted as soon as the analyses are done."""
        self._update(study_instance_uid, {"completion_requested_at": func.now()})

    def mark_complete(self, study_instance_uid: str) -> None:
        """Complete, as of now unless it was already; answers a request for completion. A current report stays `reported`."""
        reports = select(ReportRow.report_id).where(ReportRow.study_instance_uid == study_instance_uid)
        values = {
            "completed_at": func.coalesce(StudyRow.completed_at, func.now()),
            "completion_requested_at": None,
            "status": case((~StudyRow.is_stale & reports.exists(), "reported"), else_="complete"),
        }
        self._update(study_instance_uid, values)

    def mark_reported(self, study_instance_uid: str) -> None:
        """The newest report version holds all that the analyses say."""
        self._update(study_instance_uid, {"is_stale": False, "status": "reported"})

    def release_hold(self, study_instance_uid: str) -> Sequence[tuple[str, str, str]]:
        """Acknowledge a changed identity; gives the deliveries that may go now."""
        self._update(study_instance_uid, {"identity_hold": False})
        reports = select(ReportRow.report_id).where(ReportRow.study_instance_uid == study_instance_uid)
        released = self._session.execute(
            update(DeliveryRow)
            .where(DeliveryRow.report_id.in_(reports), DeliveryRow.state == "held")
            .values(state="pending", updated_at=func.now())
            .returning(DeliveryRow.report_id, DeliveryRow.destination, DeliveryRow.kind)
        )
        return [(report_id, destination, kind) for report_id, destination, kind in released]

    def _update(self, study_instance_uid: str, values: dict[str, Any]) -> None:
        self._session.execute(update(StudyRow).where(StudyRow.study_instance_uid == study_instance_uid).values(**values))

    def _open_associations(self, study_instance_uid: str) -> int:
        return self._session.execute(
            select(func.count(func.distinct(AssociationRow.id)))
            .join(InstanceRow, InstanceRow.association_id == AssociationRow.id)
            .where(InstanceRow.study_instance_uid == study_instance_uid, AssociationRow.closed_at.is_(None))
        ).scalar_one()

    def _unfinished_analyses(self, study_instance_uid: str) -> int:
        return self._session.execute(
            select(func.count())
            .select_from(AnalysisRow)
            .join(InstanceRow, InstanceRow.id == AnalysisRow.instance_id)
            .where(InstanceRow.study_instance_uid == study_instance_uid, InstanceRow.is_current, AnalysisRow.state == "queued")
        ).scalar_one()
