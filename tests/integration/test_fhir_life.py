"""A report's life at a FHIR server that keeps what it is sent: one current report, one observation a finding, nothing stale."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from service.adapters.fhir_server import FhirDestination
from service.core.findings import Finding
from service.ports import UnitOfWorkFactory
from service.records import RenderedObject
from service.rendering import Rendering
from tests.fakes import FakeAnalysis, FakeReader
from tests.fhir_models import references
from tests.fhir_server import FhirServer
from tests.integration.api_parts import STUDY, House, reported
from tests.integration.fhir_push_parts import running, settings
from tests.integration.test_report_life import amend, cancel, done, official, sign


class TwoFindings(FakeAnalysis):
    """The thickness of everything is 7 mm; the echo intensity is told until `tells_echo` is false."""

    tells_echo = True

    def analyse(self, *arguments: Any, **keywords: Any) -> tuple[Finding, ...]:
        (echo,) = super().analyse(*arguments, **keywords)
        thickness = {"finding_id": "2.25.7", "name": "thickness", "unit": "mm", "text": "Thickness 7.0 mm"}
        return (echo.model_copy(update=thickness), *((echo,) if self.tells_echo else ()))


class Record:
    """A FHIR server and the service that sends to it."""

    def __init__(self, house: House, url: str, server: FhirServer, analysis: TwoFindings) -> None:
        self.house, self.server, self.analysis = house, server, analysis
        self.destination = FhirDestination(settings=settings(url))
        house.flow = replace(house.flow, destinations={"record": self.destination}, renderers=Rendering().renderers({"fhir"}))
        house.review = replace(house.review, publication=house.flow.publication)
        house.app = house._make_app()

    def statuses(self) -> tuple[str, dict[str, str]]:
        """Of the one report and of its observations, by name; once all is sent and every reference is seen to lead somewhere."""
        self.house.work()
        assert all(one in self.server.resources for one in references(self.server.resources))
        (report,) = self.server.of_type("DiagnosticReport")
        several = self.server.of_type("Observation")
        told = {one["code"]["text"]: one["status"] for one in several}
        assert len(told) == len(several)
        shown = {self.server.resources[one["reference"]]["code"]["text"] for one in report["result"]}
        assert {name for name, status in told.items() if status not in ("entered-in-error", "cancelled")} <= shown
        return report["status"], told

    def observed(self, name: str) -> dict[str, Any]:
        (found,) = (one for one in self.server.of_type("Observation") if one["code"]["text"] == name)
        return found


@pytest.fixture
def record(engine: Engine, units: UnitOfWorkFactory, tmp_path: Path) -> Iterator[Record]:
    server = FhirServer()
    reader = FakeReader()
    reader.uid_of = lambda _: "1.2.3"
    analysis = TwoFindings()
    with running(server) as web, House(engine, units, tmp_path, reader=reader, analysis=analysis) as house:
        yield Record(house, web.url, server, analysis)


def set_thickness(value: float) -> dict[str, Any]:
    return {"findings": [{"action": "set", "finding_id": "2.25.7", "value": value}]}


def test_server_holds_one_report_and_one_observation_a_finding_through_the_whole_life(record: Record) -> None:
    house = record.house
    draft = official(reported(house))
    assert record.statuses() == ("preliminary", {"Thickness": "preliminary", "Echo intensity": "preliminary"})

    amended = done(amend(house.reviewer(), draft, **set_thickness(9.5)))
    assert record.statuses() == ("preliminary", {"Thickness": "preliminary", "Echo intensity": "preliminary"})
    assert record.observed("Thickness")["valueQuantity"]["value"] == 9.5

    signed = done(sign(house.reviewer(), amended))
    assert record.statuses() == ("final", {"Thickness": "final", "Echo intensity": "final"})

    echo = next(one for one in signed["findings"] if one["name"] == "echo_intensity")
    rejected = [{"action": "reject", "finding_id": echo["finding_id"]}]
    beside = done(amend(house.reviewer(), signed, findings=[*set_thickness(9.75)["findings"], *rejected]))
    assert record.statuses()[0] == "final"
    assert record.observed("Thickness")["valueQuantity"]["value"] == 9.5

    again = done(sign(house.reviewer(), beside))
    assert record.statuses() == ("amended", {"Thickness": "amended", "Echo intensity": "entered-in-error"})
    assert record.observed("Thickness")["valueQuantity"]["value"] == 9.75
    assert "valueQuantity" not in record.observed("Echo intensity")

    done(cancel(house.reviewer(), again))
    assert record.statuses() == ("entered-in-error", {"Thickness": "entered-in-error", "Echo intensity": "entered-in-error"})
    history = record.server.history[f"DiagnosticReport/{draft['report_id']}"]
    assert [one["status"] for one in history] == ["preliminary", "preliminary", "final", "amended", "entered-in-error"]


def test_ids_at_the_server_are_those_that_are_read_here_and_say_the_same(record: Record) -> None:
    client = reported(record.house)
    done(sign(record.house.reviewer(), official(client)))
    record.statuses()
    for key in record.server.resources:
        if key.startswith(("DiagnosticReport/", "Observation/")):
            answer = client.get(f"/fhir/{key}")
            answer.raise_for_status()
            assert answer.json()["status"] == record.server.resources[key]["status"] == "final"


def test_finding_that_a_new_analysis_does_not_make_is_taken_back_there_and_here(record: Record) -> None:
    client = reported(record.house)
    record.statuses()
    name = record.observed("Echo intensity")["id"]
    record.analysis.tells_echo = False
    client.post(f"/api/v1/studies/{STUDY}/reanalyse").raise_for_status()
    assert record.statuses() == ("preliminary", {"Thickness": "preliminary", "Echo intensity": "cancelled"})
    assert "valueQuantity" not in record.observed("Echo intensity")
    assert client.get(f"/fhir/Observation/{name}").json()["status"] == "cancelled"
    signed = done(sign(record.house.reviewer(), official(client)))
    assert record.statuses() == ("final", {"Thickness": "final", "Echo intensity": "entered-in-error"})
    assert [one["finding"]["name"] for one in signed["gone"]] == ["echo_intensity"]


def test_report_after_a_withdrawn_one_is_another_and_the_withdrawn_one_stays_so(record: Record) -> None:
    client = reported(record.house)
    first = official(client)
    done(cancel(record.house.reviewer(), first))
    record.house.work()
    client.post(f"/api/v1/studies/{STUDY}/reanalyse").raise_for_status()
    record.house.work()
    statuses = {one["id"]: one["status"] for one in record.server.of_type("DiagnosticReport")}
    now = official(client)["report_id"]
    assert statuses == {first["report_id"]: "cancelled", now: "preliminary"}
    for name, status in statuses.items():
        assert client.get(f"/fhir/DiagnosticReport/{name}").json()["status"] == status


def test_version_that_arrives_after_a_newer_one_does_not_stay_in_its_place(record: Record) -> None:
    """The server takes the draft only when the signed version is there already."""
    house, waits = record.house, [True]

    class Overtaken(FhirDestination):
        def send(self, rendered: RenderedObject) -> None:
            if waits and waits.pop():
                done(sign(house.reviewer(), official(house.client())))
                house.work()
            super().send(rendered)

    record.house.flow = replace(house.flow, destinations={"record": Overtaken(settings=record.destination._settings)})
    reported(house)
    assert record.statuses()[0] == "final"
    (report,) = record.server.of_type("DiagnosticReport")
    assert [one["status"] for one in record.server.history[f"DiagnosticReport/{report['id']}"]] == [
        "final",
        "preliminary",
        "final",
    ]
