"""A cine with its results burned in: read back, and as the validator sees it (dciodvfy of dicom3tools)."""

import io
import weakref
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydicom import Dataset, dcmread
from pydicom.uid import JPEGBaseline8Bit
from scipy import ndimage

from service.core.cine import Box, Cine, Compression, Pixels, TimeAxis
from service.core.findings import Finding
from service.core.masks import Masks
from service.core.render.capture import SECONDARY_CAPTURE, render_capture
from service.core.render.drawn_frame import FramePainter
from service.core.render.overlay import colour_of
from service.core.report import object_uid
from service.errors import InputRejected
from simulator.wrist import draw_volunteer
from tests.calf_report import LINES, STUDY_UID, calf_report, cine_findings, instance
from tests.dciodvfy import complaints
from tests.fakes import make_cine
from tests.reviewed_report import amended
from tests.wrist_parts import analysed_and_drawn, cine_of, pictures, well

#: Of quality 90 with chroma for two pixels each, on speckle.
JPEG_ERROR = 12


@dataclass(frozen=True)
class Made:
    """Four frames of two planes, and one between them that shows no wrist."""

    cine: Cine
    findings: list[Finding]
    masks: Masks


@pytest.fixture(scope="module")
def made() -> Made:
    shown = pictures(draw_volunteer(11), *well("S11", 2), ("elsewhere", "S11"), *well("S2", 2))
    return Made(cine_of(shown, sop_instance_uid="2.25.1"), *analysed_and_drawn(shown, sop_instance_uid="2.25.1"))


def rendered(made: Made, **of_the_cine: Any) -> bytes:
    report, cine = calf_report(findings=made.findings), replace(made.cine, **of_the_cine)
    return render_capture(report, "sc.1", 1, instance("2.25.1"), "wrist_hand", made.masks, cine, io.BytesIO())


def read(content: bytes) -> Dataset:
    return dcmread(io.BytesIO(content))


@pytest.fixture(scope="module")
def capture(made: Made) -> Dataset:
    return read(rendered(made))


def axis(*seconds: float, **changes: Any) -> TimeAxis:
    return TimeAxis(**{"seconds": seconds, "source": "FrameTime", **changes})


NO_TIME = TimeAxis(None, "none", reason="nothing says when")


@pytest.mark.parametrize(
    "of_the_cine",
    [
        {},
        {"time_axis": axis(0.0, 0.04, 0.09, 0.12, 0.16, source="FrameTimeVector")},
        {"time_axis": axis(0.0, 0.04, 0.08, 0.12, 0.16, source="CineRate", is_nominal=True)},
        {"time_axis": NO_TIME},
        {"number_of_frames": 1, "time_axis": axis(0.0, source="single frame")},
        {"is_anonymous": True, "compressions": (Compression("ISO_10918_1", 9.5),)},
    ],
    ids=["frame time", "vector", "nominal", "no time", "one frame", "lossy before"],
)
def test_capture_passes_dciodvfy(made: Made, of_the_cine: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "sc.dcm"
    path.write_bytes(rendered(made, **of_the_cine))
    assert complaints(path) == []


def test_capture_without_its_time_fails_dciodvfy(capture: Dataset, tmp_path: Path) -> None:
    broken = read(_bytes_of(capture))
    del broken.FrameTime
    broken.save_as(tmp_path / "sc.dcm")
    assert complaints(tmp_path / "sc.dcm")


def test_capture_shows_tints_where_masks_are_and_leaves_the_rest(made: Made, capture: Dataset) -> None:
    rows, columns = made.cine.rows, made.cine.columns
    drawn = dict(made.masks)
    for number, frame in enumerate(capture.pixel_array, start=1):
        source = made.cine.picture(number).astype(np.int16)
        shown = frame[:rows, :columns].astype(np.int16)
        area = np.zeros((rows, columns), np.bool_)
        for one in drawn.get(number, ()):
            area |= made.masks.layout.in_frame(one)
        # Lines of the evidence run along the areas, and a block of JPEG reaches beyond them.
        far = ~ndimage.binary_dilation(area, iterations=12)
        difference = np.abs(shown - source).max(-1)
        assert np.percentile(difference[far], 99.9) <= JPEG_ERROR
        if number in drawn:
            assert difference[area].mean() > 2 * difference[far].mean() + 4


def test_capture_of_a_frame_without_masks_has_no_colour_in_the_picture(made: Made, capture: Dataset) -> None:
    assert 3 not in dict(made.masks)
    picture = capture.pixel_array[2][: made.cine.rows, : made.cine.columns].astype(np.int16)
    assert np.ptp(picture, axis=-1).max() <= 4
    drawn = capture.pixel_array[0][: made.cine.rows, : made.cine.columns].astype(np.int16)
    assert np.ptp(drawn, axis=-1).max() > 100


def test_capture_outlines_the_nerve_in_its_colour(made: Made) -> None:
    frame = painter(made).paint(2, made.cine.picture(2))
    maps = dict(made.masks)[2]
    nerve = made.masks.layout.in_frame(maps[made.masks.layout.segments.index("median_nerve")])
    edge = nerve & ~ndimage.binary_erosion(nerve, border_value=1)
    expected = np.array(colour_of("median_nerve"))
    inside = ndimage.binary_erosion(nerve, iterations=3)
    shown, source = frame[: made.cine.rows, : made.cine.columns], made.cine.picture(2)
    assert np.abs(shown[edge].mean(0) - expected).max() < 40
    assert np.abs(shown[inside].astype(int) - source[inside]).max() < 40


def test_capture_leaves_what_lies_beside_the_sector_as_it_is(made: Made) -> None:
    layout = made.masks.layout
    box = Box(layout.box.x0 + 40, layout.box.y0 + 25, layout.box.x1 + 40, layout.box.y1 + 25)
    rows, columns = layout.rows + 50, layout.columns + 60
    moved = replace(made.masks, layout=replace(layout, box=box, rows=rows, columns=columns))
    console: Pixels = np.random.default_rng(1).integers(0, 256, (rows, columns, 3), np.uint8)
    painter = FramePainter(rows=rows, columns=columns, number_of_frames=5, masks=moved, findings=())
    changed = (painter.paint(2, console)[:rows, :columns] != console).any(-1)
    inside = np.zeros_like(changed)
    inside[box.y0 : box.y1, box.x0 : box.x1] = True
    assert changed[inside].any()
    assert not changed[~inside].any()


def test_capture_draws_the_lines_of_the_evidence_on_their_frame_only() -> None:
    cine = replace(make_cine("2.25.1", grey=60, frames=31), rows=480, columns=640)
    picture: Pixels = np.full((480, 640, 3), 60, np.uint8)
    painter = FramePainter(rows=480, columns=640, number_of_frames=31, masks=None, findings=cine_findings())
    column, row = (round(value) for value in LINES["superficial_aponeurosis"][1])
    with_line, without = (painter.paint(number, picture)[row, column] for number in (31, 30))
    assert np.abs(with_line.astype(int) - colour_of("superficial_aponeurosis")).max() < 40
    assert without.tolist() == [60, 60, 60]
    assert painter.shape[0] > cine.rows


def test_capture_says_on_every_frame_what_it_is_not_for_and_which_plane_it_shows(made: Made) -> None:
    painted = painter(made)
    strips = [painted.paint(number, made.cine.picture(number))[made.cine.rows :] for number in range(1, 6)]
    words = [strip[: len(strip) // 3] for strip in strips]
    below = [strip[len(strip) // 2 :] for strip in strips]
    assert all(np.array_equal(below[0], other) for other in below[1:])
    assert (below[0] > 200).any()
    assert not np.array_equal(words[0], words[2])
    nothing = FramePainter(rows=8, columns=8, number_of_frames=1, masks=None, findings=())
    assert nothing.shape[1] >= 240
    assert (nothing.paint(1, np.zeros((8, 8, 3), np.uint8))[8:] > 200).any()


def test_capture_beside_an_amended_value_says_so_below_a_picture_that_stays_the_same() -> None:
    picture: Pixels = np.full((480, 640, 3), 60, np.uint8)
    thickness = next(one for one in amended().findings if one.name == "thickness")
    said = next(one for one in cine_findings() if one.name == "thickness")
    one, other = (
        FramePainter(rows=480, columns=640, number_of_frames=31, masks=None, findings=[finding]).paint(31, picture)
        for finding in (said, thickness)
    )
    assert np.array_equal(one[:480], other[:480])
    assert not np.array_equal(one[480:], other[480:])


def test_capture_of_a_video_keeps_one_frame_in_memory(made: Made) -> None:
    alive: list[weakref.ref[Pixels]] = []

    def fresh() -> Iterator[Pixels]:
        for number in range(1, 6):
            assert sum(one() is not None for one in alive) <= 1
            picture = made.cine.picture(number)
            alive.append(weakref.ref(picture))
            yield picture

    assert read(rendered(made, all_pictures=fresh)).NumberOfFrames == 5
    assert len(alive) == 5


def test_capture_of_too_many_frames_is_refused_by_name(made: Made) -> None:
    class Long(io.BytesIO):
        """Says of each frame that it is 200 MiB."""

        def write(self, value: Any, /) -> int:
            return super().write(value) + (200 << 20)

    report = calf_report(findings=made.findings)
    with pytest.raises(InputRejected, match="Of 5 frames 2 fill 384 MiB") as refused:
        render_capture(report, "sc.1", 1, instance("2.25.1"), "wrist_hand", made.masks, made.cine, Long())
    assert refused.value.reason == "capture_too_large"


def test_capture_has_the_times_of_the_source(made: Made) -> None:
    steady = read(rendered(made, time_axis=axis(*(index * 33.333 / 1000 for index in range(5)))))
    assert (steady.FrameIncrementPointer, steady.FrameTime) == (0x00181063, 33.333)
    vector = read(rendered(made, time_axis=axis(0.0, 0.04, 0.09, 0.12, 0.16, source="FrameTimeVector")))
    assert (vector.FrameIncrementPointer, list(vector.FrameTimeVector)) == (0x00181065, [0, 40, 50, 30, 40])
    assert "FrameTime" not in vector


def test_capture_of_a_source_without_time_claims_none(made: Made) -> None:
    nominal = read(rendered(made, time_axis=axis(*(index / 25 for index in range(5)), source="CineRate", is_nominal=True)))
    assert (nominal.FrameIncrementPointer, nominal.RecommendedDisplayFrameRate) == (0x00182001, 25)
    nothing = read(rendered(made, time_axis=NO_TIME))
    assert (nothing.FrameIncrementPointer, list(nothing.PageNumberVector)) == (0x00182001, [1, 2, 3, 4, 5])
    for one in (nominal, nothing):
        assert "FrameTime" not in one
        assert "FrameTimeVector" not in one


def test_capture_of_a_single_frame_has_one_and_no_time(made: Made) -> None:
    single = read(rendered(made, number_of_frames=1, time_axis=axis(0.0, source="single frame")))
    assert (single.NumberOfFrames, single.pixel_array.ndim) == (1, 3)
    assert "FrameIncrementPointer" not in single
    assert "FrameTime" not in single


def test_capture_names_its_source_and_says_what_was_lost(made: Made, capture: Dataset) -> None:
    assert capture.file_meta.TransferSyntaxUID == JPEGBaseline8Bit
    assert (capture.SOPClassUID, capture.StudyInstanceUID, capture.PatientID) == (SECONDARY_CAPTURE, STUDY_UID, "P-42")
    assert capture.SOPInstanceUID == object_uid(calf_report().report_id, 1, "sc.1")
    assert capture.SeriesNumber == 9701
    assert capture.SourceImageSequence[0].ReferencedSOPInstanceUID == "2.25.1"
    plain = np.prod(capture.pixel_array.shape)
    assert capture.LossyImageCompression == "01"
    assert capture.LossyImageCompressionRatio == pytest.approx(plain / len(capture.PixelData), rel=0.01)
    again = read(rendered(made, compressions=(Compression("ISO_15444_1", 9.5),)))
    assert list(again.LossyImageCompressionMethod) == ["ISO_15444_1", "ISO_10918_1"]
    assert again.LossyImageCompressionRatio[0] == 9.5


def test_capture_of_what_is_not_known_to_be_anonymous_is_not_called_so(made: Made, capture: Dataset) -> None:
    assert capture.BurnedInAnnotation == "YES"
    assert read(rendered(made, is_anonymous=True)).BurnedInAnnotation == "NO"


def test_capture_finds_each_frame_by_its_offset(made: Made, capture: Dataset) -> None:
    """The frames are JPEG Baseline of 4:2:2, as Photometric Interpretation says."""
    value = capture.PixelData
    count = int.from_bytes(value[4:8], "little") // 4
    offsets = np.frombuffer(value, "<u4", count, 8)
    assert count == made.cine.number_of_frames
    for offset in offsets:
        start = 8 + 4 * count + int(offset)
        assert value[start : start + 4] == b"\xfe\xff\x00\xe0"
        length = int.from_bytes(value[start + 4 : start + 8], "little")
        jpeg = value[start + 8 : start + 8 + length]
        assert b"\xff\xc0\x00\x11\x08" in jpeg
        assert jpeg[jpeg.index(b"\xff\xc0\x00\x11\x08") + 11] == 0x21
        assert Image.open(io.BytesIO(jpeg)).size == (capture.Columns, capture.Rows)


def test_capture_of_the_same_report_is_the_same_bytes(made: Made) -> None:
    assert rendered(made) == rendered(made)


def painter(made: Made) -> FramePainter:
    return FramePainter(
        rows=made.cine.rows,
        columns=made.cine.columns,
        number_of_frames=made.cine.number_of_frames,
        masks=made.masks,
        findings=made.findings,
    )


def _bytes_of(dataset: Dataset) -> bytes:
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    return buffer.getvalue()
