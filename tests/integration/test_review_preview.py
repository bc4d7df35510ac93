"""What a change would lead to, asked for through HTTP before anything is stored."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from service.access import Role
from service.core.findings import Finding
from service.ports import UnitOfWorkFactory
from tests.calf_report import cine_findings
from tests.fakes import FakeAnalysis
from tests.integration.api_parts import ANNA, STUDY, House, dicom_file, reported
from tests.integration.test_report_life import amend, done, matching, official

INSTANCE = "1.2.3"
LINES = {"sop_instance_uid": INSTANCE, "frame": 12, "superficial": [[40, 150], [600, 150]], "deep": [[40, 400], [600, 400]]}


class Calf(FakeAnalysis):
    """Says what the calf report says."""

    def analyse(self, *arguments: Any, **keywords: Any) -> tuple[Finding, ...]:
        super().analyse(*arguments, **keywords)
        return cine_findings(INSTANCE)


@pytest.fixture
def house(engine: Engine, units: UnitOfWorkFactory, tmp_path: Path) -> Iterator[House]:
    with House(engine, units, tmp_path, analysis=Calf()) as made:
        yield made


@pytest.fixture
def draft(house: House) -> dict[str, Any]:
    return official(reported(house))


def asked(report: dict[str, Any]) -> str:
    return f"/api/v1/reports/{report['report_id']}/preview"


def test_preview_tells_what_a_version_would_say_and_stores_nothing(house: House, draft: dict[str, Any]) -> None:
    person = house.reviewer()
    told = done(person.post(asked(draft), json={"why": "a trial", "lines": [LINES]}))
    assert official(house.client())["version"] == 1
    made = done(amend(person, draft, why="a trial", lines=[LINES]))
    changed = [finding for finding in made["findings"] if finding not in draft["findings"]]
    assert [(one["name"], one["value"]) for one in told["findings"]] == [(one["name"], one["value"]) for one in changed]
    assert told["impression"] == made["impression"]


def test_preview_refuses_what_could_not_be_stored(house: House, draft: dict[str, Any]) -> None:
    crossed = {**LINES, "deep": LINES["superficial"], "superficial": LINES["deep"]}
    answer = house.reviewer().post(asked(draft), json={"why": "a trial", "lines": [crossed]})
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:sonomyo:problem:lines_not_of_one_muscle")
    assert "deep one must lie below" in answer.json()["detail"]


def test_preview_of_a_key_is_refused_as_any_change_is(house: House, draft: dict[str, Any]) -> None:
    answer = house.client(house.key(Role.RADIOLOGIST)).post(asked(draft), json={"why": "a trial", "lines": [LINES]})
    assert (answer.status_code, answer.json()["type"]) == (403, "urn:sonomyo:problem:no_person")


def test_changes_of_one_version_keep_a_reason_each(house: House, draft: dict[str, Any]) -> None:
    said = {finding["name"]: finding["finding_id"] for finding in draft["findings"]}
    findings = [
        {"action": "set", "finding_id": said["thickness"], "value": 18, "why": "the line was too low"},
        {"action": "reject", "finding_id": said["echo_intensity"]},
        {"action": "accept", "finding_id": said["pennation_angle"]},
    ]
    made = done(amend(house.reviewer(), draft, why="read again", findings=findings))
    named = {finding["name"]: finding for finding in made["findings"]}
    assert named["thickness"]["amended"]["why"] == "the line was too low"
    assert named["echo_intensity"]["amended"]["why"] == "read again"
    assert (named["pennation_angle"]["accepted"]["by"], named["pennation_angle"]["amended"]) == (ANNA.full_name, None)


def test_page_of_the_panel_is_that_of_the_version_and_its_reading_is_on_record(house: House, draft: dict[str, Any]) -> None:
    page = house.session(Role.VIEWER).get(f"/studies/{STUDY}/review")
    assert page.headers["etag"] == matching(draft)["If-Match"]
    (row,) = house.rows("SELECT count(*) FROM audit WHERE action = 'report_read' AND detail->>'media_type' = 'text/html'")
    assert row[0] == 1


def test_study_without_a_report_has_no_panel(house: House) -> None:
    house.client().post("/api/v1/studies", content=dicom_file(), headers={"Content-Type": "application/dicom"}).raise_for_status()
    assert house.session(Role.VIEWER).get(f"/studies/{STUDY}/review").status_code == 404
