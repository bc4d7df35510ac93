"""Rows of `shadow_analyses`: what models in shadow mode say, beside what was reported."""

from sqlalchemy import func
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from service.adapters.tables import ShadowAnalysisRow
from service.records import ShadowAnalysis


class PostgresShadowRows:
    """Implements ports.ShadowRows."""

    def __init__(self, *, session: Session) -> None:
        self._session = session

    def save(self, shadow: ShadowAnalysis) -> None:
        """Insert, or replace what the same models made of the same instance before."""
        said = {
            "analysis_version": shadow.analysis_version,
            "findings": [finding.model_dump(mode="json") for finding in shadow.findings],
            "served_findings": [finding.model_dump(mode="json") for finding in shadow.served_findings],
            "created_at": func.now(),
        }
        key = {
            "instance_id": shadow.instance_id,
            "analysis_name": shadow.analysis_name,
            "model_versions": dict(shadow.model_versions),
        }
        statement = insert(ShadowAnalysisRow).values(**key, **said)
        self._session.execute(statement.on_conflict_do_update(index_elements=list(key), set_=said))
