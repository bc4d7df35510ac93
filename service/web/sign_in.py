"""The way in and out: by login and password, or by a one-time link; and the own account."""

import math
from datetime import UTC
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Path, Request
from fastapi.responses import RedirectResponse, Response

from service.access import BROWSER_LIFE, OpenedSession, Principal, SignedIn, TryLater
from service.api.dependencies import FailedSignIns, Parts, Services, Viewer
from service.api.gate import SIGN_IN_PATH, session_cookie_name
from service.api.limits import TokenBuckets, counted_address
from service.api.problems import Problem
from service.api.way_back import WayBack
from service.errors import InputRejected, Unavailable
from service.web.pages import present
from service.web.words import Wording, Words

_TOKEN = Path(pattern=r"^[A-Za-z0-9_-]{20,100}$")
_UID = Path(pattern=r"^[0-9.]{1,64}$")
_WRONG = "Login or password is wrong, or the account is disabled."

router = APIRouter(include_in_schema=False)


def asked_for(page: str = "", study: str = "", report: str = "") -> WayBack:
    """The ids of the address."""
    return WayBack(page, study, report)


def filled_in(
    page: Annotated[str, Form()] = "", study: Annotated[str, Form()] = "", report: Annotated[str, Form()] = ""
) -> WayBack:
    """The ids that the form carries on."""
    return WayBack(page, study, report)


@router.get(SIGN_IN_PATH)
def sign_in_page(request: Request, parts: Parts, words: Wording, wanted: Annotated[WayBack, Depends(asked_for)]) -> Response:
    """The form; whoever is signed in goes on at once."""
    if isinstance(request.scope["state"].get("principal"), Principal):
        return RedirectResponse(wanted.address, status_code=303)
    has_ended = session_cookie_name(secure=parts.secure_cookies) in request.cookies
    return _form(words, wanted, notice=words.say("The session has ended. Please sign in again.") if has_ended else None)


@router.post(SIGN_IN_PATH)
def sign_in(
    request: Request,
    parts: Parts,
    failed: FailedSignIns,
    words: Wording,
    wanted: Annotated[WayBack, Depends(filled_in)],
    login: Annotated[str, Form()] = "",
    password: Annotated[str, Form()] = "",
) -> Response:
    """Open a session for the right password. What is wrong is never said more closely, and costs as much time."""
    try:
        answer = _judge(request, parts, failed, login, password)
    except Unavailable as error:
        return _form(words, wanted, status_code=503, login=login, problem=words.answered(str(error)))
    if isinstance(answer, TryLater):
        return _paused(words, answer, wanted, login)
    if answer is None:
        return _form(words, wanted, status_code=401, login=login, problem=words.say(_WRONG))
    _close_session(request, parts)
    response = RedirectResponse(wanted.address, status_code=303)
    _set_cookie(response, answer, secure=parts.secure_cookies)
    _set_browser_cookie(response, answer, secure=parts.secure_cookies)
    return response


@router.get(SIGN_IN_PATH + "/{token}")
def use_link(request: Request, parts: Parts, words: Wording, token: str = _TOKEN) -> Response:
    """Use a one-time link up and go to the worklist."""
    return _use_link(request, parts, words, token, "/")


@router.get(SIGN_IN_PATH + "/{token}/studies/{study_instance_uid}")
def use_link_to_study(
    request: Request, parts: Parts, words: Wording, token: str = _TOKEN, study_instance_uid: str = _UID
) -> Response:
    """Use a one-time link up and go to a report."""
    return _use_link(request, parts, words, token, f"/studies/{study_instance_uid}")


@router.post("/sign-out")
def sign_out(request: Request, parts: Parts, principal: Viewer, words: Wording) -> Response:
    """End the session."""
    if _close_session(request, parts):
        parts.audit.append(actor=principal.name, action="signed_out", subject=principal.name)
    response = _without_session(parts, present("signed_out.html", words=words))
    # Frames that the viewer let the browser keep; whoever comes next at this screen is somebody else.
    response.headers["Clear-Site-Data"] = '"cache"'
    return response


@router.get("/account")
def account_page(principal: Viewer, words: Wording) -> Response:
    """Who is signed in, and the form for another password."""
    return present("account.html", words=words, principal=principal)


@router.post("/account/password")
def change_password(
    parts: Parts,
    principal: Viewer,
    words: Wording,
    current: Annotated[str, Form()] = "",
    new: Annotated[str, Form()] = "",
    repeated: Annotated[str, Form()] = "",
) -> Response:
    """Put another password in the place of one's own, and sign in with it."""
    if principal.person is None:
        raise Problem(403, "This needs the session of a local account.", reason="person")
    refused = partial(present, "account.html", words=words, principal=principal)
    if new != repeated:
        return refused(status_code=422, problem=words.say("The two new passwords differ."))
    try:
        wait = parts.users.change_password(principal.person.user_id, current=current, new=new)
    except InputRejected as error:
        return refused(status_code=422, problem=words.answered(str(error)))
    if wait is not None:
        return _with_retry_after(refused(status_code=429, problem=_said_of(words, wait)), wait)
    said = words.say("The password is changed. Please sign in with it.")
    return _without_session(parts, _form(words, WayBack(), notice=said))


def _judge(request: Request, parts: Services, failed: TokenBuckets, login: str, password: str) -> SignedIn | TryLater | None:
    """Counted by address before it is judged, so that many at once are counted, too."""
    address = counted_address(request.scope)
    wait = failed.take(address)
    if wait > 0:
        return TryLater(seconds=wait)
    browser_token = request.cookies.get(_browser_cookie_name(secure=parts.secure_cookies))
    answer = parts.user_sessions.sign_in(login=login, password=password, browser_token=browser_token)
    if isinstance(answer, SignedIn):
        failed.give_back(address)
    return answer


def _form(words: Words, wanted: WayBack, *, status_code: int = 200, **values: str | None) -> Response:
    return present("sign_in.html", words=words, status_code=status_code, wanted=wanted.ids, **values)


def _paused(words: Words, pause: TryLater, wanted: WayBack, login: str) -> Response:
    return _with_retry_after(_form(words, wanted, status_code=429, login=login, problem=_said_of(words, pause)), pause)


def _said_of(words: Words, pause: TryLater) -> str:
    return words.say("Too many failed attempts. Please try again in {number} s.", number=_seconds(pause))


def _with_retry_after(response: Response, pause: TryLater) -> Response:
    response.headers["Retry-After"] = str(_seconds(pause))
    return response


def _seconds(pause: TryLater) -> int:
    return max(1, math.ceil(pause.seconds))


def _use_link(request: Request, parts: Services, words: Words, token: str, to: str) -> Response:
    if "prefetch" in request.headers.get("sec-purpose", request.headers.get("purpose", "")):
        raise Problem(403, "A link that opens once is not opened ahead of time.", reason="prefetch")
    session = parts.sign_ins.open_session(token)
    if session is None:
        return present("link_used.html", words=words, status_code=401)
    response = RedirectResponse(to, status_code=303)
    _set_cookie(response, session, secure=parts.secure_cookies)
    return response


def _close_session(request: Request, parts: Services) -> bool:
    """End the session of the cookie, of whichever kind; false when there is none."""
    token = request.cookies.get(session_cookie_name(secure=parts.secure_cookies))
    if token is not None:
        for sessions in (parts.sign_ins, parts.user_sessions):
            sessions.close_session(token)
    return token is not None


def _without_session(parts: Services, response: Response) -> Response:
    name = session_cookie_name(secure=parts.secure_cookies)
    response.delete_cookie(name, path="/", httponly=True, samesite="strict", secure=parts.secure_cookies)
    return response


def _set_cookie(response: Response, session: OpenedSession, *, secure: bool) -> None:
    response.set_cookie(
        session_cookie_name(secure=secure),
        session.token,
        expires=session.expires_at.astimezone(UTC),
        path="/",
        httponly=True,
        samesite="strict",
        secure=secure,
    )


def _set_browser_cookie(response: Response, session: SignedIn, *, secure: bool) -> None:
    """It opens nothing: it only keeps this browser apart from whoever guesses at the same login."""
    response.set_cookie(
        _browser_cookie_name(secure=secure),
        session.browser_token,
        max_age=int(BROWSER_LIFE.total_seconds()),
        path="/",
        httponly=True,
        samesite="strict",
        secure=secure,
    )


def _browser_cookie_name(*, secure: bool) -> str:
    return "__Host-sonomyo-browser" if secure else "sonomyo_browser"
