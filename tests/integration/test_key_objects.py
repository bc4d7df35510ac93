"""Key images of a wrist as DICOM, read back, and as the validator sees them (dciodvfy of dicom3tools)."""

import io
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread

from service.core.findings import Finding
from service.core.render.html import render_html
from service.core.render.key_objects import KEY_OBJECT_SELECTION, render_key_objects
from service.core.render.sr import render_sr
from service.core.report import object_uid
from simulator.wrist import draw_volunteer
from tests.calf_report import STUDY_UID, calf_report, instance
from tests.dciodvfy import complaints
from tests.wrist_parts import analyse, pictures, well

FIRST, SECOND = "2.25.1", "2.25.2"
RETIRED_MULTI_FRAME = "1.2.840.10008.5.1.4.1.1.3"


@pytest.fixture(scope="module")
def findings() -> list[Finding]:
    """Two cines: S11 and S2 in one, S4 in the other."""
    volunteer = draw_volunteer(11)
    first = analyse(pictures(volunteer, *well("S11", 5), *well("S2", 6)), sop_instance_uid=FIRST)
    return [*first, *analyse(pictures(volunteer, *well("S4", 3)), sop_instance_uid=SECOND)]


def key_objects(findings: list[Finding], **changes: int | str) -> Dataset:
    report = calf_report(findings=findings)
    rendered = render_key_objects(report, [instance(FIRST), instance(SECOND, **changes)])
    assert rendered is not None
    return dcmread(io.BytesIO(rendered))


def references(document: Dataset) -> list[tuple[str, int | None]]:
    items = [item.ReferencedSOPSequence[0] for item in document.ContentSequence if item.ValueType == "IMAGE"]
    return [(item.ReferencedSOPInstanceUID, item.get("ReferencedFrameNumber")) for item in items]


def test_key_objects_name_the_best_frame_of_each_plane_in_their_order(findings: list[Finding]) -> None:
    document = key_objects(findings)
    best = {finding.value: finding.evidence.frames[0] for finding in findings if finding.name == "standard_plane"}
    assert references(document) == [(FIRST, best["S2"]), (SECOND, best["S4"]), (FIRST, best["S11"])]
    described = [item for item in document.ContentSequence if item.ConceptNameCodeSequence[0].CodeValue == "113012"]
    (description,) = [item.TextValue for item in described]
    lines = description.splitlines()
    assert lines[0].startswith("Research use only")
    assert [line.split()[0] for line in lines[1:]] == ["S2", "S4", "S11"]
    assert document.SOPClassUID == KEY_OBJECT_SELECTION
    assert document.SOPInstanceUID == object_uid(calf_report().report_id, 1, "ko")
    assert (document.Modality, document.StudyInstanceUID, document.PatientID) == ("KO", STUDY_UID, "P-42")


def test_key_objects_refer_to_a_still_picture_without_a_frame_number(findings: list[Finding]) -> None:
    document = key_objects(findings, number_of_frames=1, sop_class_uid="1.2.840.10008.5.1.4.1.1.6.1")
    assert (SECOND, None) in references(document)


def test_key_objects_keep_a_retired_class(findings: list[Finding]) -> None:
    document = key_objects(findings, sop_class_uid=RETIRED_MULTI_FRAME)
    items = [item.ReferencedSOPSequence[0] for item in document.ContentSequence if item.ValueType == "IMAGE"]
    assert RETIRED_MULTI_FRAME in {item.ReferencedSOPClassUID for item in items}


def test_key_objects_of_the_same_report_are_the_same_bytes(findings: list[Finding]) -> None:
    report, instances = calf_report(findings=findings), [instance(FIRST), instance(SECOND)]
    assert render_key_objects(report, instances) == render_key_objects(report, instances)


def test_report_without_a_standard_plane_has_no_key_objects() -> None:
    assert render_key_objects(calf_report(), [instance()]) is None


def test_key_objects_pass_dciodvfy(findings: list[Finding], tmp_path: Path) -> None:
    path = tmp_path / "ko.dcm"
    key_objects(findings).save_as(path)
    assert complaints(path) == []


def test_sr_of_a_wrist_passes_dciodvfy_and_outlines_the_nerve_beside_its_area(findings: list[Finding], tmp_path: Path) -> None:
    path = tmp_path / "sr.dcm"
    path.write_bytes(render_sr(calf_report(findings=findings), [instance(FIRST), instance(SECOND)]))
    assert complaints(path) == []


def test_page_lists_all_fifteen_planes_with_grade_or_as_not_found(findings: list[Finding]) -> None:
    report = calf_report(findings=findings)
    page = render_html(report, {})
    assert page.count('class="missing"') == 12
    assert "Of the 15 standard planes 3 were found" in report.impression
    assert "Cine 1: Wrist hand, wrist joint, left: median nerve area" in report.impression
    assert "cine 2, frame" in page
