"""What people did to reports, jobs and deliveries, as events: the audit trail has each of them, in the order of its commits."""

from collections.abc import Sequence

from sqlalchemy import Connection, RowMapping, text

from service.operation_views import EventPosition, ServiceEvent

#: Entries that change what a worklist or a viewer shows; the index `ix_audit_acts` has these and no others (migration 0018).
ACTS = (
    "report_amended", "report_signed", "report_cancelled", "identity_acknowledged", "job_requeued", "delivery_requeued",
    "delivery_abandoned",
)  # fmt: skip
#: Written out, for a partial index serves only what is known when a statement is planned.
IS_ACT = f"action IN ({', '.join(repr(name) for name in ACTS)})"
NEWEST_ACT = f"SELECT coalesce(max(id), 0) FROM audit WHERE {IS_ACT}"  # noqa: S608 - made of constants
#: The subject is a report, a study, or `job:` and a number.
_AFTER = f"""
    SELECT a.id, a.at, a.action, a.detail->>'destination' AS destination, j.id AS job_id,
           coalesce(r.report_id, j.args->>'report_id') AS report_id,
           coalesce(r.study_instance_uid, j.args->>'study_instance_uid', i.study_instance_uid, of_job.study_instance_uid,
               s.study_instance_uid) AS study_instance_uid
    FROM (SELECT * FROM audit WHERE id > :after AND {IS_ACT} ORDER BY id LIMIT :limit) a
    LEFT JOIN reports r ON r.report_id = a.subject
    LEFT JOIN studies s ON s.study_instance_uid = a.subject
    LEFT JOIN procrastinate_jobs j
        ON a.action = 'job_requeued' AND j.id = CAST(substring(a.subject FROM '^job:([0-9]+)$') AS bigint)
    LEFT JOIN instances i ON i.id = CAST(j.args->>'instance_id' AS bigint)
    LEFT JOIN reports of_job ON of_job.report_id = j.args->>'report_id'
    ORDER BY a.id
"""  # noqa: S608 - made of constants


def acts_after(connection: Connection, act: int, *, limit: int) -> Sequence[ServiceEvent]:
    """The first so many after an entry of the audit trail, oldest first."""
    found = connection.execute(text(_AFTER), {"after": act, "limit": limit})
    return [_event(row) for row in found.mappings()]


def _event(row: RowMapping) -> ServiceEvent:
    """Who did it stays in the audit trail, which not everybody may read."""
    return ServiceEvent(
        position=EventPosition(act=row["id"]),
        name=row["action"],
        at=row["at"],
        job_id=row["job_id"],
        study_instance_uid=row["study_instance_uid"],
        report_id=row["report_id"],
        destination=row["destination"],
    )
