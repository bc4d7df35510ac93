"""Whether there is room for another instance: space on the store's disk, a database that answers, a queue below its cap."""

from collections.abc import Callable

from sqlalchemy import Engine, text

from service.adapters.postgres import vendor_errors_translated
from service.errors import Unavailable

#: Stops counting at the cap, so that a long queue does not make the question slow.
_WAITING = text(
    "SELECT count(*) FROM"
    " (SELECT 1 FROM procrastinate_jobs WHERE status = 'todo' AND queue_name = 'analysis' LIMIT :cap) AS waiting"
)


def make_gate(
    *, engine: Engine, free_bytes: Callable[[], int], reserve_bytes: int, maximum_queued_jobs: int
) -> Callable[[], str | None]:
    """A question that answers None, or why there is no room, as a sentence without any patient's data."""

    def why_closed() -> str | None:
        free = free_bytes()
        if free < reserve_bytes:
            return f"The store's disk has {free >> 20} MiB left, below the reserve of {reserve_bytes >> 20} MiB."
        try:
            with vendor_errors_translated(), engine.connect() as connection:
                waiting: int = connection.execute(_WAITING, {"cap": maximum_queued_jobs}).scalar_one()
        except Unavailable as away:
            return str(away)
        if waiting >= maximum_queued_jobs:
            return f"{maximum_queued_jobs} analyses wait; the workers must catch up first."
        return None

    return why_closed
