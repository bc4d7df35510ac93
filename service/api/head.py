"""HEAD wherever there is GET (RFC 9110 9.3.2), for all routes in one place."""

import anyio
from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: GET uses these links up, so whoever only looks whether one is there (mail filters do, by HEAD) would leave none for the person.
ONE_TIME_PREFIX = "/sign-in/"


def answers_head(path: str) -> bool:
    """Whether an address that has GET has HEAD, too."""
    return not path.startswith(ONE_TIME_PREFIX)


class HeadAsGet:
    """Asks for what GET answers, and leaves off as soon as its head is there: no body is made that nobody gets."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer HEAD with the head of GET; pass on all else."""
        if scope["type"] != "http" or scope["method"] != "HEAD" or not answers_head(scope["path"]):
            await self._app(scope, receive, send)
            return
        asked = {**scope, "method": "GET"}
        with anyio.CancelScope() as answering:

            async def send_head(message: Message) -> None:
                if message["type"] == "http.response.start":
                    await send(message)
                    await send({"type": "http.response.body", "body": b"", "more_body": False})
                    answering.cancel()

            try:
                await self._app(asked, receive, send_head)
            finally:
                # The log, which stands before this, reads it.
                scope["route"] = asked.get("route")
