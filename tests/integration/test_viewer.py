"""What the report viewer is given: its page, the frames of a cine for a browser, and overlays a page of frames at a time."""

import base64
import gc
import io
import re
import socket
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.encaps import encapsulate, generate_frames
from sqlalchemy import Engine, text

from service.access import Role
from service.core.findings import Finding
from service.ports import UnitOfWorkFactory
from tests.cine_files import H264, JPEG, JPEG_2000, encode_video, speckle
from tests.integration.api_parts import ADMINISTRATOR_KEY, STUDY, House, as_file, dicom_dataset, dicom_file, upload
from tests.integration.dicomweb_parts import SERIES
from tests.integration.viewer_parts import INSTANCE, analysed, bytes_of_frames, cine_file, contraction, viewer_house, without_end
from tests.phantoms import Muscle
from tests.running import decoders, poll

CINE = f"/studies/{STUDY}/cines/{INSTANCE}"
FEW = 6


@pytest.fixture
def house(engine: Engine, units: UnitOfWorkFactory, tmp_path: Path) -> Iterator[House]:
    with viewer_house(engine, units, tmp_path) as made:
        yield made


@pytest.fixture
def muscles() -> list[Muscle]:
    return contraction(FEW)


def grey(jpeg: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(jpeg)).convert("L")).astype(np.int16)


def test_frames_that_are_stored_as_jpeg_are_given_byte_for_byte(house: House, muscles: list[Muscle]) -> None:
    content = cine_file(muscles, syntax=JPEG)
    upload(house.client(), content).raise_for_status()
    stored = list(generate_frames(pydicom.dcmread(io.BytesIO(content)).PixelData, number_of_frames=FEW))
    given = bytes_of_frames(house.client().get(f"{CINE}/frames/2-4").content)
    assert given == stored[1:4]


def test_frames_that_are_stored_otherwise_are_jpegs_of_what_is_stored(house: House, muscles: list[Muscle]) -> None:
    upload(house.client(), cine_file(muscles)).raise_for_status()
    given = bytes_of_frames(house.client().get(f"{CINE}/frames/1-{FEW}").content)
    assert len(given) == FEW
    for jpeg, muscle in zip(given, muscles, strict=True):
        assert np.abs(grey(jpeg) - muscle.draw()[0]).mean() < 2


@pytest.mark.parametrize(("syntax", "broken"), [(JPEG_2000, 4), (JPEG_2000, 1), (JPEG, 4)])
def test_frame_that_cannot_be_shown_hides_no_other_and_says_why_when_it_is_asked_for_alone(
    house: House, muscles: list[Muscle], syntax: str, broken: int
) -> None:
    upload(house.client(), without_end(cine_file(muscles, syntax=syntax), broken)).raise_for_status()
    client = house.client()
    given = bytes_of_frames(client.get(f"{CINE}/frames/1-{FEW}").content)
    assert [number for number, jpeg in enumerate(given, start=1) if not jpeg] == [broken]
    for jpeg, muscle in zip(given, muscles, strict=True):
        assert not jpeg or np.abs(grey(jpeg) - muscle.draw()[0]).mean() < 2
    answer = client.get(f"{CINE}/frames/{broken}.jpg")
    assert (answer.status_code, "ends before" in answer.json()["detail"]) == (422, True)
    assert client.get(f"{CINE}/frames/{FEW + 1}-{FEW + 2}").status_code == 404


@pytest.fixture
def no_collector() -> Iterator[None]:
    """What is given back is given back by who took it."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("has_gone", [True, False])
def test_client_that_reads_no_further_holds_no_decoder(house: House, has_gone: bool) -> None:  # noqa: FBT001 - a parameter of pytest's
    upload(house.client(), cine_file(contraction(30), syntax=JPEG_2000)).raise_for_status()
    path = f"/dicom-web/studies/{STUDY}/series/{SERIES}/instances/{INSTANCE}/rendered" if has_gone else f"{CINE}/frames/1-30"
    asked = f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ADMINISTRATOR_KEY}\r\n"
    asked += 'Accept: multipart/related; type="image/jpeg", */*\r\n\r\n'
    before = len(decoders())
    with house.served() as address, ExitStack() as open_ones:
        port = int(address.rpartition(":")[2])
        for _ in range(3):
            one = socket.create_connection(("127.0.0.1", port))
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            open_ones.enter_context(one)
            one.sendall(asked.encode())
            assert one.recv(200).startswith(b"HTTP/1.1 200")
        if has_gone:
            open_ones.close()
        poll(lambda: len(decoders()) <= before, timeout_seconds=60, what="no decoder is held")


def test_jpeg_that_a_browser_would_show_otherwise_is_encoded_anew(house: House, muscles: list[Muscle]) -> None:
    upload(house.client(), cine_file(muscles, syntax=JPEG, PhotometricInterpretation="MONOCHROME1")).raise_for_status()
    (given,) = bytes_of_frames(house.client().get(f"{CINE}/frames/1-1").content)
    assert np.abs(grey(given) - (255 - muscles[0].draw()[0])).mean() < 4


def test_frames_are_kept_by_a_browser_for_as_long_as_the_bytes_are_the_same(house: House, muscles: list[Muscle]) -> None:
    client = house.client()
    upload(client, cine_file(muscles)).raise_for_status()
    version = client.get(CINE).json()["version"]
    answer = client.get(f"{CINE}/frames/1-2", params={"v": version})
    assert answer.headers["cache-control"] == "private, max-age=31536000, immutable"
    assert "Cookie" in answer.headers["vary"]
    again = client.get(f"{CINE}/frames/1-2", params={"v": version}, headers={"If-None-Match": answer.headers["etag"]})
    assert again.status_code == 304
    assert client.get(f"{CINE}/frames/1-2", params={"v": "another"}).headers["cache-control"] == "private, no-cache"


def test_one_frame_is_given_as_a_picture_of_its_own_and_each_reading_of_it_is_on_record(
    house: House, muscles: list[Muscle]
) -> None:
    client = house.client()
    upload(client, cine_file(muscles, syntax=JPEG)).raise_for_status()
    version = client.get(CINE).json()["version"]
    answer = client.get(f"{CINE}/frames/2.jpg", params={"v": version})
    assert [answer.content] == bytes_of_frames(client.get(f"{CINE}/frames/2-2").content)
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["cache-control"] == "private, max-age=31536000, immutable"
    assert client.get(f"{CINE}/frames/2.jpg").headers["cache-control"] == "private, no-cache"
    assert [client.get(f"{CINE}/frames/{number}.jpg").status_code for number in (0, FEW + 1)] == [422, 404]
    read = house.rows("SELECT subject FROM audit WHERE action = 'instance_retrieved'")
    assert {entry.subject for entry in read} == {INSTANCE}
    assert len(read) >= 3


@pytest.mark.parametrize(("frames", "status"), [("3-2", 422), ("1-33", 422), ("6-7", 404), ("0-1", 422), ("7-8", 404)])
def test_frames_that_cannot_be_are_refused_with_the_reason(house: House, muscles: list[Muscle], frames: str, status: int) -> None:
    upload(house.client(), cine_file(muscles)).raise_for_status()
    answer = house.client().get(f"{CINE}/frames/{frames}")
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")


def test_cine_tells_its_time_and_scale_or_why_it_has_none(house: House, muscles: list[Muscle]) -> None:
    bare = cine_file(muscles, "1.2.4", SequenceOfUltrasoundRegions=None, FrameIncrementPointer=None, FrameTime=None)
    upload(house.client(), cine_file(muscles), bare).raise_for_status()
    told = house.client().get(CINE).json()
    assert told["time"]["seconds"] == pytest.approx([0.04 * index for index in range(FEW)])
    assert (told["region"]["mm_per_pixel_x"], told["region"]["mm_per_pixel_y"]) == pytest.approx((0.1, 0.1))
    assert (told["number_of_frames"], told["rows"], told["columns"]) == (FEW, *muscles[0].shape)
    other = house.client().get(f"/studies/{STUDY}/cines/1.2.4").json()
    assert (other["time"]["seconds"], other["region"]["mm_per_pixel_x"]) == (None, None)
    assert "FrameIncrementPointer" in other["time"]["reason"]
    assert "no SequenceOfUltrasoundRegions" in other["region"]["reason"]


def test_who_was_given_frames_is_on_record(house: House, muscles: list[Muscle]) -> None:
    upload(house.client(), cine_file(muscles)).raise_for_status()
    viewer = house.person(Role.VIEWER, "vera")
    viewer.get(f"{CINE}/frames/1-2").raise_for_status()
    (entry,) = house.rows("SELECT actor, subject FROM audit WHERE action = 'instance_retrieved'")
    assert entry.subject == INSTANCE
    assert entry.actor.startswith("user:")


def test_overlays_of_a_page_of_frames_have_each_frame_s_own_maps_and_lines(house: House, muscles: list[Muscle]) -> None:
    report_id = analysed(house, cine_file(muscles))
    told = house.client().get(f"/api/v1/reports/{report_id}/overlays/{INSTANCE}", params={"frames": "2-4"}).json()
    (drawn,) = told["analyses"]
    assert [frame["frame"] for frame in drawn["frames"]] == [2, 3, 4]
    grid = drawn["grid"]
    assert [one["name"] for one in grid["segments"]] == ["aponeurosis", "fascicle", "muscle_belly"]
    for frame in drawn["frames"]:
        muscle = muscles[frame["frame"] - 1]
        bits = np.unpackbits(np.frombuffer(zlib.decompress(base64.b64decode(frame["masks"])), np.uint8))
        maps = bits[: 3 * grid["height"] * grid["width"]].reshape(3, grid["height"], grid["width"])
        rows = np.flatnonzero(maps[2].any(1)) * (grid["y1"] - grid["y0"]) / grid["height"] + grid["y0"]
        assert (rows[0], rows[-1]) == pytest.approx((80, 80 + 10 * muscle.thickness_mm), abs=3)
        lines = {line["label"]: line["points"] for line in frame["lines"]}
        assert [row for _, row in lines["deep_aponeurosis"]] == pytest.approx([80 + 10 * muscle.thickness_mm] * 9, abs=2)
        assert [row for _, row in lines["superficial_aponeurosis"]] == pytest.approx([80] * 9, abs=2)
        assert "fascicle" in lines


def test_overlays_of_an_earlier_analysis_are_told_apart_from_those_of_another(house: House, muscles: list[Muscle]) -> None:
    report_id = analysed(house, cine_file(muscles))
    # As if other weights had analysed the cine since this version.
    with house.engine.begin() as connection:
        connection.execute(
            text("UPDATE analyses SET findings = jsonb_set(findings, '{0,model,sha256}', to_jsonb(repeat('0', 64)))")
        )
    told = house.client().get(f"/api/v1/reports/{report_id}/overlays/{INSTANCE}", params={"frames": "1-6"}).json()
    (drawn,) = told["analyses"]
    assert (drawn["is_superseded"], drawn["grid"]) == (True, None)
    # What the report says itself, it still shows: the lines of its best frames.
    reported = [Finding.model_validate(one) for one in house.client().get(f"/api/v1/reports/{report_id}").json()["findings"]]
    best = {line.frame for finding in reported for line in finding.evidence.lines}
    assert {frame["frame"] for frame in drawn["frames"]} == best
    assert all(frame["masks"] is None for frame in drawn["frames"])


def test_overlays_of_more_frames_than_a_page_or_of_no_report_are_refused(house: House, muscles: list[Muscle]) -> None:
    report_id = analysed(house, cine_file(muscles))
    client = house.client()
    for frames in ("1-129", "5-4", "1", "0-3", "a-b"):
        assert client.get(f"/api/v1/reports/{report_id}/overlays/{INSTANCE}", params={"frames": frames}).status_code == 422
    unknown = "00000000-0000-4000-8000-000000000000"
    assert client.get(f"/api/v1/reports/{unknown}/overlays/{INSTANCE}", params={"frames": "1-2"}).status_code == 404
    beyond = client.get(f"/api/v1/reports/{report_id}/overlays/{INSTANCE}", params={"frames": "100-120"}).json()
    assert [one["frames"] for one in beyond["analyses"]] == [[]]


def test_page_without_scripts_says_the_findings_and_leads_to_the_printable_report(house: House, muscles: list[Muscle]) -> None:
    report_id = analysed(house, cine_file(muscles))
    page = house.client().get(f"/studies/{STUDY}")
    assert page.headers["etag"] == f'"{report_id}"'
    (noscript,) = [one for one in page.text.split("<noscript>")[1:] if f"/api/v1/reports/{report_id}" in one]
    assert "Thickness" in noscript.partition("</noscript>")[0]
    printable = house.client().get(
        f"/api/v1/reports/{report_id}", headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    )
    assert printable.headers["content-type"].startswith("text/html")
    assert "Thickness" in printable.text


def test_page_of_a_study_whose_pictures_are_held_no_more_still_shows_its_report(house: House) -> None:
    analysed(house, cine_file(contraction(2)))
    with house.engine.begin() as connection:
        connection.execute(text("UPDATE instances SET removed_at = now()"))
    page = house.client().get(f"/studies/{STUDY}")
    assert page.status_code == 200
    assert "No picture of this study is held here any more" in page.text
    assert house.client().get(CINE).status_code == 410


def test_frames_of_what_cannot_be_decoded_are_a_problem_and_no_torn_answer(house: House) -> None:
    upload(house.client(), dicom_file(INSTANCE, PixelData=b"\0" * 64)).raise_for_status()
    answer = house.client().get(f"{CINE}/frames/1-3")
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")


def test_page_begins_with_a_picture_of_its_own_but_not_of_a_video_which_is_decoded_from_its_beginning(
    house: House, muscles: list[Muscle]
) -> None:
    analysed(house, cine_file(muscles, syntax=JPEG))
    assert "data-early" in house.client().get(f"/studies/{STUDY}").text
    statement = (
        "UPDATE instances SET attributes = jsonb_set(attributes::jsonb, '{transfer_syntax_uid}', to_jsonb(CAST(:syntax AS text)))"
    )
    with house.engine.begin() as connection:
        connection.execute(text(statement), {"syntax": H264})
    page = house.client().get(f"/studies/{STUDY}").text
    assert 'data-cine="1.2.3"' in page
    assert "data-early" not in page
    assert ".jpg" not in page


def test_video_that_breaks_off_gives_the_frames_before_it_and_says_why_there_are_no_others(house: House) -> None:
    video = encode_video(speckle(12, 64, 96), "h264")
    dataset = dicom_dataset(INSTANCE, frames=13, Rows=64, Columns=96, PhotometricInterpretation="YBR_PARTIAL_420")
    dataset.SamplesPerPixel, dataset.PlanarConfiguration = 3, 0
    dataset.PixelData = encapsulate([video])
    upload(house.client(), as_file(dataset, H264)).raise_for_status()
    answer = house.client().get(f"{CINE}/frames/1-13")
    given = answer.raise_for_status().content
    assert given.endswith(b"\0\0\0\0")
    lacking = house.client().get(f"{CINE}/frames/13-13")
    assert (lacking.status_code, lacking.content) == (200, b"\0\0\0\0")
    assert house.client().get(f"{CINE}/frames/13.jpg").status_code == 422


def test_video_with_zeroed_bytes_gives_no_picture_that_was_made_up(house: House) -> None:
    video = encode_video(speckle(16, 240, 320), "h264")
    middle = len(video) * 6 // 10
    dataset = dicom_dataset(INSTANCE, frames=16, Rows=240, Columns=320, PhotometricInterpretation="YBR_PARTIAL_420")
    dataset.SamplesPerPixel, dataset.PlanarConfiguration = 3, 0
    dataset.PixelData = encapsulate([video[:middle] + bytes(3000) + video[middle + 3000 :]])
    upload(house.client(), as_file(dataset, H264)).raise_for_status()
    assert house.client().get(f"{CINE}/frames/1-3").raise_for_status().content[-4:] != bytes(4)
    assert house.client().get(f"{CINE}/frames/9-16").raise_for_status().content.endswith(bytes(4 * 6))
    assert house.client().get(f"{CINE}/frames/12.jpg").status_code == 422


def test_cine_without_a_description_is_called_a_picture_in_the_reader_s_language(house: House, muscles: list[Muscle]) -> None:
    analysed(house, cine_file(muscles), cine_file(muscles, "1.2.4"))
    for language, name in (("en", "Picture"), ("de", "Bild")):
        page = house.client().get(f"/studies/{STUDY}", headers={"Accept-Language": language}).text
        assert re.findall(r'class="title" title="([^"]*)"', page) == [f"{name} 1", f"{name} 2"]
