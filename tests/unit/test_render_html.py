"""The report page."""

import base64
import re
import xml.etree.ElementTree as ET
from html import unescape
from html.parser import HTMLParser

import pytest

from service.core.comparison import EarlierReport, compare
from service.core.findings import Finding, Interval
from service.core.render.html import render_html
from service.core.report import RESEARCH_USE, Report, ReportStatus
from service.core.wording import person_name
from tests.analysed_contraction import contraction_findings
from tests.calf_report import MODEL, calf_report, cine_findings, header, not_measured, quality
from tests.compared_findings import earlier_report, measured
from tests.every_report import EVERY_REPORT
from tests.reviewed_report import amended, signed, withdrawn

PICTURE = b"\x89PNG a picture"


class Page(HTMLParser):
    """Tags, attributes and visible text."""

    def __init__(self, report: Report, pictures: dict[str, bytes] | None = None) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.cells: list[str] = []
        self.text = ""
        self._open = ""
        self.source = render_html(report, pictures or {})
        self.feed(self.source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes.extend(attrs)
        self._open = tag

    def handle_data(self, data: str) -> None:
        if self._open != "style":
            self.text += data
        if self._open in {"td", "th"} and data.strip():
            self.cells.append(data.strip())


def test_page_shows_identity_impression_values_and_provenance() -> None:
    page = Page(calf_report())
    for expected in ("Doe, Jane", "P-42", "1970-01-02", "A-17", "17.5", "21.2", "16.5 to 25.5", "58 of 60", MODEL.sha256):
        assert expected in page.text
    assert calf_report().impression in page.text


def test_page_writes_a_grade_as_a_name_and_other_flags_in_words() -> None:
    graded = cine_findings()[0].model_copy(update={"flags": ("grade_b", "mostly_extrapolated")})
    assert "grade B, mostly extrapolated" in Page(calf_report(findings=[graded])).cells


def test_page_stands_alone_without_script_or_second_request() -> None:
    page = Page(calf_report(), {"2.25.1": PICTURE})
    assert not {"script", "link", "iframe", "object"} & set(page.tags)
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    addresses = [value for name, value in page.attributes if name in {"src", "href"}]
    assert addresses == ["data:image/png;base64," + base64.b64encode(PICTURE).decode()]


def test_page_carries_the_research_banner_and_the_draft_status() -> None:
    page = Page(calf_report())
    assert page.text.count(RESEARCH_USE) == 2
    assert "not verified by a person" in page.text


@pytest.mark.parametrize("status", list(ReportStatus))
def test_page_of_any_status_says_it(status: ReportStatus) -> None:
    page = Page(calf_report().model_copy(update={"status": status}))
    assert status.value in page.text.lower()


@pytest.mark.parametrize("field", ["patient_name", "patient_id", "accession_number", "description", "referring_physician_name"])
def test_page_with_hostile_text_stays_inert(field: str) -> None:
    hostile = '"><script>alert(1)</script><img src=x onerror=alert(1)>{{ 7 * 7 }}'
    page = Page(calf_report(study=header(**{field: hostile})))
    assert "script" not in page.tags
    assert "img" not in page.tags
    assert "alert(1)" in page.text
    assert "{{ 7 * 7 }}" in page.text


def test_page_with_hostile_finding_stays_inert() -> None:
    hostile = "</title><script>alert(1)</script>"
    finding = cine_findings()[0].model_copy(update={"name": hostile, "unit": hostile, "flags": (hostile,)})
    assert "script" not in Page(calf_report(findings=[finding])).tags


@pytest.mark.parametrize(
    ("value", "spoken"),
    [
        ("Yamada^Tarou=山田^太郎=やまだ^たろう", "Yamada, Tarou (山田 太郎, やまだ たろう)"),
        ("Hong^Gildong=洪^吉洞=홍^길동", "Hong, Gildong (洪 吉洞, 홍 길동)"),
        ("Иванова^Мария^Петровна", "Иванова, Мария Петровна"),
        ("=山田^太郎", "山田 太郎"),
        ("Doe", "Doe"),
        ("", ""),
        (None, ""),
    ],
)
def test_person_name_is_written_as_people_write_it(value: str | None, spoken: str) -> None:
    assert person_name(value) == spoken


def test_page_without_a_name_says_so() -> None:
    assert "No name given" in Page(calf_report(study=header(patient_name=None))).text


def test_page_shows_a_picture_with_its_frame_and_legend() -> None:
    page = Page(calf_report(), {"2.25.1": PICTURE})
    assert "Frame 31, 1.00 s" in page.text
    assert "Superficial aponeurosis" in page.text
    assert "img" not in Page(calf_report()).tags


def test_page_plots_thickness_and_pennation() -> None:
    names = re.findall(r'<text class="name"[^>]*>([^<]*)', Page(calf_report()).source)
    assert names == ["Thickness (mm)", "Pennation angle (°)"]


def test_page_of_plain_series_explains_no_curve() -> None:
    assert "Ring: the frame" in Page(calf_report()).text
    assert "Curve: smoothed" not in Page(calf_report()).text


def test_page_of_an_analysed_contraction_explains_the_curve_and_shows_excursions_with_intervals() -> None:
    page = Page(calf_report(findings=contraction_findings()))
    assert "Curve: smoothed, with the 95 % band" in page.text
    assert {"Contraction count", "Pennation excursion", "Fascicle excursion", "Shortening velocity", "mm/s"} <= set(page.cells)
    assert "One contraction, with a rise of the pennation by more than" in page.text
    assert re.findall(r'<text class="word"[^>]*>([^<]*)', page.source) == ["rest", "peak"] * 2


def test_page_of_not_measured_cine_gives_the_reason_and_no_table() -> None:
    page = Page(calf_report(findings=[not_measured()]))
    assert "table" not in page.tags
    assert "svg" not in page.tags
    assert not_measured().text in page.text


def test_page_without_findings_says_that_nothing_was_measured() -> None:
    assert "Nothing was measured" in Page(calf_report(findings=())).text


def test_page_shows_columns_only_when_a_row_fills_them() -> None:
    finding = cine_findings()[0]
    assert not {"Interval", "Reference", "Remarks"} & set(Page(calf_report()).cells)
    full = finding.model_copy(
        update={
            "interval": Interval(low=17.0, high=18.0, level=0.95),
            "reference_range": "15 to 20",
            "flags": ("mostly_extrapolated",),
        }
    )
    page = Page(calf_report(findings=[full]))
    assert {"Interval", "Reference", "Remarks", "17.0 to 18.0 (95%)", "15 to 20", "mostly extrapolated"} <= set(page.cells)


def test_page_says_a_limitation_once() -> None:
    assert Page(calf_report(findings=(*cine_findings(), quality()))).text.count(quality().text) == 1


def test_page_of_uncalibrated_cine_says_px_and_why() -> None:
    page = Page(calf_report(findings=cine_findings(calibrated=False)))
    assert "px" in page.cells
    assert "mm" not in page.cells
    assert "none: the cine has no calibrated region" in page.text


def test_page_of_two_cines_numbers_them() -> None:
    page = Page(calf_report(findings=(*cine_findings(), not_measured())))
    assert "Cine 1: Muscle architecture, calf, left" in page.text
    assert "Cine 2: Muscle architecture" in page.text


def test_page_of_a_second_version_names_the_one_that_it_replaces() -> None:
    first = calf_report()
    assert f"replaces {first.report_id}" in Page(calf_report(previous=first)).text


def test_page_of_same_report_is_the_same_text() -> None:
    assert render_html(calf_report(), {"2.25.1": PICTURE}) == render_html(calf_report(), {"2.25.1": PICTURE})


def compared(*findings: Finding, before: tuple[EarlierReport, ...] = ()) -> Report:
    return calf_report(findings=findings).model_copy(update={"comparisons": compare(header(), findings, before)})


def test_page_without_comparisons_has_no_section_for_them() -> None:
    assert "Comparison" not in Page(calf_report()).text


def test_page_with_comparisons_shows_sides_and_changes_in_tables_of_their_own() -> None:
    findings = (measured(18.0, "left", uid="2.25.1"), measured(20.0, "right", uid="2.25.2"))
    page = Page(compared(*findings, before=(earlier_report([measured(17.0)]),)))
    first, second = (page.cells.index(name) for name in ("Left minus right", "Relative change"))
    assert page.cells[first + 2 : first + 7] == ["Thickness", "18.0 mm", "20.0 mm", "\N{MINUS SIGN}2.0 mm", "10 %"]
    assert page.cells[second + 1 : second + 7] == ["Thickness, left", "2026-05-02", "17.0 mm", "18.0 mm", "+1.0 mm", "+6 %"]
    assert page.text.index("Left and right") < page.text.index("Since earlier studies") < page.text.index("Limitations")


def test_page_says_a_note_once_and_names_the_rows_that_it_holds_for() -> None:
    wide = Interval(low=10, high=30, level=0.95)
    findings = (measured(18.0, "left", interval=wide), measured(20.0, "right"))
    before = earlier_report([measured(17.0, "left", interval=wide), measured(20.0, "right")])
    text = Page(compared(*findings, before=(before,))).text
    assert text.count("The muscle is not coded: whether both are of the same one is not known.") == 2
    assert "Thickness, left: No change is shown beyond the uncertainty of the measurement." in text


def test_page_with_hostile_comparison_stays_inert() -> None:
    hostile = "<script>alert(1)</script>"
    report = compared(measured(18.0, "left"), measured(20.0, "right"))
    told = report.comparisons[0].model_copy(update={"name": hostile, "unit": hostile})
    assert "script" not in Page(report.model_copy(update={"comparisons": (told,)})).tags


def test_page_of_an_amended_report_shows_what_the_software_had_said_beside_it() -> None:
    page = Page(signed())
    assert "Final: signed by Dr Anna Grau, Test Hospital, 2026-11-20 12:30 UTC" in page.text
    html = render_html(signed(), {})
    assert "<del>17.5</del> <ins>18.4</ins>" in html
    assert "<ins>rejected</ins>" in html


def test_page_of_a_withdrawn_report_says_so_first_and_shows_no_picture() -> None:
    html = render_html(withdrawn(), {"2.25.1": b"\x89PNG"})
    assert html.index("WITHDRAWN") < html.index("<h1>")
    assert 'class="withdrawn"' in html
    assert "<img" not in html
    assert RESEARCH_USE in html


def test_page_of_a_withdrawn_report_strikes_all_that_its_rows_say() -> None:
    page = ET.fromstring(re.sub(r"&nbsp;", " ", re.findall(r"<tbody>.*?</tbody>", render_html(withdrawn(), {}), re.DOTALL)[0]))  # noqa: S314 - ours
    cells = [cell for cell in page.iter("td") if "".join(cell.itertext()).strip()]
    assert any(cell.get("class") == "flags" for cell in cells)
    for cell in cells:
        kept = [text for text in (cell.text, *(one.tail for one in cell)) if text and text.strip()]
        assert (kept, cell.find(".//s") is not None) == ([], True), ET.tostring(cell)


def test_page_beside_an_amended_value_says_that_picture_and_curve_are_the_softwares() -> None:
    said = "; drawn by the software, before a person amended findings"
    line = "The curve is the software's."
    told, untold = (render_html(report, {"2.25.1": PICTURE}) for report in (signed(), calf_report()))
    assert said in told
    assert line in unescape(told)
    assert "amended 18.4 mm" in told
    assert said not in untold
    assert line not in unescape(untold)


def test_page_of_a_wrist_says_which_plane_was_rejected_and_why() -> None:
    text = Page(EVERY_REPORT["amended_planes"]()).text
    assert "Standard plane rejected by" in text


def test_page_of_a_signed_report_tells_of_a_draft_beside_it() -> None:
    assert "A newer draft waits" in render_html(signed().model_copy(update={"draft": "x"}), {})
    assert "beside version 3, which is signed" in Page(amended(signed())).text
