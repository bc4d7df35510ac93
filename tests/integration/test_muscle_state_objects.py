"""What is made of the muscle states of a report: numbers of the SR, both muscles as segments, page, PDF, frames, the plot."""

import io
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread

from service.core.findings import Finding
from service.core.masks import MaskKeeper, Masks
from service.core.overlays import overlay_of
from service.core.render.drawn_frame import FramePainter
from service.core.render.overlay import colour_of
from service.core.render.plot import plot_series
from service.core.render.seg import render_segmentation
from service.core.render.sr import render_sr
from service.core.report import Report
from service.rendering import Rendering
from tests.calf_parts import FRAMES, LEFT, TOP, analyse, scanned
from tests.calf_report import calf_report, instance
from tests.dciodvfy import complaints
from tests.reviewed_report import amended

HOSTILE = "<script>alert(1)</script>"
SAID = "Learnt from simulated pictures only, not validated in people."
#: Concept, unit and finding of each number in the SR.
NUMBERS = {
    "JOINT-ANGLE": ("deg", "joint_angle"),
    "ACTIVITY": ("%", "activity"),
    "ACTIVITY-GASTROC": ("%", "activity_gastrocnemius"),
    "ACTIVITY-SOLEUS": ("%", "activity_soleus"),
    "JOINT-MOMENT": ("N.m", "joint_moment"),
}
#: Agreement with the pennation, and image quality.
QUALITY = {"AGREES-PENNATION", "111101"}


@pytest.fixture(scope="module")
def made() -> tuple[Mapping[str, Finding], Masks]:
    keeper = MaskKeeper()
    findings = analyse(scanned(), uid="2.25.1", keep=keeper)
    kept = keeper.kept()
    assert kept is not None
    return findings, kept


@pytest.fixture(scope="module")
def report(made: tuple[Mapping[str, Finding], Masks]) -> Report:
    return calf_report(findings=list(made[0].values()))


def source() -> dict[str, int]:
    rows, columns = scanned().pictures[0].sector.shape
    return {"rows": rows + 2 * TOP, "columns": columns + 2 * LEFT, "number_of_frames": FRAMES}


@pytest.fixture(scope="module")
def segmentation(report: Report, made: tuple[Mapping[str, Finding], Masks], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("seg") / "seg.dcm"
    path.write_bytes(render_segmentation(report, "seg.1", 1, instance("2.25.1", **source()), "muscle_state", made[1]))
    return path


def sr_of(report: Report) -> Dataset:
    return dcmread(io.BytesIO(render_sr(report, [instance("2.25.1", **source())])))


def groups(sr: Dataset) -> list[Dataset]:
    (measurements,) = (item for item in sr.ContentSequence if item.ConceptNameCodeSequence[0].CodeValue == "126010")
    return [item for item in measurements.ContentSequence if item.ConceptNameCodeSequence[0].CodeValue == "125007"]


def numbers(group: Dataset) -> list[Dataset]:
    return [item for item in group.ContentSequence if item.ValueType == "NUM"]


def modifier(number: Dataset) -> str | None:
    """Which summary of the frames a number is."""
    return next((item.ConceptCodeSequence[0].CodeMeaning for item in number.get("ContentSequence", ())), None)


def test_sr_has_each_state_with_its_unit_extremes_and_interval(report: Report, made: tuple[Mapping[str, Finding], Masks]) -> None:
    whole, *lines = groups(sr_of(report))
    told = numbers(whole)
    assert {item.ConceptNameCodeSequence[0].CodeValue for item in told} == {*NUMBERS, *QUALITY}
    for code, (unit, name) in NUMBERS.items():
        own, finding = [item for item in told if item.ConceptNameCodeSequence[0].CodeValue == code], made[0][name]
        assert {item.MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0].CodeValue for item in own} == {unit}
        assert finding.range is not None
        assert finding.interval is not None
        values = [finding.value, *finding.range, finding.interval.low, finding.interval.high]
        assert [float(item.MeasuredValueSequence[0].NumericValue) for item in own] == pytest.approx(values, abs=1e-4)
        assert [modifier(item) for item in own][:3] == ["Median", "Minimum", "Maximum"]
        assert all("simulation-trained" in item.ConceptNameCodeSequence[0].CodeMeaning for item in own)
    assert lines
    assert not any(map(numbers, lines)), "lines of the best frames carry no numbers"


def test_sr_says_simulated_in_its_impression_and_what_agrees_with_the_pennation(report: Report) -> None:
    sr = sr_of(report)
    texts = [str(item.TextValue) for item in sr.ContentSequence if item.ValueType == "TEXT"]
    assert any(text == report.impression and SAID in text for text in texts)
    assert any(text.startswith("The level of a whole cine can be off") for text in texts)
    statements = [str(item.TextValue) for item in groups(sr)[0].ContentSequence if item.ValueType == "TEXT"]
    assert any("follow the pennation of the gastrocnemius" in text for text in statements)


def test_sr_of_a_cine_without_a_scale_says_of_each_number_that_it_is_simulated() -> None:
    findings = list(analyse(scanned(), uid="2.25.1", is_calibrated=False).values())
    every = numbers(groups(sr_of(calf_report(findings=findings)))[0])
    told = [item for item in every if item.ConceptNameCodeSequence[0].CodeValue not in QUALITY]
    codes = {item.ConceptNameCodeSequence[0].CodeValue for item in told}
    assert codes == {"ANGLE-RELATIVE", "ACTIVITY-REL", "GASTROC-RELATIVE", "SOLEUS-RELATIVE"}
    assert {item.MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0].CodeValue for item in told} == {"%"}
    assert all("simulation-trained" in item.ConceptNameCodeSequence[0].CodeMeaning for item in told)


def test_segmentation_has_both_muscles_one_above_the_other_in_every_frame(segmentation: Path) -> None:
    read = dcmread(segmentation)
    assert [item.SegmentLabel for item in read.SegmentSequence] == ["Gastrocnemius", "Soleus"]
    types = [item.SegmentedPropertyTypeCodeSequence[0] for item in read.SegmentSequence]
    assert [(one.CodingSchemeDesignator, one.CodeValue) for one in types] == [("MDC", "7:920"), ("MDC", "7:932")]
    assert read.NumberOfFrames == 2 * FRAMES
    upper, lower = (frame.astype(np.bool_) for frame in read.pixel_array[:2])
    assert not (upper & lower).any()
    middle = upper.shape[1] // 2
    assert np.flatnonzero(upper[:, middle]).max() < np.flatnonzero(lower[:, middle]).min()


def test_segmentation_of_muscle_states_passes_dciodvfy(segmentation: Path) -> None:
    assert complaints(segmentation) == []


def test_every_frame_is_drawn_with_its_own_muscles(made: tuple[Mapping[str, Finding], Masks]) -> None:
    findings, masks = made
    size = source()
    painter = FramePainter(
        rows=size["rows"],
        columns=size["columns"],
        number_of_frames=FRAMES,
        masks=masks,
        findings=list(findings.values()),
    )
    black = np.zeros((size["rows"], size["columns"], 3), np.uint8)
    assert painter.paint(1, black).any()
    assert painter.paint(FRAMES, black).any()
    told = overlay_of("muscle_state", list(findings.values()), None, {}, {}, range(1, FRAMES + 1))
    assert [kind.label for kind in told.kinds] == ["Superficial aponeurosis", "Middle aponeurosis", "Deep aponeurosis"]
    assert len({colour_of(kind.name) for kind in told.kinds}) == 3


def test_plot_draws_the_band_that_stands_in_the_json_and_no_wider_one(made: tuple[Mapping[str, Finding], Masks]) -> None:
    finding = made[0]["activity_gastrocnemius"]
    series = finding.series
    assert series is not None
    svg = str(plot_series([finding]))
    (points,) = re.findall(r'<polygon[^>]*points="([^"]+)"', svg)
    heights = np.array([float(pair.split(",")[1]) for pair in points.split()])
    ticks = re.findall(r'y="([\d.]+)" text-anchor="end">(\d+)</text>', svg)
    places, values = (np.array(column, float) for column in zip(*ticks, strict=True))
    assert values.min() == 0
    drawn = np.interp(-heights, 4 - places, values)  # words stand four below their ticks
    assert drawn == pytest.approx(np.array([*series.low, *reversed(series.high)], float), abs=0.5)


def test_report_of_muscle_states_is_a_page_and_a_pdf_and_inert_with_hostile_names(report: Report) -> None:
    hostile = report.model_copy(
        update={"study": report.study.model_copy(update={"patient_name": HOSTILE, "description": HOSTILE})}
    )
    rendering = Rendering()
    page = rendering.html(hostile, {})
    assert HOSTILE not in page
    assert SAID in page
    for word in ("Joint angle", "Activity soleus", "Joint moment", "90 % band of each value", "The level of a whole cine"):
        assert word in page, word
    assert "Light band" not in page
    german = rendering.html(report, {}, "de")
    assert "Nur an simulierten Bildern gelernt, nicht an Menschen validiert." in german
    assert rendering.pdf(hostile, {}).startswith(b"%PDF")


def test_amended_and_rejected_states_follow_into_impression_page_and_sr(report: Report) -> None:
    changes = [
        {"action": "set", "finding_id": finding.finding_id, "value": 12.5}
        if finding.name == "joint_angle"
        else {"action": "reject", "finding_id": finding.finding_id}
        for finding in report.findings
        if finding.name in {"joint_angle", "joint_moment"}
    ]
    draft = amended(report, why="Goniometer", findings=changes)
    assert "joint angle 12.5° (amended)" in draft.impression
    assert "joint moment" not in draft.impression
    assert SAID in draft.impression, "the activities are the software's still"
    told = numbers(groups(sr_of(draft))[0])
    assert "JOINT-MOMENT" not in {item.ConceptNameCodeSequence[0].CodeValue for item in told}
    angles = [item for item in told if item.ConceptNameCodeSequence[0].CodeValue == "JOINT-ANGLE"]
    assert [float(item.MeasuredValueSequence[0].NumericValue) for item in angles] == [12.5]
    assert "amended 12.5°" in Rendering().html(draft, {})
