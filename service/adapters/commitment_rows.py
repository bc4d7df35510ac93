"""Rows of `commitments_asked` and `commitments_given`."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

from sqlalchemy import ColumnElement, Select, delete, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from service.adapters.commitment_tables import AskedCommitmentRow, GivenCommitmentRow
from service.adapters.tables import DeliveryRow, RenderedRow
from service.commitment_ports import AskedCommitment, HeldCopy, ReceivedRequest
from service.core.commitment import CommitmentRequest, CommitmentResult, Reference
from service.core.identifiers import derive_uid
from service.errors import InputRejected, NotFound

#: How long a peer's request is kept; a report that cannot be sent is given up long before.
_REMEMBERED = timedelta(days=30)
#: Files that retention has not taken, and the objects that we made, whose bytes are rows.
_COPIES = text("""
    SELECT sop_instance_uid, sop_class_uid, storage_key, size_bytes FROM instances
        WHERE sop_instance_uid = ANY(:uids) AND removed_at IS NULL
    UNION ALL SELECT sop_instance_uid, sop_class_uid, NULL, octet_length(content) FROM rendered_objects
        WHERE sop_instance_uid = ANY(:uids)
""")


class PostgresCommitmentRows:
    """Implements commitment_ports.CommitmentRows."""

    def __init__(self, *, session: Session) -> None:
        self._session = session

    def open(self, report_id: str, destination: str, kind: str) -> AskedCommitment:
        """The next transaction of a delivery, whose row the caller has locked."""
        delivery = select(DeliveryRow.id).where(*_delivery(report_id, destination, kind)).scalar_subquery()
        before = select(func.count()).where(AskedCommitmentRow.delivery_id == delivery)
        number = self._session.execute(before).scalar_one() + 1
        uid = derive_uid("commitment", report_id, destination, kind, number)
        self._session.execute(insert(AskedCommitmentRow).values(transaction_uid=uid, delivery_id=delivery, number=number))
        opened = self.find(uid)
        if opened is None:
            raise NotFound("There is no object of that delivery.")
        return opened

    def of_delivery(self, report_id: str, destination: str, kind: str) -> Sequence[AskedCommitment]:
        """Its transactions, oldest first."""
        query = _asked().where(*_delivery(report_id, destination, kind))
        return [_to_asked(*row) for row in self._session.execute(query.order_by(AskedCommitmentRow.number))]

    def find(self, transaction_uid: str) -> AskedCommitment | None:
        """One transaction, or None."""
        row = self._session.execute(_asked().where(AskedCommitmentRow.transaction_uid == transaction_uid)).one_or_none()
        return None if row is None else _to_asked(*row)

    def accepted(self, transaction_uid: str) -> None:
        """The destination took the request now."""
        self._change(transaction_uid, ("asked",), accepted_at=func.now())

    def expire(self, transaction_uid: str) -> None:
        """Nobody answered until the deadline."""
        self._change(transaction_uid, ("asked",), state="unanswered")

    def answer(self, transaction_uid: str, failure_reason: int | None) -> bool:
        """The first answer holds, be it late: False when there is one already."""
        state = "committed" if failure_reason is None else "failed"
        answered = {"state": state, "failure_reason": failure_reason, "answered_at": func.now()}
        return self._change(transaction_uid, ("asked", "unanswered"), **answered)

    def discount(self, report_id: str, destination: str, kind: str) -> None:
        """Sent again by an operator, a delivery has all its requests anew."""
        delivery = select(DeliveryRow.id).where(*_delivery(report_id, destination, kind)).scalar_subquery()
        self._session.execute(update(AskedCommitmentRow).where(AskedCommitmentRow.delivery_id == delivery).values(counts=False))

    def keep(self, request: CommitmentRequest, *, calling_ae_title: str, called_ae_title: str) -> int:
        """One row for each transaction of a peer, however often it asks; those of long ago make room. Raises InputRejected."""
        self._session.execute(delete(GivenCommitmentRow).where(GivenCommitmentRow.accepted_at < func.now() - _REMEMBERED))
        instances = [[reference.sop_class_uid, reference.sop_instance_uid] for reference in request.references]
        statement = insert(GivenCommitmentRow).values(
            transaction_uid=request.transaction_uid,
            calling_ae_title=calling_ae_title,
            called_ae_title=called_ae_title,
            instances=instances,
        )
        again = statement.on_conflict_do_update(
            index_elements=["calling_ae_title", "transaction_uid"],
            set_={"state": "accepted", "called_ae_title": called_ae_title, "accepted_at": func.now()},
            where=GivenCommitmentRow.instances == statement.excluded.instances,
        )
        kept: int | None = self._session.execute(again.returning(GivenCommitmentRow.id)).scalar_one_or_none()
        if kept is None:
            raise InputRejected("That Transaction UID asked for other instances before", reason="transaction_used")
        return kept

    def received(self, request_id: int) -> ReceivedRequest:
        """Raises NotFound."""
        row = self._session.get(GivenCommitmentRow, request_id)
        if row is None:
            raise NotFound(f"There is no commitment request {request_id}.")
        references = tuple(Reference(sop_class, instance) for sop_class, instance in row.instances)
        return ReceivedRequest(
            request=CommitmentRequest(transaction_uid=row.transaction_uid, references=references),
            calling_ae_title=row.calling_ae_title,
            called_ae_title=row.called_ae_title,
            state=row.state,
        )

    def copies(self, sop_instance_uids: Sequence[str]) -> Mapping[str, Sequence[HeldCopy]]:
        """By SOP Instance UID; one that nothing is kept of is not among them."""
        found: dict[str, list[HeldCopy]] = {}
        for row in self._session.execute(_COPIES, {"uids": list(sop_instance_uids)}):
            found.setdefault(row.sop_instance_uid, []).append(HeldCopy(*row))
        return found

    def reported(self, request_id: int, result: CommitmentResult) -> None:
        """The peer has answered our report."""
        values = {"state": "reported", "reported_at": func.now(), "failed_count": len(result.failed), "last_error": None}
        self._session.execute(update(GivenCommitmentRow).where(GivenCommitmentRow.id == request_id).values(**values))

    def not_reported(self, request_id: int, error: str) -> None:
        """Why the peer could not be told."""
        self._session.execute(update(GivenCommitmentRow).where(GivenCommitmentRow.id == request_id).values(last_error=error))

    def _change(self, transaction_uid: str, states: Sequence[str], **values: object) -> bool:
        """True when the transaction was in one of the states."""
        which = AskedCommitmentRow.transaction_uid == transaction_uid, AskedCommitmentRow.state.in_(states)
        changed = update(AskedCommitmentRow).where(*which).values(**values).returning(AskedCommitmentRow.transaction_uid)
        return self._session.execute(changed).one_or_none() is not None


def _delivery(report_id: str, destination: str, kind: str) -> tuple[ColumnElement[bool], ...]:
    return DeliveryRow.report_id == report_id, DeliveryRow.destination == destination, DeliveryRow.kind == kind


def _asked() -> Select[AskedCommitmentRow, DeliveryRow, str, str]:
    """A transaction with its delivery, SOP class and SOP instance."""
    of_object = (RenderedRow.report_id == DeliveryRow.report_id) & (RenderedRow.kind == DeliveryRow.kind)
    return (
        select(AskedCommitmentRow, DeliveryRow, RenderedRow.sop_class_uid, RenderedRow.sop_instance_uid)
        .join(DeliveryRow, DeliveryRow.id == AskedCommitmentRow.delivery_id)
        .join(RenderedRow, of_object)
        .execution_options(populate_existing=True)
    )


def _to_asked(row: AskedCommitmentRow, delivery: DeliveryRow, sop_class_uid: str, sop_instance_uid: str) -> AskedCommitment:
    return AskedCommitment(
        transaction_uid=row.transaction_uid,
        report_id=delivery.report_id,
        destination=delivery.destination,
        kind=delivery.kind,
        reference=Reference(sop_class_uid, sop_instance_uid),
        state=row.state,
        failure_reason=row.failure_reason,
        accepted_at=row.accepted_at,
        counts=row.counts,
    )
