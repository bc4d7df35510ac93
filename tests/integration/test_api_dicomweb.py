"""WADO-RS: what was stored comes back byte for byte, whole or frame by frame."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sqlalchemy import Engine

from service.ports import UnitOfWorkFactory
from tests.integration.api_parts import STUDY, House, as_file, dicom_dataset, dicom_file, upload
from tests.integration.dicomweb_parts import INSTANCE, JPEG, dicomweb_house, jpeg_file, jpeg_frames, parts_of


@pytest.fixture
def house(engine: Engine, units: UnitOfWorkFactory, tmp_path: Path) -> Iterator[House]:
    with dicomweb_house(engine, units, tmp_path) as made:
        yield made


def test_instance_comes_back_byte_for_byte(house: House) -> None:
    client = house.client()
    content = dicom_file()
    upload(client, content)
    (part,) = parts_of(client.get(INSTANCE))
    assert part.get_payload(decode=True) == content
    assert part["content-type"] == "application/dicom; transfer-syntax=1.2.840.10008.1.2.1"
    single = client.get(INSTANCE, headers={"Accept": "application/dicom"})
    assert (single.content, int(single.headers["content-length"])) == (content, len(content))
    assert client.get("/api/v1/audit").json()["entries"][0]["action"] == "instance_retrieved"


def test_instance_in_another_transfer_syntax_is_not_made(house: House) -> None:
    client = house.client()
    upload(client, dicom_file())
    accept = 'multipart/related; type="application/dicom"; transfer-syntax=1.2.840.10008.1.2.4.50'
    answer = client.get(INSTANCE, headers={"Accept": accept})
    assert answer.status_code == 406
    assert answer.json()["available"] == ['multipart/related; type="application/dicom"; transfer-syntax=1.2.840.10008.1.2.1']


@pytest.mark.parametrize("path", [INSTANCE.replace("1.2.3", "1.2.4"), INSTANCE.replace(f"{STUDY}.1", "1.9")])
def test_instance_under_another_name_is_not_found(house: House, path: str) -> None:
    client = house.client()
    upload(client, dicom_file())
    assert client.get(path).status_code == 404


def test_metadata_holds_every_attribute_and_where_the_frames_are(house: House) -> None:
    client = house.client()
    upload(client, dicom_file())
    answer = client.get(f"{INSTANCE}/metadata")
    assert answer.headers["content-type"] == "application/dicom+json"
    (found,) = answer.json()
    assert found["00100010"]["Value"] == [{"Alphabetic": "Canary^Иван"}]
    assert found["00280008"]["Value"] == [3]
    assert found["7FE00010"]["BulkDataURI"] == f"http://testserver{INSTANCE}/frames"


def test_native_frames_come_as_octets(house: House) -> None:
    client = house.client()
    upload(client, dicom_file(grey=100))
    answer = client.get(f"{INSTANCE}/frames/3,1", headers={"Accept": 'multipart/related; type="application/octet-stream"'})
    assert [part.get_payload(decode=True) for part in parts_of(answer)] == [bytes([103]) * 64, bytes([101]) * 64]


def test_big_endian_words_come_in_little_endian(house: House) -> None:
    dataset = dicom_dataset(frames=1)
    values = np.arange(64, dtype=">u2")
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit = 15
    dataset.PixelData = values.tobytes()
    dataset["PixelData"].VR = "OW"
    client = house.client()
    upload(client, as_file(dataset, "1.2.840.10008.1.2.2")).raise_for_status()
    (part,) = parts_of(client.get(f"{INSTANCE}/frames/1"))
    payload = part.get_payload(decode=True)
    assert isinstance(payload, bytes)
    assert np.frombuffer(payload, "<u2").tolist() == list(range(64))


@pytest.mark.parametrize(
    "accept",
    [
        None,
        "multipart/related; type=image/jpeg",
        'multipart/related; type="image/jpeg"; transfer-syntax=1.2.840.10008.1.2.4.50',
        "multipart/related; type=application/octet-stream; transfer-syntax=*",
        'multipart/related; type="image/jls"; q=0.9, multipart/related; type="image/*"; q=0.5',
    ],
)
def test_compressed_frames_come_as_they_are_stored(house: House, accept: str | None) -> None:
    client = house.client()
    frames = jpeg_frames(3)
    upload(client, jpeg_file(frames)).raise_for_status()
    answer = client.get(f"{INSTANCE}/frames/2,3", headers={} if accept is None else {"Accept": accept})
    parts = parts_of(answer)
    assert [part["content-type"] for part in parts] == [f"image/jpeg; transfer-syntax={JPEG}"] * 2
    received = [part.get_payload(decode=True) for part in parts]
    # An odd frame is padded with a zero to an even length (PS3.5 A.4).
    assert [bytes(one)[: len(frame)] for one, frame in zip(received, frames[1:], strict=True)] == frames[1:]


@pytest.mark.parametrize(
    "accept",
    ["image/png", "multipart/related; type=image/jls", "application/octet-stream; transfer-syntax=1.2.840.10008.1.2.4.90"],
)
def test_compressed_frames_in_another_compression_are_not_made(house: House, accept: str) -> None:
    client = house.client()
    upload(client, jpeg_file(jpeg_frames(2)))
    assert client.get(f"{INSTANCE}/frames/1", headers={"Accept": accept}).status_code == 406


@pytest.mark.parametrize(
    "what", ["", "/metadata", "/frames", "/frames/1,2", "/frames/2/rendered", "/rendered", "/thumbnail", "/bulkdata/00282000"]
)
def test_retrieval_of_any_part_is_audited_once_and_a_refused_one_not(house: House, what: str) -> None:
    client = house.client()
    upload(client, jpeg_file(jpeg_frames(3), ICCProfile=bytes(2000))).raise_for_status()

    def retrievals() -> list[str]:
        return [
            entry["subject"] for entry in client.get("/api/v1/audit").json()["entries"] if entry["action"] == "instance_retrieved"
        ]

    assert client.get(f"{INSTANCE}{what}", headers={"Accept": "text/css"}).status_code == 406
    assert retrievals() == []
    client.get(f"{INSTANCE}{what}").raise_for_status()
    assert retrievals() == ["1.2.3"]


@pytest.mark.parametrize("frame", ["0", "4", "1000000000", "1,4", "99999999999999999999999999"])
def test_frame_that_does_not_exist_is_not_found(house: House, frame: str) -> None:
    client = house.client()
    upload(client, dicom_file())
    assert client.get(f"{INSTANCE}/frames/{frame}").status_code == 404


@pytest.mark.parametrize("frame", ["x", "-1", "1,", "1;2", "1.5"])
def test_frame_that_is_no_number_is_a_problem(house: House, frame: str) -> None:
    assert house.client().get(f"{INSTANCE}/frames/{frame}").status_code in (404, 422)


def test_frames_that_the_file_does_not_hold_are_a_problem_not_a_torn_body(house: House) -> None:
    client = house.client()
    upload(client, dicom_file(NumberOfFrames=50)).raise_for_status()
    answer = client.get(f"{INSTANCE}/frames/1")
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:sonomyo:problem:pixel_data_too_short")


def test_rendered_frame_is_the_picture_of_that_frame(house: House) -> None:
    client = house.client()
    upload(client, jpeg_file(jpeg_frames(3))).raise_for_status()
    png = client.get(f"{INSTANCE}/frames/3/rendered", headers={"Accept": "image/png"})
    jpeg = client.get(f"{INSTANCE}/frames/1/rendered")
    assert (png.headers["content-type"], jpeg.headers["content-type"]) == ("image/png", "image/jpeg")
    assert np.asarray(Image.open(BytesIO(png.content)))[4, 4].tolist() == pytest.approx([120] * 3, abs=2)
    assert np.asarray(Image.open(BytesIO(jpeg.content)))[4, 4].tolist() == pytest.approx([40] * 3, abs=4)
