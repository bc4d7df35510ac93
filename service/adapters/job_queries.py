"""Jobs as they are read from procrastinate's tables: the queue, its dead letters, and what happened lately."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Engine, RowMapping, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import BigInteger, Text

from service.adapters import cursors
from service.adapters.act_queries import NEWEST_ACT, acts_after
from service.adapters.jobs import (
    ANALYSE_INSTANCE,
    CAPTURE_CINE,
    COMPARE_PIXELS,
    COMPLETE_STUDY,
    COMPOSE_REPORT,
    DELIVER_REPORT,
    REPORT_COMMITMENT,
)
from service.adapters.postgres import vendor_errors_translated
from service.errors import NotFound
from service.operation_views import EventPosition, JobPage, JobState, JobView, ServiceEvent

_PREFIX = "sonomyo."

#: procrastinate's words and ours, of a job `j`; `failed` is a dead letter, for every retry lies behind it.
STATE_OF_J = """CASE
    WHEN j.status = 'todo' AND j.scheduled_at > now() THEN 'scheduled'
    WHEN j.status = 'todo' THEN 'queued'
    WHEN j.status IN ('doing', 'aborting') THEN 'running'
    WHEN j.status = 'succeeded' THEN 'succeeded'
    WHEN j.status = 'failed' THEN 'dead'
    ELSE 'cancelled' END"""

#: The same the other way round, so that an index on `status` serves.
_CONDITION: Mapping[JobState | None, str] = {
    None: "true",
    JobState.QUEUED: "j.status = 'todo' AND (j.scheduled_at IS NULL OR j.scheduled_at <= now())",
    JobState.SCHEDULED: "j.status = 'todo' AND j.scheduled_at > now()",
    JobState.RUNNING: "j.status IN ('doing', 'aborting')",
    JobState.SUCCEEDED: "j.status = 'succeeded'",
    JobState.DEAD: "j.status = 'failed'",
    JobState.CANCELLED: "j.status IN ('cancelled', 'aborted')",
}

_SELECT = f"""
    SELECT j.id, j.task_name, j.queue_name, j.attempts, j.scheduled_at, j.args, {STATE_OF_J} AS state,
           e.created_at, e.started_at, CASE WHEN j.status IN ('todo', 'doing') THEN NULL ELSE e.ended_at END AS ended_at,
           CASE j.task_name
               WHEN '{ANALYSE_INSTANCE}' THEN (
                   SELECT failure FROM analyses
                   WHERE instance_id = (j.args->>'instance_id')::bigint AND analysis_name = j.args->>'analysis_name')
               WHEN '{CAPTURE_CINE}' THEN (
                   SELECT reason FROM rendering_failures WHERE j.status = 'failed'
                       AND report_id = j.args->>'report_id' AND kind = j.args->>'kind')
               WHEN '{DELIVER_REPORT}' THEN (
                   SELECT last_error FROM deliveries WHERE report_id = j.args->>'report_id'
                       AND destination = j.args->>'destination' AND kind = j.args->>'kind')
               WHEN '{REPORT_COMMITMENT}' THEN (
                   SELECT last_error FROM commitments_given WHERE id = (j.args->>'request_id')::bigint)
           END AS failure
    FROM procrastinate_jobs j
    LEFT JOIN LATERAL (
        SELECT min(at) FILTER (WHERE type = 'deferred') AS created_at,
               max(at) FILTER (WHERE type = 'started') AS started_at,
               max(at) FILTER (WHERE type IN ('failed', 'succeeded', 'cancelled', 'aborted')) AS ended_at
        FROM procrastinate_events WHERE job_id = j.id
    ) e ON true
"""  # noqa: S608 - made of constants

#: IS NOT NULL lets the partial index serve, for an array may be empty and then proves nothing to the planner.
_OF_STUDY = f"""{_SELECT}
    WHERE j.id = ANY(ARRAY(
        SELECT id FROM procrastinate_jobs WHERE args->>'study_instance_uid' = :study
        UNION ALL SELECT id FROM procrastinate_jobs
            WHERE (args->>'instance_id')::bigint = ANY(:instances) AND (args->>'instance_id')::bigint IS NOT NULL
        UNION ALL SELECT id FROM procrastinate_jobs
            WHERE args->>'report_id' = ANY(:reports) AND args->>'report_id' IS NOT NULL))
    ORDER BY j.id
"""  # noqa: S608 - made of constants
_OF_INSTANCES = f"""{_SELECT}
    WHERE (j.args->>'instance_id')::bigint = ANY(:instances) AND (j.args->>'instance_id')::bigint IS NOT NULL
    ORDER BY j.id
"""
_ONE = f"{_SELECT} WHERE j.id = :id"
_PAGE = f"""{_SELECT}
    WHERE j.id < :before AND (CAST(:task AS text) IS NULL OR j.task_name = :task) AND {{condition}}
    ORDER BY j.id DESC LIMIT :limit
"""
#: Which end of which task is worth telling; what is missing here is nobody's concern.
_EVENT_NAMES: Mapping[tuple[str, str], str] = {
    (ANALYSE_INSTANCE, "succeeded"): "analysis_done",
    (ANALYSE_INSTANCE, "failed"): "analysis_failed",
    (COMPARE_PIXELS, "deferred"): "instance_in_conflict",
    (COMPLETE_STUDY, "failed"): "completion_failed",
    (COMPOSE_REPORT, "succeeded"): "report_ready",
    (COMPOSE_REPORT, "failed"): "report_failed",
    (CAPTURE_CINE, "failed"): "capture_failed",
    (DELIVER_REPORT, "succeeded"): "delivered",
    (DELIVER_REPORT, "failed"): "delivery_failed",
}
_TOLD = ", ".join(f"('{task}', '{end}')" for task, end in _EVENT_NAMES)
#: A delivery's job also succeeds when the peer would not take the object, or when it was set aside: the row knows, for the
#: newest job of each.
_EVENTS = f"""
    SELECT e.id, e.type::text AS type, e.at, j.id AS job_id, j.task_name, d.state AS delivery_state,
           coalesce(j.args->>'study_instance_uid', i.study_instance_uid, r.study_instance_uid) AS study_instance_uid,
           j.args->>'report_id' AS report_id, j.args->>'destination' AS destination
    FROM procrastinate_events e
    JOIN procrastinate_jobs j ON j.id = e.job_id
    LEFT JOIN instances i ON i.id = (j.args->>'instance_id')::bigint
    LEFT JOIN reports r ON r.report_id = j.args->>'report_id'
    LEFT JOIN deliveries d ON j.task_name = '{DELIVER_REPORT}' AND d.report_id = j.args->>'report_id'
        AND d.destination = j.args->>'destination' AND d.kind = j.args->>'kind'
    WHERE e.id > :after AND (j.task_name, e.type::text) IN ({_TOLD})
        AND (j.task_name <> '{DELIVER_REPORT}' OR e.type <> 'succeeded'
            OR d.state IN ('delivered', 'refused', 'abandoned') AND NOT EXISTS (
                SELECT FROM procrastinate_jobs n WHERE n.args->>'report_id' = j.args->>'report_id'
                    AND n.args->>'report_id' IS NOT NULL AND n.queueing_lock = j.queueing_lock AND n.id > j.id))
    ORDER BY e.id LIMIT :limit
"""  # noqa: S608 - made of constants
_STORED = "SELECT id, sop_instance_uid, study_instance_uid, received_at FROM instances WHERE id > :after ORDER BY id LIMIT :limit"
_NEWEST = f"""
    SELECT (SELECT coalesce(max(id), 0) FROM procrastinate_events) AS job_event,
           (SELECT coalesce(max(id), 0) FROM instances) AS instance, ({NEWEST_ACT}) AS act
"""  # noqa: S608 - made of constants


class PostgresJobViews:
    """Implements views.JobViews."""

    def __init__(self, *, engine: Engine) -> None:
        self._engine = engine

    def jobs(self, *, state: JobState | None, task: str | None, limit: int, cursor: str | None) -> JobPage:
        """Newest first."""
        values = {
            "before": cursors.after_id(cursor),
            "task": None if task is None else _PREFIX + task,
            "limit": limit + 1,
        }
        with vendor_errors_translated(), self._engine.connect() as connection:
            jobs = _read(connection, _PAGE.format(condition=_CONDITION[state]), values)
        more = len(jobs) > limit
        return JobPage(jobs=jobs[:limit], next_cursor=cursors.of_id(jobs[limit - 1].job_id) if more else None)

    def job(self, job_id: int) -> JobView:
        """Raises NotFound."""
        with vendor_errors_translated(), self._engine.connect() as connection:
            found = _read(connection, _ONE, {"id": job_id})
        if not found:
            raise NotFound("There is no job with that id; jobs that ended are forgotten after a week.")
        return found[0]

    def of_instances(self, instance_ids: Sequence[int]) -> Sequence[JobView]:
        """The jobs about these instances, oldest first."""
        with vendor_errors_translated(), self._engine.connect() as connection:
            return _read(connection, _OF_INSTANCES, {"instances": list(instance_ids)})

    def events_after(self, position: EventPosition, *, limit: int) -> Sequence[ServiceEvent]:
        """What happened after a position, oldest first; `limit` holds for each source."""
        with vendor_errors_translated(), self._engine.connect() as connection:
            ended = connection.execute(text(_EVENTS), {"after": position.job_event, "limit": limit}).mappings().all()
            stored = connection.execute(text(_STORED), {"after": position.instance, "limit": limit}).mappings().all()
            acts = acts_after(connection, position.act, limit=limit)
        return sorted([*map(_stored_event, stored), *map(_job_event, ended), *acts], key=lambda event: event.at)

    def newest_event(self) -> EventPosition:
        """Where to begin listening."""
        with vendor_errors_translated(), self._engine.connect() as connection:
            return EventPosition.model_validate(dict(connection.execute(text(_NEWEST)).mappings().one()))


def jobs_of_study(
    connection: Connection, study_instance_uid: str, instance_ids: Sequence[int], report_ids: Sequence[str]
) -> tuple[JobView, ...]:
    """Every job about a study, its instances and its reports, oldest first."""
    values = {"study": study_instance_uid, "instances": list(instance_ids), "reports": list(report_ids)}
    return _read(connection, _OF_STUDY, values)


def _read(connection: Connection, statement: str, values: Mapping[str, Any]) -> tuple[JobView, ...]:
    typed = text(statement)
    if "instances" in values:
        typed = typed.bindparams(bindparam("instances", type_=ARRAY(BigInteger())))
    if "reports" in values:
        typed = typed.bindparams(bindparam("reports", type_=ARRAY(Text())))
    return tuple(_job(row) for row in connection.execute(typed, values).mappings())


def _job(row: RowMapping) -> JobView:
    shown = {name: value for name, value in row["args"].items() if name in JobView.model_fields}
    times = {name: row[name] for name in ("created_at", "scheduled_at", "started_at", "ended_at")}
    return JobView(
        job_id=row["id"],
        task=row["task_name"].removeprefix(_PREFIX),
        queue=row["queue_name"],
        state=JobState(row["state"]),
        attempts=row["attempts"],
        failure=row["failure"],
        **times,
        **shown,
    )


def _stored_event(row: RowMapping) -> ServiceEvent:
    return ServiceEvent(
        position=EventPosition(instance=row["id"]),
        name="instance_stored",
        at=row["received_at"],
        instance_id=row["id"],
        sop_instance_uid=row["sop_instance_uid"],
        study_instance_uid=row["study_instance_uid"],
    )


def _job_event(row: RowMapping) -> ServiceEvent:
    name = _EVENT_NAMES[row["task_name"], row["type"]]
    return ServiceEvent(
        position=EventPosition(job_event=row["id"]),
        name="delivery_refused" if name == "delivered" and row["delivery_state"] != "delivered" else name,
        at=row["at"],
        job_id=row["job_id"],
        study_instance_uid=row["study_instance_uid"],
        report_id=row["report_id"],
        destination=row["destination"],
    )
