"""Rows of `analyses`."""

from collections.abc import Mapping, Sequence

from sqlalchemy import ColumnElement, Select, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session, defer

from service.adapters.tables import AnalysisRow, InstanceRow
from service.core.findings import Finding
from service.core.routing import RoutingDecision
from service.records import StoredAnalysis


class PostgresAnalysisRows:
    """Implements ports.AnalysisRows."""

    def __init__(self, *, session: Session) -> None:
        self._session = session

    def open(self, instance_id: int, decision: RoutingDecision) -> None:
        """A row in state `queued`; a no-op when there is one."""
        decided = {"analysis_name": decision.analysis_name, "rule": decision.rule, "why": decision.why}
        statement = insert(AnalysisRow).values(instance_id=instance_id, state="queued", **decided)
        self._session.execute(statement.on_conflict_do_nothing())

    def reopen(self, study_instance_uid: str, model_versions: Mapping[str, str] | None = None) -> Sequence[tuple[int, str]]:
        """Set every analysis of the study's current instances to `queued` again; gives (instance_id, analysis_name)."""
        current = select(InstanceRow.id).where(InstanceRow.study_instance_uid == study_instance_uid, InstanceRow.is_current)
        reopened = self._session.execute(
            update(AnalysisRow)
            .where(AnalysisRow.instance_id.in_(current))
            .values(state="queued", finished_at=None, model_versions=dict(model_versions or {}))
            .returning(AnalysisRow.instance_id, AnalysisRow.analysis_name)
        )
        return [(instance_id, name) for instance_id, name in reopened]

    def close(self, analysis: StoredAnalysis) -> None:
        """Save the outcome of one analysis of one instance."""
        outcome = {
            "analysis_version": analysis.analysis_version,
            "state": analysis.state,
            "why": analysis.why,
            "findings": [finding.model_dump(mode="json") for finding in analysis.findings],
            "picture": analysis.picture,
            "masks": analysis.masks,
            "failure": analysis.failure,
            "finished_at": None if analysis.state == "queued" else func.now(),
        }
        statement = insert(AnalysisRow).values(instance_id=analysis.instance_id, analysis_name=analysis.analysis_name, **outcome)
        self._session.execute(
            statement.on_conflict_do_update(index_elements=[AnalysisRow.instance_id, AnalysisRow.analysis_name], set_=outcome)
        )

    def get(self, instance_id: int, analysis_name: str) -> StoredAnalysis | None:
        """One row, or None."""
        found = self._session.execute(
            _joined().where(AnalysisRow.instance_id == instance_id, AnalysisRow.analysis_name == analysis_name)
        ).one_or_none()
        return None if found is None else _to_stored(found[0], found[1])

    def of_study(self, study_instance_uid: str) -> Sequence[StoredAnalysis]:
        """The analyses of the study's current instances, oldest instance first."""
        return [_to_stored(row, uid) for row, uid in self._session.execute(_joined().where(*_of_study(study_instance_uid)))]

    def without_pictures(self, study_instance_uid: str) -> Sequence[StoredAnalysis]:
        """The same without pictures and masks, which may be many megabytes."""
        light = _joined().where(*_of_study(study_instance_uid)).options(defer(AnalysisRow.picture), defer(AnalysisRow.masks))
        return [_to_stored(row, uid, is_light=True) for row, uid in self._session.execute(light)]


def _joined() -> Select[AnalysisRow, str]:
    joined = select(AnalysisRow, InstanceRow.sop_instance_uid).join(InstanceRow, InstanceRow.id == AnalysisRow.instance_id)
    return joined.order_by(InstanceRow.id, AnalysisRow.analysis_name)


def _of_study(study_instance_uid: str) -> tuple[ColumnElement[bool], ...]:
    return InstanceRow.study_instance_uid == study_instance_uid, InstanceRow.is_current.is_(True), ~InstanceRow.is_returned


def _to_stored(row: AnalysisRow, sop_instance_uid: str, *, is_light: bool = False) -> StoredAnalysis:
    return StoredAnalysis(
        instance_id=row.instance_id,
        sop_instance_uid=sop_instance_uid,
        analysis_name=row.analysis_name,
        analysis_version=row.analysis_version or "",
        state=row.state,
        why=row.why,
        rule=row.rule,
        findings=tuple(Finding.model_validate(finding) for finding in row.findings),
        picture=None if is_light else row.picture,
        masks=None if is_light else row.masks,
        failure=row.failure,
        model_versions=row.model_versions,
    )
