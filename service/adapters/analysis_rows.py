"""Rows of `analyses`."""

from collections.abc import Mapping, Sequence

from sqlalchemy import Select, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from service.adapters.tables import AnalysisRow, InstanceRow
from service.core.findings import Finding
from service.ports import StoredAnalysis


class PostgresAnalysisRows:
    """Implements ports.AnalysisRows."""

    def __init__(self, *, session: Session) -> None:
        self._session = session

    def open(self, instance_id: int, analysis_name: str, why: str) -> None:
        """A row in state `queued`; a no-op when there is one."""
        statement = insert(AnalysisRow).values(instance_id=instance_id, analysis_name=analysis_name, why=why, state="queued")
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
        found = self._session.execute(
            _joined()
            .where(InstanceRow.study_instance_uid == study_instance_uid, InstanceRow.is_current, ~InstanceRow.is_returned)
            .order_by(InstanceRow.id, AnalysisRow.analysis_name)
        )
        return [_to_stored(row, uid) for row, uid in found]


def _joined() -> Select[AnalysisRow, str]:
    return select(AnalysisRow, InstanceRow.sop_instance_uid).join(InstanceRow, InstanceRow.id == AnalysisRow.instance_id)


def _to_stored(row: AnalysisRow, sop_instance_uid: str) -> StoredAnalysis:
    return StoredAnalysis(
        instance_id=row.instance_id,
        sop_instance_uid=sop_instance_uid,
        analysis_name=row.analysis_name,
        analysis_version=row.analysis_version or "",
        state=row.state,
        why=row.why,
        findings=tuple(Finding.model_validate(finding) for finding in row.findings),
        picture=row.picture,
        masks=row.masks,
        failure=row.failure,
        model_versions=row.model_versions,
    )
