"""One running service for all end-to-end tests that do not stop it."""

import json
from collections.abc import Iterator

import pytest

from tests.running import RunningService, free_port, running_service


@pytest.fixture(scope="session")
def orthanc_port() -> int:
    """Where the PACS of these tests listens."""
    return free_port()


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory, orthanc_port: int) -> Iterator[RunningService]:
    """`sonomyo up`, its results going to Orthanc."""
    pacs = {"name": "pacs", "host": "127.0.0.1", "port": orthanc_port, "ae_title": "ORTHANC", "kinds": ["sr", "ko", "pdf", "seg"]}
    with running_service(tmp_path_factory.mktemp("sonomyo"), destinations=json.dumps([pacs]), stable_age_seconds="5") as running:
        yield running
