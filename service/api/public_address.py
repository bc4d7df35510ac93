"""The address by which clients know the service, where requests do not say it: some clients leave out the port."""

from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send


def origin_of(url: str) -> str:
    """An address https://host[:port] as browsers send it in Origin (RFC 6454 6.2): in small letters, without a usual port."""
    parts = urlsplit(url.lower())
    usual = {"http": ":80", "https": ":443"}[parts.scheme]
    return f"{parts.scheme}://{parts.netloc.removesuffix(usual)}"


class PublicAddress:
    """Addresses in answers begin with `url` (https://host[:port]); it stands behind whatever looks at the request's own host."""

    def __init__(self, app: ASGIApp, *, url: str) -> None:
        self._app = app
        parts = urlsplit(url)
        self._scheme, self._host = parts.scheme, parts.netloc.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, as if it had been sent there."""
        if scope["type"] == "http":
            others = [(name, value) for name, value in Headers(scope=scope).raw if name != b"host"]
            # In place: the log, which stands before this, reads the route that is found for it.
            scope.update(scheme=self._scheme, headers=[(b"host", self._host), *others])
        await self._app(scope, receive, send)
