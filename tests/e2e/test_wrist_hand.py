"""A simulated examination of wrist and hand: sent by a real peer, reported, its key images in a real PACS, and replayed live."""

import io
import json
from pathlib import Path
from typing import Any

import pydicom
import pytest

from service.core.wrist_planes import PLANES
from simulator.write import simulate
from tests.browser import browser
from tests.e2e.orthanc import running_orthanc
from tests.e2e.sending import findings, send, study_of
from tests.running import RunningService, poll

#: With the examination, its analysis and the pause of a destination that was away before.
pytestmark = pytest.mark.timeout(300)

#: A volunteer that neither training nor any figure has seen.
SEED = 1
KEY_OBJECT_SELECTION = "1.2.840.10008.5.1.4.1.1.88.59"


@pytest.fixture(scope="module")
def examination(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All fifteen planes in one cine."""
    (path,) = simulate("wrist", tmp_path_factory.mktemp("wrist"), seed=SEED, transfer_syntax="jpeg")
    return path


@pytest.fixture(scope="module")
def report(service: RunningService, examination: Path, orthanc_port: int, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Of the examination, and what Orthanc holds of its key objects."""
    folder = tmp_path_factory.mktemp("orthanc")
    with running_orthanc(folder, dicom_port=orthanc_port, sonomyo_port=service.dicom_port) as orthanc:
        send(service, examination)
        service.complete(study_of(examination))
        made = service.report(study_of(examination), timeout_seconds=120)
        query = {"Level": "Instance", "Query": {"SOPClassUID": KEY_OBJECT_SELECTION, "StudyInstanceUID": study_of(examination)}}
        (key_objects,) = poll(
            lambda: orthanc.post("/tools/find", json=query).json(), timeout_seconds=120, what="key objects in Orthanc"
        )
        made["key_objects"] = orthanc.get(f"/instances/{key_objects}/file").content
    return made


def test_examination_sent_by_c_store_is_ticked_off_plane_by_plane(report: Any, examination: Path) -> None:
    truth = json.loads(examination.with_suffix(".truth.json").read_text())
    found = {finding["value"]: finding for finding in findings(report, "standard_plane")}
    shown = {name: truth["plane"][finding["evidence"]["frames"][0] - 1] for name, finding in found.items()}
    assert all(name == truly for name, truly in shown.items())
    (together,) = findings(report, "standard_planes_of_study")
    assert set(found) == {plane.name for plane in PLANES}
    assert together["value"] == pytest.approx(100)
    assert findings(report, "thickness") == []


def test_median_nerve_of_the_examination_is_measured_where_the_inlet_is_shown(report: Any, examination: Path) -> None:
    truth = json.loads(examination.with_suffix(".truth.json").read_text())
    (area,) = findings(report, "median_nerve_area")
    assert area["unit"] == "mm2"
    # How near it comes in other hands is in the model's card: not within a tenth in every one.
    assert area["value"] == pytest.approx(truth["median_nerve_area_mm2"], rel=0.1)
    assert area["range"][0] <= area["value"] <= area["range"][1]
    assert {truth["plane"][frame - 1] for frame in area["evidence"]["frames"]} == {"S11"}
    assert {line["label"] for line in area["evidence"]["lines"]} == {"median_nerve"}
    assert area["model"]["evidence"] == "simulated"


def test_structures_are_drawn_in_the_frame_that_shows_their_plane(service: RunningService, report: Any) -> None:
    shown = findings(report, "standard_plane")[0]["evidence"]
    (frame,) = shown["frames"]
    where = f"/api/v1/reports/{report['report_id']}/overlays/{shown['sop_instance_uid']}"
    (drawn,) = service.api.get(where, params={"frames": f"{frame}-{frame}"}).json()["analyses"]
    assert not drawn["is_superseded"]
    assert drawn["grid"]["segments"]
    assert drawn["frames"][0]["masks"]


def test_key_images_of_the_examination_lie_in_the_pacs(report: Any, examination: Path) -> None:
    document = pydicom.dcmread(io.BytesIO(report["key_objects"]))
    images = [item.ReferencedSOPSequence[0] for item in document.ContentSequence if item.ValueType == "IMAGE"]
    planes = findings(report, "standard_plane")
    assert [image.ReferencedFrameNumber for image in images] == [finding["evidence"]["frames"][0] for finding in planes]
    cine = pydicom.dcmread(examination, stop_before_pixels=True)
    assert {image.ReferencedSOPInstanceUID for image in images} == {cine.SOPInstanceUID}


def test_live_page_replays_the_examination_and_keeps_the_planes_that_are_held_well(
    service: RunningService, report: Any, examination: Path, tmp_path: Path
) -> None:
    del report  # it lies in the service's store
    cine = pydicom.dcmread(examination, stop_before_pixels=True)
    link = service.api.post("/api/v1/sign-in-links", json={"role": "radiologist"}).json()["url"]
    with browser(tmp_path / "browser") as page:
        page.open(link)
        page.wait("document.querySelector('h1')?.textContent === 'Worklist'")
        names = f"study={cine.StudyInstanceUID}&series={cine.SeriesInstanceUID}&instance={cine.SOPInstanceUID}"
        page.open(f"{service.api.base_url}/live?{names}")
        page.wait("document.querySelector('#source')?.dataset.source === 'cine'")
        page.evaluate("document.querySelector('[name=keep]').click(); document.querySelector('#source').requestSubmit()")
        page.wait("document.body.dataset.state === 'ended'", timeout_seconds=150)
        answers = page.evaluate("Number(document.body.dataset.answers)")
        frozen = page.evaluate("[...document.querySelectorAll('.frozen .name')].map((one) => one.textContent)")
        kept = page.evaluate("document.querySelector('#kept a')?.getAttribute('href')")
        assert page.evaluate("document.querySelector('#problem').hidden")
    assert answers > cine.NumberOfFrames / 2
    assert frozen
    stills = service.api.get(f"/api/v1{kept}").json()["instances"]
    assert len(stills) == len(frozen)
