"""Headers that every answer carries: browsers keep nothing, frame nothing, guess nothing and load nothing foreign."""

import base64
import hashlib
import re
from collections.abc import Sequence

from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: No script and no style from anywhere but our own files; scripts set styles by CSSOM, which is none of the policy's business.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_ALWAYS = (
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", CONTENT_SECURITY_POLICY.encode()),
    (b"x-frame-options", b"DENY"),
    # Other sites learn nothing. Not no-referrer: with it a browser hides from us, too, where a form comes from (Origin: null).
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=()"),
    (b"cache-control", b"no-store"),
)
_STYLE = re.compile(r"<style>(.*?)</style>", re.DOTALL)
_ONE_YEAR = (b"strict-transport-security", b"max-age=31536000; includeSubDomains")


def policy_of_document(page: str) -> str:
    """For a page that stands alone, as the printable report does: its own styles by their hashes (CSP Level 3, 2.3.1), no other.

    A style that is in the page because somebody smuggled it in would be hashed, too; all text of a report is escaped before.
    """
    hashes = (base64.b64encode(hashlib.sha256(style.encode()).digest()).decode() for style in _STYLE.findall(page))
    return CONTENT_SECURITY_POLICY.replace("style-src 'self'", " ".join(["style-src", *(f"'sha256-{one}'" for one in hashes)]))


class SecurityHeaders:
    """Adds each header that the answer does not set itself."""

    def __init__(self, app: ASGIApp, *, behind_tls: bool) -> None:
        self._app = app
        self._headers: Sequence[tuple[bytes, bytes]] = (*_ALWAYS, _ONE_YEAR) if behind_tls else _ALWAYS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = list(message.get("headers", ()))
                named = {name.lower() for name, _ in own}
                message["headers"] = [*own, *(header for header in self._headers if header[0] not in named)]
            await send(message)

        await self._app(scope, receive, send_with_headers)
