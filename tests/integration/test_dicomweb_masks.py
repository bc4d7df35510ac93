"""Frames of one bit a pixel by WADO-RS: packed, whatever place they have within a byte of the file, and as pictures."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import numpy.typing as npt
import pytest
from dicomweb_client import DICOMwebClient
from PIL import Image
from sqlalchemy import Engine

from service.ports import UnitOfWorkFactory
from tests.integration.api_parts import ADMINISTRATOR_KEY, STUDY, House, dicom_file, upload
from tests.integration.dicomweb_parts import EXPLICIT, SERIES, dicomweb_house

Bits = npt.NDArray[np.bool_]
UID = "1.2.9"
INSTANCE = f"/dicom-web/studies/{STUDY}/series/{SERIES}/instances/{UID}"
SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"


@pytest.fixture
def house(engine: Engine, units: UnitOfWorkFactory, tmp_path: Path) -> Iterator[House]:
    with dicomweb_house(engine, units, tmp_path) as made:
        yield made


def masks(rows: int, columns: int, frames: int = 3) -> Bits:
    """(frames, rows, columns), each frame another."""
    return np.random.default_rng(rows * columns).random((frames, rows, columns)) < 0.4


def mask_file(drawn: Bits, **changes: Any) -> bytes:
    """As a segmentation holds them: all bits one behind the other (PS3.5 8.1.1)."""
    frames, rows, columns = drawn.shape
    packed = np.packbits(drawn.ravel(), bitorder="little").tobytes()
    bits = {"BitsAllocated": 1, "BitsStored": 1, "HighBit": 0, "SOPClassUID": SEGMENTATION, "Modality": "SEG"}
    size = {"Rows": rows, "Columns": columns, "PixelData": packed + b"\0" * (len(packed) % 2)}
    return dicom_file(UID, frames=frames, **{**bits, **size, **changes})


def unpacked(frame: bytes, drawn: Bits) -> Bits:
    shown: Bits = np.unpackbits(np.frombuffer(frame, np.uint8), bitorder="little")[: drawn[0].size] == 1
    return shown.reshape(drawn[0].shape)


@pytest.mark.parametrize(("rows", "columns"), [(8, 8), (3, 5), (7, 9)])
def test_client_retrieves_packed_frames_of_masks_each_from_a_byte_of_its_own(house: House, rows: int, columns: int) -> None:
    drawn = masks(rows, columns)
    upload(house.client(), mask_file(drawn)).raise_for_status()
    with house.served() as address:
        client = DICOMwebClient(url=f"{address}/dicom-web", headers={"Authorization": f"Bearer {ADMINISTRATOR_KEY}"})
        media_types = (("application/octet-stream", EXPLICIT),)
        frames = client.retrieve_instance_frames(STUDY, SERIES, UID, [1, 2, 3], media_types=media_types)
        picture = client.retrieve_instance_frames_rendered(STUDY, SERIES, UID, [2], media_types=("image/png",))
    assert [len(frame) for frame in frames] == [-(-rows * columns // 8)] * 3
    assert all(np.array_equal(unpacked(frame, drawn), one) for frame, one in zip(frames, drawn, strict=True))
    assert np.array_equal(np.asarray(Image.open(BytesIO(picture)).convert("L")), drawn[1] * 255)


def test_masks_alone_have_pictures_and_beside_images_they_are_left_out(house: House) -> None:
    client = house.client()
    upload(client, mask_file(masks(8, 8))).raise_for_status()
    alone = client.get(f"/dicom-web/studies/{STUDY}/thumbnail", headers={"Accept": "image/png"})
    assert (alone.status_code, alone.headers["content-type"]) == (200, "image/png")
    upload(client, dicom_file("1.2.3", grey=99)).raise_for_status()
    beside = client.get(f"/dicom-web/studies/{STUDY}/rendered", headers={"Accept": "image/png"})
    assert np.asarray(Image.open(BytesIO(beside.content)).convert("L")).tolist() == [[100] * 8] * 8


@pytest.mark.parametrize(
    ("changes", "reason"), [({"NumberOfFrames": 9}, "pixel_data_too_short"), ({"SamplesPerPixel": 3}, "photometric")]
)
def test_masks_that_cannot_be_are_refused_with_the_reason(house: House, changes: dict[str, int], reason: str) -> None:
    client = house.client()
    upload(client, mask_file(masks(8, 8), **changes)).raise_for_status()
    answer = client.get(f"{INSTANCE}/frames/1")
    assert answer.status_code == httpx2.codes.UNPROCESSABLE_CONTENT
    assert reason in answer.json()["type"]
