"""What the worklist finds, and what stands in its address."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import Engine

from service.access import Role
from service.ports import UnitOfWorkFactory
from tests.integration.api_parts import House, dicom_file, upload

STUDIES: dict[str, dict[str, Any]] = {
    "1.1": {"PatientName": "Müller^Änne^Maria", "PatientID": "KH-0042", "AccessionNumber": "AX100", "StudyDate": "20250301"},
    "1.2": {"PatientName": "O'Neil\\1^Sean", "PatientID": "77 81", "AccessionNumber": "AX1%", "StudyDate": "20260401"},
    "1.3": {
        "PatientName": "Yamada^Tarou=山田^太郎=やまだ^たろう",
        "PatientID": "Z9",
        "AccessionNumber": "B7",
        "StudyDate": "20261101",
    },
}


@pytest.fixture
def house(engine: Engine, units: UnitOfWorkFactory, tmp_path: Path) -> Iterator[House]:
    with House(engine, units, tmp_path) as made:
        for number, (study, changes) in enumerate(STUDIES.items()):
            upload(made.client(), dicom_file(f"1.9.{number}", study=study, **changes)).raise_for_status()
        yield made


@pytest.fixture
def reader(house: House) -> httpx2.Client:
    return house.person(Role.VIEWER, "vera")


def send(client: httpx2.Client, **fields: str) -> str:
    """The address that the form leads to."""
    page = client.get("/").text
    token = page.split('name="csrf_token" value="')[1].split('"')[0]
    answer = client.post("/search", data={"csrf_token": token, **fields})
    assert answer.status_code == 303, answer.text
    return str(answer.headers["location"])


def found(client: httpx2.Client, address: str) -> set[str]:
    answer = client.get(address)
    assert answer.status_code == 200, answer.text
    return {study for study in STUDIES if f'data-study="{study}"' in answer.text}


@pytest.mark.parametrize(
    ("words", "studies"),
    [
        ("müller", {"1.1"}),
        ("MULL", {"1.1"}),
        ("anne mül", {"1.1"}),
        ("Müller, Änne", {"1.1"}),
        ("kh-00", {"1.1"}),
        ("77 8", {"1.2"}),
        ("o'ne", {"1.2"}),
        ("o'neil\\1", {"1.2"}),
        ("山田", {"1.3"}),
        ("yama sean", set()),
        ("ller", set()),
        ("':* | 'm", set()),
        ("\\", set()),
        ("&|!()<->", set()),
        ("\u0301", set()),
        ("%", set()),
        ("", {"1.1", "1.2", "1.3"}),
    ],
)
def test_search_by_beginnings_of_name_or_id_finds_without_case_and_accents(
    reader: httpx2.Client, words: str, studies: set[str]
) -> None:
    assert found(reader, send(reader, patient=words)) == studies


@pytest.mark.parametrize(
    ("accession", "studies"), [("ax1", {"1.1", "1.2"}), ("AX100", {"1.1"}), ("ax1%", {"1.2"}), ("x1", set())]
)
def test_search_by_the_beginning_of_an_accession_number_finds_it(
    reader: httpx2.Client, accession: str, studies: set[str]
) -> None:
    assert found(reader, send(reader, accession=accession)) == studies


def test_address_of_a_search_names_no_patient_and_opens_for_nobody_else(house: House, reader: httpx2.Client) -> None:
    address = send(reader, patient="Müller", status="analysing", **{"from": "2025-01-01"})
    assert "ller" not in address
    assert "status=analysing" in address
    assert "from=2025-01-01" in address
    assert found(reader, address) == {"1.1"}
    other = house.person(Role.VIEWER, "olga").get(address)
    assert "no longer kept" in other.text
    assert "Müller" not in other.text.split("<table")[0]
    assert "ller" not in house.log.getvalue()


def test_worklist_narrowed_by_dates_and_analysis_shows_what_fits(reader: httpx2.Client) -> None:
    assert found(reader, "/?from=2026-04-01&to=2026-10-31") == {"1.2"}
    assert found(reader, "/?to=2025-12-31") == {"1.1"}
    assert found(reader, "/?analysis=muscle_architecture") == set(STUDIES)
    assert found(reader, "/?analysis=wrist_hand") == set()
    assert reader.get("/?from=yesterday").status_code == 422


def test_flags_narrow_the_worklist_to_what_waits_for_a_person(house: House, reader: httpx2.Client) -> None:
    client = house.client()
    client.post("/api/v1/studies/1.1/complete").raise_for_status()
    house.work()
    flags = {flag: found(reader, f"/?flag={flag}") for flag in ("review", "failed", "undelivered")}
    assert flags == {"review": {"1.1"}, "failed": set(), "undelivered": set()}
    report = client.get("/api/v1/studies/1.1/report").json()["report_id"]
    house.reviewer().post(f"/api/v1/reports/{report}/sign", headers={"If-Match": f'"{report}"'}).raise_for_status()
    assert found(reader, "/?flag=review") == set()
    assert found(reader, "/?flag=undelivered") == {"1.1"}
    with house.engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE analyses SET state = 'failed' WHERE instance_id = (SELECT id FROM instances WHERE study_instance_uid = '1.3')"
        )
    assert found(reader, "/?flag=failed") == {"1.3"}
    narrowed = client.get("/api/v1/studies", params={"flag": "failed", "analysis": "muscle_architecture"}).json()
    assert [study["study_instance_uid"] for study in narrowed["studies"]] == ["1.3"]
