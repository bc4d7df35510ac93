"""A house whose decoder and SR are real, and the parts of a multipart answer."""

from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from email.message import Message
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGBaseline8Bit
from sqlalchemy import Engine

from service.adapters.cine_decoder import FileCineReader
from service.ports import UnitOfWorkFactory
from service.rendering import Rendering
from tests.integration.api_parts import STUDY, House, as_file, dicom_dataset

SERIES = f"{STUDY}.1"
STUDIES = "/dicom-web/studies"
INSTANCE = f"{STUDIES}/{STUDY}/series/{SERIES}/instances/1.2.3"
JPEG = str(JPEGBaseline8Bit)
EXPLICIT, IMPLICIT = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"


@contextmanager
def dicomweb_house(engine: Engine, units: UnitOfWorkFactory, root: Path, public_url: str | None = None) -> Iterator[House]:
    reader = FileCineReader()
    try:
        with House(engine, units, root, reader=reader, renderers=Rendering().renderers(("sr",)), public_url=public_url) as house:
            yield house
    finally:
        reader.close()


def parts_of(answer: httpx2.Response) -> list[Message]:
    whole = message_from_bytes(b"Content-Type: " + answer.headers["content-type"].encode() + b"\r\n\r\n" + answer.content)
    assert isinstance(whole.get_payload(), list)
    return [part for part in whole.walk() if not part.is_multipart()]


def bytes_of(part: Message) -> bytes:
    payload = part.get_payload(decode=True)
    assert isinstance(payload, bytes)
    return payload


def jpeg_frames(count: int) -> list[bytes]:
    frames = []
    for number in range(count):
        buffer = BytesIO()
        Image.fromarray(np.full((8, 8), 40 * number + 40, np.uint8)).save(buffer, "JPEG", quality=95)
        frames.append(buffer.getvalue())
    return frames


def colour_jpeg(colour: tuple[int, int, int]) -> bytes:
    buffer = BytesIO()
    Image.new("RGB", (8, 8), colour).save(buffer, "JPEG", quality=95, subsampling=0)
    return buffer.getvalue()


def jpeg_file(frames: list[bytes], **changes: Any) -> bytes:
    dataset = dicom_dataset(frames=len(frames), **changes)
    dataset.PixelData = encapsulate(frames)
    dataset["PixelData"].is_undefined_length = True
    return as_file(dataset, JPEG)


def colour_file(frames: list[bytes]) -> bytes:
    return jpeg_file(frames, SamplesPerPixel=3, PhotometricInterpretation="YBR_FULL_422", PlanarConfiguration=0)


def found(client: httpx2.Client, path: str = STUDIES, **parameters: str) -> list[dict[str, Any]]:
    answer = client.get(path, params=parameters)
    if answer.status_code == 204:
        assert answer.content == b""
        return []
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/dicom+json"), answer.text
    results = answer.json()
    assert isinstance(results, list)
    return results


def studies_found(client: httpx2.Client, **parameters: str) -> list[str]:
    return [study["0020000D"]["Value"][0] for study in found(client, **parameters)]
