"""WADO-RS beyond what is stored: other forms, whole studies, values by address, pictures as they are asked for, caches."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import Dataset
from sqlalchemy import Engine

from service.adapters.migrations import migrate
from service.ports import UnitOfWorkFactory
from tests.integration.api_parts import STUDY, House, as_file, dicom_dataset, dicom_file, upload
from tests.integration.dicomweb_parts import (
    EXPLICIT,
    IMPLICIT,
    INSTANCE,
    JPEG,
    SERIES,
    STUDIES,
    bytes_of,
    colour_file,
    colour_jpeg,
    dicomweb_house,
    jpeg_file,
    jpeg_frames,
    parts_of,
)

PLAIN = {"Accept": f"application/dicom; transfer-syntax={EXPLICIT}"}
PDF = "1.2.840.10008.5.1.4.1.1.104.1"


@pytest.fixture
def house(engine: Engine, units: UnitOfWorkFactory, tmp_path: Path) -> Iterator[House]:
    with dicomweb_house(engine, units, tmp_path) as made:
        yield made


def picture_of(content: bytes) -> Image.Image:
    return Image.open(BytesIO(content)).convert("RGB")


def report(client: httpx2.Client, house: House) -> str:
    """The address of the SR of the study's report."""
    client.post(f"/api/v1/studies/{STUDY}/complete").raise_for_status()
    house.work()
    (made,) = client.get(f"{STUDIES}/{STUDY}/instances", params={"Modality": "SR"}).json()
    return str(made["00081190"]["Value"][0])


def test_implicit_instance_comes_explicit_with_the_same_attributes_and_pixels(house: House) -> None:
    client = house.client()
    stored = dicom_dataset(PatientComments="Ünicode")
    upload(client, as_file(stored, IMPLICIT)).raise_for_status()
    answer = client.get(INSTANCE, headers=PLAIN)
    assert answer.headers["content-type"] == f"application/dicom; transfer-syntax={EXPLICIT}"
    assert int(answer.headers["content-length"]) == len(answer.content)
    plain = pydicom.dcmread(BytesIO(answer.content))
    assert plain.file_meta.TransferSyntaxUID == EXPLICIT
    assert {element.tag: element.value for element in plain} == {element.tag: element.value for element in stored}


def test_colour_instance_comes_uncompressed_in_the_colour_that_it_says(house: House) -> None:
    client = house.client()
    upload(client, colour_file([colour_jpeg((200, 40, 40)), colour_jpeg((40, 40, 200))])).raise_for_status()
    plain = pydicom.dcmread(BytesIO(client.get(INSTANCE, headers=PLAIN).content))
    assert (plain.PhotometricInterpretation, plain.PlanarConfiguration) == ("YBR_FULL", 0)
    rgb = plain.pixel_array
    assert rgb[0, 4, 4].tolist() == pytest.approx([200, 40, 40], abs=4)
    assert rgb[1, 4, 4].tolist() == pytest.approx([40, 40, 200], abs=4)
    # The metadata say YBR_FULL_422, which decoded frames would not be.
    octets = {"Accept": "multipart/related; type=application/octet-stream"}
    assert client.get(f"{INSTANCE}/frames/1", headers=octets).status_code == 406


def test_broken_frame_is_a_problem_and_not_a_torn_file(house: House) -> None:
    client = house.client()
    upload(client, jpeg_file([b"\xff\xd8 no picture", *jpeg_frames(1)])).raise_for_status()
    assert client.get(INSTANCE, headers=PLAIN).status_code == 422
    assert client.get(INSTANCE).status_code == 200


def test_study_in_a_form_that_one_of_it_does_not_have_is_not_made(house: House) -> None:
    client = house.client()
    upload(client, jpeg_file(jpeg_frames(1)), dicom_file("1.2.4")).raise_for_status()
    accept = 'multipart/related; type="application/dicom"; transfer-syntax='
    assert len(parts_of(client.get(f"{STUDIES}/{STUDY}", headers={"Accept": f"{accept}*"}))) == 2
    plain = parts_of(client.get(f"{STUDIES}/{STUDY}", headers={"Accept": accept + EXPLICIT}))
    assert {part["content-type"] for part in plain} == {f"application/dicom; transfer-syntax={EXPLICIT}"}
    assert client.get(f"{STUDIES}/{STUDY}", headers={"Accept": accept + JPEG}).status_code == 406
    assert client.get(f"{STUDIES}/{STUDY}", headers={"Accept": "application/dicom"}).status_code == 406


@pytest.mark.parametrize("path", [f"{STUDIES}/1.9", f"{STUDIES}/{STUDY}/series/1.9", f"{STUDIES}/{STUDY}/series/1.9/metadata"])
def test_what_is_not_there_is_not_found(house: House, path: str) -> None:
    client = house.client()
    upload(client, dicom_file())
    assert client.get(path).status_code == 404


def test_study_and_series_are_on_record_once(house: House) -> None:
    client = house.client()
    upload(client, dicom_file(), dicom_file("1.2.4"))
    for path in (f"{STUDIES}/{STUDY}", f"{STUDIES}/{STUDY}/series/{SERIES}/metadata", f"{STUDIES}/{STUDY}/thumbnail"):
        client.get(path).raise_for_status()
    entries = client.get("/api/v1/audit").json()["entries"][:3]
    assert [(entry["action"], entry["subject"]) for entry in entries] == [
        ("study_retrieved", STUDY),
        ("series_retrieved", SERIES),
        ("study_retrieved", STUDY),
    ]


def test_object_of_ours_comes_as_it_was_made(house: House) -> None:
    client = house.client()
    upload(client, dicom_file())
    address = report(client, house)
    (row,) = house.rows("SELECT content FROM rendered_objects WHERE kind = 'sr'")
    assert client.get(address, headers={"Accept": "application/dicom"}).content == bytes(row.content)
    assert client.get(f"{address}/rendered").status_code == 406


def test_object_of_ours_that_came_back_is_shown_once(house: House) -> None:
    client = house.client()
    upload(client, dicom_file())
    content = client.get(report(client, house), headers={"Accept": "application/dicom"}).content
    assert upload(client, content).json()["instances"][0]["status"] == "returned"
    assert len(client.get(f"{STUDIES}/{STUDY}/metadata").json()) == 2
    assert client.get(STUDIES).json()[0]["00201208"]["Value"] == [2]


def test_objects_made_before_the_search_are_described_by_migrate(house: House) -> None:
    client = house.client()
    upload(client, dicom_file())
    address = report(client, house)
    client.post(f"/api/v1/studies/{STUDY}/reanalyse").raise_for_status()
    house.work()
    before = client.get(f"{STUDIES}/{STUDY}/instances").json()
    with house.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM rendered_attributes")
    assert client.get(address).status_code == 404
    migrate(house.engine)
    assert client.get(f"{STUDIES}/{STUDY}/instances").json() == before
    assert client.get(address).status_code == 200


def test_large_values_are_given_by_address_in_items_too(house: House) -> None:
    client = house.client()
    item = Dataset()
    item.add_new(0x00282000, "OB", b"\1\2" * 1000)
    upload(client, dicom_file(OpticalPathSequence=[item])).raise_for_status()
    (found,) = client.get(f"{INSTANCE}/metadata").json()
    assert found["00083002"]["Value"] == [EXPLICIT]
    address = found["00480105"]["Value"][0]["00282000"]["BulkDataURI"]
    assert address == f"http://testserver{INSTANCE}/bulkdata/00480105/1/00282000"
    (part,) = parts_of(client.get(address))
    assert bytes_of(part) == b"\1\2" * 1000
    assert client.get(address, headers={"Accept": "application/octet-stream"}).content == b"\1\2" * 1000


@pytest.mark.parametrize("place", ["00282000", "00480105/2/00282000", "00480105/1/00100010", "00100010", "00480105"])
def test_value_that_is_not_there_or_not_binary_is_not_found(house: House, place: str) -> None:
    client = house.client()
    upload(client, dicom_file())
    assert client.get(f"{INSTANCE}/bulkdata/{place}").status_code == 404


@pytest.mark.parametrize("place", ["x", "0028200", "00282000/0/00282000", "00282000/00282000"])
def test_value_at_no_place_is_refused(house: House, place: str) -> None:
    client = house.client()
    upload(client, dicom_file())
    assert client.get(f"{INSTANCE}/bulkdata/{place}").status_code in (404, 422)


def test_viewport_cuts_and_fits(house: House) -> None:
    client = house.client()
    dataset = dicom_dataset(frames=1, Rows=4, Columns=8)
    dataset.PixelData = bytes([10] * 4 + [200] * 4) * 4
    upload(client, as_file(dataset)).raise_for_status()
    png = {"Accept": "image/png"}
    whole = picture_of(client.get(f"{INSTANCE}/rendered?viewport=16,16", headers=png).content)
    part = picture_of(client.get(f"{INSTANCE}/rendered?viewport=4,4,4,0,4,4", headers=png).content)
    assert (whole.size, part.size) == ((16, 8), (4, 4))
    assert np.asarray(part)[..., 0].tolist() == [[200] * 4] * 4


@pytest.mark.parametrize(
    ("window", "expected"), [("41,1,linear", [0, 255]), ("105,210,linear-exact", [49, 97]), ("80,1000,sigmoid", [117, 128])]
)
def test_window_is_applied_to_stored_values(house: House, window: str, expected: list[int]) -> None:
    client = house.client()
    dataset = dicom_dataset(frames=1)
    dataset.PixelData = bytes([40] * 32 + [80] * 32)
    upload(client, as_file(dataset)).raise_for_status()
    shown = picture_of(client.get(f"{INSTANCE}/rendered", params={"window": window}, headers={"Accept": "image/png"}).content)
    greys = np.asarray(shown)[..., 0]
    assert [int(greys[0, 0]), int(greys[7, 7])] == expected


@pytest.mark.parametrize(
    "query",
    ["viewport=0,5", "viewport=a,b", "viewport=5", "viewport=5,5,7,7,9,9", "window=1", "window=1,0,linear", "window=1,2,cubic"],
)
def test_picture_that_cannot_be_made_so_is_refused(house: House, query: str) -> None:
    client = house.client()
    upload(client, dicom_file())
    answer = client.get(f"{INSTANCE}/rendered?{query}")
    assert (answer.status_code, answer.json()["type"]) == (400, "urn:sonomyo:problem:view")


def test_every_frame_and_every_image_come_as_pictures(house: House) -> None:
    client = house.client()
    upload(client, jpeg_file(jpeg_frames(3)), dicom_file("1.2.4", grey=200)).raise_for_status()
    accept = {"Accept": 'multipart/related; type="image/jpeg"'}

    def greys(path: str) -> list[int]:
        parts = parts_of(client.get(path, headers=accept))
        assert {part["content-type"] for part in parts} == {"image/jpeg"}
        return [picture_of(bytes_of(part)).getpixel((4, 4))[0] for part in parts]  # type: ignore[index] # RGB has three

    assert greys(f"{INSTANCE}/rendered") == pytest.approx([40, 80, 120], abs=2)
    assert greys(f"{INSTANCE}/frames/3,1/rendered") == pytest.approx([120, 40], abs=2)
    assert greys(f"{STUDIES}/{STUDY}/series/{SERIES}/rendered") == pytest.approx([40, 201], abs=2)
    assert greys(f"{STUDIES}/{STUDY}/rendered") == pytest.approx([40, 201], abs=2)
    assert client.get(f"{STUDIES}/{STUDY}/rendered", headers={"Accept": "image/jpeg"}).status_code == 406


@pytest.mark.parametrize("path", [f"{STUDIES}/{STUDY}", f"{STUDIES}/{STUDY}/series/{SERIES}", INSTANCE, f"{INSTANCE}/frames/2"])
def test_thumbnail_is_small(house: House, path: str) -> None:
    client = house.client()
    upload(client, dicom_file()).raise_for_status()
    assert picture_of(client.get(f"{path}/thumbnail").content).size == (128, 128)
    assert picture_of(client.get(f"{path}/thumbnail?viewport=20,10").content).size == (10, 10)


def test_encapsulated_document_comes_as_pdf(house: House) -> None:
    client = house.client()
    dataset = dicom_dataset()
    del dataset.PixelData, dataset.Rows, dataset.Columns, dataset.NumberOfFrames
    dataset.SOPClassUID, dataset.EncapsulatedDocument = PDF, b"%PDF-1.7 odd."
    upload(client, as_file(dataset)).raise_for_status()
    answer = client.get(f"{INSTANCE}/rendered")
    assert (answer.headers["content-type"], answer.content) == ("application/pdf", b"%PDF-1.7 odd.")


@pytest.mark.parametrize("what", ["", "/metadata", "/frames/1", "/rendered"])
def test_browser_may_keep_an_answer_and_is_told_when_it_has_changed(house: House, what: str) -> None:
    client = house.client()
    upload(client, dicom_file()).raise_for_status()
    first = client.get(f"{INSTANCE}{what}")
    assert first.headers["cache-control"] == "private, no-cache"
    known: dict[str, Any] = {"If-None-Match": first.headers["etag"]}
    again = client.get(f"{INSTANCE}{what}", headers=known)
    assert (again.status_code, again.content) == (304, b"")
    upload(client, dicom_file(PatientID="P9")).raise_for_status()
    assert client.get(f"{INSTANCE}{what}", headers=known).status_code == 200


def test_metadata_of_many_tell_of_an_unreadable_one_what_is_known(house: House) -> None:
    client = house.client()
    upload(client, dicom_file(), dicom_file("1.2.4", LUTExplanation="x" * 10)).raise_for_status()
    (row,) = house.rows("SELECT storage_key FROM instances WHERE sop_instance_uid = '1.2.4'")
    path = house.store.path(row.storage_key)
    path.write_bytes(b"\0" * path.stat().st_size)
    told = client.get(f"{STUDIES}/{STUDY}/metadata").json()
    assert [one["00080018"]["Value"][0] for one in told] == ["1.2.3", "1.2.4"]
    assert told[1]["00100020"]["Value"] == ["P1"]
    assert client.get(f"{INSTANCE.replace('1.2.3', '1.2.4')}/metadata").status_code == 422
