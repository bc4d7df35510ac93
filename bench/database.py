"""A PostgreSQL of a benchmark's own, as `sonomyo up` runs it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service.embedded.postgres import EmbeddedPostgres
from service.embedded.processes import ChildProcess
from tests.running import poll


@contextmanager
def fresh_database(folder: Path) -> Iterator[str]:
    """A new cluster in that folder with an empty database; gives its URL."""
    postgres = EmbeddedPostgres(folder=folder / "postgres")
    postgres.prepare()
    server = ChildProcess(postgres.command())
    try:
        poll(postgres.is_ready, timeout_seconds=60, what="PostgreSQL")
        postgres.create_database()
        yield postgres.url()
    finally:
        server.stop()
