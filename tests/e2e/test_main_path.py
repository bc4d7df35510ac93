"""A cine sent by a real peer becomes a report: the whole main path, real parts only."""

import io
import json
import os
import subprocess
import time
import zipfile
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import httpx2
import pydicom
import pytest
from pydicom.uid import generate_uid
from pypdf import PdfReader

from simulator.encode import TransferSyntax
from simulator.write import simulate
from tests.dciodvfy import complaints
from tests.e2e.orthanc import running_orthanc
from tests.e2e.sending import findings, send, send_by_pynetdicom, study_of
from tests.e2e.transcoding import TRANSCODINGS, transcode
from tests.peers import peer
from tests.running import RunningService, poll

COMPREHENSIVE_3D_SR = "1.2.840.10008.5.1.4.1.1.88.34"
ENCAPSULATED_PDF = "1.2.840.10008.5.1.4.1.1.104.1"
SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"


def calf(folder: Path, *, seed: int, transfer_syntax: TransferSyntax = "jpeg", number_of_frames: int = 20) -> Path:
    paths = simulate("calf", folder, n=1, seed=seed, transfer_syntax=transfer_syntax, number_of_frames=number_of_frames)
    return next(path for path in paths if path.suffix == ".dcm")


def renamed(path: Path) -> Path:
    """The same cine under UIDs of its own."""
    data_set = pydicom.dcmread(path)
    data_set.SOPInstanceUID = data_set.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    data_set.StudyInstanceUID, data_set.SeriesInstanceUID = generate_uid(), generate_uid()
    data_set.save_as(path)
    return path


def test_calf_cine_sent_by_c_store_is_reported_near_its_truth_within_thirty_seconds(
    service: RunningService, tmp_path: Path
) -> None:
    path = calf(tmp_path, seed=11, number_of_frames=60)
    send(service, path)
    sent = time.monotonic()
    service.complete(study_of(path))
    report = service.report(study_of(path))
    assert time.monotonic() - sent < 30
    truth = json.loads(path.with_suffix(".truth.json").read_text())
    (thickness,) = findings(report, "thickness")
    assert thickness["unit"] == "mm"
    assert thickness["value"] == pytest.approx(median(truth["thickness_mm"]), rel=0.1)
    assert report["status"] == "preliminary"


@pytest.mark.parametrize("transfer_syntax", ["explicit", "implicit", "rle", "jpeg", "jpeg-lossless", "jpeg-ls", "jpeg2000"])
def test_storescu_sends_each_syntax_and_each_ends_in_a_report(
    service: RunningService, tmp_path: Path, transfer_syntax: TransferSyntax
) -> None:
    # The subject of the first test, which is known to be measurable, as a study of its own.
    path = renamed(calf(tmp_path, seed=11, transfer_syntax=transfer_syntax))
    send(service, path)
    service.complete(study_of(path))
    assert findings(service.report(study_of(path)), "thickness")


@pytest.mark.parametrize("name", sorted(TRANSCODINGS))
def test_other_syntax_is_stored_as_sent_and_ends_in_a_report(service: RunningService, tmp_path: Path, name: str) -> None:
    native = renamed(calf(tmp_path, seed=11, transfer_syntax="explicit"))
    path = transcode(native, tmp_path / "sent.dcm", name)
    (send_by_pynetdicom if name == "htj2k" else send)(service, path)
    service.complete(study_of(path))
    report = service.report(study_of(path))
    (instance,) = service.api.get(f"/api/v1/studies/{study_of(path)}").json()["instances"]
    assert instance["transfer_syntax_uid"] == TRANSCODINGS[name].transfer_syntax_uid
    truth = json.loads(native.with_suffix(".truth.json").read_text())
    (thickness,) = findings(report, "thickness")
    assert thickness["value"] == pytest.approx(median(truth["thickness_mm"]), rel=0.1)


@pytest.mark.parametrize("name", ["ybr_color", "palette_color", "color3d_jpeg_baseline", "GREYSCALE_CINE", "RGB_CINE"])
def test_published_cine_of_no_calf_ends_in_a_clear_not_measured(service: RunningService, tmp_path: Path, name: str) -> None:
    path = published_cine(name, tmp_path)
    send(service, path)
    service.complete(study_of(path))
    report = service.report(study_of(path), timeout_seconds=120)
    (refused,) = findings(report, "not_measured")
    assert refused["kind"] == "not_measured"
    assert refused["flags"], "the reason, coded"
    assert len(refused["text"]) > len("Not measured: "), "and in words"
    assert [finding["name"] for finding in report["findings"] if finding.get("unit") == "mm"] == []
    assert [finding["name"] for finding in report["findings"] if finding["kind"] == "measurement"] == []


def published_cine(name: str, folder: Path) -> Path:
    """From the wheels of pydicom, pydicom-data and deid-data; in CI a missing one fails the test, elsewhere it skips."""
    found = find_published(name, folder)
    if found is not None:
        return found
    missing = f"{name} is missing: install the development dependencies (pydicom-data, deid-data)"
    if os.environ.get("CI"):
        pytest.fail(missing)
    pytest.skip(missing)


def find_published(name: str, folder: Path) -> Path | None:
    """None where the wheel that holds it is not installed; an archive is unpacked into `folder`."""
    if name.endswith("_CINE"):
        package = find_spec("deid_data")
        roots = [] if package is None else [Path(root) for root in package.submodule_search_locations or []]
        archive = next((path for root in roots for path in root.rglob(f"{name}.zip")), None)
        return None if archive is None else unpack(archive, folder)
    from pydicom.data import get_testdata_file  # noqa: PLC0415 - looks for files when imported
    from pydicom.examples import get_path  # noqa: PLC0415 - as above

    if name in ("ybr_color", "palette_color"):
        return Path(get_path(name))
    found = get_testdata_file(f"{name}.dcm", download=False)
    return None if found is None else Path(str(found))


def unpack(archive: Path, folder: Path) -> Path:
    with zipfile.ZipFile(archive) as zipped:
        zipped.extractall(folder)
    (found,) = (path for path in folder.rglob("*") if path.is_file() and is_dicom(path))
    return found


def is_dicom(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(128)
        return file.read(4) == b"DICM"


@pytest.mark.timeout(300)
def test_orthanc_routing_everything_back_ends_with_one_report_and_one_object_of_each_kind(
    service: RunningService, orthanc_port: int, tmp_path: Path
) -> None:
    path = calf(tmp_path, seed=12)
    with running_orthanc(tmp_path, dicom_port=orthanc_port, sonomyo_port=service.dicom_port) as orthanc:
        orthanc.post("/instances", content=path.read_bytes()).raise_for_status()
        service.report(study_of(path))
        structured, pages, segmentations = (
            poll(partial(instances_in, orthanc, study_of(path), kind), timeout_seconds=120, what=f"{kind} in Orthanc")
            for kind in (COMPREHENSIVE_3D_SR, ENCAPSULATED_PDF, SEGMENTATION)
        )
        poll(lambda: len(returned_instances(service, study_of(path))) == 3, timeout_seconds=120, what="all of them coming back")
        assert (len(structured), len(pages), len(segmentations)) == (1, 1, 1)
        labels = orthanc.get(f"/instances/{segmentations[0]}/simplified-tags").json()["SegmentSequence"]
        assert [label["SegmentLabel"] for label in labels] == ["Aponeurosis", "Fascicle", "Muscle belly"]
        document = PdfReader(io.BytesIO(orthanc.get(f"/instances/{pages[0]}/pdf").content))
        assert "Research use only" in document.pages[0].extract_text()
        versions = service.api.get(f"/api/v1/studies/{study_of(path)}").json()["reports"]
        assert len(versions) == 1
        sr = tmp_path / "sr.dcm"
        sr.write_bytes(orthanc.get(f"/instances/{structured[0]}/file").content)
    assert complaints(sr) == []
    rendered = subprocess.run([peer("/usr/bin/dsr2html"), sr, tmp_path / "sr.html"], capture_output=True, text=True, check=False)
    assert rendered.returncode == 0, rendered.stderr


def instances_in(orthanc: httpx2.Client, study_instance_uid: str, sop_class_uid: str) -> list[str]:
    query = {"SOPClassUID": sop_class_uid, "StudyInstanceUID": study_instance_uid}
    found = orthanc.post("/tools/find", json={"Level": "Instance", "Query": query}).json()
    return [str(one) for one in found]


def returned_instances(service: RunningService, study_instance_uid: str) -> list[dict[str, Any]]:
    study = service.api.get(f"/api/v1/studies/{study_instance_uid}").json()
    return [instance for instance in study["instances"] if instance["is_returned"]]


@pytest.mark.parametrize(
    ("character_set", "name"),
    [
        ("ISO_IR 192", "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        ("ISO_IR 144", "Иванова^Мария"),
        ("\\ISO 2022 IR 149", "Hong^Gildong=洪^吉洞=홍^길동"),
    ],
)
def test_names_in_other_scripts_arrive_in_json_sr_and_page(
    service: RunningService, tmp_path: Path, character_set: str, name: str
) -> None:
    path = calf(tmp_path, seed=500 + len(name))
    data_set = pydicom.dcmread(path)
    data_set.SpecificCharacterSet = character_set.split("\\")
    data_set.PatientName = name
    data_set.save_as(path)
    send(service, path)
    service.complete(study_of(path))
    address = f"/api/v1/studies/{study_of(path)}/report"
    assert service.report(study_of(path))["study"]["patient_name"] == name
    sr = service.api.get(address, headers={"Accept": "application/dicom"}).content
    (tmp_path / "sr.dcm").write_bytes(sr)
    assert str(pydicom.dcmread(tmp_path / "sr.dcm").PatientName) == name
    page = service.api.get(address, headers={"Accept": "text/html"}).text
    assert name.partition("^")[0] in page


def test_logs_of_every_process_hold_no_patient(service: RunningService, tmp_path: Path) -> None:
    path = calf(tmp_path, seed=77)
    data_set = pydicom.dcmread(path)
    data_set.PatientName, data_set.PatientID = "Canary^Zebedee", "CANARY-4711"
    data_set.save_as(path)
    send(service, path)
    data_set.PatientID = "CANARY-4712"
    data_set.save_as(path)
    send(service, path)
    service.complete(study_of(path))
    service.report(study_of(path))
    service.api.get("/api/v1/studies", params={"patient_id": "CANARY-4711"})
    for log in [service.log, *service.data_dir.rglob("*.log"), *service.data_dir.rglob("log/*")]:
        if log.is_file():
            text = log.read_text(encoding="utf-8", errors="replace")
            assert "Zebedee" not in text, log.name
            assert "CANARY" not in text, log.name
    metrics = service.api.get("/metrics").text
    assert "CANARY" not in metrics
