"""Rows of `deliveries`: the outbox."""

from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import ColumnElement, Select, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from service.adapters.commitment_tables import AskedCommitmentRow
from service.adapters.rendered_attributes import to_rendered
from service.adapters.report_rows import to_delivery
from service.adapters.tables import DeliveryDecisionRow, DeliveryRow, RenderedRow, ReportRow
from service.core.delivery_rules import REJECTION, DeliveryDecision
from service.core.report import Delivery, Report, SentObject
from service.errors import NotFound
from service.records import RenderedObject

#: What an older version has not delivered, whether it is still on its way or has failed.
_UNDELIVERED = ("pending", "held", "awaiting_commitment", "failed", "refused")
_OBJECT_OF_DELIVERY = (RenderedRow.report_id == DeliveryRow.report_id) & (RenderedRow.kind == DeliveryRow.kind)


class PostgresOutboxRows:
    """Implements ports.OutboxRows."""

    def __init__(self, *, session: Session) -> None:
        self._session = session

    def open(self, report_id: str, destination: str, kind: str, *, state: str) -> None:
        """A row, `pending` or `held`; a no-op when there is one."""
        statement = insert(DeliveryRow).values(report_id=report_id, destination=destination, kind=kind, state=state)
        self._session.execute(statement.on_conflict_do_nothing())

    def lock(self, report_id: str, destination: str, kind: str) -> Delivery:
        """Read one row for update. Raises NotFound."""
        row = self._session.scalars(
            select(DeliveryRow).where(*_one(report_id, destination, kind)).with_for_update()
        ).one_or_none()
        if row is None:
            raise NotFound("There is no such delivery.")
        return to_delivery(row, None)

    def close(self, report_id: str, destination: str, kind: str, *, state: str, error: str | None) -> None:
        """Count an attempt and set its outcome."""
        self._session.execute(
            update(DeliveryRow)
            .where(*_one(report_id, destination, kind))
            .values(state=state, last_error=error, attempts=DeliveryRow.attempts + 1, updated_at=func.now())
        )

    def set_aside(self, report_id: str, destination: str, kind: str, *, state: str, reason: str | None) -> None:
        """Another state without an attempt."""
        self._session.execute(
            update(DeliveryRow)
            .where(*_one(report_id, destination, kind))
            .values(state=state, last_error=reason, updated_at=func.now())
        )

    def supersede_before(self, report: Report) -> None:
        """What older versions of a study's report have not delivered gives way to this version."""
        self._session.execute(
            update(DeliveryRow)
            .where(
                DeliveryRow.report_id.in_(_older(report)),
                DeliveryRow.state.in_(_UNDELIVERED),
                # What was withdrawn stays withdrawn, whatever is reported next.
                func.split_part(DeliveryRow.kind, ".", 1) != REJECTION,
            )
            .values(state="superseded", updated_at=func.now())
        )

    def keep_decisions(self, report_id: str, decisions: Sequence[DeliveryDecision]) -> None:
        """Which destinations get a report, and why; what was kept of it before stays."""
        if not decisions:
            return
        rows = [
            {
                "report_id": report_id,
                "destination": one.destination,
                "selected": one.selected,
                "kinds": list(one.kinds),
                "rule": one.rule,
                "why": one.why,
            }
            for one in decisions
        ]
        self._session.execute(insert(DeliveryDecisionRow).on_conflict_do_nothing(), rows)

    def decisions(self, report_id: str) -> Sequence[DeliveryDecision]:
        """What was kept, by destination; empty when nothing was decided."""
        found = select(DeliveryDecisionRow).where(DeliveryDecisionRow.report_id == report_id)
        return [
            DeliveryDecision(
                destination=row.destination, selected=row.selected, kinds=tuple(row.kinds), rule=row.rule, why=row.why
            )
            for row in self._session.scalars(found.order_by(DeliveryDecisionRow.destination))
        ]

    def reached(self, report: Report) -> Mapping[str, frozenset[str]]:
        """The destinations that have an older version of a study's report, and in which kinds (`seg` of `seg.1`).

        What was stored there and never committed to counts, too: it may well be held.
        """
        columns = DeliveryRow.destination, DeliveryRow.kind
        arrived = select(*columns).where(DeliveryRow.report_id.in_(_older(report)), _arrived())
        found: dict[str, set[str]] = {}
        for destination, kind in self._session.execute(arrived):
            found.setdefault(destination, set()).add(kind.partition(".")[0])
        return {destination: frozenset(kinds) for destination, kinds in found.items()}

    def sent(self, report: Report, kinds: Collection[str]) -> Mapping[str, Sequence[SentObject]]:
        """What each destination has of older versions in these kinds, oldest first; as `reached` counts it."""
        columns = RenderedRow.report_id, RenderedRow.kind, RenderedRow.sop_class_uid, RenderedRow.sop_instance_uid
        arrived = (
            select(DeliveryRow.destination, *columns)
            .join(RenderedRow, _OBJECT_OF_DELIVERY)
            .where(DeliveryRow.report_id.in_(_older(report)), _arrived(), func.split_part(DeliveryRow.kind, ".", 1).in_(kinds))
            .order_by(DeliveryRow.id)
        )
        found: dict[str, list[SentObject]] = {}
        for row in self._session.execute(arrived):
            values = row._asdict()
            found.setdefault(values.pop("destination"), []).append(SentObject(**values))
        return found

    def rejections(self, report: Report) -> Sequence[tuple[str, RenderedObject]]:
        """The rejection notes of versions up to this one that went out or will, each beside its destination."""
        of_study = select(ReportRow.report_id).where(
            ReportRow.study_instance_uid == report.study.study_instance_uid, ReportRow.version <= report.version
        )
        goes = DeliveryRow.state.in_(("pending", "held", "awaiting_commitment", "delivered"))
        notes = (
            select(DeliveryRow.destination, RenderedRow)
            .join(RenderedRow, _OBJECT_OF_DELIVERY)
            .where(DeliveryRow.report_id.in_(of_study), goes, func.split_part(DeliveryRow.kind, ".", 1) == REJECTION)
        )
        return [(destination, to_rendered(row)) for destination, row in self._session.execute(notes)]


def _arrived() -> ColumnElement[bool]:
    """Of a delivery: the destination has the object, or may well have it."""
    was_stored = select(AskedCommitmentRow.delivery_id).where(AskedCommitmentRow.delivery_id == DeliveryRow.id).exists()
    return or_(DeliveryRow.state == "delivered", was_stored)


def _older(report: Report) -> Select[str]:
    return select(ReportRow.report_id).where(
        ReportRow.study_instance_uid == report.study.study_instance_uid, ReportRow.version < report.version
    )


def _one(report_id: str, destination: str, kind: str) -> tuple[ColumnElement[bool], ...]:
    return DeliveryRow.report_id == report_id, DeliveryRow.destination == destination, DeliveryRow.kind == kind
