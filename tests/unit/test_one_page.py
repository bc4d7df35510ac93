"""Reports that a radiologist files stand on one page of A4, in both languages, drafts and amended ones too."""

import io

import pytest
from pypdf import PdfReader

from service.core.evidence import draw_evidence
from service.core.findings import Finding
from service.core.languages import LanguageTag
from service.core.render.language import language_of
from service.core.render.pdf import render_pdf
from service.core.report import Report
from service.core.wrist_planes import PLANES
from simulator.wrist import draw_volunteer
from tests.analysed_contraction import contraction_findings
from tests.calf_report import calf_report
from tests.reviewed_report import amended, signed, withdrawn
from tests.unit.test_render_pdf import png
from tests.wrist_parts import analyse, cine_of, pictures, well

UID = "2.25.1"


def pages(report: Report, shown: dict[str, bytes], language: LanguageTag) -> int:
    return len(PdfReader(io.BytesIO(render_pdf(report, shown, language_of(language)))).pages)


def lives(report: Report, *, of: str) -> dict[str, Report]:
    """The versions of a report of which a person has amended one value."""
    finding = next(one for one in report.findings if one.name == of)
    changes = [{"action": "set", "finding_id": finding.finding_id, "value": finding.value}]
    draft = amended(report, findings=changes, comment="Seen together; repeat in six weeks.")
    return {"preliminary": report, "draft": draft, "final": signed(draft), "cancelled": withdrawn(signed(draft))}


@pytest.fixture(scope="module")
def calf() -> dict[str, Report]:
    return lives(calf_report(findings=contraction_findings()), of="thickness")


@pytest.fixture(scope="module", params=[2, 5], ids=["two planes", "all planes"])
def wrist(request: pytest.FixtureRequest) -> tuple[dict[str, Report], bytes]:
    """An examination with so many frames of a plane, of which fewer than five show most planes too shortly, and its picture."""
    shown = pictures(
        draw_volunteer(11), *(one for plane in PLANES for one in well(plane.name, 5 if plane.name == "S11" else request.param))
    )
    findings: list[Finding] = analyse(shown, sop_instance_uid=UID)
    picture = draw_evidence(cine_of(shown, sop_instance_uid=UID), findings)
    assert picture is not None
    return lives(calf_report(findings=findings), of="median_nerve_area"), picture


@pytest.mark.parametrize("language", ["en", "de"])
@pytest.mark.parametrize("version", ["preliminary", "draft", "final", "cancelled"])
def test_pdf_of_a_calf_with_a_contraction_is_one_page(calf: dict[str, Report], version: str, language: LanguageTag) -> None:
    uid = calf[version].findings[0].evidence.sop_instance_uid
    assert pages(calf[version], {uid: png(size=(640, 480))}, language) == 1


@pytest.mark.parametrize("language", ["en", "de"])
@pytest.mark.parametrize("version", ["preliminary", "draft", "final", "cancelled"])
def test_pdf_of_an_examination_of_the_wrist_is_one_page(
    wrist: tuple[dict[str, Report], bytes], version: str, language: LanguageTag
) -> None:
    several, picture = wrist
    assert pages(several[version], {UID: picture}, language) == 1
