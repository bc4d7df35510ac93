"""Motor units under review, through HTTP and the database: what is rejected is counted no more, also after another analysis."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from service.ports import UnitOfWorkFactory
from tests.integration.api_parts import STUDY, House
from tests.integration.known_analyses import fast_cine, known_units
from tests.integration.test_report_life import amend, done, official
from tests.integration.viewer_parts import analysed, viewer_house


@pytest.fixture
def house(engine: Engine, units: UnitOfWorkFactory, tmp_path: Path) -> Iterator[House]:
    with viewer_house(engine, units, tmp_path, analysis=known_units()) as made:
        analysed(made, fast_cine())
        yield made


def of(report: dict[str, Any], name: str) -> list[dict[str, Any]]:
    return [finding for finding in report["findings"] if finding["name"] == name]


def change(report: dict[str, Any], action: str, number: int) -> dict[str, Any]:
    (finding,) = (one for one in of(report, "motor_unit") if one["motor_unit"]["number"] == number)
    return {"action": action, "finding_id": finding["finding_id"]}


def test_rejected_unit_is_counted_no_more_until_it_is_restored(house: House) -> None:
    before = official(house.client())
    assert all("units_from_simulation" in finding["flags"] for finding in before["findings"])
    made = done(amend(house.reviewer(), before, findings=[change(before, "reject", 2)]))
    (count,) = of(made, "motor_unit_count")
    assert (count["value"], count["amended"]["method"], count["amended"]["original"]["value"]) == (2.0, "computed", 3.0)
    worth = "Learnt from simulated pictures only, not validated in people."
    assert made["impression"] == f"Motor units: motor unit count 2 (amended). {worth}"
    page = house.client().get(f"/api/v1/studies/{STUDY}/report", headers={"Accept": "text/html"}).text
    assert "motor unit count 2 (amended)" in page
    assert page.count('class="twitch"') == 2
    again = done(amend(house.reviewer(), made, findings=[change(made, "restore", 2)]))
    assert again["findings"] == before["findings"]
    assert again["impression"] == before["impression"]


def test_rejected_unit_stays_rejected_when_the_study_is_analysed_again(house: House) -> None:
    before = official(house.client())
    made = done(amend(house.reviewer(), before, findings=[change(before, "reject", 2)]))
    house.reviewer().post(f"/api/v1/studies/{STUDY}/reanalyse").raise_for_status()
    house.work()
    later = official(house.client())
    assert later["version"] > made["version"]
    assert [finding["value"] is None for finding in of(later, "motor_unit")] == [False, True, False]
    assert of(later, "motor_unit_count")[0]["value"] == 2.0
    assert not any("not carried over" in sentence for sentence in later["limitations"])
