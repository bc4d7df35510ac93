"""STOW-RS: what is answered as stored is durable; what is not, says why."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import Engine

from service.access import Role
from service.api.limits import Limits
from service.core.stow import judge_store_response, read_store_response
from service.ports import UnitOfWorkFactory
from tests.integration.api_parts import STUDY, House, dicom_file
from tests.integration.dicomweb_parts import INSTANCE, STUDIES, dicomweb_house
from tests.integration.stored_studies import stored_files

DICOM_PART = "application/dicom"
RELATED = 'multipart/related; type="application/dicom"; boundary=XyZ'


@pytest.fixture
def house(engine: Engine, units: UnitOfWorkFactory, tmp_path: Path) -> Iterator[House]:
    with dicomweb_house(engine, units, tmp_path) as made:
        yield made


def body_of(*files: bytes, part_type: str | None = DICOM_PART) -> bytes:
    head = f"Content-Type: {part_type}\r\n" if part_type else ""
    return b"".join(f"--XyZ\r\n{head}\r\n".encode() + file + b"\r\n" for file in files) + b"--XyZ--\r\n"


def store(client: httpx2.Client, body: bytes, *, path: str = STUDIES, kind: str = RELATED) -> httpx2.Response:
    return client.post(path, content=body, headers={"Content-Type": kind})


def reasons(answer: httpx2.Response) -> list[int]:
    told = answer.json()
    failed = [*told.get("00081198", {}).get("Value", []), *told.get("0008119A", {}).get("Value", [])]
    return [item["00081197"]["Value"][0] for item in failed]


def test_stored_instances_are_durable_analysed_and_named(house: House) -> None:
    client = house.client()
    answer = store(client, body_of(dicom_file(), dicom_file("1.2.4")))
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/dicom+json")
    told = answer.json()
    assert told["00081190"]["Value"] == [f"http://testserver{STUDIES}/{STUDY}"]
    items = told["00081199"]["Value"]
    assert [item["00081155"]["Value"][0] for item in items] == ["1.2.3", "1.2.4"]
    assert items[0]["00081190"]["Value"] == [f"http://testserver{INSTANCE}"]
    assert len(stored_files(house.store)) == 2
    assert house.rows("SELECT count(*) FROM analyses") == [(2,)]
    (entry, *_) = client.get("/api/v1/audit").json()["entries"]
    assert (entry["action"], entry["subject"], entry["detail"]) == ("instances_received", STUDY, {"instances": 2})


def test_our_own_client_reads_our_answer(house: House) -> None:
    answer = store(house.client(), body_of(dicom_file()))
    assert judge_store_response(answer.status_code, read_store_response(answer.content), "1.2.3") == ""


def test_the_same_again_is_stored_already(house: House) -> None:
    client = house.client()
    assert [store(client, body_of(dicom_file())).status_code for _ in range(2)] == [200, 200]
    assert house.rows("SELECT count(*) FROM instances") == [(1,)]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b"no DICOM at all", 0xC000),
        (dicom_file("1.2.9")[:-100], 0xC000),
        (dicom_file("1.2.9", SOPClassUID="1.2.840.10008.5.1.4.1.1.4"), 0x0122),
        (dicom_file("1.2.9").replace(STUDY.encode(), b"x" * len(STUDY)), 0xC000),
    ],
)
def test_refused_instance_does_not_keep_others_from_being_stored(house: House, bad: bytes, reason: int) -> None:
    answer = store(house.client(), body_of(bad, dicom_file()))
    assert (answer.status_code, reasons(answer)) == (202, [reason])
    assert answer.json()["00081199"]["Value"][0]["00081155"]["Value"] == ["1.2.3"]
    assert answer.headers["warning"].startswith('299 Sonomyo "Part 1: ')
    alone = store(house.client(), body_of(bad))
    assert (alone.status_code, reasons(alone)) == (409, [reason])


def test_instance_of_another_study_than_the_address_names_is_refused(house: House) -> None:
    client = house.client()
    answer = store(client, body_of(dicom_file()), path=f"{STUDIES}/1.2.99")
    assert (answer.status_code, reasons(answer)) == (409, [0xA900])
    assert answer.json()["00081198"]["Value"][0]["00081155"]["Value"] == ["1.2.3"]
    assert stored_files(house.store) == {}
    assert store(client, body_of(dicom_file()), path=f"{STUDIES}/{STUDY}").status_code == 200


@pytest.mark.parametrize(
    ("kind", "part_type", "status"),
    [
        ('multipart/related; type="application/dicom+json"; boundary=XyZ', "application/dicom+json", 415),
        ('multipart/related; type="application/dicom"; boundary=XyZ', "image/jpeg", 415),
        ("multipart/form-data; boundary=XyZ", DICOM_PART, 415),
        ("application/json", DICOM_PART, 415),
        ("multipart/related; type=application/dicom; boundary=XyZ", None, 200),
        ('Multipart/Related;type="application/dicom";boundary="XyZ"', "Application/DICOM; transfer-syntax=1.2", 200),
    ],
)
def test_media_types_of_body_and_parts_decide(house: House, kind: str, part_type: str | None, status: int) -> None:
    assert store(house.client(), body_of(dicom_file(), part_type=part_type), kind=kind).status_code == status


def test_single_instance_needs_no_multipart(house: House) -> None:
    assert store(house.client(), dicom_file(), kind=DICOM_PART).status_code == 200


@pytest.mark.parametrize("body", [b"", b"--XyZ--\r\n", body_of(dicom_file())[:-20], b"\0" * 200])
def test_body_that_is_no_multipart_is_a_bad_request(house: House, body: bytes) -> None:
    answer = store(house.client(), body)
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")


def test_part_larger_than_an_object_may_be_is_refused_alone(engine: Engine, units: UnitOfWorkFactory, tmp_path: Path) -> None:
    with House(engine, units, tmp_path, maximum_object_bytes=4096) as house:
        large = dicom_file("1.2.9", frames=100)
        answer = store(house.client(), body_of(large, dicom_file()))
    assert (answer.status_code, reasons(answer)) == (202, [0xA700])
    assert answer.json()["00081199"]["Value"][0]["00081155"]["Value"] == ["1.2.3"]


@pytest.mark.parametrize("path", [STUDIES, f"{STUDIES}/{STUDY}"])
def test_body_may_be_as_large_as_an_upload_and_no_larger(
    engine: Engine, units: UnitOfWorkFactory, tmp_path: Path, path: str
) -> None:
    limits = Limits(maximum_body_bytes=100, maximum_upload_bytes=10_000)
    with House(engine, units, tmp_path, limits=limits) as house:
        assert store(house.client(), body_of(dicom_file()), path=path).status_code == 200
        assert store(house.client(), body_of(dicom_file("1.2.9", frames=200)), path=path).status_code == 413


def test_without_room_nothing_is_acknowledged(house: House) -> None:
    house.refusal = "The disk is full."
    assert store(house.client(), body_of(dicom_file())).status_code == 503
    assert stored_files(house.store) == {}


@pytest.mark.parametrize(("role", "status"), [(Role.VIEWER, 403), (Role.RADIOLOGIST, 200)])
def test_storing_needs_the_role_of_uploads(house: House, role: Role, status: int) -> None:
    answer = store(house.client(house.key(role)), body_of(dicom_file()))
    assert answer.status_code == status


def test_answer_in_another_form_is_refused_before_anything_is_stored(house: House) -> None:
    headers: dict[str, Any] = {"Content-Type": RELATED, "Accept": "application/dicom+xml"}
    assert house.client().post(STUDIES, content=body_of(dicom_file()), headers=headers).status_code == 406
    assert stored_files(house.store) == {}
