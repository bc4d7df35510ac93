"""Local accounts: who asks, the own password, and what an administrator does with accounts."""

from fastapi import APIRouter

from service.access import Principal, UserChange, UserDetails
from service.api.dependencies import Administrator, Parts, UserId, Viewer
from service.api.limits import too_many
from service.api.problems import Problem
from service.api.schemas import Me, NewUser, PasswordChange, UserList, UserPatch, problem_responses
from service.errors import Conflict

router = APIRouter(prefix="/api/v1", tags=["accounts"], responses=problem_responses(401, 403, 422, 429, 503))


@router.get("/me")
def read_me(principal: Viewer) -> Me:
    """Who asks, as what; `person` only with the session of a local account."""
    return Me(
        name=principal.name,
        role=principal.role,
        kind=principal.kind,
        person=principal.person,
        csrf_token=principal.csrf_token,
        session_end=principal.session_end,
    )


@router.post("/me/password", status_code=204)
def change_own_password(parts: Parts, principal: Viewer, wanted: PasswordChange) -> None:
    """Put another password in the place of one's own; every session of the account ends, this one too."""
    if principal.person is None:
        raise Problem(403, "This needs the session of a local account.", reason="person")
    current, new = wanted.current_password.get_secret_value(), wanted.new_password.get_secret_value()
    wait = parts.users.change_password(principal.person.user_id, current=current, new=new)
    if wait is not None:
        raise too_many(wait.seconds)


@router.get("/users")
def list_users(parts: Parts, principal: Administrator) -> UserList:
    """Every local account, those that are disabled included: none is ever deleted."""
    del principal
    return UserList(users=tuple(parts.users.list()))


@router.post("/users", status_code=201, responses=problem_responses(409))
def add_user(parts: Parts, principal: Administrator, wanted: NewUser) -> UserDetails:
    """Make an account; hand the password over with care, and let the person change it."""
    return parts.users.add(
        login=wanted.login,
        full_name=wanted.full_name,
        role=wanted.role,
        password=wanted.password.get_secret_value(),
        actor=principal.name,
    )


@router.get("/users/{user_id}", responses=problem_responses(404))
def get_user(parts: Parts, principal: Administrator, user_id: UserId) -> UserDetails:
    """One account."""
    del principal
    return parts.users.get(user_id)


@router.patch("/users/{user_id}", responses=problem_responses(404, 409))
def change_user(parts: Parts, principal: Administrator, user_id: UserId, wanted: UserPatch) -> UserDetails:
    """Another name, role or password, or whether it may sign in; but for a name, the account's sessions end at once."""
    if wanted.model_fields_set - {"full_name"}:
        refuse_own_account(principal, user_id)
    return parts.users.change(user_id, UserChange(**dict(wanted)), actor=principal.name)


def refuse_own_account(principal: Principal, user_id: str) -> None:
    """Nobody locks themselves out, or gives themselves another role. Raises Conflict."""
    if principal.person is not None and principal.person.user_id == user_id:
        detail = (
            "Nobody changes role, password or access of the own account here; another administrator does, or `sonomyo users`."
        )
        raise Conflict(detail, reason="own_account")
