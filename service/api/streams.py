"""Bodies that are made while they are sent, and what they hold: given back as soon as the answer is over, or nobody reads it."""

from collections.abc import Iterator
from inspect import GEN_CREATED, getgeneratorstate, isgenerator
from math import inf

import anyio
from anyio import from_thread
from anyio.streams.memory import MemoryObjectSendStream
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool
from starlette.types import Receive, Scope, Send


class ClosedStream(StreamingResponse):
    """Closes its generator, and with it files and decoders, also where the client has gone: a collector would take its time."""

    def __init__(self, pieces: Iterator[bytes], *, media_type: str, headers: dict[str, str]) -> None:
        super().__init__(pieces, media_type=media_type, headers=headers)
        self._pieces = pieces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, and close."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            with anyio.CancelScope(shield=True):
                await run_in_threadpool(_close, self._pieces)


class MadeAhead(ClosedStream):
    """For a small body: made without waiting for whoever reads it slowly, who holds nothing but its bytes."""

    async def stream_response(self, send: Send) -> None:
        """Make in a thread, send what is there."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        put, got = anyio.create_memory_object_stream[bytes](inf)
        async with put, anyio.create_task_group() as group, got:
            group.start_soon(run_in_threadpool, self._make, put)
            async for piece in got:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _make(self, put: MemoryObjectSendStream[bytes]) -> None:
        try:
            for piece in self._pieces:
                from_thread.run_sync(put.send_nowait, piece)
        except anyio.BrokenResourceError:
            pass  # nobody reads any more
        finally:
            _close(self._pieces)
            from_thread.run_sync(put.close)


def _close(pieces: Iterator[bytes]) -> None:
    if isgenerator(pieces) and getgeneratorstate(pieces) == GEN_CREATED:
        # Nobody took a piece, as after HEAD: what it would close, it has not entered yet.
        next(pieces, None)
    close = getattr(pieces, "close", None)
    if close is not None:
        close()
