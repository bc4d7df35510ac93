"""Storage Commitment as it is set and run: `sonomyo listener` and `sonomyo worker` on one database, a peer in both roles."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine

from service.ports import UnitOfWorkFactory
from tests.integration.commitment_parts import CommittingHouse, Peer, ask, associated, known, store, wait_for_result
from tests.integration.flow_parts import STUDY, received
from tests.integration.listener_parts import US
from tests.integration.test_commitment_orthanc import render
from tests.integration.test_listener_processes import answers
from tests.running import ROOT, free_port, poll


@contextmanager
def running(*roles: str, data_dir: Path, **settings: str) -> Iterator[None]:
    """One process for each role, such as `worker --queues delivery`."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("SONOMYO_")},
        **{f"SONOMYO_{name.upper()}": value for name, value in settings.items()},
        "SONOMYO_DATA_DIR": str(data_dir),
    }
    with ExitStack() as ending:
        for role in roles:
            command = [sys.executable, "-m", "service", *role.split()]
            process = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)
            ending.callback(process.wait, timeout=30)
            ending.callback(process.terminate)
        yield


@pytest.fixture
def pacs() -> Iterator[Peer]:
    with Peer().running() as peer:
        yield peer


@pytest.fixture
def port(pacs: Peer, database_url: str, tmp_path: Path) -> Iterator[int]:
    """Of the listener, whose worker only delivers."""
    port = free_port()
    peers = [known(pacs.port).model_dump(mode="json")]
    destination = {"name": "pacs", "host": "127.0.0.1", "port": pacs.port, "ae_title": "PACS", "commitment": {"wait_seconds": 0}}
    settings = {
        "database__url": database_url,
        "dicom__port": str(port),
        "dicom__processes": "2",
        "dicom__peers": json.dumps(peers),
        "destinations": json.dumps([destination]),
    }
    with running("listener", "worker --queues delivery", data_dir=tmp_path, **settings):
        poll(lambda: answers(port), timeout_seconds=60, what="the listener")
        yield port


def test_peer_is_told_by_the_worker_what_the_listener_took(port: int, pacs: Peer) -> None:
    with associated(port) as association:
        store(association, "1.2.3")
        assert ask(association, "2.25.1", (US, "1.2.3"), (US, "1.2.4")) == 0x0000
    assert wait_for_result(pacs) == {"1.2.3": None, "1.2.4": 0x0112}


def test_delivery_ends_when_the_destination_reports_to_the_listener(
    port: int, pacs: Peer, units: UnitOfWorkFactory, engine: Engine, tmp_path: Path
) -> None:
    house = CommittingHouse(units, engine, tmp_path)
    house.flow = replace(house.flow, renderers={"sr": render})
    house.flow.store_instance(received())
    house.flow.request_report(STUDY)
    while house.report() is None:
        house.work_one()
    poll(lambda: pacs.asked, timeout_seconds=60, what="a request by the worker")
    assert (house.delivery()[0], pacs.stored) == ("awaiting_commitment", pacs.asked[0][1])
    assert pacs.report(port, pacs.asked[0][0], None) == 0x0000
    poll(lambda: house.delivery() == ("delivered", 1, ""), timeout_seconds=30, what="the delivery's end")
