"""The queue: procrastinate in the same PostgreSQL, so that a job commits or rolls back with the rows of its step."""

from datetime import timedelta
from typing import Any

from procrastinate import App, SyncPsycopgConnector
from procrastinate.exceptions import AlreadyEnqueued
from procrastinate.jobs import JobDeferrer
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

ANALYSE_INSTANCE = "sonomyo.analyse_instance"
SHADOW_ANALYSIS = "sonomyo.shadow_analysis"
COMPARE_PIXELS = "sonomyo.compare_pixels"
COMPLETE_STUDY = "sonomyo.complete_study"
COMPOSE_REPORT = "sonomyo.compose_report"
CAPTURE_CINE = "sonomyo.capture_cine"
DELIVER_REPORT = "sonomyo.deliver_report"
REPORT_COMMITMENT = "sonomyo.report_commitment"

#: Queue of each task: long work and waiting for peers never hold up the short steps.
QUEUES = {
    ANALYSE_INSTANCE: "analysis",
    COMPARE_PIXELS: "analysis",
    SHADOW_ANALYSIS: "shadow",
    COMPLETE_STUDY: "flow",
    COMPOSE_REPORT: "flow",
    CAPTURE_CINE: "capture",
    DELIVER_REPORT: "delivery",
    REPORT_COMMITMENT: "delivery",
}

#: Those that a worker takes at this moment need no haste.
_HASTEN = text("""
    UPDATE procrastinate_jobs SET scheduled_at = now() WHERE id IN (
        SELECT id FROM procrastinate_jobs
        WHERE status = 'todo' AND task_name = :task AND scheduled_at > now() AND args->>'destination' = :destination
        ORDER BY id FOR UPDATE SKIP LOCKED)
""")
_HASTEN_ONE = text("""
    UPDATE procrastinate_jobs SET scheduled_at = now()
    WHERE status = 'todo' AND queueing_lock = :lock AND scheduled_at > now()
""")
_IS_AT_WORK = text(
    "SELECT EXISTS (SELECT 1 FROM procrastinate_jobs WHERE queueing_lock = :lock AND status IN ('todo', 'doing', 'aborting'))"
)


def delivery_lock(report_id: str, destination: str, kind: str) -> str:
    """The queueing lock of a delivery's jobs."""
    return f"deliver:{report_id}:{destination}:{kind}"


def make_deferring_app() -> App:
    """An App that only defers, on the connection of a unit of work; the worker's async App cannot (it raises TypeError)."""
    return App(connector=SyncPsycopgConnector())


class PostgresJobQueue:
    """Implements ports.JobQueue on the connection of one session."""

    def __init__(self, *, session: Session, procrastinate: App) -> None:
        self._session = session
        self._procrastinate = procrastinate

    def analyse_instance(self, instance_id: int, analysis_name: str) -> None:
        """Analyse one instance."""
        # No queueing lock: a second run of the same analysis finds its row no longer `queued` and ends.
        self._task(ANALYSE_INSTANCE).defer(instance_id=instance_id, analysis_name=analysis_name)

    def shadow_analysis(self, instance_id: int, analysis_name: str) -> None:
        """Run the models in shadow on one instance."""
        lock = f"shadow:{instance_id}:{analysis_name}"
        self._defer(SHADOW_ANALYSIS, {"instance_id": instance_id, "analysis_name": analysis_name}, queueing_lock=lock)

    def compare_pixels(self, instance_id: int) -> None:
        """Compare the decoded pixels of a conflict with the current instance's."""
        self._defer(COMPARE_PIXELS, {"instance_id": instance_id}, queueing_lock=f"compare:{instance_id}")

    def complete_study(self, study_instance_uid: str, *, after_seconds: float) -> None:
        """Look whether the study is complete; a look now and a look later do not stand in each other's way."""
        when = "now" if after_seconds <= 0 else "later"
        self._defer(
            COMPLETE_STUDY,
            {"study_instance_uid": study_instance_uid},
            queueing_lock=f"complete:{when}:{study_instance_uid}",
            after_seconds=after_seconds,
        )

    def compose_report(self, study_instance_uid: str) -> None:
        """Compose the next report version."""
        self._defer(COMPOSE_REPORT, {"study_instance_uid": study_instance_uid}, queueing_lock=f"compose:{study_instance_uid}")

    def capture_cine(self, report_id: str, instance_id: int, analysis_name: str, kind: str) -> None:
        """Draw what a report says of one analysis of one cine into a capture of it."""
        self._defer(
            CAPTURE_CINE,
            {"report_id": report_id, "instance_id": instance_id, "analysis_name": analysis_name, "kind": kind},
            queueing_lock=f"capture:{report_id}:{kind}",
        )

    def deliver_report(self, report_id: str, destination: str, kind: str, *, after_seconds: float = 0.0) -> None:
        """Send one rendered object to one destination, or look where its commitment stands."""
        self._defer(
            DELIVER_REPORT,
            {"report_id": report_id, "destination": destination, "kind": kind},
            queueing_lock=delivery_lock(report_id, destination, kind),
            after_seconds=after_seconds,
        )

    def hasten_delivery(self, report_id: str, destination: str, kind: str) -> None:
        """The job that waits for later is due now; a new one is made when there is none, and none is running."""
        lock = {"lock": delivery_lock(report_id, destination, kind)}
        self._session.execute(_HASTEN_ONE, lock)
        if not self._session.execute(_IS_AT_WORK, lock).scalar_one():
            self.deliver_report(report_id, destination, kind)

    def report_commitment(self, request_id: int) -> None:
        """Tell a peer what we hold of what it asked for."""
        self._defer(REPORT_COMMITMENT, {"request_id": request_id}, queueing_lock=f"commitment:{request_id}")

    def hasten_deliveries(self, destination: str) -> None:
        """What waits for a destination is due now."""
        self._session.execute(_HASTEN, {"task": DELIVER_REPORT, "destination": destination})

    def _defer(self, task_name: str, arguments: dict[str, Any], *, queueing_lock: str, after_seconds: float = 0.0) -> None:
        if self._is_waiting(queueing_lock):
            return
        task = self._task(task_name, queueing_lock=queueing_lock, after_seconds=after_seconds)
        try:
            # AlreadyEnqueued aborts the transaction unless a savepoint catches it.
            with self._session.begin_nested():
                task.defer(**arguments)
        except AlreadyEnqueued:
            return

    def _task(self, task_name: str, *, queueing_lock: str | None = None, after_seconds: float = 0.0) -> JobDeferrer:
        scheduled_at = None
        if after_seconds > 0:
            scheduled_at = self._session.execute(select(func.now())).scalar_one() + timedelta(seconds=after_seconds)
        return self._procrastinate.configure_task(
            task_name,
            queue=QUEUES[task_name],
            queueing_lock=queueing_lock,
            schedule_at=scheduled_at,
            connection=self._session.connection().connection.driver_connection,
        )

    def _is_waiting(self, queueing_lock: str) -> bool:
        waiting = text("SELECT EXISTS (SELECT 1 FROM procrastinate_jobs WHERE queueing_lock = :lock AND status = 'todo')")
        return bool(self._session.execute(waiting, {"lock": queueing_lock}).scalar_one())
