"""The application: routes, inside the gate, inside the limits, inside the log."""

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from fastapi import APIRouter, Depends, FastAPI
from starlette.middleware import Middleware
from starlette.routing import WebSocketRoute
from starlette.types import ASGIApp

from service.api import problems
from service.api.dependencies import Services, check_csrf
from service.api.gate import Gate, Scheme
from service.api.head import HeadAsGet
from service.api.headers import SecurityHeaders
from service.api.instrumentation import Instrumentation
from service.api.limits import BodyLimit, Limits, RateLimit, TokenBuckets
from service.api.openapi import describe
from service.api.public_address import PublicAddress, origin_of
from service.api.routes import admin, deliveries, fhir, health, jobs, models, reports, studies, users
from service.api.threads import threads_limited

#: Bodies that may be as large as an upload; every other one is small.
UPLOAD_ROUTES = (("POST", re.compile(r"/api/v1/studies|/dicom-web/studies(/[0-9.]{1,64})?")),)
LIVE_PATH = "/api/v1/live"
TITLE = "Sonomyo"
DESCRIPTION = "Inference microservice for musculoskeletal ultrasound. Research use only, not for diagnosis."


def include_routes(app: FastAPI, routers: Sequence[APIRouter]) -> None:
    """The REST interface, and what is given beside it."""
    for router in (
        health.router,
        studies.router,
        reports.router,
        fhir.router,
        jobs.router,
        deliveries.router,
        models.router,
        admin.router,
        users.router,
        *routers,
    ):
        app.include_router(router)


def create_app(
    services: Services,
    *,
    schemes: Sequence[Scheme],
    version: str,
    routers: Sequence[APIRouter] = (),
    static: ASGIApp | None = None,
    problem_page: problems.ProblemPage | None = None,
    limits: Limits | None = None,
    threads: int = 16,
) -> FastAPI:
    """One port's worth of HTTP.

    `routers` are the pages and DICOMweb, `static` their files, `problem_page` tells a person's browser what is wrong;
    `threads` should not exceed the database pool.
    """
    limits = limits or Limits()
    failed_keys, failed_sign_ins = (
        TokenBuckets(per_second=limits.failed_sign_ins_per_second, burst=limits.failed_sign_in_burst) for _ in range(2)
    )
    public_origin = origin_of(services.public_url) if services.public_url else None

    @asynccontextmanager
    async def live(_app: FastAPI) -> AsyncIterator[None]:
        async with threads_limited(threads):
            yield
        services.events.close()
        services.readiness.close()

    app = FastAPI(
        title=TITLE,
        version=version,
        description=DESCRIPTION,
        dependencies=[Depends(check_csrf)],
        docs_url=None,
        redoc_url=None,
        lifespan=live,
        middleware=[
            Middleware(Instrumentation, metrics=services.metrics),
            Middleware(SecurityHeaders, behind_tls=services.secure_cookies),
            Middleware(Gate, schemes=schemes, failures=failed_keys, public_origin=public_origin),
            Middleware(RateLimit, limits=limits),
            Middleware(BodyLimit, limits=limits, sizes=dict.fromkeys(UPLOAD_ROUTES, limits.maximum_upload_bytes)),
            *([Middleware(PublicAddress, url=services.public_url)] if services.public_url else []),
            Middleware(HeadAsGet),
        ],
    )
    app.state.services = services
    app.state.failed_sign_ins = failed_sign_ins
    app.state.problem_page = problem_page
    problems.install(app)
    include_routes(app, routers)
    # Not a route of FastAPI's: what all of those depend on is made for requests that have a body and a method.
    app.router.routes.append(WebSocketRoute(LIVE_PATH, services.live.serve))
    if static is not None:
        app.mount("/static", static)
    app.openapi = lambda: describe(app)  # type: ignore[method-assign]  # as FastAPI's documentation does it
    return app
