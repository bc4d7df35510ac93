"""What is sent and answered, where the views' own values do not serve."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, SecretStr

from service.access import Person, Role, SessionEnd, UserDetails
from service.api.outcomes import MEDIA_TYPE as FHIR_MEDIA_TYPE
from service.core.amendment import Why
from service.core.findings import Finding, Value
from service.core.report import Comparison, Report
from service.core.shadow import ShadowComparison
from service.operation_views import CircuitView


class ProblemDetails(Value):
    """An RFC 9457 problem."""

    model_config = ConfigDict(frozen=True, extra="allow")

    type: str
    title: str
    status: int
    detail: str
    request_id: str | None = None


class Accepted(Value):
    """What was asked for will be done; `links` say where to look."""

    study_instance_uid: str
    links: Mapping[str, str]


class Reanalysis(Value):
    """How to run a study's analyses again."""

    #: Model name -> version, for this run; models that are not named run as their analysis is made for.
    models: Mapping[
        Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")], Annotated[str, Field(pattern=r"^[1-9][0-9]{0,8}$")]
    ] = Field(default={}, max_length=32, examples=[{"muscle_segmentation": "1"}])


UploadStatus = Literal["stored", "duplicate", "corrected", "conflict", "returned", "refused"]


class UploadedInstance(Value):
    """What became of one instance of an upload, in the order of the parts."""

    status: UploadStatus
    sop_instance_uid: str | None = None
    study_instance_uid: str | None = None
    #: Of a refused one: a stable word, and a sentence.
    reason: str | None = None
    detail: str | None = None
    jobs: tuple[str, ...] = ()


class Upload(Value):
    """Every instance of an upload, and the studies that they belong to."""

    instances: tuple[UploadedInstance, ...]
    studies: tuple[Accepted, ...]


class ReportVersions(Value):
    """All versions of one study's report, oldest first."""

    versions: tuple[Report, ...]


class Preview(Value):
    """What a report would say with changes that are stored nowhere yet."""

    #: Those that would not be as they are now, in the report's order: what was changed, and what follows from that.
    findings: tuple[Finding, ...]
    impression: str
    limitations: tuple[str, ...]
    comparisons: tuple[Comparison, ...]


class Cancellation(Value):
    """Withdraws a report, or gives a draft up."""

    why: Why


class ModelState(Value):
    """A served model."""

    name: str
    version: str
    sha256: str | None = None
    evidence: Literal["simulated", "real"] | None = None
    pretraining: str | None = None
    runtime: str | None = None
    precision: str | None = None
    analyses: tuple[str, ...]
    ready: bool
    problem: str | None = None


class ModelStates(Value):
    """Every model that an analysis needs."""

    models: tuple[ModelState, ...]


class ShadowComparisons(Value):
    """Models in shadow mode against the served ones."""

    comparisons: tuple[ShadowComparison, ...]


class DestinationState(CircuitView):
    """Where results go, how it answers, and how many objects are in each state on their way there."""

    name: str
    protocol: Literal["dicom", "stow", "mllp", "webhook", "fhir"]
    #: AE@HOST:PORT, or a URL, that of a webhook without its path.
    address: str
    host: str | None = None
    port: int | None = None
    ae_title: str | None = None
    kinds: tuple[str, ...]
    tls: bool
    deliveries: Mapping[str, int]


class DestinationStates(Value):
    """Every destination of the settings, and those that old deliveries still name."""

    destinations: tuple[DestinationState, ...]
    removed: Mapping[str, Mapping[str, int]]


class DestinationCheck(Value):
    """Whether a destination answered, and in what words; where it did not, what to check."""

    name: str
    ok: bool
    said: str


class AbandonRequest(Value):
    """Gives a delivery up."""

    reason: Annotated[
        str, Field(min_length=3, max_length=500, pattern=r"^[^\x00]*$", description="For the audit trail; name no patient.")
    ]


class SignInRequest(Value):
    """Asks for a link that opens a page once."""

    role: Literal[Role.VIEWER, Role.RADIOLOGIST] = Role.VIEWER
    page: Annotated[str, Field(pattern=r"^/(studies/[0-9.]{1,64})?$")] = "/"


class SignInLink(Value):
    """Good for one use within an hour."""

    url: str


class Me(Value):
    """Whoever asks."""

    #: As the audit trail names it.
    name: str
    role: Role
    kind: Literal["key", "token", "session"]
    #: Null for programs, and for whoever opened a one-time link: they cannot sign.
    person: Person | None
    #: What a change by this session repeats in `X-CSRF-Token`; null for keys.
    csrf_token: str | None
    #: Null for keys. Asked with `X-Sonomyo-Unattended`, the answer prolongs nothing.
    session_end: SessionEnd | None


_Login = Annotated[str, Field(max_length=64, examples=["anna.kowalska"])]
_FullName = Annotated[str, Field(max_length=64, description="As a signature shows it.", examples=["Dr Anna Kowalska"])]
_Password = Annotated[SecretStr, Field(max_length=512, description="At least 12 characters, not easily guessed.")]


class PasswordChange(Value):
    """The own password, and another one in its place."""

    current_password: Annotated[SecretStr, Field(max_length=512)]
    new_password: _Password


class NewUser(Value):
    """A local account to be made."""

    login: _Login
    full_name: _FullName
    role: Role
    password: _Password


class UserPatch(Value):
    """What is to be otherwise about an account; what is left out stays."""

    full_name: _FullName | None = None
    role: Role | None = None
    disabled: bool | None = None
    password: _Password | None = None


class UserList(Value):
    """Every local account, by login."""

    users: tuple[UserDetails, ...]


class Health(Value):
    """The process answers."""

    status: Literal["ok"] = "ok"
    service_version: str


class Check(Value):
    """One part that the service rests on."""

    name: str
    ready: bool
    #: Told to those who are signed in.
    problem: str | None = None


class Ready(Value):
    """Whether the service can do its work."""

    ready: bool
    checked_at: datetime
    checks: tuple[Check, ...]


def problem_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """OpenAPI's description of the problems that a route may answer with."""
    schema = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}}
    return {status: {"description": _DESCRIPTIONS[status], "content": schema} for status in statuses}


def outcome_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The same where FHIR is spoken."""
    return {status: {"description": _DESCRIPTIONS[status], "content": {FHIR_MEDIA_TYPE: {}}} for status in statuses}


_DESCRIPTIONS = {
    400: "The query, or the body, is not what it should be",
    401: "No credential, or a wrong one",
    403: "The role is not enough, or the form is not from this session",
    404: "Nothing has that name",
    406: "It does not exist as any accepted media type; `available` tells which there are",
    408: "The body did not arrive in time",
    409: "It contradicts what is stored",
    410: "Retention has given it up",
    412: "It was made for a version that another one has followed; `current` names that",
    413: "The body is too large, or compressed",
    415: "The body is of another media type",
    422: "The request does not fit its schema, or what it holds is refused",
    428: "If-Match is missing",
    429: "Too many requests; see Retry-After",
    503: "Something that this rests on is away; see Retry-After",
    507: "No room",
}
