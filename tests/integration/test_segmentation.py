"""Masks as DICOM Segmentation: read back, and as the validator sees them (dciodvfy of dicom3tools)."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread

from service.core.findings import Finding
from service.core.masks import Masks
from service.core.render.seg import SEGMENTATION, render_segmentation
from service.core.report import object_uid
from simulator.wrist import draw_volunteer
from tests.calf_report import STUDY_UID, calf_report, instance
from tests.dciodvfy import complaints
from tests.wrist_parts import analysed_and_drawn, pictures, well

Made = tuple[list[Finding], Masks]


@pytest.fixture(scope="module")
def made() -> Made:
    """Four frames of two planes, and one between them that shows no wrist."""
    shown = pictures(draw_volunteer(11), *well("S11", 2), ("elsewhere", "S11"), *well("S2", 2))
    return analysed_and_drawn(shown, sop_instance_uid="2.25.1")


def rendered(made: Made, **changes: int | str) -> bytes:
    findings, masks = made
    return render_segmentation(calf_report(findings=findings), "seg.1", 1, instance("2.25.1", **changes), "wrist_hand", masks)


@pytest.fixture(scope="module")
def segmentation(made: Made) -> Dataset:
    return dcmread(io.BytesIO(rendered(made)))


@pytest.mark.parametrize("changes", [{}, {"number_of_frames": 1, "sop_class_uid": "1.2.840.10008.5.1.4.1.1.6.1"}])
def test_segmentation_passes_dciodvfy(made: Made, changes: dict[str, int | str], tmp_path: Path) -> None:
    path = tmp_path / "seg.dcm"
    path.write_bytes(rendered(made, **changes))
    assert complaints(path) == []


def test_segmentation_shows_every_structure_on_the_frame_that_it_was_drawn_in(made: Made, segmentation: Dataset) -> None:
    _, masks = made
    names = {item.SegmentNumber: item.SegmentLabel.lower().replace(" ", "_") for item in segmentation.SegmentSequence}
    drawn = dict(masks)
    pixels = segmentation.pixel_array
    shown = set()
    for frame, group in zip(pixels, segmentation.PerFrameFunctionalGroupsSequence, strict=True):
        segment = group.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        source = group.DerivationImageSequence[0].SourceImageSequence[0]
        assert source.ReferencedSOPInstanceUID == "2.25.1"
        place = masks.layout.segments.index(names[segment])
        expected = masks.layout.in_frame(drawn[source.ReferencedFrameNumber][place])
        assert np.array_equal(frame.astype(np.bool_), expected)
        assert expected.any()
        shown.add((source.ReferencedFrameNumber, place))
    assert shown == {(number, int(place)) for number, maps in masks for place in np.flatnonzero(maps.any((1, 2)))}
    assert {number for number, _ in shown} == {1, 2, 4, 5}


def test_segmentation_names_algorithm_structures_and_what_it_is_not_for(segmentation: Dataset) -> None:
    assert (segmentation.SOPClassUID, segmentation.StudyInstanceUID) == (SEGMENTATION, STUDY_UID)
    assert segmentation.SOPInstanceUID == object_uid(calf_report().report_id, 1, "seg.1")
    assert "Research use only" in segmentation.ContentDescription
    nerve = next(item for item in segmentation.SegmentSequence if item.SegmentLabel == "Median nerve")
    (algorithm,) = nerve.SegmentationAlgorithmIdentificationSequence
    assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion) == ("wrist_hand", "1.2.0")
    assert nerve.SegmentedPropertyTypeCodeSequence[0].CodeMeaning.startswith("Median nerve")
    assert nerve.RecommendedDisplayCIELabValue


def test_segmentation_has_the_spacing_of_the_source_and_a_nominal_place(segmentation: Dataset) -> None:
    (shared,) = segmentation.SharedFunctionalGroupsSequence
    assert shared.PixelMeasuresSequence[0].PixelSpacing == [0.1, 0.1]
    assert shared.PlaneOrientationSequence[0].ImageOrientationPatient == [1, 0, 0, 0, 1, 0]
    assert segmentation.FrameOfReferenceUID


def test_segmentation_of_a_size_that_fills_no_whole_bytes_keeps_its_frames_apart(made: Made) -> None:
    findings, masks = made
    cut = replace(
        masks, layout=replace(masks.layout, rows=1 + 2 * (masks.layout.rows // 2), columns=1 + 2 * (masks.layout.columns // 2))
    )
    assert cut.layout.rows * cut.layout.columns % 8
    read = dcmread(io.BytesIO(rendered((findings, cut))))
    assert len(read.PixelData) % 2 == 0
    frames = [maps for _, maps in cut]
    first = int(np.flatnonzero(frames[0].any((1, 2)))[0])
    assert np.array_equal(read.pixel_array[0].astype(np.bool_), cut.layout.in_frame(frames[0][first]))
    last = int(np.flatnonzero(frames[-1].any((1, 2)))[-1])
    assert np.array_equal(read.pixel_array[-1].astype(np.bool_), cut.layout.in_frame(frames[-1][last]))


def test_segmentation_of_the_same_report_is_the_same_bytes(made: Made) -> None:
    assert rendered(made) == rendered(made)
