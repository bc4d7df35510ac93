"""Live, ready, figures."""

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST

from service.access import Principal
from service.api.dependencies import Parts, Viewer
from service.api.problems import Problem, render
from service.api.schemas import Check, Health, Ready, problem_responses

router = APIRouter(tags=["health"])


@router.get("/healthz")
def healthz(request: Request) -> Health:
    """The process answers; nothing else is asked."""
    return Health(service_version=request.app.version)


@router.get("/readyz", responses=problem_responses(503))
def readyz(request: Request, parts: Parts) -> Response:
    """Database, each model, storage, each by name; why one is not ready is told to those who are signed in."""
    state = parts.readiness.state()
    knows = isinstance(request.scope["state"].get("principal"), Principal)
    checks = [Check(name=part.name, ready=part.problem is None, problem=part.problem if knows else None) for part in state.parts]
    answer = Ready(ready=state.ready, checked_at=state.at, checks=tuple(checks))
    if state.ready:
        return Response(answer.model_dump_json(exclude_none=True), media_type="application/json")
    missing = ", ".join(check.name for check in checks if not check.ready)
    extensions = answer.model_dump(mode="json", exclude_none=True)
    problem = Problem(503, f"Not ready: {missing}.", reason="not_ready", headers={"Retry-After": "5"}, extensions=extensions)
    return render(problem, request.scope)


@router.get("/metrics", responses={200: {"content": {"text/plain": {}}, "description": "Prometheus text format"}})
def metrics(parts: Parts, principal: Viewer) -> Response:
    """Instances, analyses, queue, deliveries, HTTP; no patient's data."""
    del principal
    return Response(parts.metrics.exposition(), media_type=CONTENT_TYPE_LATEST)
