"""Real servers for a whole test session: PostgreSQL and Triton as `sonomyo up` runs them, in folders of their own."""

from collections.abc import Iterator

import pytest

from service.embedded.postgres import EmbeddedPostgres
from service.embedded.supervisor import ProcessSpec
from service.embedded.triton import EmbeddedTriton
from tests.embedded import supervised, triton_in
from tests.running import ROOT


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
