"""Deliveries: what went where, and what an operator does with one that does not arrive."""

from typing import Annotated

from fastapi import APIRouter, Query

from service.api.dependencies import Administrator, Cursor, DeliveryId, Limit, Parts
from service.api.schemas import AbandonRequest, problem_responses
from service.operation_views import DeliveryPage, DeliveryState, DeliveryView, JobView

router = APIRouter(prefix="/api/v1/deliveries", tags=["operations"], responses=problem_responses(401, 403, 422, 429, 503))


@router.get("")
def list_deliveries(
    parts: Parts,
    principal: Administrator,
    state: DeliveryState | None = None,
    destination: Annotated[str | None, Query(pattern=r"^[a-z0-9_-]{1,64}$")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> DeliveryPage:
    """Newest first; `state=refused` and `state=failed` wait for a person."""
    del principal
    return parts.operations.deliveries(state=state, destination=destination, limit=limit, cursor=cursor)


@router.post("/{delivery_id}/requeue", status_code=202, responses=problem_responses(404, 409))
def requeue_delivery(parts: Parts, principal: Administrator, delivery_id: DeliveryId) -> JobView:
    """Send one that was refused, failed or given up again, the same bytes, with all attempts."""
    return parts.jobs.job(parts.deliveries.send_again(delivery_id, actor=principal.name))


@router.post("/{delivery_id}/abandon", responses=problem_responses(404, 409))
def abandon_delivery(parts: Parts, principal: Administrator, delivery_id: DeliveryId, wanted: AbandonRequest) -> DeliveryView:
    """Give an undelivered one up, for a reason that the audit trail keeps; retention no longer waits for it."""
    parts.deliveries.abandon(delivery_id, actor=principal.name, reason=wanted.reason)
    return parts.operations.delivery(delivery_id)
