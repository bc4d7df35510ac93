"""Operations: destinations, associations, the audit trail, sign-in links."""

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Query, Request

from service.access import Principal, Role
from service.api.dependencies import Administrator, Cursor, DestinationName, Limit, Parts, Services
from service.api.schemas import (
    DestinationCheck,
    DestinationState,
    DestinationStates,
    SignInLink,
    SignInRequest,
    problem_responses,
)
from service.destination_settings import DestinationSettings, DicomDestinationSettings, MllpDestinationSettings
from service.errors import NotFound, SonomyoError
from service.operation_views import AssociationPage, AuditPage, CircuitView

router = APIRouter(prefix="/api/v1", tags=["operations"], responses=problem_responses(401, 403, 422, 429, 503))


@router.get("/destinations")
def list_destinations(parts: Parts, principal: Administrator) -> DestinationStates:
    """Where results go, and what is on its way there."""
    del principal
    return destination_states(parts)


def destination_states(parts: Services) -> DestinationStates:
    """As they are now."""
    counts, circuits = dict(parts.operations.deliveries_by_destination()), parts.operations.circuits()
    states = tuple(
        _state(destination, counts.pop(destination.name, {}), circuits.get(destination.name, CircuitView()))
        for destination in parts.destinations
    )
    return DestinationStates(destinations=states, removed=counts)


@router.post("/destinations/{name}/check", responses=problem_responses(404))
def check_destination(parts: Parts, principal: Administrator, name: DestinationName) -> DestinationCheck:
    """Ask it whether it answers: C-ECHO, or the least that its protocol has; nothing is sent to it."""
    del principal
    return ask_destination(parts, name)


def ask_destination(parts: Services, name: str) -> DestinationCheck:
    """Raises NotFound."""
    destination = next((one for one in parts.destinations if one.name == name), None)
    if destination is None:
        raise NotFound("There is no destination with that name.")
    try:
        return DestinationCheck(name=name, ok=True, said=parts.reach(destination))
    except SonomyoError as error:
        return DestinationCheck(name=name, ok=False, said=str(error))


def _state(destination: DestinationSettings, deliveries: Mapping[str, int], answering: CircuitView) -> DestinationState:
    dicom = destination if isinstance(destination, DicomDestinationSettings) else None
    has_port = destination if isinstance(destination, DicomDestinationSettings | MllpDestinationSettings) else None
    return DestinationState(
        name=destination.name,
        protocol=destination.protocol,
        address=destination.address,
        host=has_port and has_port.host,
        port=has_port and has_port.port,
        ae_title=dicom and dicom.ae_title,
        kinds=destination.kinds,
        tls=destination.speaks_tls,
        deliveries=deliveries,
        **answering.model_dump(),
    )


@router.get("/associations")
def list_associations(
    parts: Parts,
    principal: Administrator,
    outcome: Annotated[str | None, Query(pattern=r"^[a-z_]{1,64}$")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> AssociationPage:
    """Newest first: what each peer offered, what was accepted, what was refused and why."""
    del principal
    return parts.operations.associations(outcome=outcome, limit=limit, cursor=cursor)


@router.get("/audit")
def list_audit(parts: Parts, principal: Administrator, limit: Limit = 50, cursor: Cursor = None) -> AuditPage:
    """Newest first: who did what to which object; each entry holds the hash of the one before it."""
    del principal
    return parts.operations.audit(limit=limit, cursor=cursor)


@router.post("/sign-in-links", status_code=201)
def create_sign_in_link(request: Request, parts: Parts, principal: Administrator, wanted: SignInRequest) -> SignInLink:
    """A link that opens the viewer once, for whoever holds it; hand it over with care."""
    return SignInLink(url=new_sign_in_link(request, parts, principal, wanted.role, wanted.page))


def new_sign_in_link(request: Request, parts: Services, principal: Principal, role: Role, page: str) -> str:
    """The whole address of a new link to a page of ours; who made it is on record."""
    token = parts.sign_ins.create_link(role)
    parts.audit.append(actor=principal.name, action="sign_in_link_created", subject=f"role:{role.value}")
    return f"{str(request.base_url).rstrip('/')}/sign-in/{token}{'' if page == '/' else page}"
