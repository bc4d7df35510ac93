"""A live examination: simulated frames and a network that knows them in, guidance out."""

import io

import numpy as np
import pytest
import simplejpeg

from service.core.analyses.analysis import Tensors
from service.core.cine import Box, Calibration, Pixels
from service.core.live import FROZEN_AFTER, Guidance, LiveExamination
from service.core.live_frames import decode_frame
from service.core.quality import Grade
from service.core.wrist_planes import PLANES
from service.errors import InputRejected
from simulator.wrist import Kind, Volunteer, WristFrame, draw_volunteer, median_nerve_mm2
from tests.wrist_parts import MM, as_model, pictures, sure_of, well

KNOWN = Calibration(MM, MM, "the sender")
SIZE = 192


@pytest.fixture(scope="module")
def volunteer() -> Volunteer:
    return draw_volunteer(11)


def answer_of(one: WristFrame) -> Tensors:
    return {
        "plane": sure_of(one.plane)[None],
        "structures": as_model(one)[None],
        "sureness": np.full((1, SIZE, SIZE), 240, np.uint8),
    }


def examined(shown: list[WristFrame], *, calibration: Calibration = KNOWN, region: Box | None = None) -> list[Guidance]:
    waiting = list(shown)

    def ask(image: Pixels) -> Tensors:
        assert image.shape == (1, 1, SIZE, SIZE)
        return answer_of(waiting.pop(0))

    examination = LiveExamination(ask=ask, calibration=calibration, region=region)
    return [examination.see(one.sector) for one in shown]


def first_graded_a(volunteer: Volunteer) -> str:
    """A plane that the rules grade A for some frames in a row."""
    for plane in PLANES:
        told = examined(pictures(volunteer, *well(plane.name, 2 * FROZEN_AFTER)))
        if any(one.frozen for one in told):
            return plane.name
    raise AssertionError("no plane of this volunteer is graded A")


def test_plane_shown_well_for_some_frames_is_frozen_once_and_the_next_is_asked_for(volunteer: Volunteer) -> None:
    name = first_graded_a(volunteer)
    told = examined(pictures(volunteer, *well(name, 4 * FROZEN_AFTER)))
    frozen = [number for number, one in enumerate(told) if one.frozen]
    assert len(frozen) == 1
    assert frozen[0] >= FROZEN_AFTER - 1
    before, after = told[frozen[0] - 1], told[-1]
    assert before.next_plane == name
    assert after.next_plane != name
    assert after.advice.startswith(f"Next {after.next_plane}, ")
    assert [tick.plane for tick in after.checklist if tick.is_frozen] == [name]
    assert [tick.plane for tick in after.checklist] == [plane.name for plane in PLANES]


def test_frame_without_a_plane_is_told_where_to_go(volunteer: Volunteer) -> None:
    (told,) = examined(pictures(volunteer, ("elsewhere", "S1")))
    assert told.shown is None
    assert told.next_plane == "S1"
    assert told.advice == "Next S1, Dorsal transverse, compartment I: put the probe on the dorsal side, transverse."


def test_picture_held_badly_is_told_its_faults_and_never_frozen(volunteer: Volunteer) -> None:
    badly: tuple[Kind, str] = ("badly", "S11")
    told = examined(pictures(volunteer, *[badly] * 12))
    faulty = [one for one in told if one.shown is not None and one.shown.faults]
    assert faulty
    assert all(one.shown.faults[0].text[1:] in one.advice for one in faulty if one.shown)
    assert all(one.shown is None or one.shown.grade is Grade.A for one in told if one.frozen)


def test_nerve_is_measured_live_where_the_sender_gives_a_scale(volunteer: Volunteer) -> None:
    shown = pictures(volunteer, *well("S11", 3))
    with_scale, without = examined(shown), examined(shown, calibration=Calibration(None, None, "none"))
    assert with_scale[-1].shown is not None
    assert with_scale[-1].shown.median_nerve_area_mm2 == pytest.approx(median_nerve_mm2(volunteer), rel=0.15)
    assert without[-1].shown is not None
    assert without[-1].shown.median_nerve_area_mm2 is None


def test_region_leaves_the_console_out(volunteer: Volunteer) -> None:
    (one,) = pictures(volunteer, *well("S4", 1))
    rows, columns = one.sector.shape
    framed = np.full((rows + 60, columns + 40), 200, np.uint8)
    framed[50 : 50 + rows, 30 : 30 + columns] = one.sector
    asked: list[Pixels] = []

    def ask(image: Pixels) -> Tensors:
        asked.append(image)
        return answer_of(one)

    for frame, region in ((one.sector, None), (framed, Box(30, 50, 30 + columns, 50 + rows))):
        examination = LiveExamination(ask=ask, calibration=KNOWN, region=region)
        examination.see(frame)
        assert examination.sector(frame).shape == (rows, columns)
    assert np.array_equal(asked[0], asked[1])


def test_jpeg_and_raw_frames_come_to_the_same_picture() -> None:
    grey = np.tile(np.arange(0, 240, 2, dtype=np.uint8), (80, 1))
    jpeg = simplejpeg.encode_jpeg(np.ascontiguousarray(grey[..., None]), quality=98, colorspace="GRAY")
    raw = decode_frame(grey.tobytes(), "raw", rows=80, columns=120)
    assert np.array_equal(raw, grey)
    assert np.abs(decode_frame(jpeg, "jpeg", rows=None, columns=None).astype(int) - grey).max() <= 3


@pytest.mark.parametrize(
    ("payload", "how", "reason"),
    [
        (b"no picture", "jpeg", "frame_corrupt"),
        (b"", "jpeg", "frame_corrupt"),
        (bytes(99), "raw", "frame_size"),
    ],
)
def test_frame_that_is_none_is_refused_with_a_reason(payload: bytes, how: str, reason: str) -> None:
    with pytest.raises(InputRejected) as refused:
        decode_frame(payload, "raw" if how == "raw" else "jpeg", rows=10, columns=10)
    assert refused.value.reason == reason


def test_frame_of_another_size_is_refused(volunteer: Volunteer) -> None:
    (one,) = pictures(volunteer, *well("S4", 1))
    examination = LiveExamination(ask=lambda _: answer_of(one), calibration=KNOWN)
    examination.see(one.sector)
    with pytest.raises(InputRejected) as refused:
        examination.see(one.sector[:-2])
    assert refused.value.reason == "frame_size"


def test_sector_is_found_when_the_probe_touches_late(volunteer: Volunteer) -> None:
    (one,) = pictures(volunteer, *well("S4", 1))
    rows, columns = one.sector.shape
    dark = np.full((rows + 200, columns + 200), 3, np.uint8)
    shown = dark.copy()
    shown[100 : 100 + rows, 100 : 100 + columns] = one.sector
    examination = LiveExamination(ask=lambda _: {**answer_of(one), "plane": sure_of("none")[None]}, calibration=KNOWN)
    for _ in range(30):
        examination.see(dark)
    for _ in range(30):
        examination.see(shown)
    assert examination.sector(shown).shape[0] < rows + 60


def test_plane_that_could_not_be_kept_is_frozen_again(volunteer: Volunteer) -> None:
    name = first_graded_a(volunteer)
    (one,) = pictures(volunteer, *well(name, 1))
    examination = LiveExamination(ask=lambda _: answer_of(one), calibration=KNOWN)
    told = [examination.see(one.sector) for _ in range(2 * FROZEN_AFTER)]
    assert [number for number, each in enumerate(told, start=1) if each.frozen] == [FROZEN_AFTER]
    examination.release(name)
    assert examination.see(one.sector).frozen == name


def test_jpeg_of_endless_scans_is_refused_before_it_is_unpacked() -> None:
    jpeg = simplejpeg.encode_jpeg(np.zeros((64, 64, 1), np.uint8), colorspace="GRAY")
    scan = jpeg[jpeg.index(b"\xff\xda") : -2]
    with pytest.raises(InputRejected, match="scans"):
        decode_frame(jpeg[:-2] + 20 * scan + b"\xff\xd9", "jpeg", rows=None, columns=None)


def test_jpeg_larger_than_any_screen_is_refused_before_it_is_unpacked() -> None:
    large = simplejpeg.encode_jpeg(np.zeros((16, 5000, 1), np.uint8), colorspace="GRAY")
    with pytest.raises(InputRejected) as refused:
        decode_frame(memoryview(io.BytesIO(large).getvalue()), "jpeg", rows=None, columns=None)
    assert refused.value.reason == "frame_size"
