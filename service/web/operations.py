"""Operations: what a PACS administrator looks at and does without a shell."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Annotated, Any, get_args

from fastapi import APIRouter, Form, Query
from fastapi.responses import RedirectResponse, Response

from service.access import Principal
from service.api.dependencies import Administrator, Cursor, DeliveryId, DestinationName, JobId, Parts, Services
from service.api.routes.admin import ask_destination, destination_states
from service.api.routes.models import model_states
from service.api.schemas import DestinationCheck
from service.core.association import Outcome
from service.errors import Conflict
from service.operation_views import DeliveryState, DeliveryView, DiskState, JobState
from service.web.pages import present
from service.web.words import Wording, Words

_PATH = "/operations"
#: Of dead letters, and of deliveries in one state; the page says when there are more.
_MOST_SHOWN = 50
_ASSOCIATIONS = 25
_DONE = {
    "job": "Job {number} is back in the queue.",
    "delivery": "Delivery {number} is on its way again.",
    "given-up": "Delivery {number} is given up.",
}
_Reason = Annotated[str, Form(min_length=3, max_length=500, pattern=r"^[^\x00]*$")]
_Done = Annotated[str | None, Query(pattern=r"^(job|delivery|given-up)-\d{1,18}$")]

router = APIRouter(include_in_schema=False, prefix=_PATH)


@router.get("")
def operations_page(parts: Parts, principal: Administrator, words: Wording, done: _Done = None) -> Response:
    """All at a glance."""
    what, _, number = (done or "").rpartition("-")
    return _page(parts, principal, words, done=words.say(_DONE[what], number=number) if done else None)


@router.post("/jobs/{job_id}/requeue")
def requeue_job(parts: Parts, principal: Administrator, words: Wording, job_id: JobId) -> Response:
    """Put a dead letter back."""
    return _act(parts, principal, words, "job", job_id, partial(parts.dead_jobs.requeue, job_id, actor=principal.name))


@router.post("/deliveries/{delivery_id}/requeue")
def requeue_delivery(parts: Parts, principal: Administrator, words: Wording, delivery_id: DeliveryId) -> Response:
    """Send it again."""
    again = partial(parts.deliveries.send_again, delivery_id, actor=principal.name)
    return _act(parts, principal, words, "delivery", delivery_id, again)


@router.post("/deliveries/{delivery_id}/abandon")
def abandon_delivery(
    parts: Parts, principal: Administrator, words: Wording, delivery_id: DeliveryId, reason: _Reason
) -> Response:
    """Give it up."""
    given_up = partial(parts.deliveries.abandon, delivery_id, actor=principal.name, reason=reason)
    return _act(parts, principal, words, "given-up", delivery_id, given_up)


@router.post("/destinations/{name}/check")
def check_destination(parts: Parts, principal: Administrator, words: Wording, name: DestinationName) -> Response:
    """Ask it whether it answers; the page tells beside it."""
    return _page(parts, principal, words, checked=ask_destination(parts, name))


@router.get("/associations")
def associations_page(
    parts: Parts,
    principal: Administrator,
    words: Wording,
    outcome: Annotated[str | None, Query(pattern=r"^[a-z_]{0,64}$")] = None,
    cursor: Cursor = None,
) -> Response:
    """What each peer offered, what was accepted, what was refused and why."""
    page = parts.operations.associations(outcome=outcome or None, limit=_ASSOCIATIONS, cursor=cursor)
    outcomes = get_args(Outcome)
    return present(
        "associations.html", words=words, principal=principal, page=page, outcome=outcome, outcomes=outcomes, cursor=cursor
    )


def _act(parts: Services, principal: Principal, words: Words, what: str, number: int, act: Callable[[], object]) -> Response:
    """Do it and go back, for a page that is loaded again does nothing again; or say why it could not be done."""
    try:
        act()
    except Conflict as error:
        noun = words.say("Job" if what == "job" else "Delivery")
        return _page(parts, principal, words, status_code=409, problem=f"{noun} {number}: {words.answered(str(error))}")
    return RedirectResponse(f"{_PATH}?done={what}-{number}", status_code=303)


def _page(
    parts: Services,
    principal: Principal,
    words: Words,
    *,
    status_code: int = 200,
    problem: str | None = None,
    done: str | None = None,
    checked: DestinationCheck | None = None,
) -> Response:
    counters = parts.operations.counters()
    return present(
        "operations.html",
        words=words,
        status_code=status_code,
        principal=principal,
        problem=problem,
        done=done,
        checked=checked,
        ready=parts.readiness.state(),
        destinations=destination_states(parts),
        models=model_states(parts).models,
        shadow=parts.operations.shadow_comparisons(),
        queues=_depths(counters.jobs),
        oldest_waiting_seconds=counters.oldest_waiting_job_seconds,
        dead=parts.jobs.jobs(state=JobState.DEAD, task=None, limit=_MOST_SHOWN, cursor=None),
        dead_count=sum(count for (_, state), count in counters.jobs.items() if state == JobState.DEAD),
        failed_analyses=sum(count for (_, state), count in counters.analyses.items() if state == "failed"),
        stuck=_stuck(parts),
        stuck_count=sum(count for (_, state), count in counters.deliveries.items() if state in {"refused", "failed"}),
        studies=sum(counters.studies.values()),
        disk=_disk(parts),
        most_shown=_MOST_SHOWN,
    )


def _stuck(parts: Services) -> list[DeliveryView]:
    """Refused and failed ones wait for a person, newest first."""
    states = (DeliveryState.REFUSED, DeliveryState.FAILED)
    pages = [parts.operations.deliveries(state=state, destination=None, limit=_MOST_SHOWN, cursor=None) for state in states]
    found = [delivery for page in pages for delivery in page.deliveries]
    return sorted(found, key=lambda delivery: delivery.delivery_id, reverse=True)


def _disk(parts: Services) -> DiskState | None:
    """None when it cannot be asked; readiness tells why."""
    try:
        return parts.disk()
    except OSError:
        return None


def _depths(jobs: Mapping[tuple[str, ...], int]) -> list[dict[str, Any]]:
    """One line a queue, with what is not done."""
    queues: dict[str, dict[str, int]] = {}
    for (queue, state), count in jobs.items():
        queues.setdefault(queue, {})[state] = count
    return [{"name": name, **queues[name]} for name in sorted(queues)]
