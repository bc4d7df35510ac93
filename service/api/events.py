"""Server-sent events: one look into the database a second for all listeners, none while nobody listens."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence

import structlog
from starlette.concurrency import run_in_threadpool

from service.api.problems import Problem
from service.errors import SonomyoError
from service.views import JobEvent, JobViews

POLL_SECONDS = 1.0
KEEP_ALIVE_SECONDS = 15.0
#: After this a client connects anew, so that a session that has ended does not listen on.
LONGEST_SECONDS = 900.0
MOST_LISTENERS = 100
BATCH = 500
#: Transactions commit out of order: ids this far back are looked at again.
_OVERLAP = 200
_BACKLOG = 1000

_log = structlog.stdlib.get_logger("sonomyo.events")


class EventFeed:
    """Reads events and hands them to every listener. Lives on the event loop."""

    def __init__(self, *, jobs: JobViews) -> None:
        self._jobs = jobs
        self._listeners: set[asyncio.Queue[JobEvent | None]] = set()
        self._reading: asyncio.Task[None] | None = None
        self._closed = False

    async def listen(self, *, after: int | None) -> AsyncIterator[str]:
        """Lines of an event stream, beginning after an event or now. Raises Problem (503) when too many listen."""
        if self._closed or len(self._listeners) >= MOST_LISTENERS:
            raise Problem(503, "Too many listen already.", headers={"Retry-After": "30"})
        queue: asyncio.Queue[JobEvent | None] = asyncio.Queue(_BACKLOG)
        newest = await run_in_threadpool(self._jobs.newest_event_id)
        missed = [] if after is None else await run_in_threadpool(self._jobs.events_after, after, limit=BATCH)
        self._listeners.add(queue)
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read(newest))
        return self._stream(queue, missed)

    def close(self) -> None:
        """End every stream, so that the process can stop."""
        self._closed = True
        if self._reading is not None:
            self._reading.cancel()
        for queue in self._listeners:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(None)

    async def _stream(self, queue: asyncio.Queue[JobEvent | None], missed: Sequence[JobEvent]) -> AsyncIterator[str]:
        loop = asyncio.get_running_loop()
        until = loop.time() + LONGEST_SECONDS
        try:
            yield "retry: 2000\n\n"
            for event in missed:
                yield _format(event)
            newest = missed[-1].event_id if missed else 0
            while loop.time() < until:
                try:
                    event_or_end = await asyncio.wait_for(queue.get(), KEEP_ALIVE_SECONDS)
                except TimeoutError:
                    yield ": nothing new\n\n"
                    continue
                if event_or_end is None:
                    return
                if event_or_end.event_id > newest or event_or_end.event_id not in {event.event_id for event in missed}:
                    yield _format(event_or_end)
        finally:
            self._listeners.discard(queue)

    async def _read(self, begin: int) -> None:
        """While anybody listens; what happened up to `begin` is not news."""
        newest = begin
        told: dict[int, None] = {}
        while self._listeners:
            try:
                found = await run_in_threadpool(self._jobs.events_after, max(newest - _OVERLAP, begin), limit=BATCH)
            except SonomyoError as error:
                _log.warning("events_unreadable", reason=error.reason)
                found = []
            for event in found:
                if event.event_id not in told:
                    self._tell(event)
                    told[event.event_id] = None
                    newest = max(newest, event.event_id)
            while len(told) > 2 * BATCH:
                told.pop(next(iter(told)))
            if len(found) < BATCH:
                await asyncio.sleep(POLL_SECONDS)

    def _tell(self, event: JobEvent) -> None:
        for queue in self._listeners:
            if queue.full():
                queue.get_nowait()  # a client that does not read loses the oldest, not our memory
            queue.put_nowait(event)


def _format(event: JobEvent) -> str:
    data = json.dumps(event.model_dump(mode="json", exclude={"event_id", "name"}, exclude_none=True))
    return f"id: {event.event_id}\nevent: {event.name}\ndata: {data}\n\n"
