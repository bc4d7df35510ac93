"""Deny by default: every request passes here, and without a principal only the public paths are open."""

import hashlib
import hmac
from collections.abc import Sequence
from typing import Protocol
from urllib.parse import urlencode

from fastapi import Response
from fastapi.responses import RedirectResponse
from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from service.access import Keys, Principal, Role, Sessions
from service.api.head import ONE_TIME_PREFIX
from service.api.limits import TokenBuckets, counted_address, too_many
from service.api.problems import Problem, problem_of, render, wants_page
from service.api.way_back import WayBack
from service.errors import SonomyoError

SIGN_IN_PATH = "/sign-in"
#: Reachable by anyone: they tell nothing about a patient.
PUBLIC_PATHS = frozenset({"/healthz", "/readyz", SIGN_IN_PATH})
#: Files of the pages: who asks makes no difference, and a page has many of them.
_FILES_PREFIX = "/static/"
PUBLIC_PREFIXES = (ONE_TIME_PREFIX, _FILES_PREFIX)
#: What pages send with whatever they ask by themselves; a browser's event stream cannot send it, and is known by its path.
UNATTENDED_HEADER = "x-sonomyo-unattended"
EVENTS_PATH = "/api/v1/events"
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class Scheme(Protocol):
    """One way to say who asks. The gate tries one after the other; OIDC tokens will be one more."""

    def authenticate(self, connection: HTTPConnection) -> Principal | None:
        """None when the request holds no credential of this scheme, or a wrong one. Raises Unavailable."""


class AdministratorKey:
    """The key of the settings; it needs no database, so that an administrator can look when there is none."""

    def __init__(self, *, key: str) -> None:
        self._digest = hashlib.sha256(key.encode()).digest()

    def authenticate(self, connection: HTTPConnection) -> Principal | None:
        """Compares hashes in constant time."""
        token = bearer_token(connection)
        if token is None or not hmac.compare_digest(hashlib.sha256(token.encode()).digest(), self._digest):
            return None
        return Principal(name="key:settings", role=Role.ADMINISTRATOR, kind="key")


class StoredKey:
    """A key of `sonomyo keys`."""

    def __init__(self, *, keys: Keys) -> None:
        self._keys = keys

    def authenticate(self, connection: HTTPConnection) -> Principal | None:
        """Looks its hash up."""
        token = bearer_token(connection)
        return None if token is None else self._keys.verify(token)


class SessionCookie:
    """A session, of one kind. A request that names a bearer token is never read as one."""

    def __init__(self, *, sessions: Sessions, cookie_name: str) -> None:
        self._sessions = sessions
        self._cookie_name = cookie_name

    def authenticate(self, connection: HTTPConnection) -> Principal | None:
        """Looks its hash up."""
        token = connection.cookies.get(self._cookie_name)
        if token is None or "authorization" in connection.headers:
            return None
        return self._sessions.verify(token, is_used=not is_unattended(connection))


def is_unattended(connection: HTTPConnection) -> bool:
    """Whether a page asks by itself: nobody need sit before it, and a session is not prolonged by it."""
    return connection.scope["path"] == EVENTS_PATH or UNATTENDED_HEADER in connection.headers


def bearer_token(connection: HTTPConnection) -> str | None:
    """RFC 6750 2.1."""
    kind, _, token = connection.headers.get("authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" and token.strip() else None


def session_cookie_name(*, secure: bool) -> str:
    """With Secure the name itself makes browsers refuse the cookie from any other place."""
    return "__Host-sonomyo" if secure else "sonomyo_session"


class Gate:
    """Puts the principal into the request's state, or answers 401; a browser is led to the sign-in page."""

    def __init__(
        self, app: ASGIApp, *, schemes: Sequence[Scheme], failures: TokenBuckets, public_origin: str | None = None
    ) -> None:
        self._app = app
        self._schemes = schemes
        #: Wrong keys, by address. Not those of the sign-in form: a program with an old key keeps no person out.
        self._failures = failures
        self._public_origin = public_origin

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let pass, or answer with a problem."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        connection = HTTPConnection(scope)
        refusal = await self._refusal(connection)
        if refusal is None:
            await self._app(scope, receive, send)
        else:
            await refusal(scope, receive, send)

    async def _refusal(self, connection: HTTPConnection) -> Response | None:
        if connection.scope["path"].startswith(_FILES_PREFIX):
            return None
        is_public = is_public_path(connection.scope["path"])
        try:
            principal = await run_in_threadpool(self._authenticate, connection)
        except SonomyoError as error:
            return None if is_public else render(problem_of(error), connection.scope)
        if principal is not None:
            connection.scope.setdefault("state", {})["principal"] = principal
        elif not is_public:
            return self._unauthenticated(connection)
        return _foreign_origin(connection, principal, self._public_origin)

    def _authenticate(self, connection: HTTPConnection) -> Principal | None:
        found = (scheme.authenticate(connection) for scheme in self._schemes)
        return next((principal for principal in found if principal is not None), None)

    def _unauthenticated(self, connection: HTTPConnection) -> Response:
        tried = "authorization" in connection.headers
        wait = self._failures.take(counted_address(connection.scope)) if tried else 0.0
        if wait > 0:
            return render(too_many(wait), connection.scope)
        if wants_page(connection) and not tried:
            return RedirectResponse(_sign_in_address(connection), status_code=303)
        headers = {"WWW-Authenticate": 'Bearer realm="sonomyo"'}
        return render(Problem(401, "This needs an API key, or the session of the viewer.", headers=headers), connection.scope)


def is_public_path(path: str) -> bool:
    """True for the few paths that need no credential."""
    return path in PUBLIC_PATHS or path.startswith(PUBLIC_PREFIXES)


def _sign_in_address(connection: HTTPConnection) -> str:
    """The sign-in page, which leads back; what was sent to another method is not asked for again."""
    if connection.scope["method"] not in _SAFE_METHODS:
        return SIGN_IN_PATH
    ids = WayBack.of(connection.scope["path"], connection.scope["query_string"].decode("latin-1")).ids
    return f"{SIGN_IN_PATH}?{urlencode(ids)}" if ids else SIGN_IN_PATH


def _foreign_origin(connection: HTTPConnection, principal: Principal | None, public_origin: str | None) -> Response | None:
    """What another site's page makes the browser send is refused; SameSite alone is not trusted to.

    It holds for a session, and for the sign-in form, which has none yet: nobody is signed in as somebody else.
    """
    # What is sent over a WebSocket changes things, and no browser asks its server before it opens one (RFC 6455 10.2).
    method = connection.scope["method"] if connection.scope["type"] == "http" else "WEBSOCKET"
    if (principal is not None and principal.kind != "session") or method in _SAFE_METHODS:
        return None
    origin, site = connection.headers.get("origin"), connection.headers.get("sec-fetch-site", "same-origin")
    own = f"//{connection.headers.get('host', '')}"
    # A proxy may hide the host that the browser asked; then its origin is that of the settings, as a whole.
    is_own = origin is None or origin == public_origin or origin.partition(":")[2] == own
    if site in ("same-origin", "none") and is_own:
        return None
    return render(Problem(403, "This request comes from another site.", reason="foreign_origin"), connection.scope)
