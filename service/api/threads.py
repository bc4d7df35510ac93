"""How many threads answer requests at once: few that compute, more where some of them wait."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from anyio import CapacityLimiter
from anyio.to_thread import current_default_thread_limiter

#: Python runs one thread at a time: each further one that computes only makes the others wait longer, and the event loop with
#: them (docs/adr/0052).
QUICK = 3
#: What takes longer renders, searches, decodes or waits for another machine.
_SLOW_SECONDS, _LOOK_SECONDS = 0.05, 0.02


@asynccontextmanager
async def threads_limited(most: int) -> AsyncIterator[None]:
    """While the application lives, at most QUICK calls at once that are quick, and `most` together with those that are not."""
    limiter = current_default_thread_limiter()
    limiter.total_tokens = min(QUICK, most)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_make_room, limiter, most)
        yield
        tasks.cancel_scope.cancel()


async def _make_room(limiter: CapacityLimiter, most: int) -> None:
    """A call that turns out to be slow holds nobody up: for as long as it lasts there is one place more."""
    since: dict[object, float] = {}
    while True:
        await anyio.sleep(_LOOK_SECONDS)
        now = anyio.current_time()
        since = {call: since.get(call, now) for call in limiter.statistics().borrowers}
        slow = sum(now - begun > _SLOW_SECONDS for begun in since.values())
        limiter.total_tokens = min(QUICK + slow, most)
