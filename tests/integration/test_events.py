"""What people do, as events that everybody who listens hears."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from service.api.serve import ApiServer
from service.ports import UnitOfWorkFactory
from tests.integration.api_parts import ANNA, STUDY, House, dicom_file, reported, upload
from tests.integration.test_api_server import client, running
from tests.integration.test_report_life import amend, done, official, set_to, sign


@pytest.fixture
def house(engine: Engine, units: UnitOfWorkFactory, tmp_path: Path) -> Iterator[House]:
    with House(engine, units, tmp_path) as made:
        yield made


@pytest.fixture
def server(house: House) -> Iterator[ApiServer]:
    with running(house) as made:
        yield made


def test_two_who_listen_hear_within_seconds_what_a_person_did_to_a_report(server: ApiServer, house: House) -> None:
    draft = official(reported(house))
    with (
        client(server) as made,
        made.stream("GET", "/api/v1/events") as first,
        client(server) as other,
        other.stream("GET", "/api/v1/events") as second,
    ):
        streams = first.iter_lines(), second.iter_lines()
        assert [next(lines) for lines in streams] == ["retry: 2000"] * 2
        begun = time.monotonic()
        amended = done(amend(house.reviewer(ANNA), draft, findings=set_to(draft, 42)))
        done(sign(house.reviewer(ANNA), amended))
        told = [_told(lines, until="report_signed") for lines in streams]
        assert time.monotonic() - begun < 30
    assert told[0] == told[1]
    assert [name for name, _ in told[0]] == ["report_amended", "report_signed"]
    assert told[0][0][1]["report_id"] == amended["report_id"]
    assert {data["study_instance_uid"] for _, data in told[0]} == {STUDY}
    assert ANNA.full_name not in str(told)
    assert ANNA.user_id not in str(told)


def test_dead_job_that_is_requeued_is_told_with_its_study(server: ApiServer, house: House) -> None:
    upload(house.client(), dicom_file())
    job = house.kill_job("analyse_instance")
    with client(server) as made, made.stream("GET", "/api/v1/events") as stream:
        lines = stream.iter_lines()
        next(lines)
        house.client().post(f"/api/v1/jobs/{job}/requeue").raise_for_status()
        ((_, data),) = _told(lines, until="job_requeued")
    assert (data["job_id"], data["study_instance_uid"]) == (job, STUDY)


def _told(lines: Iterator[str], *, until: str) -> list[tuple[str, dict[str, Any]]]:
    """Names and data of events, up to the first of a name."""
    told: list[tuple[str, dict[str, Any]]] = []
    name = ""
    for line in lines:
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            told.append((name, json.loads(line.removeprefix("data: "))))
            if name == until:
                break
    return told
