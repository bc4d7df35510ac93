"""One report on its way out by every door: two real archives, an HL7 receiver, a webhook; and what each of them reads back."""

import base64
import io
import json
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import highdicom as hd
import httpx2
import numpy as np
import pydicom
import pytest
from standardwebhooks import Webhook

from service.core import codes
from service.core.findings import Finding
from service.core.wrist_planes import PLANES
from simulator.write import simulate
from tests.e2e.orthanc import dicom_web_orthanc, running_orthanc
from tests.e2e.sending import send, study_of
from tests.fhir_models import read as read_fhir
from tests.fhir_models import references
from tests.mllp_receiver import acknowledging, receiving
from tests.peers import peer
from tests.running import free_port, poll, running_service
from tests.web_server import Web, serving

pytestmark = pytest.mark.timeout(400)

KINDS = ["sr", "ko", "pdf", "seg", "sc"]
#: Comprehensive SR is for archives that take no Comprehensive 3D SR; one that takes both can be asked for both.
TAKEN = {"pacs": KINDS, "web": [*KINDS, "comprehensive_sr"]}
EVERY = [(archive, kind) for archive, kinds in TAKEN.items() for kind in kinds]
STRUCTURED = [(archive, kind) for archive, kind in EVERY if kind in ("sr", "comprehensive_sr")]
#: A wrist has key images, which a calf has not.
CLASSES = {
    "sr": "1.2.840.10008.5.1.4.1.1.88.34",
    "comprehensive_sr": "1.2.840.10008.5.1.4.1.1.88.33",
    "ko": "1.2.840.10008.5.1.4.1.1.88.59",
    "pdf": "1.2.840.10008.5.1.4.1.1.104.1",
    "seg": "1.2.840.10008.5.1.4.1.1.66.4",
    "sc": "1.2.840.10008.5.1.4.1.1.7.4",
}
PATIENT_GROUP = 0x0010
OF_THE_STUDY = frozenset({"StudyInstanceUID", "StudyDate", "StudyTime", "StudyID", "AccessionNumber"})
#: Analysis, concept, derivation, value and unit.
Number = tuple[str, str, str | None, float, str]
ALGORITHM_NAME, DERIVATION = "111001", "121401"
#: The others, such as quality, are left out of HL7 messages.
SAID_BY_HL7 = frozenset({"measurement", "classification"})
USERNAME, PASSWORD = "sonomyo", "A-password-of-the-archive-7"
SECRET = f"whsec_{base64.b64encode(b'a secret of thirty-two bytes, ok').decode()}"


@dataclass
class Sent:
    """What the service says, and everybody who was sent something."""

    report: dict[str, Any]
    bundle: dict[str, Any]
    archives: dict[str, httpx2.Client]
    messages: list[bytes]
    notices: list[tuple[str, dict[str, str], bytes]]
    study: str
    source: pydicom.Dataset

    def objects(self, archive: str, kind: str) -> list[pydicom.Dataset]:
        """Of one kind, as an archive holds them."""
        query = {"SOPClassUID": CLASSES[kind], "StudyInstanceUID": self.study}
        found = self.archives[archive].post("/tools/find", json={"Level": "Instance", "Query": query}).json()
        files = (self.archives[archive].get(f"/instances/{one}/file").content for one in found)
        return [pydicom.dcmread(io.BytesIO(content)) for content in files]


@pytest.fixture(scope="module")
def sent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sent]:
    """A calf and a wrist in one study, reported and delivered."""
    folder, pacs_port = tmp_path_factory.mktemp("round-trip"), free_port()
    (folder / "pacs").mkdir()
    (folder / "web").mkdir()
    calf, wrist = _study_of_two(folder / "cines")
    with (
        dicom_web_orthanc(folder / "web", username=USERNAME, password=PASSWORD) as web,
        receiving(acknowledging("AA")) as (mllp_port, messages),
        serving(lambda: (204, b"")) as hook,
        running_service(
            folder / "service", destinations=json.dumps(_destinations(pacs_port, web, mllp_port, hook)), stable_age_seconds="60"
        ) as service,
        running_orthanc(folder / "pacs", dicom_port=pacs_port, sonomyo_port=service.dicom_port) as pacs,
    ):
        send(service, calf)
        send(service, wrist)
        service.complete(study_of(calf))
        address = f"/api/v1/studies/{study_of(calf)}/report"

        def delivered() -> dict[str, Any] | None:
            answer = service.api.get(address)
            report: dict[str, Any] | None = answer.json() if answer.status_code == httpx2.codes.OK else None
            return report if report and _is_all_delivered(report) else None

        report = poll(delivered, timeout_seconds=240, what="everything delivered")
        bundle = service.api.get(address, headers={"Accept": "application/fhir+json"}).json()
        yield Sent(report, bundle, {"pacs": pacs, "web": web}, messages, hook.requests, study_of(calf), pydicom.dcmread(calf))


def _study_of_two(folder: Path) -> tuple[Path, Path]:
    """The only analysis with key images is that of wrists: one study of one person gives every kind of object."""
    (calf,) = simulate("calf", folder / "calf", n=1, seed=11, transfer_syntax="jpeg", number_of_frames=20)
    (wrist,) = simulate("wrist", folder / "wrist", n=1, seed=1, transfer_syntax="jpeg")
    of_calf, of_wrist = pydicom.dcmread(calf, stop_before_pixels=True), pydicom.dcmread(wrist)
    for element in of_calf:
        if element.tag.group == PATIENT_GROUP or element.keyword in OF_THE_STUDY:
            of_wrist.add(element)
    of_wrist.save_as(wrist)
    return calf, wrist


def _destinations(pacs_port: int, web: httpx2.Client, mllp_port: int, hook: Web) -> list[dict[str, Any]]:
    pacs = {"name": "pacs", "host": "127.0.0.1", "port": pacs_port, "ae_title": "ORTHANC", "kinds": TAKEN["pacs"]}
    archive = {"protocol": "stow", "name": "web", "url": f"{str(web.base_url).rstrip('/')}/dicom-web", "kinds": TAKEN["web"]}
    return [
        {**pacs, "commitment": {"required": True}},
        {**archive, "username": USERNAME, "password": PASSWORD},
        {"protocol": "mllp", "name": "ris", "host": "127.0.0.1", "port": mllp_port},
        {"protocol": "webhook", "name": "hook", "url": hook.url, "secret": SECRET, "allowed_addresses": ["127.0.0.0/8"]},
    ]


def _is_all_delivered(report: dict[str, Any]) -> bool:
    expected = {*EVERY, ("ris", "oru"), ("hook", "notice")}
    kinds = [(one["destination"], one["kind"].partition(".")[0]) for one in report["delivery"]]
    # Captures follow one by one: as many as cines with masks.
    is_captured = all(kinds.count((archive, "sc")) == kinds.count((archive, "seg")) for archive in TAKEN)
    return set(kinds) == expected and is_captured and all(one["state"] == "delivered" for one in report["delivery"])


@pytest.mark.parametrize(("archive", "kind"), EVERY)
def test_archive_holds_every_object_of_the_report_once(sent: Sent, archive: str, kind: str) -> None:
    told = [one for one in sent.report["delivery"] if (one["destination"], one["kind"].partition(".")[0]) == (archive, kind)]
    assert sorted(one["sop_instance_uid"] for one in told) == sorted(
        str(one.SOPInstanceUID) for one in sent.objects(archive, kind)
    )
    assert all(one.PatientID == sent.source.PatientID for one in sent.objects(archive, kind))


@pytest.mark.parametrize(("archive", "kind"), STRUCTURED)
def test_structured_report_read_from_an_archive_says_every_number_of_the_json_once(sent: Sent, archive: str, kind: str) -> None:
    (sr,) = sent.objects(archive, kind)
    told = Counter(number for finding in sent.report["findings"] for number in _numbers_of(finding))
    assert {"muscle_architecture", "wrist_hand"} <= {name for name, *_ in told}
    assert told.total() > 8
    assert Counter(_numbers(sr)) == told
    content = io.BytesIO()
    sr.save_as(content)
    content.seek(0)
    assert Counter(_numbers_by_highdicom(content)) == Counter((code, value, unit) for _, code, _, value, unit in told.elements())


@pytest.mark.parametrize(("archive", "kind"), STRUCTURED)
def test_structured_report_read_from_an_archive_says_every_class_and_reason_of_the_json(
    sent: Sent, archive: str, kind: str
) -> None:
    (sr,) = sent.objects(archive, kind)
    findings = [Finding.model_validate(one) for one in sent.report["findings"]]
    told = Counter((codes.concept_of(one).value, one.text) for one in findings if not isinstance(one.value, float))
    assert {finding.name for finding in findings} >= {"standard_plane"}
    assert told.total() >= len(PLANES)
    assert told <= Counter(_texts(sr))


def _texts(node: pydicom.Dataset) -> Iterator[tuple[str, str]]:
    """Concept and words of every text beneath."""
    if node.get("ValueType") == "TEXT":
        yield _concept(node), str(node.TextValue)
    for child in node.get("ContentSequence", []):
        yield from _texts(child)


def _numbers_of(told: dict[str, Any]) -> Iterator[Number]:
    """What a structured report says of a finding of the JSON: its value, its extremes, the limits of its interval."""
    finding = Finding.model_validate(told)
    if not isinstance(finding.value, float):
        return
    values = [(codes.STATISTICS.get(finding.statistic or ""), finding.value)]
    if finding.range is not None:
        values += zip((codes.STATISTICS["minimum"], codes.STATISTICS["maximum"]), finding.range, strict=True)
    if finding.interval is not None:
        limits = codes.interval_limits(finding.interval.level)
        values += zip(limits, (finding.interval.low, finding.interval.high), strict=True)
    for derivation, value in values:
        concept = codes.concept_of(finding).value
        yield finding.analysis.name, concept, derivation.value if derivation else None, value, finding.unit or "1"


def _numbers(node: pydicom.Dataset, analysis: str = "") -> Iterator[Number]:
    """Every measurement beneath, with the analysis that its group names."""
    children = node.get("ContentSequence", [])
    analysis = next((one.TextValue for one in children if _concept(one) == ALGORITHM_NAME), analysis)
    if node.get("ValueType") == "NUM" and node.RelationshipType == "CONTAINS" and node.MeasuredValueSequence:
        measured = node.MeasuredValueSequence[0]
        derivation = next((one.ConceptCodeSequence[0].CodeValue for one in children if _concept(one) == DERIVATION), None)
        value = float(measured.get("FloatingPointValue", measured.NumericValue))
        # A decimal string has 16 characters (PS3.5 6.2).
        assert float(measured.NumericValue) == pytest.approx(value, rel=1e-9)
        yield analysis, _concept(node), derivation, value, measured.MeasurementUnitsCodeSequence[0].CodeValue
    for child in children:
        yield from _numbers(child, analysis)


def _concept(node: pydicom.Dataset) -> str:
    names = node.get("ConceptNameCodeSequence", [])
    return str(names[0].CodeValue) if names else ""


def _numbers_by_highdicom(content: io.BytesIO) -> Iterator[tuple[str, float, str]]:
    """Concept, value and unit, as its own reader finds them."""
    document = hd.sr.srread(content)
    assert isinstance(document.content, hd.sr.MeasurementReport)
    for group in (*document.content.get_planar_roi_measurement_groups(), *document.content.get_image_measurement_groups()):
        for measurement in group.get_measurements():
            yield measurement.name.value, measurement.value, measurement.unit.value


@pytest.mark.parametrize("archive", ["pacs", "web"])
def test_segmentation_read_from_an_archive_has_each_structure_on_frames_of_its_cine(sent: Sent, archive: str) -> None:
    labels = {item.SegmentLabel for one in sent.objects(archive, "seg") for item in one.SegmentSequence}
    assert {"Aponeurosis", "Fascicle", "Muscle belly", "Median nerve"} <= labels
    (of_calf,) = (one for one in sent.objects(archive, "seg") if one.SegmentSequence[0].SegmentLabel == "Aponeurosis")
    assert (of_calf.Rows, of_calf.Columns) == (sent.source.Rows, sent.source.Columns)
    frames = {
        item.DerivationImageSequence[0].SourceImageSequence[0].ReferencedFrameNumber
        for item in of_calf.PerFrameFunctionalGroupsSequence
    }
    assert frames == set(range(1, sent.source.NumberOfFrames + 1))
    assert np.asarray(of_calf.pixel_array).any()


@pytest.mark.parametrize("archive", ["pacs", "web"])
def test_capture_read_from_an_archive_has_every_frame_of_its_cine_and_the_banner_below(sent: Sent, archive: str) -> None:
    frames = {int(one.NumberOfFrames): one for one in sent.objects(archive, "sc")}
    of_calf = frames[int(sent.source.NumberOfFrames)]
    assert of_calf.Columns == sent.source.Columns
    assert of_calf.Rows > sent.source.Rows
    strip = of_calf.pixel_array[0, sent.source.Rows :]
    assert strip.max() > 200


def test_message_to_the_hospital_says_every_number_of_the_json_with_its_code_and_unit(sent: Sent) -> None:
    (message,) = sent.messages
    observations = [line.split("|") for line in message.decode().split("\r") if line.startswith("OBX|")]
    numbers = [fields for fields in observations if fields[2] == "NM"]
    told = [one for one in sent.report["findings"] if one["kind"] in SAID_BY_HL7 and isinstance(one["value"], float)]
    assert len(told) > 8
    # OBX-3 and OBX-6 are a code with its meaning and its scheme.
    assert [fields[3].split("^")[::2] for fields in numbers] == [[one["code"]["value"], one["code"]["scheme"]] for one in told]
    assert [fields[6].split("^")[0] for fields in numbers] == [one["unit"] for one in told]
    # A number of HL7 has no exponent: six digits are written.
    assert [float(fields[5]) for fields in numbers] == pytest.approx([one["value"] for one in told], rel=5e-6)
    missing = [one for one in sent.report["findings"] if one["kind"] == "not_measured"]
    assert len(observations) == len(numbers) + len(missing)


def test_notice_is_signed_and_names_the_report(sent: Sent) -> None:
    ((_, headers, body),) = sent.notices
    assert Webhook(SECRET).verify(body, headers)["data"]["report_id"] == sent.report["report_id"]


def test_bundle_passes_its_models_and_every_reference_leads_somewhere(sent: Sent) -> None:
    for entry in sent.bundle["entry"]:
        read_fhir(entry["resource"])
    known = {entry["fullUrl"] for entry in sent.bundle["entry"]}
    literal = {reference for reference in references(sent.bundle) if not reference.startswith("#")}
    assert literal
    assert literal <= known


def test_dcmtk_renders_the_structured_report(sent: Sent, tmp_path: Path) -> None:
    (sr,) = sent.objects("pacs", "sr")
    sr.save_as(tmp_path / "sr.dcm")
    made = subprocess.run(
        [peer("/usr/bin/dsr2html"), tmp_path / "sr.dcm", tmp_path / "sr.html"], capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stderr
    assert "Research use only" in (tmp_path / "sr.html").read_text(encoding="utf-8", errors="replace")
