"""Dead letters: a job that ended for good is put back into the queue, and what it gave up is opened again."""

from typing import Any

from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from service.adapters.audit_rows import append_entry
from service.adapters.deliveries import ENDED, lock_delivery, send_again
from service.adapters.jobs import ANALYSE_INSTANCE, DELIVER_REPORT
from service.adapters.postgres import vendor_errors_translated
from service.adapters.tables import DeliveryRow
from service.errors import Conflict, NotFound

_JOB = text("SELECT task_name, args FROM procrastinate_jobs WHERE id = :id")
_LOCK_JOB = text("SELECT task_name, args, status::text, queueing_lock FROM procrastinate_jobs WHERE id = :id FOR UPDATE")
_IS_WAITING = text("SELECT EXISTS (SELECT 1 FROM procrastinate_jobs WHERE queueing_lock = :lock AND status = 'todo')")
_RETRY = text("SELECT procrastinate_retry_job_v2(:id, NULL, NULL, NULL, NULL)")
#: All attempts anew; otherwise the first failure would end the job again.
_FORGET_ATTEMPTS = text("UPDATE procrastinate_jobs SET attempts = 0 WHERE id = :id")
_LOCK_STUDY = text(
    "SELECT 1 FROM studies "
    "WHERE study_instance_uid = (SELECT study_instance_uid FROM instances WHERE id = :instance_id) FOR UPDATE"
)
_REOPEN_ANALYSIS = text(
    "UPDATE analyses SET state = 'queued', failure = NULL, finished_at = NULL "
    "WHERE instance_id = :instance_id AND analysis_name = :analysis_name AND state = 'failed'"
)
#: The report that said "could not be completed" is stale now; the study counts as just arrived.
_TOUCH_STUDY = text(
    "UPDATE studies SET last_selected_at = now(), completed_at = NULL, is_stale = true, status = 'analysing', "
    "completion_requested_at = now() "
    "WHERE study_instance_uid = (SELECT study_instance_uid FROM instances WHERE id = :instance_id)"
)
#: Arguments of a delivery's job that name its row.
_DELIVERY = ("report_id", "destination", "kind")


class DeadLetters:
    """Puts dead jobs back."""

    def __init__(self, *, engine: Engine) -> None:
        self._engine = engine

    def requeue(self, job_id: int, *, actor: str) -> int:
        """Gives the id of the job that does the work now: another one where a delivery was refused, for its job succeeded.

        Raises NotFound, and Conflict when the job is not dead or the same work waits already.
        """
        with vendor_errors_translated(), Session(self._engine) as session, session.begin():
            job = session.execute(_JOB, {"id": job_id}).one_or_none()
            if job is None:
                raise NotFound("There is no job with that id.")
            if job.task_name == DELIVER_REPORT:
                # Its row is locked before its jobs, as whoever handles a delivery does.
                delivery = lock_delivery(session, *(getattr(DeliveryRow, name) == job.args[name] for name in _DELIVERY))
                if delivery.state in ENDED:
                    return send_again(session, delivery, actor=actor)
            return self._put_back(session, job_id, actor)

    def _put_back(self, session: Session, job_id: int, actor: str) -> int:
        job = session.execute(_LOCK_JOB, {"id": job_id}).one()
        if job.status != "failed":
            raise Conflict("Only a dead job can be requeued; this one is not.", reason="job_not_dead")
        arguments: dict[str, Any] = job.args
        if job.task_name == ANALYSE_INSTANCE:
            session.execute(_LOCK_STUDY, arguments)
            if session.connection().execute(_REOPEN_ANALYSIS, arguments).rowcount:
                session.execute(_TOUCH_STUDY, arguments)
        if session.execute(_IS_WAITING, {"lock": job.queueing_lock}).scalar_one():
            raise Conflict("The same work waits in the queue already.", reason="job_waiting")
        session.execute(_RETRY, {"id": job_id})
        session.execute(_FORGET_ATTEMPTS, {"id": job_id})
        detail = {"task": job.task_name}
        append_entry(session.connection(), actor=actor, action="job_requeued", subject=f"job:{job_id}", detail=detail)
        return job_id
