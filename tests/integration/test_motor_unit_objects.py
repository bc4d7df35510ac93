"""What is made of the motor units of a report: groups of the SR, segments that overlap, frames with territories, the raster."""

import io
import re
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread

from service.core.findings import Finding
from service.core.masks import MaskKeeper, Masks
from service.core.overlays import overlay_of
from service.core.render.drawn_frame import FramePainter
from service.core.render.overlay import UNIT_COLOURS
from service.core.render.raster import plot_firings
from service.core.render.seg import render_segmentation
from service.core.render.sr import render_sr
from service.rendering import Rendering
from tests.calf_report import calf_report, instance
from tests.dciodvfy import complaints
from tests.motor_parts import LEFT, SIDE, TOP, UNITS, analyse, motor_cine

FRAMES = 512
CURVE = re.compile(r'class="twitch" points="([^"]+)"')


@pytest.fixture(scope="module")
def made() -> tuple[list[Finding], Masks]:
    keeper = MaskKeeper()
    findings = analyse(motor_cine("2.25.1"), keep=keeper)
    kept = keeper.kept()
    assert kept is not None
    return findings, kept


def source() -> dict[str, int]:
    return {"rows": SIDE + TOP, "columns": SIDE + LEFT, "number_of_frames": FRAMES}


@pytest.fixture(scope="module")
def segmentation(made: tuple[list[Finding], Masks], tmp_path_factory: pytest.TempPathFactory) -> Path:
    findings, masks = made
    path = tmp_path_factory.mktemp("seg") / "seg.dcm"
    report, of = calf_report(findings=findings), instance("2.25.1", **source())
    path.write_bytes(render_segmentation(report, "seg.1", 1, of, "motor_units", masks))
    return path


def test_segmentation_of_units_has_a_segment_each_which_may_overlap(segmentation: Path) -> None:
    read = dcmread(segmentation)
    assert [item.SegmentLabel for item in read.SegmentSequence] == ["Motor unit 1", "Motor unit 2", "Motor unit 3"]
    assert {item.SegmentedPropertyTypeCodeSequence[0].CodeValue for item in read.SegmentSequence} == {"MU-TERRITORY"}
    one, two, three = (frame.astype(np.bool_) for frame in read.pixel_array)
    assert (one & two).any()
    assert not (one & three).any()
    frames = {
        group.DerivationImageSequence[0].SourceImageSequence[0].ReferencedFrameNumber
        for group in read.PerFrameFunctionalGroupsSequence
    }
    assert frames == {256}


def test_segmentation_of_units_passes_dciodvfy(segmentation: Path) -> None:
    assert complaints(segmentation) == []


def test_sr_has_a_group_for_each_unit_with_its_numbers(made: tuple[list[Finding], Masks]) -> None:
    findings, _ = made
    sr = dcmread(io.BytesIO(render_sr(calf_report(findings=findings), [instance("2.25.1", **source())])))
    whole, *units = groups(sr)
    assert numbers(whole) == {"MOTOR-UNITS": 3.0}
    assert len(units) == len(UNITS)
    for group, finding in zip(units, findings[1:], strict=True):
        assert finding.motor_unit is not None
        told = numbers(group)
        assert told["MOTOR-UNIT"] == pytest.approx(finding.value, abs=1e-6)
        assert told["42798000"] == pytest.approx(finding.motor_unit.area_mm2)
        assert told["MU-FIRINGS"] == len(finding.motor_unit.firings_seconds)
        assert told["MU-VARIATION"] == pytest.approx(finding.motor_unit.interval_variation)
        (region,) = (item for item in group.ContentSequence if item.ValueType == "SCOORD")
        assert region.GraphicType == "POLYLINE"


def groups(sr: Dataset) -> list[Dataset]:
    (measurements,) = (item for item in sr.ContentSequence if item.ConceptNameCodeSequence[0].CodeValue == "126010")
    return [item for item in measurements.ContentSequence if item.ConceptNameCodeSequence[0].CodeValue == "125007"]


def numbers(group: Dataset) -> dict[str, float]:
    return {
        item.ConceptNameCodeSequence[0].CodeValue: float(item.MeasuredValueSequence[0].NumericValue)
        for item in group.ContentSequence
        if item.ValueType == "NUM"
    }


def test_territories_are_drawn_in_every_frame(made: tuple[list[Finding], Masks]) -> None:
    findings, masks = made
    painter = FramePainter(rows=SIDE + TOP, columns=SIDE + LEFT, number_of_frames=FRAMES, masks=masks, findings=findings)
    black = np.zeros((SIDE + TOP, SIDE + LEFT, 3), np.uint8)
    first, last = painter.paint(1, black)[: SIDE + TOP], painter.paint(FRAMES, black)[: SIDE + TOP]
    assert np.array_equal(first, last)
    assert {tuple(pixel) for pixel in first.reshape(-1, 3)} >= set(UNIT_COLOURS[:3])


def test_viewer_is_told_the_outlines_of_units_for_every_frame(made: tuple[list[Finding], Masks]) -> None:
    findings, _ = made
    told = overlay_of("motor_units", findings, None, {}, {}, range(100, 103))
    assert [frame.frame for frame in told.frames] == [100, 101, 102]
    assert {len(frame.lines) for frame in told.frames} == {3}
    assert [kind.label for kind in told.kinds] == ["Motor unit 1", "Motor unit 2", "Motor unit 3"]
    assert len({kind.colour for kind in told.kinds}) == 3


def test_raster_has_a_stroke_for_each_firing(made: tuple[list[Finding], Masks]) -> None:
    findings, _ = made
    svg = plot_firings(findings)
    assert svg is not None
    assert str(svg).count("v13.0") == sum(len(finding.motor_unit.firings_seconds) for finding in findings if finding.motor_unit)
    assert "After a firing (ms)" in svg
    assert "mm/s" in svg
    for points in (curve.split() for curve in CURVE.findall(svg)):
        assert len(points) == 46  # 20 ms before the firing to 160 ms after it
        heights = [-float(point.partition(",")[2]) for point in points[:30]]  # later the next twitch rises as high
        assert 5 < heights.index(max(heights)) < 20, "it rises after the firing"
    assert len(CURVE.findall(svg)) == len(UNITS)
    assert plot_firings(findings[:1]) is None


def test_report_of_units_is_a_page_and_a_pdf(made: tuple[list[Finding], Masks]) -> None:
    findings, _ = made
    report, rendering = calf_report(findings=findings), Rendering()
    page = rendering.html(report, {})
    assert "Motor unit 2" in page
    assert "Firings and mean twitches of the motor units" in page
    assert rendering.pdf(report, {}).startswith(b"%PDF")
