"""Deliveries as an operator handles them: sent again, or given up for good; each with its audit entry in one transaction."""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, Engine, func, select, text
from sqlalchemy.orm import Session

from service.adapters.audit_rows import append_entry
from service.adapters.jobs import PostgresJobQueue, delivery_lock, make_deferring_app
from service.adapters.postgres import vendor_errors_translated
from service.adapters.tables import DeliveryRow
from service.errors import Conflict, NotFound

#: Ended without arriving; an abandoned one may be taken up again.
ENDED = frozenset({"refused", "failed", "abandoned"})
_UNDELIVERED = frozenset({"pending", "held", "awaiting_commitment", "refused", "failed"})
_JOBS = text("SELECT id, status::text FROM procrastinate_jobs WHERE queueing_lock = :lock ORDER BY id DESC FOR UPDATE")
_RETRY = text("SELECT procrastinate_retry_job_v2(:id, NULL, NULL, NULL, NULL)")
#: All attempts anew; otherwise the first failure would end the job again.
_FORGET_ATTEMPTS = text("UPDATE procrastinate_jobs SET attempts = 0 WHERE id = :id")
#: Whoever sends again has mended something: one trial is due.
_END_PAUSE = text("UPDATE destination_circuits SET retry_at = now() WHERE destination = :destination AND retry_at IS NOT NULL")
_CANCEL = text("UPDATE procrastinate_jobs SET status = 'cancelled' WHERE id = ANY(:ids)")
_IS_HELD = text("SELECT s.identity_hold FROM studies s JOIN reports r USING (study_instance_uid) WHERE r.report_id = :report_id")


class Deliveries:
    """Implements api.dependencies.DeliverySteps."""

    def __init__(self, *, engine: Engine) -> None:
        self._engine = engine

    def send_again(self, delivery_id: int, *, actor: str) -> int:
        """A job with all its attempts; gives its id. Raises NotFound, and Conflict unless it ended without arriving."""
        with vendor_errors_translated(), Session(self._engine) as session, session.begin():
            return send_again(session, lock_delivery(session, DeliveryRow.id == delivery_id), actor=actor)

    def abandon(self, delivery_id: int, *, actor: str, reason: str) -> None:
        """Nothing waits for it any more. Raises NotFound, and Conflict when it arrived, was given up or is being sent."""
        with vendor_errors_translated(), Session(self._engine) as session, session.begin():
            delivery = lock_delivery(session, DeliveryRow.id == delivery_id)
            if delivery.state not in _UNDELIVERED:
                raise Conflict(
                    f"Only what is undelivered can be given up; this one is {delivery.state}.", reason="delivery_not_undelivered"
                )
            jobs = _jobs_of(session, delivery)
            if jobs.running:
                raise Conflict("It is being sent at this moment; ask again when that has ended.", reason="delivery_running")
            session.execute(_CANCEL, {"ids": [*jobs.waiting, *jobs.dead]})
            _record(session, delivery, actor, "delivery_abandoned", {"was": delivery.state, "reason": reason})
            _set_state(delivery, "abandoned")


def send_again(session: Session, delivery: DeliveryRow, *, actor: str) -> int:
    """The same within the caller's transaction, on a row that it has locked. Gives the job's id. Raises Conflict."""
    if delivery.state not in ENDED:
        raise Conflict(f"Only what ended without arriving is sent again; this is {delivery.state}.", reason="delivery_not_ended")
    if session.execute(_IS_HELD, {"report_id": delivery.report_id}).scalar_one():
        raise Conflict("The identity of its study changed: a person has to acknowledge that first.", reason="identity_hold")
    jobs = _jobs_of(session, delivery)
    if jobs.waiting or jobs.running:
        raise Conflict("The same work waits in the queue already.", reason="job_waiting")
    _record(session, delivery, actor, "delivery_requeued", {"was": delivery.state})
    _set_state(delivery, "pending")
    session.execute(_END_PAUSE, {"destination": delivery.destination})
    if jobs.dead:
        session.execute(_RETRY, {"id": jobs.dead[0]})
        session.execute(_FORGET_ATTEMPTS, {"id": jobs.dead[0]})
        return jobs.dead[0]
    queue = PostgresJobQueue(session=session, procrastinate=make_deferring_app())
    queue.deliver_report(delivery.report_id, delivery.destination, delivery.kind)
    return _jobs_of(session, delivery).waiting[0]


def lock_delivery(session: Session, *which: ColumnElement[bool]) -> DeliveryRow:
    """One row for update. Raises NotFound."""
    row = session.scalars(select(DeliveryRow).where(*which).with_for_update()).one_or_none()
    if row is None:
        raise NotFound("There is no delivery with that id.")
    return row


@dataclass(frozen=True, slots=True)
class _Jobs:
    """The jobs of one delivery by what they are doing; identifiers, newest first."""

    waiting: list[int]
    running: list[int]
    dead: list[int]


def _jobs_of(session: Session, delivery: DeliveryRow) -> _Jobs:
    lock = delivery_lock(delivery.report_id, delivery.destination, delivery.kind)
    found = session.execute(_JOBS, {"lock": lock}).all()

    def those(*statuses: str) -> list[int]:
        return [job_id for job_id, status in found if status in statuses]

    return _Jobs(waiting=those("todo"), running=those("doing", "aborting"), dead=those("failed"))


def _set_state(delivery: DeliveryRow, state: str) -> None:
    delivery.state = state
    delivery.updated_at = func.now()


def _record(session: Session, delivery: DeliveryRow, actor: str, action: str, detail: dict[str, str]) -> None:
    told = {"delivery_id": delivery.id, "destination": delivery.destination, "kind": delivery.kind, **detail}
    append_entry(session.connection(), actor=actor, action=action, subject=delivery.report_id, detail=told)
