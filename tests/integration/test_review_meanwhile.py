"""What happens while the next version of a report is rendered: nothing is locked, and what changed then is seen."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from service.core.report import Report
from service.ports import RenderedObject, StoredAnalysis, StoredInstance, UnitOfWorkFactory
from tests.integration.api_parts import ANNA, BERT, STUDY, House, dicom_file, reported, upload
from tests.integration.test_flow import render
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
