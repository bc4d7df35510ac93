"""FHIR R4 by HTTP, over a real database and the real flow."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from pydicom import dcmread
from sqlalchemy import Engine

from service.access import Role
from service.ports import UnitOfWorkFactory
from tests.fakes import FakeReader
from tests.fhir_models import read, references
from tests.integration.api_parts import STUDY, House, dicom_file, reported, upload

FHIR = "application/fhir+json"
REPORT = f"/api/v1/studies/{STUDY}/report"
BY_STUDY = {"identifier": f"urn:oid:{STUDY}"}
ACSN = "http://terminology.hl7.org/CodeSystem/v2-0203|ACSN|"


@pytest.fixture
def house(engine: Engine, units: UnitOfWorkFactory, tmp_path: Path) -> Iterator[House]:
    reader = FakeReader(uid_of=lambda path: str(dcmread(path).SOPInstanceUID))
    with House(engine, units, tmp_path, reader=reader) as made:
        yield made


def asked(client: httpx2.Client, address: str, **params: Any) -> dict[str, Any]:
    """A resource that fits its model."""
    answer = client.get(address, params=params or None)
    assert (answer.status_code, answer.headers["content-type"]) == (200, FHIR), answer.text
    found = answer.json()
    assert isinstance(found, dict)
    read(found)
    for entry in found.get("entry", []):
        read(entry["resource"])
    return found


def report_id(client: httpx2.Client) -> str:
    return str(client.get(REPORT).json()["report_id"])


def several_studies(house: House, count: int) -> httpx2.Client:
    client = house.client()
    for number in range(count):
        study = f"1.9.{number}"
        changes: dict[str, Any] = {
            "PatientID": f"P{number}",
            "AccessionNumber": f"A{number}",
            "StudyDate": f"202611{20 + number}",
        }
        upload(client, dicom_file(f"1.2.{number}", study=study, grey=number, **changes)).raise_for_status()
        client.post(f"/api/v1/studies/{study}/complete").raise_for_status()
    house.work()
    return client


def studies_of(bundle: dict[str, Any]) -> list[str]:
    return [entry["resource"]["imagingStudy"][0]["reference"].partition("/")[2] for entry in bundle.get("entry", [])]


def test_report_as_fhir_is_a_transaction_with_the_value_of_the_json(house: House) -> None:
    client = reported(house)
    body = client.get(REPORT).json()
    for address in (REPORT, f"/api/v1/reports/{body['report_id']}"):
        answer = client.get(address, headers={"Accept": FHIR})
        assert (answer.status_code, answer.headers["content-type"]) == (200, FHIR)
        bundle = answer.json()
        read(bundle)
        assert set(references(bundle)) <= {entry["fullUrl"] for entry in bundle["entry"]}
        (observation,) = (one["resource"] for one in bundle["entry"] if one["resource"]["resourceType"] == "Observation")
        assert observation["valueQuantity"]["value"] == body["findings"][0]["value"] == 7.0
    assert client.get("/api/v1/audit").json()["entries"][0]["detail"] == {"media_type": FHIR}


def test_report_as_fhir_twice_is_the_same_bytes(house: House) -> None:
    client = reported(house)
    first, second = (client.get(REPORT, headers={"Accept": FHIR}).content for _ in range(2))
    assert first == second


def test_metadata_tells_what_the_routes_answer(house: House) -> None:
    statement = asked(house.client(), "/fhir/metadata")
    assert (statement["fhirVersion"], statement["rest"][0]["mode"]) == ("4.0.1", "server")
    kinds = {one["type"] for one in statement["rest"][0]["resource"]}
    assert kinds == {"DiagnosticReport", "Observation", "ImagingStudy"}


def test_resources_of_a_report_are_read_by_the_references_between_them(house: House) -> None:
    client = reported(house)
    report = asked(client, f"/fhir/DiagnosticReport/{report_id(client)}")
    assert [form["contentType"] for form in report["presentedForm"]] == ["text/html", "application/pdf"]
    assert all(form["size"] > 0 for form in report["presentedForm"])
    (result,), (study,) = report["result"], report["imagingStudy"]
    observation = asked(client, f"/fhir/{result['reference']}")
    assert observation["valueQuantity"]["value"] == 7.0
    assert observation["derivedFrom"] == [study]
    found = asked(client, f"/fhir/{study['reference']}")
    assert found["series"][0]["instance"][0]["uid"] == "1.2.3"
    (endpoint,) = found["contained"]
    uid, series = found["id"], found["series"][0]
    address = f"{endpoint['address']}/studies/{uid}/series/{series['uid']}/instances/{series['instance'][0]['uid']}"
    assert client.get(address).status_code == 200


def test_every_read_and_search_of_a_report_is_on_record(house: House) -> None:
    client = reported(house)
    name = report_id(client)
    addresses = (
        f"/fhir/DiagnosticReport/{name}",
        f"/fhir/DiagnosticReport/{name}/_history/1",
        f"/fhir/{client.get(f'/fhir/DiagnosticReport/{name}').json()['result'][0]['reference']}",
        f"/fhir/ImagingStudy/{STUDY}",
        "/fhir/DiagnosticReport",
        "/fhir/ImagingStudy",
        f"/fhir/Observation?derived-from={STUDY}",
    )
    for address in addresses:
        before = len(client.get("/api/v1/audit").json()["entries"])
        assert client.get(address).status_code == 200
        entries = client.get("/api/v1/audit").json()["entries"]
        assert len(entries) == before + 1
        shown = {name: entries[0][name] for name in ("action", "subject", "detail")}
        assert shown == {"action": "report_read", "subject": name, "detail": {"media_type": FHIR}}


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, [2, 1, 0]),
        ({"identifier": "urn:oid:1.9.1"}, [1]),
        ({"identifier": "urn:dicom:uid|urn:oid:1.9.1"}, [1]),
        ({"identifier": "urn:oid:1.9.9"}, []),
        ({"identifier": "A2"}, [2]),
        ({"identifier:of-type": f"{ACSN}A2"}, [2]),
        ({"identifier": "a2"}, []),
        ({"patient": "P0"}, [0]),
        ({"patient.identifier": "|P0"}, [0]),
        ({"patient": "P0", "identifier": "A1"}, []),
        ({"status": "preliminary"}, [2, 1, 0]),
        ({"status": "final"}, []),
        ({"date": "2026-11-21"}, [1]),
        ({"date": "ge2026-11-21"}, [2, 1]),
        ({"date": "gt2026-11-21"}, [2]),
        ({"date": "lt2026-11-21"}, [0]),
        ({"date": ["ge2026-11-21", "le2026-11-21"]}, [1]),
    ],
)
def test_report_search_finds(house: House, query: dict[str, Any], found: list[int]) -> None:
    bundle = asked(several_studies(house, 3), "/fhir/DiagnosticReport", **query)
    assert bundle["type"] == "searchset"
    assert studies_of(bundle) == [f"1.9.{number}" for number in found]


def test_report_search_pages_by_its_links_without_gaps(house: House) -> None:
    client = several_studies(house, 3)
    bundle = asked(client, "/fhir/DiagnosticReport", _count=2, status="preliminary")
    links = {link["relation"]: link["url"] for link in bundle["link"]}
    assert "status=preliminary" in links["self"]
    assert studies_of(bundle) == ["1.9.2", "1.9.1"]
    last = asked(client, links["next"])
    assert studies_of(last) == ["1.9.0"]
    assert [link["relation"] for link in last["link"]] == ["self"]


def reanalysed(house: House) -> tuple[httpx2.Client, str, str]:
    """A client, and the names of both versions."""
    client = reported(house)
    first = report_id(client)
    client.post(f"/api/v1/studies/{STUDY}/reanalyse").raise_for_status()
    house.work()
    second = report_id(client)
    assert first != second
    return client, first, second


def test_report_search_finds_the_one_report_of_all_versions_by_its_name_or_that_of_the_official_version(house: House) -> None:
    client, first, second = reanalysed(house)
    for query in (BY_STUDY, {"identifier": f"urn:uuid:{first}"}, {"identifier": f"urn:uuid:{second}"}):
        (entry,) = asked(client, "/fhir/DiagnosticReport", **query)["entry"]
        assert entry["fullUrl"].endswith(f"/fhir/DiagnosticReport/{first}")
        assert (entry["resource"]["id"], entry["resource"]["meta"]["versionId"]) == (first, "2")


def test_report_is_read_as_it_is_now_and_each_version_as_history(house: House) -> None:
    client, first, second = reanalysed(house)
    now = asked(client, f"/fhir/DiagnosticReport/{first}")
    assert now == asked(client, f"/fhir/DiagnosticReport/{first}/_history/2")
    then = asked(client, f"/fhir/DiagnosticReport/{first}/_history/1")
    assert (then["id"], then["meta"]["versionId"], then["result"]) == (first, "1", now["result"])
    for address in (second, f"{first}/_history/3"):
        assert client.get(f"/fhir/DiagnosticReport/{address}").status_code == 404


def test_report_search_links_the_page_and_includes_the_observations_when_asked(house: House) -> None:
    client = reported(house)
    report, observation = asked(client, "/fhir/DiagnosticReport", **BY_STUDY, _include="DiagnosticReport:result")["entry"]
    assert (report["search"]["mode"], observation["search"]["mode"]) == ("match", "include")
    assert report["resource"]["result"][0]["reference"] == f"Observation/{observation['resource']['id']}"
    (form,) = report["resource"]["presentedForm"]
    assert "data" not in form
    assert client.get(form["url"], headers={"Accept": "text/html"}).status_code == 200


def test_search_by_a_patient_that_the_study_got_later_does_not_find_the_report_of_the_one_before(house: House) -> None:
    client = reported(house)
    upload(client, dicom_file(PatientID="P2")).raise_for_status()
    assert client.get(f"/api/v1/studies/{STUDY}").json()["patient_id"] == "P2"
    assert not studies_of(asked(client, "/fhir/DiagnosticReport", patient="P2"))
    client.post(f"/api/v1/studies/{STUDY}/complete").raise_for_status()
    house.work()
    assert studies_of(asked(client, "/fhir/DiagnosticReport", patient="P2")) == [STUDY]
    assert not studies_of(asked(client, "/fhir/DiagnosticReport", patient="P1"))


def test_study_search_finds_by_identifier_patient_and_date(house: House) -> None:
    client = several_studies(house, 2)
    for query in ({"identifier": "urn:oid:1.9.1"}, {"patient": "P1"}, {"started": "ge2026-11-21"}, {"identifier": "A1"}):
        (entry,) = asked(client, "/fhir/ImagingStudy", **query)["entry"]
        assert entry["resource"]["id"] == "1.9.1"


def test_observation_search_pages_through_the_findings_of_a_study(house: House) -> None:
    client = reported(house)
    (entry,) = asked(client, "/fhir/Observation", **{"derived-from": f"ImagingStudy/{STUDY}", "_count": 1})["entry"]
    assert entry["resource"] == asked(client, f"/fhir/Observation/{entry['resource']['id']}")
    empty = asked(client, "/fhir/Observation", **{"derived-from": STUDY, "_offset": 1})
    assert "entry" not in empty
    assert "entry" not in asked(client, "/fhir/Observation", **{"derived-from": "1.2.999"})


@pytest.mark.parametrize(
    ("address", "status", "code"),
    [
        ("/fhir/DiagnosticReport/00000000-0000-4000-8000-000000000000", 404, "not-found"),
        (f"/fhir/Observation/00000000-0000-4000-8000-000000000000.{'0' * 20}", 404, "not-found"),
        ("/fhir/DiagnosticReport/00000000-0000-4000-8000-000000000000/_history/1", 404, "not-found"),
        ("/fhir/ImagingStudy/1.2.999", 404, "not-found"),
        ("/fhir/Patient/1", 404, "not-found"),
        ("/fhir/DiagnosticReport/Canary", 422, "invalid"),
        ("/fhir/DiagnosticReport?status=Canary", 422, "invalid"),
        ("/fhir/DiagnosticReport?Canary=1", 422, "invalid"),
        ("/fhir/DiagnosticReport?patient=Canary&patient=1", 422, "invalid"),
        ("/fhir/DiagnosticReport?patient=Canary&patient.identifier=1", 422, "invalid"),
        ("/fhir/DiagnosticReport?patient=Canary|1", 422, "invalid"),
        ("/fhir/DiagnosticReport?identifier=Canary|1", 422, "invalid"),
        ("/fhir/DiagnosticReport?identifier:of-type=Canary", 422, "invalid"),
        ("/fhir/DiagnosticReport?date=2026-02-31", 422, "invalid"),
        ("/fhir/DiagnosticReport?date=gt9999-12-31", 422, "invalid"),
        ("/fhir/DiagnosticReport?patient=a%00Canary", 422, "invalid"),
        ("/fhir/DiagnosticReport?_count=0", 422, "invalid"),
        ("/fhir/DiagnosticReport?_cursor=Canary", 422, "invalid"),
        ("/fhir/DiagnosticReport?_format=xml", 406, "not-supported"),
        ("/fhir/Observation", 422, "invalid"),
    ],
)
def test_error_is_an_outcome_that_does_not_repeat_what_was_sent(house: House, address: str, status: int, code: str) -> None:
    answer = house.client().get(address)
    assert (answer.status_code, answer.headers["content-type"]) == (status, FHIR)
    read(answer.json())
    assert answer.json()["issue"][0]["code"] == code
    assert "Canary" not in answer.text


def test_error_of_the_gate_and_of_a_method_is_an_outcome_too(house: House) -> None:
    refused = house.client(None).get("/fhir/metadata")
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"].startswith("Bearer")
    wrong = house.client().post("/fhir/DiagnosticReport", json={})
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "GET, HEAD")
    for answer in (refused, wrong):
        assert answer.headers["content-type"] == FHIR
        read(answer.json())


@pytest.mark.parametrize(
    ("accept", "query", "status", "kind"),
    [
        (FHIR, {}, 200, FHIR),
        ("application/json", {}, 200, "application/json"),
        ("*/*", {}, 200, FHIR),
        ("text/html", {"_format": "json"}, 200, FHIR),
        ("application/fhir+xml", {}, 406, FHIR),
    ],
)
def test_media_type_is_negotiated(house: House, accept: str, query: dict[str, str], status: int, kind: str) -> None:
    answer = house.client().get("/fhir/metadata", params=query, headers={"Accept": accept})
    assert (answer.status_code, answer.headers["content-type"]) == (status, kind)


def test_reading_needs_no_more_than_a_viewer(house: House) -> None:
    reported(house)
    assert house.client(house.key(Role.VIEWER)).get("/fhir/DiagnosticReport").status_code == 200


def test_log_names_neither_patient_nor_query(house: House) -> None:
    client = reported(house)
    client.get("/fhir/DiagnosticReport", params={"patient": "P1", "identifier": "A1"})
    client.get("/fhir/DiagnosticReport", params={"patient": "CanaryQuery", "nonsense": "CanaryQuery"})
    log = house.log.getvalue()
    assert "/fhir/DiagnosticReport" in log
    assert not [word for word in ("Canary", "patient=", "P1", "A1") if word in log]
