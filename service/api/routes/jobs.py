"""The queue, its dead letters, and events as they happen."""

from typing import Annotated

from fastapi import APIRouter, Header, Query
from fastapi.responses import StreamingResponse

from service.api.dependencies import Administrator, Cursor, JobId, Limit, Parts, Viewer
from service.api.schemas import problem_responses
from service.operation_views import EventPosition, JobPage, JobState, JobView

router = APIRouter(prefix="/api/v1", tags=["jobs"], responses=problem_responses(401, 403, 422, 429, 503))


@router.get("/jobs")
def list_jobs(
    parts: Parts,
    principal: Viewer,
    state: JobState | None = None,
    task: Annotated[str | None, Query(pattern=r"^[a-z_]{1,64}$")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> JobPage:
    """Newest first; `state=dead` are those that wait for a person."""
    del principal
    return parts.jobs.jobs(state=state, task=task, limit=limit, cursor=cursor)


@router.get("/jobs/{job_id}", responses=problem_responses(404))
def get_job(parts: Parts, principal: Viewer, job_id: JobId) -> JobView:
    """One job."""
    del principal
    return parts.jobs.job(job_id)


@router.post("/jobs/{job_id}/requeue", status_code=202, responses=problem_responses(404, 409))
def requeue_job(parts: Parts, principal: Administrator, job_id: JobId) -> JobView:
    """Put a dead job back into the queue with all its attempts; for a delivery that was refused, a new job is made."""
    return parts.jobs.job(parts.dead_jobs.requeue(job_id, actor=principal.name))


@router.get(
    "/events",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {}}, "description": "Events as they happen"}},
)
async def listen(
    parts: Parts,
    principal: Viewer,
    last_event_id: Annotated[str | None, Header(pattern=r"^\d{1,18}-\d{1,18}(-\d{1,18})?$")] = None,
) -> StreamingResponse:
    """Server-sent events: instance_stored, analysis_done, report_ready, delivered, delivery_refused, and failures of these.

    What people do: report_amended, report_signed, report_cancelled, identity_acknowledged, job_requeued, delivery_requeued,
    delivery_abandoned. `instance_stored` comes once for each instance that is kept, whatever becomes of it; a stream goes on
    after Last-Event-ID.
    """
    del principal
    stream = await parts.events.listen(after=None if last_event_id is None else EventPosition.parse(last_event_id))
    return StreamingResponse(stream, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})
