"""Reports pushed to a FHIR R4 server as transactions: once each, whatever is sent twice."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from service.bootstrap import Service
from service.errors import InputRejected, Unavailable
from service.ports import UnitOfWorkFactory
from service.records import RenderedObject
from service.settings import Settings
from tests.calf_report import calf_report, header
from tests.fhir_server import FhirServer, outcome
from tests.integration.fhir_push_parts import SYSTEM, TOKEN, destination, is_silent, rendered, running, send
from tests.integration.flow_parts import STUDY, House, received
from tests.web_server import serving


@pytest.fixture(scope="module")
def report() -> RenderedObject:
    return rendered()


# -- what arrives --


def test_report_arrives_whole_with_every_reference_leading_to_a_resource_of_the_server(report: RenderedObject) -> None:
    server = FhirServer()
    with running(server) as web:
        send(web.url, report, token=TOKEN)
    ((_, headers, body),) = web.requests
    assert (headers["Authorization"], headers["Prefer"], body) == (f"Bearer {TOKEN}", "return=minimal", report.content)
    (made,) = server.of_type("DiagnosticReport")
    assert made["status"] == "preliminary"
    assert [form["contentType"] for form in made["presentedForm"]] == ["text/html", "application/pdf"]
    results = [server.resources[one["reference"]] for one in made["result"]]
    assert {one["code"]["text"] for one in results} >= {"Thickness", "Pennation angle"}
    (study,) = made["imagingStudy"]
    assert server.resources[study["reference"]]["identifier"][0]["value"] == "urn:oid:2.25.1001"
    assert server.resources[made["subject"]["reference"]]["identifier"][0]["value"] == "P-42"


def test_report_sent_twice_makes_nothing_twice(report: RenderedObject) -> None:
    server = FhirServer()
    with running(server) as web:
        send(web.url, report)
        once = dict(server.resources)
        send(web.url, report)
    assert server.resources == once
    assert len(server.of_type("Patient")) == len(server.of_type("DiagnosticReport")) == 1


def test_next_version_updates_the_report_and_observations_of_the_first(report: RenderedObject) -> None:
    server = FhirServer()
    with running(server) as web:
        send(web.url, report)
        before = set(server.resources)
        send(web.url, rendered(calf_report(previous=calf_report())))
    (made,) = server.of_type("DiagnosticReport")
    assert [len(server.of_type(kind)) for kind in ("Patient", "ImagingStudy", "Provenance")] == [1, 1, 2]
    assert len(server.history[f"DiagnosticReport/{made['id']}"]) == 2
    assert {key for key in set(server.resources) - before if not key.startswith("Provenance/")} == set()


def test_study_that_the_server_has_is_referred_to_and_left_as_it_is(report: RenderedObject) -> None:
    server = FhirServer()
    known = server.add(
        "ImagingStudy", identifier=[{"system": "urn:dicom:uid", "value": "urn:oid:2.25.1001"}], description="of the PACS"
    )
    with running(server) as web:
        send(web.url, report)
    (made,) = server.of_type("DiagnosticReport")
    assert made["imagingStudy"] == [{"reference": known}]
    assert server.resources[known]["description"] == "of the PACS"


# -- the patient --


@pytest.mark.parametrize("number", ["P-42", "P,4|2&$ü"])
def test_patient_whose_issuer_has_a_system_is_the_one_that_the_server_knows(number: str) -> None:
    server = FhirServer()
    known = server.add("Patient", identifier=[{"system": SYSTEM, "value": number}], active=True)
    server.add("Patient", identifier=[{"system": "urn:other", "value": number}])
    study = header(issuer_of_patient_id="HOSPITAL", patient_id=number)
    with running(server) as web:
        send(web.url, rendered(calf_report(study=study)), patient_systems={"HOSPITAL": SYSTEM})
    (made,) = server.of_type("DiagnosticReport")
    assert made["subject"] == {"reference": known}
    assert set(server.resources[known]) == {"resourceType", "id", "identifier", "active"}
    assert len(server.of_type("Patient")) == 2


def test_patient_that_the_server_does_not_know_is_made_once_with_the_system(report: RenderedObject) -> None:
    server = FhirServer()
    with running(server) as web:
        send(web.url, report, patient_systems={"": SYSTEM})
        send(web.url, report, patient_systems={"": SYSTEM})
    (made,) = server.of_type("Patient")
    assert made["identifier"][0] == {"value": "P-42", "system": SYSTEM}


def test_patient_of_an_issuer_without_a_system_is_never_matched() -> None:
    server = FhirServer()
    server.add("Patient", identifier=[{"system": SYSTEM, "value": "P-42"}])
    elsewhere = rendered(calf_report(study=header(issuer_of_patient_id="ELSEWHERE")))
    with running(server) as web:
        send(web.url, elsewhere, patient_systems={"HOSPITAL": SYSTEM, "": SYSTEM})
    assert len(server.of_type("Patient")) == 2


def test_patient_whom_the_server_has_twice_is_a_refusal_that_says_so(report: RenderedObject) -> None:
    server = FhirServer()
    for _ in range(2):
        server.add("Patient", identifier=[{"system": SYSTEM, "value": "P-42"}])
    with running(server) as web, pytest.raises(InputRejected, match=r"more than one match.*multiple-matches") as refused:
        send(web.url, report, patient_systems={"": SYSTEM})
    assert is_silent(str(refused.value))
    assert not server.of_type("DiagnosticReport")


# -- in the service --


@pytest.fixture
def house(units: UnitOfWorkFactory, engine: Engine) -> House:
    return House(units, engine)


def composed(house: House, url: str, data_dir: Path) -> str:
    """A report whose transaction is due at the destination, which the service made from its settings."""
    service = Service(Settings.model_validate({"data_dir": data_dir, "destinations": [destination(url)]}))
    renderers = {"fhir": service.rendering.renderers({"fhir"})["fhir"]}
    house.flow = replace(house.flow, destinations=service.destinations, renderers=renderers)
    house.reader.uid_of = lambda _: "1.2.3"
    house.flow.store_instance(received())
    house.flow.request_report(STUDY)
    while "deliver_report" not in house.waiting():
        house.work_one()
    report = house.report()
    assert report is not None
    return report.report_id


def state_of(house: House) -> tuple[str, str | None]:
    report = house.report()
    assert report is not None
    (delivery,) = report.delivery
    return delivery.state, delivery.last_error


def test_report_not_taken_at_once_is_sent_again_as_it_was_kept(house: House, tmp_path: Path) -> None:
    server = FhirServer()
    failures = iter([(503, b"")])
    with serving(lambda: next(failures, None) or server.answer_last(web)) as web:
        report_id = composed(house, web.url, tmp_path)
        with pytest.raises(Unavailable):
            house.flow.deliver_report(report_id, "record", "fhir")
        house.flow.deliver_report(report_id, "record", "fhir")
        house.flow.deliver_report(report_id, "record", "fhir")
    (_, _, first), (_, _, second) = web.requests
    assert first == second
    assert [one["id"] for one in server.of_type("DiagnosticReport")] == [report_id]
    assert state_of(house) == ("delivered", None)


def test_report_refused_for_good_keeps_the_coded_reason(house: House, tmp_path: Path) -> None:
    body = outcome("business-rule", diagnostics="Ivanov P1", expression=["Bundle.entry[0].resource"])
    with serving(lambda: (422, body)) as web:
        report_id = composed(house, web.url, tmp_path)
        house.flow.deliver_report(report_id, "record", "fhir")
    state, error = state_of(house)
    assert state == "refused"
    assert error == "The server refused the object for good (422). It says: business-rule at Bundle.entry[0].resource."


def test_transaction_is_rendered_only_where_a_destination_takes_it(tmp_path: Path) -> None:
    def kinds(*destinations: dict[str, Any]) -> set[str]:
        database = {"url": "postgresql://nobody@127.0.0.1:1/none"}
        tree = {"data_dir": tmp_path, "database": database, "destinations": destinations}
        return set(Service(Settings.model_validate(tree)).flow.renderers)

    assert kinds() == {"sr", "ko"}
    assert kinds(destination("http://record.example/fhir")) == {"sr", "ko", "fhir"}
