"""What routes are given: the parts of the service, who asks, and the guards."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Protocol, cast

from fastapi import Depends, Path, Query, Request
from starlette.requests import HTTPConnection

from service.access import AuditLog, Person, Principal, Role, SignIns, Users, UserSessions
from service.api.events import EventFeed
from service.api.gate import SIGN_IN_PATH
from service.api.instrumentation import Metrics
from service.api.limits import TokenBuckets
from service.api.live import LiveRoom
from service.api.problems import Problem
from service.api.readiness import Readiness
from service.api.uploads import Intake
from service.core.findings import ModelUsed
from service.core.instance import InstanceAttributes
from service.core.languages import LanguageTag
from service.core.recent import Recent
from service.core.render.published import Published
from service.core.report import Report
from service.core.report_life import Changes
from service.destination_settings import DestinationSettings
from service.dicom_views import DicomViews
from service.explanation import StudyExplanation
from service.operation_views import DiskState, JobViews, OperationViews
from service.ports import CineReader, InstanceStore
from service.views import StudyViews, WorklistSearches

CSRF_HEADER = "x-csrf-token"
CSRF_FIELD = "csrf_token"
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_FORM = "application/x-www-form-urlencoded"
_TOLD_CINES = 256


class Steps(Protocol):
    """The steps of `service.flow.Flow` that a person or program may ask for, who is `actor` in the audit trail."""

    def request_report(self, study_instance_uid: str, *, actor: str) -> None:
        """Raises NotFound."""

    def reanalyse(self, study_instance_uid: str, model_versions: Mapping[str, str] | None = None, *, actor: str) -> None:
        """Raises NotFound, InputRejected for a pinned model that is not served, Unavailable."""

    def acknowledge_identity(self, study_instance_uid: str, *, actor: str) -> None:
        """Raises NotFound."""


class ReviewSteps(Protocol):
    """The steps of `service.review.Review`; each gives the version that it made, which is in the audit trail with it."""

    def amend(self, report_id: str, changes: Changes, *, by: Person) -> Report:
        """Raises NotFound, Outdated, Conflict, InputRejected."""

    def preview(self, report_id: str, changes: Changes, *, by: Person) -> Report:
        """The draft that `amend` would make; stores nothing. Raises NotFound, Conflict, InputRejected."""

    def sign(self, report_id: str, *, by: Person) -> Report:
        """Raises NotFound, Outdated, Conflict."""

    def cancel(self, report_id: str, *, why: str, by: Person) -> Report:
        """Raises NotFound, Outdated, Conflict."""


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

    def observation_resources(self, report: Report) -> list[dict[str, Any]]:
        """An Observation for each finding."""

    def observation_resource(self, report: Report, name: str) -> dict[str, Any]:
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
    searches: WorklistSearches
    dicom: DicomViews
    jobs: JobViews
    operations: OperationViews
    steps: Steps
    review: ReviewSteps
    dead_jobs: DeadJobs
    deliveries: DeliverySteps
    intake: Intake
    store: InstanceStore
    reader: CineReader
    sign_ins: SignIns
    users: Users
    user_sessions: UserSessions
    audit: AuditLog
    readiness: Readiness
    metrics: Metrics
    events: EventFeed
    live: LiveRoom
    models: Sequence[Model]
    destinations: Sequence[DestinationSettings]
    #: Asks one whether it answers, and gives what it said. Raises Unavailable, which says what to check.
    reach: Callable[[DestinationSettings], str]
    #: Raises OSError.
    disk: Callable[[], DiskState]
    #: A report, the annotated frame (PNG) of each of its instances, and a language -> a whole HTML page.
    render_page: Callable[[Report, Mapping[str, bytes], LanguageTag], str]
    render_pdf: Callable[[Report, Mapping[str, bytes], LanguageTag], bytes]
    fhir: FhirRendering
    #: Which rule chose what of a study. Raises NotFound.
    explain: Callable[[str], StudyExplanation]
    #: By SOP Instance UID, version and language: what the viewer is told of a cine, as JSON; making it starts a decoder.
    told_cines: Recent[tuple[str, str, str], bytes] = field(default_factory=lambda: Recent(_TOLD_CINES))
    secure_cookies: bool = False
    #: What addresses in answers begin with; what a request says without it.
    public_url: str | None = None
    #: For those who do not say which they want.
    language: LanguageTag = "en"


# Those that only look at the request are `async`, for FastAPI sends every other one to a thread and waits for it.
async def get_services(request: Request) -> Services:
    """The parts that the app was made with."""
    return services_of(request)


def services_of(connection: HTTPConnection) -> Services:
    """The same, outside of dependencies."""
    return cast("Services", connection.app.state.services)


def require(role: Role) -> Callable[[Request], Awaitable[Principal]]:
    """A guard: the principal, if the role is enough."""

    async def check(request: Request) -> Principal:
        principal = request.scope.get("state", {}).get("principal")
        if not isinstance(principal, Principal):
            raise Problem(401, "This needs an API key, or the session of the viewer.", headers={"WWW-Authenticate": "Bearer"})
        if not principal.role.includes(role):
            raise Problem(403, f"This needs the role {role.value}.", reason="role")
        return principal

    return check


async def check_csrf(request: Request) -> None:
    """What a browser sends by itself is not enough for a change: the session's token must come with it (ASVS 3.5.1).

    The sign-in form is of no session; the gate judges where it comes from.
    """
    if request.scope["path"] == SIGN_IN_PATH:
        return
    principal = request.scope.get("state", {}).get("principal")
    if request.method in _SAFE_METHODS or not isinstance(principal, Principal) or principal.csrf_token is None:
        return
    given: object = request.headers.get(CSRF_HEADER)
    if given is None and request.headers.get("content-type", "").startswith(_FORM):
        given = (await request.form()).get(CSRF_FIELD)
    if given != principal.csrf_token:
        raise Problem(403, "The form is not from this session; load the page again.", reason="csrf")


async def get_failed_sign_ins(request: Request) -> TokenBuckets:
    """Failed attempts at the sign-in form, by address."""
    return cast("TokenBuckets", request.app.state.failed_sign_ins)


Parts = Annotated[Services, Depends(get_services)]
FailedSignIns = Annotated[TokenBuckets, Depends(get_failed_sign_ins)]
Viewer = Annotated[Principal, Depends(require(Role.VIEWER))]
Radiologist = Annotated[Principal, Depends(require(Role.RADIOLOGIST))]
Administrator = Annotated[Principal, Depends(require(Role.ADMINISTRATOR))]


@dataclass(frozen=True, slots=True)
class Signatory:
    """A radiologist who signed in to an account of their own."""

    principal: Principal
    person: Person


async def require_person(principal: Radiologist) -> Signatory:
    """Only a person stands for a report. Raises Problem (403)."""
    if principal.person is None:
        said = "Only a person amends, signs or withdraws a report: sign in to an account of your own. A key or a link is nobody."
        raise Problem(403, said, reason="no_person")
    return Signatory(principal, principal.person)


ByPerson = Annotated[Signatory, Depends(require_person)]


async def read_if_match(request: Request) -> str:
    """The version that a change was made for, of If-Match (RFC 9110 13.1.1). Raises Problem (428, 412)."""
    given = [tag.strip() for line in request.headers.getlist("if-match") for tag in line.split(",")]
    named = [tag for tag in given if tag]
    if not named or "*" in named:
        said = "Say which version you have read: If-Match with the ETag that came with it. `*` would overwrite what others did."
        raise Problem(428, said, reason="precondition_required")
    if len(named) > 1 or not (named[0].startswith('"') and named[0].endswith('"')):
        raise Problem(412, "If-Match must name one version, as its ETag does: the report_id in quotes.")
    return named[0].strip('"').lower()


IfMatch = Annotated[str, Depends(read_if_match)]


async def join_accept(request: Request) -> str | None:
    """Accept, when it comes in several lines too (RFC 9110 5.3)."""
    return ", ".join(request.headers.getlist("accept")) or None


Accept = Annotated[str | None, Depends(join_accept)]
Uid = Annotated[str, Path(pattern=r"^[0-9.]{1,64}$", description="A DICOM UID (PS3.5 9.1).", examples=["2.25.1001"])]
ReportId = Annotated[str, Path(pattern=r"^[0-9a-fA-F-]{36}$", description="The UUID of one version of a report.")]
DeliveryId = Annotated[int, Path(ge=1, le=(1 << 63) - 1)]
DestinationName = Annotated[str, Path(pattern=r"^[a-z0-9_-]{1,64}$", description="The name of a destination of the settings.")]
UserId = Annotated[str, Path(pattern=r"^[0-9a-f]{12}$", description="The id of a local account.")]
JobId = Annotated[int, Path(ge=1, le=(1 << 63) - 1)]
Limit = Annotated[int, Query(ge=1, le=500, description="How many at most.")]
Cursor = Annotated[str | None, Query(max_length=512, description="`next_cursor` of the page before.")]
