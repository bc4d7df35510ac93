"""Real servers for a whole test session: PostgreSQL and Triton as `sonomyo up` runs them, in folders of their own."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from service.embedded.postgres import EmbeddedPostgres
from service.embedded.supervisor import ProcessSpec, Supervisor
from service.embedded.triton import EmbeddedTriton
from tests.running import ROOT, free_port


@contextmanager
def supervised(folder: Path, *specs: ProcessSpec) -> Iterator[list[str]]:
    """These processes, ready; gives the lines that they have written so far."""
    lines: list[str] = []
    supervisor = Supervisor(specs, run_folder=folder, say=lines.append)
    supervisor.start()
    try:
        assert supervisor.wait_until_ready(threading.Event()), "\n".join(lines)
        yield lines
    finally:
        supervisor.stop()


def triton_in(folder: Path, model_repository: Path, say: Callable[[str], None] = lambda _: None) -> EmbeddedTriton:
    """An embedded Triton on free ports."""
    return EmbeddedTriton(
        folder=folder,
        environment=ROOT / ".triton",
        model_repository=model_repository,
        grpc_port=free_port(),
        http_port=free_port(),
        metrics_port=free_port(),
        say=say,
    )


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """`.url(database_name)` and `.create_database(database_name)` on a fresh cluster."""
    folder = tmp_path_factory.mktemp("postgres")
    postgres = EmbeddedPostgres(folder=folder / "cluster")
    postgres.prepare()
    with supervised(folder / "run", ProcessSpec(name="postgres", command=postgres.command, is_ready=postgres.is_ready)):
        yield postgres


@pytest.fixture(scope="session")
def triton_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedTriton]:
    """`.url` of a server that serves production's model repository."""
    folder = tmp_path_factory.mktemp("triton")
    triton = triton_in(folder / "server", ROOT / "model_repository")
    triton.prepare()
    with supervised(folder / "run", ProcessSpec(name="triton", command=triton.command, is_ready=triton.is_ready)):
        yield triton
