"""Studies and reports by HTTP, over a real database and the real flow."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import dcmread
from sqlalchemy import Engine

from service.core.analyses.analysis import ModelSpec
from service.ports import UnitOfWorkFactory
from tests.integration.api_parts import STUDY, House, as_file, dicom_file, reported, upload

REPORT = f"/api/v1/studies/{STUDY}/report"


@pytest.fixture
def house(engine: Engine, units: UnitOfWorkFactory, tmp_path: Path) -> Iterator[House]:
    with House(engine, units, tmp_path) as made:
        yield made


def test_upload_of_an_instance_is_durable_and_tells_its_jobs(house: House) -> None:
    client = house.client()
    content = dicom_file()
    answer = upload(client, content)
    assert answer.status_code == 202
    (instance,) = answer.json()["instances"]
    assert (instance["status"], instance["study_instance_uid"]) == ("stored", STUDY)
    job = client.get(instance["jobs"][0]).json()
    assert (job["task"], job["state"]) == ("analyse_instance", "queued")
    (key,) = house.store.keys()
    assert house.store.path(key).read_bytes() == content
    assert not list(house.store.incoming.folder.iterdir())
    assert answer.json()["studies"][0]["links"]["report"] == REPORT


def test_upload_as_a_single_dicom_body_is_stored(house: House) -> None:
    answer = house.client().post("/api/v1/studies", content=dicom_file(), headers={"Content-Type": "application/dicom"})
    assert [instance["status"] for instance in answer.json()["instances"]] == ["stored"]


def test_upload_sent_twice_is_a_duplicate_without_new_jobs(house: House) -> None:
    client = house.client()
    first = upload(client, dicom_file()).json()["instances"][0]
    second = upload(client, dicom_file()).json()["instances"][0]
    assert second["status"] == "duplicate"
    assert second["jobs"] == first["jobs"]


def test_upload_with_one_bad_part_stores_the_others(house: House) -> None:
    answer = upload(house.client(), dicom_file("1.2.3"), b"no dicom at all", dicom_file("1.2.4"))
    assert answer.status_code == 202
    instances = answer.json()["instances"]
    assert [instance["status"] for instance in instances] == ["stored", "refused", "stored"]
    assert instances[1]["reason"] == "not_a_dicom_file"
    assert len(list(house.store.keys())) == 2
    assert not list(house.store.incoming.folder.iterdir())


def test_upload_of_nothing_but_bad_parts_is_a_problem(house: House) -> None:
    answer = upload(house.client(), b"no dicom at all")
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert answer.json()["type"] == "urn:sonomyo:problem:not_a_dicom_file"
    assert not list(house.store.incoming.folder.iterdir())


def test_upload_of_a_foreign_sop_class_is_refused(house: House) -> None:
    answer = upload(house.client(), dicom_file(SOPClassUID="1.2.840.10008.5.1.4.1.1.2"))
    assert answer.json()["type"] == "urn:sonomyo:problem:sop_class_not_supported"


def test_upload_cut_off_in_the_middle_stores_only_whole_parts(house: House) -> None:
    body = b"--b\r\nContent-Type: application/dicom\r\n\r\n" + dicom_file()[:300]
    answer = house.client().post("/api/v1/studies", content=body, headers={"Content-Type": "multipart/related; boundary=b"})
    assert answer.status_code == 422
    assert not list(house.store.keys())
    assert not list(house.store.incoming.folder.iterdir())


def test_upload_without_room_is_unavailable(house: House) -> None:
    house.refusal = "The store's disk has 1 MiB left, below the reserve of 1024 MiB."
    answer = upload(house.client(), dicom_file())
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")


def test_study_from_upload_to_report_in_every_form(house: House) -> None:
    client = reported(house)
    report = client.get(REPORT)
    assert report.headers["content-type"] == "application/json"
    body = report.json()
    assert body["study"]["patient_name"] == "Canary^Иван"
    assert [finding["value"] for finding in body["findings"]] == [7.0]
    assert [delivery["state"] for delivery in body["delivery"]] == ["delivered"]
    assert report.headers["etag"] == f'"{body["report_id"]}"'
    assert client.get(REPORT, headers={"Accept": "application/dicom"}).content == b"SR of version 1 over 1"
    page = client.get(REPORT, headers={"Accept": "text/html,*/*;q=0.1"})
    assert page.headers["content-type"].startswith("text/html")
    assert client.get(f"/api/v1/reports/{body['report_id']}").json() == body
    assert client.get(f"/api/v1/reports/{body['report_id']}/versions").json() == {"versions": [body]}


@pytest.mark.parametrize("wanted", ["image/png", "application/fhir+xml"])
def test_report_in_a_form_that_does_not_exist_names_those_that_do(house: House, wanted: str) -> None:
    answer = reported(house).get(REPORT, headers={"Accept": wanted})
    assert answer.status_code == 406
    assert answer.json()["available"] == [
        "application/json",
        "text/html",
        "application/pdf",
        "application/dicom",
        "application/fhir+json",
    ]


def test_report_that_is_not_there_yet_is_told_from_a_study_that_is_not(house: House) -> None:
    client = house.client()
    upload(client, dicom_file())
    assert client.get(REPORT).json()["type"] == "urn:sonomyo:problem:no_report_yet"
    missing = client.get("/api/v1/studies/1.2.999/report")
    assert (missing.status_code, missing.json()["type"]) == (404, "urn:sonomyo:problem:not_found")


def test_study_detail_tells_instances_analyses_jobs_reports_and_deliveries(house: House) -> None:
    client = reported(house)
    study = client.get(f"/api/v1/studies/{STUDY}").json()
    assert (study["status"], study["instance_count"], study["analysis_counts"]["done"]) == ("reported", 1, 1)
    assert study["instances"][0]["number_of_frames"] == 3
    assert study["analyses"][0]["analysis_name"] == "muscle_architecture"
    assert study["analyses"][0]["why"]
    assert {job["task"] for job in study["jobs"]} == {"analyse_instance", "complete_study", "compose_report", "deliver_report"}
    assert [report["version"] for report in study["reports"]] == [1]
    assert [delivery["state"] for delivery in study["deliveries"]] == ["delivered"]


def test_study_that_nothing_analyses_is_reported_with_the_reason_when_it_is_completed(house: House) -> None:
    client = house.client()
    upload(client, dicom_file(SOPClassUID="1.2.840.10008.5.1.4.1.1.7"))
    assert client.post(f"/api/v1/studies/{STUDY}/complete").status_code == 202
    house.work()
    report = client.get(REPORT).json()
    assert report["impression"] == "Nothing was measured: no instance of this study could be analysed."
    assert "not analysed because a Secondary Capture" in report["limitations"][0]
    (study,) = client.get("/api/v1/studies", params={"status": "reported"}).json()["studies"]
    assert study["study_instance_uid"] == STUDY


def test_reanalysis_gives_a_second_version(house: House) -> None:
    client = reported(house)
    assert client.post(f"/api/v1/studies/{STUDY}/reanalyse").status_code == 202
    house.work()
    versions = client.get(f"/api/v1/reports/{client.get(REPORT).json()['report_id']}/versions").json()["versions"]
    assert [version["version"] for version in versions] == [1, 2]


def test_reanalysis_with_a_model_that_no_analysis_uses_is_refused_and_says_which_exist(house: House) -> None:
    house.analysis.models = (ModelSpec(model_name="network", model_version="1", inputs=(), outputs=(), max_batch_size=1),)
    client = reported(house)
    address = f"/api/v1/studies/{STUDY}/reanalyse"
    unknown = client.post(address, json={"models": {"other": "1"}})
    assert (unknown.status_code, unknown.json()["type"]) == (422, "urn:sonomyo:problem:model_unknown")
    assert "network" in unknown.json()["detail"]
    version = client.post(address, json={"models": {"network": "7"}})
    assert (version.status_code, version.json()["type"]) == (422, "urn:sonomyo:problem:model_version_unknown")
    assert client.post(address, json={"models": {"network": "latest"}}).status_code == 422
    assert client.post(address, json={"models": {"network": "1"}}).status_code == 202
    assert client.get("/api/v1/audit").json()["entries"][0]["detail"] == {"models": {"network": "1"}}


def test_corrected_patient_holds_delivery_until_acknowledged(house: House) -> None:
    client = reported(house)
    assert upload(client, dicom_file(PatientID="P2")).json()["instances"][0]["status"] == "corrected"
    client.post(f"/api/v1/studies/{STUDY}/complete")
    house.work()
    assert client.get(f"/api/v1/studies/{STUDY}").json()["identity_hold"] is True
    assert len(house.destination.received) == 1
    assert client.post(f"/api/v1/studies/{STUDY}/acknowledge-identity").status_code == 202
    house.work()
    assert client.get(f"/api/v1/studies/{STUDY}").json()["identity_hold"] is False
    assert len(house.destination.received) == 2


@pytest.mark.parametrize("action", ["complete", "reanalyse", "acknowledge-identity"])
def test_action_on_an_unknown_study_is_not_found(house: House, action: str) -> None:
    assert house.client().post(f"/api/v1/studies/1.2.999/{action}").status_code == 404


def test_worklist_pages_newest_first_without_gaps(house: House) -> None:
    client = house.client()
    for number in range(5):
        upload(client, dicom_file(f"1.2.{number}", study=f"1.9.{number}", grey=number))
    seen: list[str] = []
    cursor: str | None = None
    while True:
        query = {"limit": "2"} | ({} if cursor is None else {"cursor": cursor})
        page = client.get("/api/v1/studies", params=query).json()
        seen += [study["study_instance_uid"] for study in page["studies"]]
        cursor = page.get("next_cursor")
        if cursor is None:
            break
    assert seen == [f"1.9.{number}" for number in reversed(range(5))]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"patient_id": "P1"}, 1),
        ({"patient_id": "p1"}, 0),
        ({"accession_number": "A1"}, 1),
        ({"status": "analysing"}, 1),
        ({"status": "reported"}, 0),
        ({"modality": "US"}, 1),
        ({"modality": "CT"}, 0),
        ({"from": "2026-11-20", "to": "2026-11-20"}, 1),
        ({"from": "2026-11-21"}, 0),
        ({"to": "2026-11-19"}, 0),
    ],
)
def test_worklist_filter_narrows(house: House, query: dict[str, str], found: int) -> None:
    client = house.client()
    upload(client, dicom_file())
    assert len(client.get("/api/v1/studies", params=query).json()["studies"]) == found


@pytest.mark.parametrize(
    "query",
    [
        {"cursor": "nonsense"},
        {"cursor": "W10"},
        {"cursor": "é"},
        {"limit": "0"},
        {"limit": "501"},
        {"from": "yesterday"},
        {"status": "done"},
        {"patient_id": "a\0b"},
    ],
)
def test_worklist_query_that_makes_no_sense_is_a_problem(house: House, query: dict[str, str]) -> None:
    answer = house.client().get("/api/v1/studies", params=query)
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")


def test_problem_of_a_bad_query_does_not_repeat_what_was_sent(house: House) -> None:
    answer = house.client().get("/api/v1/studies", params={"status": "Canary", "from": "Canary"})
    assert "Canary" not in answer.text


def test_truncated_instance_is_refused(house: House) -> None:
    answer = upload(house.client(), dicom_file()[:-40])
    assert answer.json()["type"] == "urn:sonomyo:problem:truncated"


def test_deflated_instance_is_refused(house: House) -> None:
    dataset = dcmread(BytesIO(dicom_file()))
    answer = upload(house.client(), as_file(dataset, "1.2.840.10008.1.2.1.99"))
    assert answer.json()["type"] == "urn:sonomyo:problem:deflated"
