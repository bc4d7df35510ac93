"""What routes are given: the parts of the service, who asks, and the guards."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Protocol, cast

from fastapi import Depends, Path, Query, Request

from service.access import AuditLog, Principal, Role, SignIns
from service.api.events import EventFeed
from service.api.instrumentation import Metrics
from service.api.live import LiveRoom
from service.api.problems import Problem
from service.api.readiness import Readiness
from service.api.uploads import Intake
from service.core.findings import ModelUsed
from service.core.instance import InstanceAttributes
from service.core.render.published import Published
from service.core.report import Report
from service.destination_settings import DestinationSettings
from service.dicom_views import DicomViews
from service.ports import CineReader, InstanceStore
from service.views import JobViews, OperationViews, StudyViews

CSRF_HEADER = "x-csrf-token"
CSRF_FIELD = "csrf_token"
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_FORM = "application/x-www-form-urlencoded"


class Steps(Protocol):
    """The steps of `service.flow.Flow` that a person or program may ask for."""

    def request_report(self, study_instance_uid: str) -> None:
        """Raises NotFound."""

    def reanalyse(self, study_instance_uid: str, model_versions: Mapping[str, str] | None = None) -> None:
        """Raises NotFound, InputRejected for a pinned model that is not served, Unavailable."""

    def acknowledge_identity(self, study_instance_uid: str) -> None:
        """Raises NotFound."""


class DeadJobs(Protocol):
    """Dead letters."""

    def requeue(self, job_id: int, *, actor: str) -> int:
        """Gives the id of the job that does the work now. Raises NotFound, and Conflict when the job is not dead."""


class DeliverySteps(Protocol):
    """What an operator does with a delivery that does not arrive."""

    def send_again(self, delivery_id: int, *, actor: str) -> int:
        """Gives the id of the job that sends it. Raises NotFound, and Conflict unless it ended without arriving."""

    def abandon(self, delivery_id: int, *, actor: str, reason: str) -> None:
        """Raises NotFound, and Conflict when it arrived, was given up or is being sent."""


class FhirRendering(Protocol):
    """`service.core.render.fhir`, which is imported where a service is made."""

    def bundle(self, report: Report, instances: Sequence[InstanceAttributes], published: Published) -> bytes:
        """A transaction of all that the report says. Raises InputRejected."""

    def report_resource(self, report: Report, published: Published) -> dict[str, Any]:
        """A DiagnosticReport."""

    def observation_resource(self, report: Report, number: int) -> dict[str, Any]:
        """Raises NotFound."""

    def imaging_study_resource(
        self, report: Report, instances: Sequence[InstanceAttributes], published: Published
    ) -> dict[str, Any]:
        """Raises InputRejected."""

    def encode(self, resource: Mapping[str, Any]) -> bytes:
        """Checked JSON. Raises InputRejected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model that analyses need, and how to ask which weights serve it."""

    name: str
    version: str
    analyses: Sequence[str]
    #: Raises Unavailable, ModelContractError.
    describe: Callable[[], ModelUsed]


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Everything behind the HTTP edge."""

    studies: StudyViews
    dicom: DicomViews
    jobs: JobViews
    operations: OperationViews
    steps: Steps
    dead_jobs: DeadJobs
    deliveries: DeliverySteps
    intake: Intake
    store: InstanceStore
    reader: CineReader
    sign_ins: SignIns
    audit: AuditLog
    readiness: Readiness
    metrics: Metrics
    events: EventFeed
    live: LiveRoom
    models: Sequence[Model]
    destinations: Sequence[DestinationSettings]
    #: A report and the annotated frame (PNG) of each of its instances -> a whole HTML page.
    render_page: Callable[[Report, Mapping[str, bytes]], str]
    render_pdf: Callable[[Report, Mapping[str, bytes]], bytes]
    fhir: FhirRendering
    secure_cookies: bool = False


def get_services(request: Request) -> Services:
    """The parts that the app was made with."""
    return cast("Services", request.app.state.services)


def require(role: Role) -> Callable[[Request], Principal]:
    """A guard: the principal, if the role is enough."""

    def check(request: Request) -> Principal:
        principal = request.scope.get("state", {}).get("principal")
        if not isinstance(principal, Principal):
            raise Problem(401, "This needs an API key, or the session of the viewer.", headers={"WWW-Authenticate": "Bearer"})
        if not principal.role.includes(role):
            raise Problem(403, f"This needs the role {role.value}.", reason="role")
        return principal

    return check


async def check_csrf(request: Request) -> None:
    """What a browser sends by itself is not enough for a change: the session's token must come with it (ASVS 3.5.1)."""
    principal = request.scope.get("state", {}).get("principal")
    if request.method in _SAFE_METHODS or not isinstance(principal, Principal) or principal.csrf_token is None:
        return
    given: object = request.headers.get(CSRF_HEADER)
    if given is None and request.headers.get("content-type", "").startswith(_FORM):
        given = (await request.form()).get(CSRF_FIELD)
    if given != principal.csrf_token:
        raise Problem(403, "The form is not from this session; load the page again.", reason="csrf")


Parts = Annotated[Services, Depends(get_services)]
Viewer = Annotated[Principal, Depends(require(Role.VIEWER))]
Radiologist = Annotated[Principal, Depends(require(Role.RADIOLOGIST))]
Administrator = Annotated[Principal, Depends(require(Role.ADMINISTRATOR))]


def join_accept(request: Request) -> str | None:
    """Accept, when it comes in several lines too (RFC 9110 5.3)."""
    return ", ".join(request.headers.getlist("accept")) or None


Accept = Annotated[str | None, Depends(join_accept)]
Uid = Annotated[str, Path(pattern=r"^[0-9.]{1,64}$", description="A DICOM UID (PS3.5 9.1).", examples=["2.25.1001"])]
ReportId = Annotated[str, Path(pattern=r"^[0-9a-fA-F-]{36}$", description="The UUID of one version of a report.")]
DeliveryId = Annotated[int, Path(ge=1, le=(1 << 63) - 1)]
JobId = Annotated[int, Path(ge=1, le=(1 << 63) - 1)]
Limit = Annotated[int, Query(ge=1, le=500, description="How many at most.")]
Cursor = Annotated[str | None, Query(max_length=512, description="`next_cursor` of the page before.")]
