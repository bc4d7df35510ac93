"""The structured report as the validator sees it (dciodvfy of dicom3tools)."""

from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import dcmread

from service.core.render.sr import COMPREHENSIVE_3D_SR, COMPREHENSIVE_SR, render_sr
from service.core.report import Report
from tests.analysed_contraction import SOP_INSTANCE_UID, contraction_findings
from tests.calf_report import calf_report, cine_findings, header, instance, not_measured
from tests.dciodvfy import complaints
from tests.reviewed_report import amended, signed, withdrawn


def small() -> Report:
    """A report of one measurement: quick to render, where the measurements do not matter."""
    return calf_report(findings=cine_findings()[1:2])


@pytest.mark.parametrize(
    ("name", "sop_class_uid"),
    [
        ("measured", COMPREHENSIVE_3D_SR),
        ("measured", COMPREHENSIVE_SR),
        ("contraction", COMPREHENSIVE_3D_SR),
        ("contraction", COMPREHENSIVE_SR),
        ("not measured", COMPREHENSIVE_3D_SR),
        ("nothing", COMPREHENSIVE_3D_SR),
        ("second version", COMPREHENSIVE_3D_SR),
        ("no identity", COMPREHENSIVE_3D_SR),
        ("amended", COMPREHENSIVE_3D_SR),
        ("signed", COMPREHENSIVE_3D_SR),
        ("signed", COMPREHENSIVE_SR),
        ("withdrawn", COMPREHENSIVE_3D_SR),
    ],
)
def test_sr_of_any_report_passes_dciodvfy(name: str, sop_class_uid: str, tmp_path: Path) -> None:
    makers: Mapping[str, Callable[[], Report]] = {
        "measured": lambda: calf_report(findings=(*cine_findings(), not_measured())),
        "contraction": lambda: calf_report(findings=contraction_findings()),
        "not measured": lambda: calf_report(findings=[not_measured("2.25.1")]),
        "nothing": lambda: calf_report(findings=()),
        "second version": lambda: calf_report(findings=cine_findings()[1:2], previous=calf_report()),
        "no identity": lambda: calf_report(
            study=header(accession_number=None, patient_id=None, patient_name=None, study_date=None)
        ),
        "amended": lambda: amended(impression="Thin muscle.", comment="Seen with the patient."),
        "signed": signed,
        "withdrawn": withdrawn,
    }
    report = makers[name]()
    path = tmp_path / "sr.dcm"
    path.write_bytes(render_sr(report, [instance(), instance("2.25.2"), instance(SOP_INSTANCE_UID)], sop_class_uid=sop_class_uid))
    assert complaints(path) == []
    assert dcmread(path).SOPClassUID == sop_class_uid


def test_dciodvfy_finds_a_fault_that_we_make(tmp_path: Path) -> None:
    broken = dcmread(BytesIO(render_sr(small(), [instance()])))
    del broken.CompletionFlag
    broken.save_as(tmp_path / "sr.dcm")
    assert complaints(tmp_path / "sr.dcm")


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_file_that_ends_early_is_complained_of(share: float, tmp_path: Path) -> None:
    content = render_sr(small(), [instance()])
    (tmp_path / "cut.dcm").write_bytes(content[: int(share * len(content))])
    assert complaints(tmp_path / "cut.dcm")


def test_file_that_cannot_be_opened_is_complained_of(tmp_path: Path) -> None:
    said = complaints(tmp_path / "absent.dcm")
    assert any(line.startswith("Abort") for line in said)
    assert said[-1] == "dciodvfy ended with exit code 1"
