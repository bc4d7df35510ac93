"""Page and PDF in German: nothing English is left, and nothing that a person typed is changed."""

import html
import io
import re

import pytest
from pypdf import PdfReader

from service.core.render.html import render_html
from service.core.render.language import Language, language_of
from service.core.render.pdf import render_pdf
from service.core.report import RESEARCH_USE, Report, ReportStatus
from tests.analysed_contraction import contraction_findings
from tests.calf_report import MODEL, calf_report, cine_findings, header
from tests.every_report import EVERY_REPORT
from tests.unit.test_render_pdf import png

GERMAN = language_of("de")
_ENGLISH = re.compile(r"\b(the|of|and|is|are|were|with|for|not|by|to|frames?|measured|muscle|cines?|thickness|left|right)\b")
BANNER = f"Nur für Forschungszwecke - nicht zur Diagnose · {RESEARCH_USE}"


class Mute(Language):
    """Says nothing, so that what is seen has not come past the catalogue."""

    def text(self, english: str) -> str:
        return "" if english else english


def visible(page: str) -> str:
    """What a reader sees of a page, the texts for those who hear it included."""
    page = re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL)
    spoken = " ".join(re.findall(r'(?:alt|aria-label)="([^"]*)"', page))
    return html.unescape(re.sub(r"<[^>]+>", "\n", page) + spoken)


def text_of(pdf: bytes) -> str:
    return " ".join(" ".join(page.extract_text() for page in PdfReader(io.BytesIO(pdf)).pages).split())


def pictures(report: Report) -> dict[str, bytes]:
    return {finding.evidence.sop_instance_uid: png() for finding in report.findings[:1]}


@pytest.mark.parametrize("name", EVERY_REPORT)
def test_report_in_german_has_a_translation_of_all_that_it_says(name: str) -> None:
    report, missing = EVERY_REPORT[name](), list[str]()
    language = Language("de", GERMAN.entries, missing=missing.append)
    page = render_html(report, pictures(report), language)
    render_pdf(report, pictures(report), language)
    assert set(missing) <= {"Timeout"}, "only an error's own message stays as it is"
    assert not _ENGLISH.search(visible(page).replace(BANNER, ""))


@pytest.mark.parametrize("name", EVERY_REPORT)
def test_report_says_nothing_that_does_not_come_past_the_catalogue(name: str) -> None:
    report = EVERY_REPORT[name]()
    silent = Mute("de", GERMAN.entries)
    study, models = report.study, report.provenance.models
    known = [report.report_id, report.predecessor or "", *(finding.evidence.sop_instance_uid for finding in report.findings)]
    known += ["Doe, Jane", study.patient_id or "", study.accession_number or "", study.description or "", RESEARCH_USE, "SHA-256"]
    known += [f"Sonomyo {report.provenance.service_version}", *(model.sha256 for model in models)]
    known += [f"{finding.analysis.name} {finding.analysis.version}" for finding in report.findings]
    for shown in (visible(render_html(report, pictures(report), silent)), text_of(render_pdf(report, pictures(report), silent))):
        rest = shown
        for one in sorted(known, key=len, reverse=True):
            rest = rest.replace(one, "")
        codes = {"A", "B", "C", *(f"S{number}" for number in range(1, 16))}
        assert set(re.findall(r"\w*[^\W\d]\w*", rest)) <= codes


def test_page_in_german_says_what_a_radiologist_would() -> None:
    page = visible(render_html(calf_report(), {}, GERMAN))
    for expected in (
        "Beurteilung",
        "Muskelarchitektur, Wade, links: Muskeldicke 17,5 mm (16,6 bis 18,4 mm); Fiederungswinkel 21,2° (16,5 bis 25,5°);",
        "Median (mit Spannweite) über 58 von 60 Bildern.",
        "Faszikellänge",
        "Echointensität",
        "02.01.1970",
        "20.11.2026, 09:30 UTC",
        "weiblich",
        "Einschränkungen",
        "Nachvollziehbarkeit",
        "Zeit (s)",
        MODEL.sha256,
    ):
        assert expected in page
    assert '<html lang="de">' in render_html(calf_report(), {}, GERMAN)


def test_page_and_pdf_in_german_carry_the_banner_in_both_languages() -> None:
    assert render_html(calf_report(), {}, GERMAN).count(BANNER) == 2
    long = calf_report(findings=[finding for _ in range(12) for finding in contraction_findings()])
    pages = PdfReader(io.BytesIO(render_pdf(long, {}, GERMAN))).pages
    assert len(pages) > 1
    for number, page in enumerate(pages, start=1):
        said = " ".join(page.extract_text().split())
        assert BANNER in said
        assert f"Seite {number} von {len(pages)}" in said


@pytest.mark.parametrize("field", ["patient_name", "patient_id", "accession_number", "description", "referring_physician_name"])
@pytest.mark.parametrize("typed", ["Thickness", "not found", "18.2 mm", "2026-11-20", "Research use only - not for diagnosis"])
def test_what_a_person_typed_stays_as_it_is(field: str, typed: str) -> None:
    report = calf_report(study=header(**{field: typed}))
    assert f"<dd>{typed}</dd>" in render_html(report, {}, GERMAN)
    assert typed in text_of(render_pdf(report, {}, GERMAN))


def test_report_without_a_name_says_so_in_german() -> None:
    assert "Kein Name angegeben" in render_html(calf_report(study=header(patient_name=None)), {}, GERMAN)


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (ReportStatus.PRELIMINARY, "Vorläufig: automatischer Entwurf, ungeprüft"),
        (ReportStatus.FINAL, "Endgültig: unterzeichnet"),
        (ReportStatus.AMENDED, "Geändert"),
        (ReportStatus.CANCELLED, "Storniert"),
    ],
)
def test_status_is_said_in_german(status: ReportStatus, said: str) -> None:
    report = calf_report().model_copy(update={"status": status})
    assert said in visible(render_html(report, {}, GERMAN))
    assert said in text_of(render_pdf(report, {}, GERMAN))


@pytest.mark.parametrize("name", EVERY_REPORT)
def test_pdf_in_german_is_pdf_a_tagged_and_says_its_language(name: str) -> None:
    document = PdfReader(io.BytesIO(render_pdf(EVERY_REPORT[name](), {}, GERMAN)))
    assert document.xmp_metadata is not None
    metadata = document.xmp_metadata.stream.get_data().decode()
    assert "<pdfaid:part>2</pdfaid:part>" in metadata
    assert "<pdfaid:conformance>A</pdfaid:conformance>" in metadata
    assert (str(document.root_object["/Lang"]), document.metadata and document.metadata.title) == (
        "de",
        "Muskuloskelettale Sonographie: Befund",
    )


def test_pdf_of_one_contraction_in_german_fits_on_one_page() -> None:
    findings = contraction_findings()
    uid = findings[0].evidence.sop_instance_uid
    assert len(PdfReader(io.BytesIO(render_pdf(calf_report(findings=findings), {uid: png()}, GERMAN))).pages) == 1


def test_equal_report_and_language_give_equal_bytes() -> None:
    fresh = Language("de", GERMAN.entries)
    assert render_html(calf_report(), {}, GERMAN) == render_html(calf_report(), {}, fresh)
    assert render_pdf(calf_report(), {}, GERMAN) == render_pdf(calf_report(), {}, fresh)
    assert render_pdf(calf_report(), {}, GERMAN) != render_pdf(calf_report(), {})


def test_hostile_finding_in_german_stays_inert() -> None:
    hostile = "</title><script>alert(1)</script>{0.__class__}{name}"
    finding = cine_findings()[0].model_copy(update={"name": hostile, "unit": hostile, "flags": (hostile,)})
    assert "<script" not in render_html(calf_report(findings=[finding]), {}, GERMAN)
