"""The report as PDF: what is on it, that it can be filed, and that the same report gives the same file."""

import io

import pytest
from PIL import Image
from pypdf import PdfReader

from service.core.comparison import compare
from service.core.findings import Finding
from service.core.render.pdf import render_pdf
from service.core.report import RESEARCH_USE, Report, ReportStatus
from simulator.wrist import draw_volunteer
from tests.analysed_contraction import contraction_findings
from tests.calf_report import MODEL, calf_report, header
from tests.compared_findings import earlier_report, measured
from tests.reviewed_report import signed, withdrawn
from tests.wrist_parts import analyse, pictures, well


def png(colour: tuple[int, int, int] = (200, 10, 10), size: tuple[int, int] = (320, 240)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, "PNG")
    return buffer.getvalue()


def opened(report: Report, shown: dict[str, bytes] | None = None) -> PdfReader:
    return PdfReader(io.BytesIO(render_pdf(report, shown or {})))


def text(document: PdfReader) -> str:
    """Of all pages, in one line."""
    return " ".join(" ".join(page.extract_text() for page in document.pages).split())


@pytest.fixture(scope="module")
def planes() -> list[Finding]:
    return list(analyse(pictures(draw_volunteer(11), *well("S11", 5), *well("S2", 6)), sop_instance_uid="2.25.1"))


def test_pdf_shows_identity_impression_values_and_provenance() -> None:
    report = calf_report()
    said = text(opened(report))
    for expected in ("Doe, Jane", "P-42", "1970-01-02", "A-17", "17.5", "21.2", "16.5 to 25.5", "58 of 60", MODEL.sha256):
        assert expected in said
    assert " ".join(report.impression.split()) in said
    assert all(limitation in said for limitation in report.limitations)


def test_pdf_is_pdf_a_tagged_and_in_a_language() -> None:
    document = opened(calf_report())
    assert document.xmp_metadata is not None
    metadata = document.xmp_metadata.stream.get_data().decode()
    assert "<pdfaid:part>2</pdfaid:part>" in metadata
    assert "<pdfaid:conformance>A</pdfaid:conformance>" in metadata
    root = document.root_object
    assert (str(root["/Lang"]), str(root["/MarkInfo"])) == ("en", "{'/Marked': True, '/Suspects': False}")


def test_pdf_of_the_same_report_is_the_same_bytes() -> None:
    assert render_pdf(calf_report(), {"2.25.1": png()}) == render_pdf(calf_report(), {"2.25.1": png()})


def test_pdf_says_on_every_page_whose_it_is_and_what_it_is_not_for() -> None:
    document = opened(calf_report(findings=[finding for _ in range(12) for finding in contraction_findings()]))
    assert len(document.pages) > 1
    for number, page in enumerate(document.pages, start=1):
        said = " ".join(page.extract_text().split())
        assert RESEARCH_USE in said
        assert "Doe, Jane" in said
        assert f"Page {number} of {len(document.pages)}" in said


def test_pdf_of_one_contraction_fits_on_one_page() -> None:
    findings = contraction_findings()
    uid = findings[0].evidence.sop_instance_uid
    assert len(opened(calf_report(findings=findings), {uid: png()}).pages) == 1


def test_pdf_holds_the_annotated_frame_as_it_was_drawn() -> None:
    uid = calf_report().findings[0].evidence.sop_instance_uid
    (image,) = opened(calf_report(), {uid: png((1, 200, 30))}).pages[0].images
    assert image.image is not None
    assert image.image.convert("RGB").getpixel((5, 5)) == (1, 200, 30)


@pytest.mark.parametrize(
    ("status", "said"), [(ReportStatus.PRELIMINARY, "not verified by a person"), (ReportStatus.FINAL, "Final: signed")]
)
def test_pdf_says_who_answers_for_it(status: ReportStatus, said: str) -> None:
    assert said in text(opened(calf_report().model_copy(update={"status": status})))


def test_pdf_of_a_wrist_has_the_checklist(planes: list[Finding]) -> None:
    said = text(opened(calf_report(findings=planes), {"2.25.1": png(size=(1224, 900))}))
    assert "S11 Palmar transverse, proximal carpal tunnel A" in said
    assert "not found" in said


def test_pdf_with_comparisons_shows_sides_and_changes() -> None:
    findings = (measured(18.0, "left", uid="2.25.1"), measured(20.0, "right", uid="2.25.2"))
    compared = compare(header(), findings, (earlier_report([measured(17.0)]),))
    said = text(opened(calf_report(findings=findings).model_copy(update={"comparisons": compared})))
    assert "Thickness 18.0 mm 20.0 mm \N{MINUS SIGN}2.0 mm 10 %" in said
    assert "Thickness, left 2026-05-02 17.0 mm 18.0 mm +1.0 mm +6 %" in said
    assert "Comparison" not in text(opened(calf_report()))


def test_pdf_of_hostile_text_shows_it_as_it_is() -> None:
    name = 'Mallory^#panic("x")'
    said = text(opened(calf_report(study=header(patient_name=name, description="*bold* $x$ #sys.inputs <a>"))))
    assert 'Mallory, #panic("x")' in said
    assert "*bold* $x$ #sys.inputs <a>" in said


def test_pdf_with_a_character_that_no_font_has_is_made_all_the_same() -> None:
    document = opened(calf_report(study=header(patient_name="Doe^Jane=\N{LINEAR B SYLLABLE B008 A}")))
    assert "Doe, Jane" in text(document)


def test_pdf_of_a_reviewed_report_says_who_signed_and_what_was_amended() -> None:
    said = text(opened(signed()))
    for expected in ("Final: signed by Dr Anna Grau, Test Hospital", "17.5 18.4 mm", "87.5 rejected"):
        assert expected in said


def test_pdf_of_a_withdrawn_report_says_so_and_that_it_is_for_research() -> None:
    said = text(opened(withdrawn(), {"2.25.1": png()}))
    assert "WITHDRAWN: nothing in this report is to be used" in said
    assert "Cancelled: withdrawn by Dr Anna Grau" in said
    assert RESEARCH_USE in said
    assert list(opened(withdrawn(), {"2.25.1": png()}).pages[0].images) == []
