"""What happens while the next version of a report is rendered: nothing is locked, and what changed then is seen."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from service.core.report import Report
from service.ports import UnitOfWorkFactory
from service.records import RenderedObject, StoredAnalysis, StoredInstance
from tests.integration.api_parts import ANNA, BERT, STUDY, House, dicom_file, reported, upload
from tests.integration.flow_parts import render
from tests.integration.test_report_life import amend, done, official, set_to, sign


class Meanwhile:
    """A renderer, and what somebody does while it is busy for the first time."""

    def __init__(self) -> None:
        self.happens: Callable[[], object] = lambda: None

    def __call__(
        self, report: Report, instances: Sequence[StoredInstance], analyses: Sequence[StoredAnalysis]
    ) -> list[RenderedObject]:
        happens, self.happens = self.happens, lambda: None
        happens()
        return render(report, instances, analyses)


@pytest.fixture
def meanwhile() -> Meanwhile:
    return Meanwhile()


@pytest.fixture
def house(engine: Engine, units: UnitOfWorkFactory, tmp_path: Path, meanwhile: Meanwhile) -> Iterator[House]:
    with House(engine, units, tmp_path, renderers={"sr": meanwhile}) as made:
        yield made


@pytest.fixture
def draft(house: House) -> dict[str, Any]:
    return official(reported(house))


def versions(house: House) -> list[tuple[int, str]]:
    with house.units() as unit:
        return [(one.version, one.act.by if one.act else "nobody") for one in unit.reports.versions(STUDY)]


def test_version_that_is_amended_while_it_is_signed_is_not_signed_and_shown_as_amended(
    house: House, draft: dict[str, Any], meanwhile: Meanwhile
) -> None:
    meanwhile.happens = lambda: done(amend(house.reviewer(BERT), draft, findings=set_to(draft, 42)))
    answer = sign(house.reviewer(ANNA), draft)
    assert (answer.status_code, answer.json()["current"]["version"]) == (412, 2)
    assert versions(house) == [(1, "nobody"), (2, BERT.full_name)]
    house.work()
    assert [one.sop_instance_uid for one in house.destination.received] == ["2.25.1", "2.25.2"]


def test_request_that_comes_again_while_the_first_is_made_makes_one_version(
    house: House, draft: dict[str, Any], meanwhile: Meanwhile
) -> None:
    person = house.reviewer(ANNA)
    again: list[dict[str, Any]] = []
    meanwhile.happens = lambda: again.append(done(sign(house.reviewer(ANNA), draft)))
    first = done(sign(person, draft))
    assert [one["report_id"] for one in again] == [first["report_id"]]
    assert versions(house) == [(1, "nobody"), (2, ANNA.full_name)]


def test_version_whose_patient_changes_while_it_is_signed_is_not_signed(
    house: House, draft: dict[str, Any], meanwhile: Meanwhile
) -> None:
    meanwhile.happens = lambda: upload(house.client(), dicom_file("1.2.4", PatientID="P2")).raise_for_status()
    answer = sign(house.reviewer(), draft)
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:sonomyo:problem:identity_hold")
    assert versions(house) == [(1, "nobody")]


def test_instance_that_arrives_while_a_version_is_composed_is_in_the_first_version(house: House, meanwhile: Meanwhile) -> None:
    def arrives() -> None:
        upload(house.client(), dicom_file("1.2.4")).raise_for_status()
        house.flow.analyse_instance(2, "muscle_architecture")

    meanwhile.happens = arrives
    reported(house)
    assert versions(house) == [(1, "nobody")]
    assert [one.content.partition(b" over ")[2] for one in house.destination.received] == [b"2"]


def test_instance_whose_analysis_waits_while_a_version_is_composed_is_waited_for(house: House, meanwhile: Meanwhile) -> None:
    meanwhile.happens = lambda: upload(house.client(), dicom_file("1.2.4")).raise_for_status()
    client = reported(house)
    assert versions(house) == []
    client.post(f"/api/v1/studies/{STUDY}/complete").raise_for_status()
    house.work()
    assert versions(house) == [(1, "nobody")]
    assert [one.content.partition(b" over ")[2] for one in house.destination.received] == [b"2"]


def test_version_that_two_jobs_compose_at_once_is_saved_once(house: House, meanwhile: Meanwhile) -> None:
    meanwhile.happens = lambda: house.flow.compose_report(STUDY)
    reported(house)
    assert versions(house) == [(1, "nobody")]
    assert [one.sop_instance_uid for one in house.destination.received] == ["2.25.1"]


def test_version_that_is_amended_while_a_reanalysis_is_composed_hands_its_change_on(
    house: House, draft: dict[str, Any], meanwhile: Meanwhile
) -> None:
    meanwhile.happens = lambda: done(amend(house.reviewer(), draft, findings=set_to(draft, 42)))
    house.client().post(f"/api/v1/studies/{STUDY}/reanalyse").raise_for_status()
    house.work()
    assert [number for number, _ in versions(house)] == [1, 2, 3]
    assert [one["value"] for one in official(house.client())["findings"]] == [42]
