"""Accounts and the audit trail, for administrators."""

import secrets
from typing import Annotated, TypedDict, Unpack

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import SecretStr

from service.access import Principal, Role, UserChange, UserDetails, account_named
from service.api.dependencies import Administrator, Cursor, Parts, Services, UserId
from service.api.routes.admin import new_sign_in_link
from service.api.routes.users import refuse_own_account
from service.errors import Conflict, InputRejected, NotFound
from service.web.pages import present
from service.web.words import Wording, Words

_AUDIT_PAGE = 100
#: 128 bits: a password that nobody needs to remember, for it is changed at once.
_PASSWORD_BYTES = 16
_Text = Annotated[str, Form(max_length=200, pattern=r"^[^\x00]*$")]

router = APIRouter(include_in_schema=False)


class _Values(TypedDict, total=False):
    """What the page says once: of what was asked for, and what came of it."""

    password: str
    link: str
    problem: str
    login: str
    full_name: str


@router.get("/users")
def users_page(parts: Parts, principal: Administrator, words: Wording) -> Response:
    """Every account, and the form for another one."""
    return _page(parts, principal, words)


@router.post("/users")
def add_user(
    parts: Parts, principal: Administrator, words: Wording, login: _Text, full_name: _Text, role: Annotated[Role, Form()]
) -> Response:
    """A new account; its first password is shown this once."""
    password = secrets.token_urlsafe(_PASSWORD_BYTES)
    try:
        user = parts.users.add(login=login, full_name=full_name, role=role, password=password, actor=principal.name)
    except (InputRejected, Conflict) as error:
        return _page(
            parts, principal, words, status_code=422, problem=words.answered(str(error)), login=login, full_name=full_name
        )
    return _page(parts, principal, words, handed_over=user, password=password)


@router.post("/users/{user_id}/role")
def change_role(
    parts: Parts, principal: Administrator, words: Wording, user_id: UserId, role: Annotated[Role, Form()]
) -> Response:
    """Another role; the account's sessions end."""
    return _change(parts, principal, words, user_id, UserChange(role=role))


@router.post("/users/{user_id}/disable")
def disable_user(parts: Parts, principal: Administrator, words: Wording, user_id: UserId) -> Response:
    """It signs in no more; its sessions end."""
    return _change(parts, principal, words, user_id, UserChange(disabled=True))


@router.post("/users/{user_id}/enable")
def enable_user(parts: Parts, principal: Administrator, words: Wording, user_id: UserId) -> Response:
    """It may sign in again."""
    return _change(parts, principal, words, user_id, UserChange(disabled=False))


@router.post("/users/{user_id}/reset")
def reset_password(parts: Parts, principal: Administrator, words: Wording, user_id: UserId) -> Response:
    """A new password, shown this once; the account's sessions end."""
    password = secrets.token_urlsafe(_PASSWORD_BYTES)
    try:
        refuse_own_account(principal, user_id)
        user = parts.users.change(user_id, UserChange(password=SecretStr(password)), actor=principal.name)
    except (Conflict, NotFound) as error:
        return _page(parts, principal, words, status_code=409, problem=words.answered(str(error)))
    return _page(parts, principal, words, handed_over=user, password=password)


@router.post("/users/link")
def make_link(
    request: Request, parts: Parts, principal: Administrator, words: Wording, role: Annotated[Role, Form()]
) -> Response:
    """A one-time link for whoever has no account; it opens once, within an hour, and signs nothing."""
    if role is Role.ADMINISTRATOR:
        return _page(
            parts, principal, words, status_code=422, problem=words.say("A link opens the viewer as viewer or radiologist only.")
        )
    return _page(parts, principal, words, link=new_sign_in_link(request, parts, principal, role, "/"))


@router.get("/audit")
def audit_page(parts: Parts, principal: Administrator, words: Wording, cursor: Cursor = None) -> Response:
    """Who did what to which object, newest first."""
    page = parts.operations.audit(limit=_AUDIT_PAGE, cursor=cursor)
    names = {account_named(user.user_id): user.full_name for user in parts.users.list()}
    return present("audit.html", words=words, principal=principal, page=page, names=names, cursor=cursor)


def _change(parts: Services, principal: Principal, words: Words, user_id: str, change: UserChange) -> Response:
    try:
        refuse_own_account(principal, user_id)
        parts.users.change(user_id, change, actor=principal.name)
    except (Conflict, NotFound) as error:
        return _page(parts, principal, words, status_code=409, problem=words.answered(str(error)))
    return RedirectResponse("/users", status_code=303)


def _page(
    parts: Services,
    principal: Principal,
    words: Words,
    *,
    status_code: int = 200,
    handed_over: UserDetails | None = None,
    **values: Unpack[_Values],
) -> Response:
    users = parts.users.list()
    return present(
        "users.html",
        words=words,
        status_code=status_code,
        principal=principal,
        users=users,
        roles=list(Role),
        handed_over=handed_over,
        **values,
    )
