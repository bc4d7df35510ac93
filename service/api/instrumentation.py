"""One log line and one count a request, by path template: no address, no query, no identifier."""

import time
import uuid
from collections.abc import Callable, Iterator, Mapping

import structlog
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.problems import problem_of, render
from service.errors import SonomyoError
from service.operation_views import Counters

_log = structlog.stdlib.get_logger("sonomyo.http")
#: Routes that are asked every few seconds by machines; logged only when they fail.
_QUIET_ROUTES = frozenset({"/healthz", "/readyz", "/metrics"})
_COUNTERS_SECONDS = 10.0
_SERVER_ERROR = 500
#: Nothing was answered, for nobody was there any more; the number is nginx's.
_CLIENT_LEFT = 499


class Metrics:
    """What /metrics shows; one registry an app, so that two apps in a process do not mix."""

    def __init__(self, *, counters: Callable[[], Counters]) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "sonomyo_http_requests", "HTTP requests answered", ("method", "route", "status"), registry=self.registry
        )
        self.seconds = Histogram("sonomyo_http_request_seconds", "Time to answer", ("route",), registry=self.registry)
        self.live_frames = Counter("sonomyo_live_frames", "Frames that came live", ("outcome",), registry=self.registry)
        self.live_seconds = Histogram("sonomyo_live_frame_seconds", "Time to answer a live frame", registry=self.registry)
        self.registry.register(_DatabaseCounts(counters))

    def exposition(self) -> bytes:
        """Prometheus text format."""
        return generate_latest(self.registry)


class _DatabaseCounts(Collector):
    """Counts of rows, read at most every few seconds; when the database is away, `sonomyo_database_up` says so."""

    def __init__(self, counters: Callable[[], Counters]) -> None:
        self._counters = counters
        self._read_at = float("-inf")
        self._last: Counters | None = None

    def describe(self) -> Iterator[Metric]:
        """Nothing beforehand: registering must not read the database."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """The families."""
        counters = self._read()
        yield GaugeMetricFamily("sonomyo_database_up", "1 when the database answers", value=float(counters is not None))
        if counters is None:
            return
        yield _family("sonomyo_instances", "Instances kept, by how they were judged", ("disposition",), counters.instances)
        yield _family("sonomyo_studies", "Studies, by status", ("status",), counters.studies)
        yield _family("sonomyo_analyses", "Analyses, by state", ("analysis", "state"), counters.analyses)
        yield _family("sonomyo_jobs", "Jobs that are not done, by state as REST names it", ("queue", "state"), counters.jobs)
        yield _family("sonomyo_deliveries", "Objects on their way", ("destination", "state"), counters.deliveries)
        yield _family("sonomyo_associations", "DICOM associations, by outcome", ("outcome",), counters.associations)
        yield GaugeMetricFamily(
            "sonomyo_oldest_waiting_job_seconds", "Age of the oldest job that is due", value=counters.oldest_waiting_job_seconds
        )

    def _read(self) -> Counters | None:
        if time.monotonic() - self._read_at > _COUNTERS_SECONDS:
            try:
                self._last = self._counters()
            except SonomyoError:
                self._last = None
            self._read_at = time.monotonic()
        return self._last


def _family(name: str, text: str, labels: tuple[str, ...], counts: Mapping[tuple[str, ...], int]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=labels)
    for values, count in counts.items():
        family.add_metric(values, count)
    return family


class Instrumentation:
    """Outermost: names the request, answers surprises with a problem, then logs and counts."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = uuid.uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id
        answer = _Answer(send, request_id)
        started = time.perf_counter()
        try:
            await self._app(scope, receive, answer)
        except ClientDisconnect:
            answer.status = answer.status or _CLIENT_LEFT
        except Exception as error:  # noqa: BLE001 - whatever it is, the client gets a problem and the log the place
            _log.error("http_request_failed", request_id=request_id, route=route_of(scope), exc_info=error)
            if answer.status == 0:
                await render(problem_of(error), scope)(scope, receive, answer)
        finally:
            self._account(scope, answer.status, time.perf_counter() - started, request_id)

    def _account(self, scope: Scope, status: int, seconds: float, request_id: str) -> None:
        route, method = route_of(scope), scope["method"] if scope["method"] in _METHODS else "OTHER"
        self._metrics.requests.labels(method, route, str(status)).inc()
        self._metrics.seconds.labels(route).observe(seconds)
        if route in _QUIET_ROUTES and status < _SERVER_ERROR:
            return
        principal = scope["state"].get("principal")
        _log.info(
            "http_request",
            method=method,
            route=route,
            status=status,
            duration_ms=round(seconds * 1000, 1),
            request_id=request_id,
            principal=None if principal is None else principal.name,
        )


class _Answer:
    """`send` that remembers the status and adds the request's name."""

    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self._request_id = request_id
        self.status = 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message.get("headers", ()), (b"x-request-id", self._request_id.encode())]
        await self._send(message)


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def route_of(scope: Scope) -> str:
    """The path's template, for the path itself holds identifiers."""
    return str(getattr(scope.get("route"), "path", "unmatched"))
