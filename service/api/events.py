"""Server-sent events: one look into the database a second for all listeners, none while nobody listens."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence

import structlog
from starlette.concurrency import run_in_threadpool

from service.api.problems import Problem
from service.errors import SonomyoError
from service.operation_views import EventPosition, JobViews, ServiceEvent

POLL_SECONDS = 1.0
KEEP_ALIVE_SECONDS = 15.0
#: After this a client connects anew, so that a session that has ended does not listen on.
LONGEST_SECONDS = 900.0
MOST_LISTENERS = 100
BATCH = 500
#: Transactions commit out of order: ids this far back are looked at again.
_OVERLAP = 200
_BACKLOG = 1000

#: An event, and how far the stream has come with it.
_Told = tuple[ServiceEvent, EventPosition]

_log = structlog.stdlib.get_logger("sonomyo.events")


class EventFeed:
    """Reads events and hands them to every listener. Lives on the event loop."""

    def __init__(self, *, jobs: JobViews) -> None:
        self._jobs = jobs
        self._listeners: set[asyncio.Queue[_Told | None]] = set()
        self._reading: asyncio.Task[None] | None = None
        self._closed = False

    async def listen(self, *, after: EventPosition | None) -> AsyncIterator[str]:
        """Lines of an event stream, beginning after a position or now. Raises Problem (503) when too many listen."""
        if self._closed or len(self._listeners) >= MOST_LISTENERS:
            raise Problem(503, "Too many listen already.", headers={"Retry-After": "30"})
        queue: asyncio.Queue[_Told | None] = asyncio.Queue(_BACKLOG)
        # Before the missed ones are read, so that nothing falls between these and what comes.
        self._listeners.add(queue)
        try:
            newest = await run_in_threadpool(self._jobs.newest_event)
            missed = [] if after is None else await run_in_threadpool(self._jobs.events_after, after, limit=BATCH)
        except BaseException:
            self._listeners.discard(queue)
            raise
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read(newest))
        return self._stream(queue, after or newest, missed)

    def close(self) -> None:
        """End every stream, so that the process can stop."""
        self._closed = True
        if self._reading is not None:
            self._reading.cancel()
        for queue in self._listeners:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(None)

    async def _stream(
        self, queue: asyncio.Queue[_Told | None], position: EventPosition, missed: Sequence[ServiceEvent]
    ) -> AsyncIterator[str]:
        loop = asyncio.get_running_loop()
        until = loop.time() + LONGEST_SECONDS
        told = {event.position for event in missed}
        try:
            yield "retry: 2000\n\n"
            for event in missed:
                position = position.past(event.position)
                yield _format(event, position)
            if len(missed) >= BATCH:
                return  # there is more: the client comes back for it, with the position that it has now
            while loop.time() < until:
                try:
                    next_or_end = await asyncio.wait_for(queue.get(), KEEP_ALIVE_SECONDS)
                except TimeoutError:
                    yield ": nothing new\n\n"
                    continue
                if next_or_end is None:
                    return
                event, reached = next_or_end
                position = position.past(reached)
                if event.position not in told:
                    yield _format(event, position)
        finally:
            self._listeners.discard(queue)

    async def _read(self, begin: EventPosition) -> None:
        """While anybody listens; what happened up to `begin` is not news."""
        newest = begin
        told: dict[EventPosition, None] = {}
        while self._listeners:
            try:
                found = await run_in_threadpool(self._jobs.events_after, newest.before(_OVERLAP).past(begin), limit=BATCH)
            except SonomyoError as error:
                _log.warning("events_unreadable", reason=error.reason)
                found = []
            for event in found:
                if event.position not in told:
                    newest = newest.past(event.position)
                    self._tell((event, newest))
                    told[event.position] = None
            while len(told) > 4 * BATCH:
                told.pop(next(iter(told)))
            if len(found) < BATCH:
                await asyncio.sleep(POLL_SECONDS)

    def _tell(self, told: _Told) -> None:
        for queue in self._listeners:
            if queue.full():
                queue.get_nowait()  # a client that does not read loses the oldest, not our memory
            queue.put_nowait(told)


def _format(event: ServiceEvent, position: EventPosition) -> str:
    data = json.dumps(event.model_dump(mode="json", exclude={"position", "name"}, exclude_none=True))
    return f"id: {position}\nevent: {event.name}\ndata: {data}\n\n"
