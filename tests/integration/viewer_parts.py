"""A study of drawn muscles, analysed by a perfect network: for tests of the viewer that know what lies where in each frame."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.encaps import encapsulate, generate_frames
from sqlalchemy import Engine

from service.access import Role
from service.adapters.cine_decoder import FileCineReader
from service.api.gate import session_cookie_name
from service.core.analyses.analysis import DescribeModel, Infer
from service.core.analyses.muscle_architecture import MuscleArchitecture
from service.core.cine import Cine
from service.core.findings import Finding
from service.core.masks import MaskKeeper
from service.ports import UnitOfWorkFactory
from service.rendering import Rendering
from tests.browser import Tab
from tests.cine_files import EXPLICIT, encode, region
from tests.fakes import FakeAnalysis
from tests.integration.api_parts import PASSWORD, STUDY, House, as_file, dicom_dataset, upload
from tests.phantoms import Muscle, described, scripted

INSTANCE = "1.2.3"
FRAMES = 48
FRAME_SECONDS = 0.04


def contraction(frames: int = FRAMES) -> list[Muscle]:
    """One contraction: the belly swells from 14 to 18 mm and the fascicles rise from 14 to 26 degrees, and back."""
    share = (1 - np.cos(2 * np.pi * np.arange(frames) / (frames - 1))) / 2
    return [Muscle(thickness_mm=14 + 4 * float(one), fascicle_angle_deg=14 + 12 * float(one)) for one in share]


@dataclass
class DrawnMuscles(FakeAnalysis):
    """The real analysis over the answers of a network that is perfect for contractions."""

    version: str = MuscleArchitecture().version

    def analyse(self, cine: Cine, infer: Infer, describe: DescribeModel, keep: MaskKeeper | None = None) -> tuple[Finding, ...]:
        del infer, describe
        answers = scripted(one.answer() for one in contraction(cine.number_of_frames))
        return MuscleArchitecture().analyse(cine, answers, described, keep)


def cine_file(muscles: list[Muscle], uid: str = INSTANCE, *, syntax: str = EXPLICIT, **changes: Any) -> bytes:
    """Frames of muscles as a calibrated DICOM cine of 25 frames a second."""
    pictures = [muscle.draw()[0] for muscle in muscles]
    rows, columns = pictures[0].shape
    tissue = region(0, 0, columns - 1, rows - 1, PhysicalDeltaX=0.01, PhysicalDeltaY=0.01)
    time = {"FrameIncrementPointer": 0x00181063, "FrameTime": str(1000 * FRAME_SECONDS)}
    own = {**time, "SequenceOfUltrasoundRegions": [tissue], **changes}
    dataset = dicom_dataset(uid, frames=len(pictures), **{name: value for name, value in own.items() if value is not None})
    dataset.Rows, dataset.Columns = rows, columns
    if syntax == EXPLICIT:
        dataset.PixelData = b"".join(picture.tobytes() for picture in pictures)
    else:
        dataset.PixelData = encapsulate([encode(picture, syntax) for picture in pictures])
    return as_file(dataset, syntax)


def without_end(content: bytes, frame: int) -> bytes:
    """An encapsulated cine of which one frame's codestream breaks off in its middle."""
    dataset = pydicom.dcmread(BytesIO(content))
    frames = list(generate_frames(dataset.PixelData, number_of_frames=dataset.NumberOfFrames))
    frames[frame - 1] = frames[frame - 1][: len(frames[frame - 1]) // 4 * 2]
    dataset.PixelData = encapsulate(frames)
    written = BytesIO()
    dataset.save_as(written)
    return written.getvalue()


@contextmanager
def viewer_house(
    engine: Engine, units: UnitOfWorkFactory, root: Path, analysis: FakeAnalysis | None = None, **changes: Any
) -> Iterator[House]:
    """The HTTP edge with the real decoder, the real pages of the report, and a network that knows."""
    reader = FileCineReader().warm()
    try:
        renderers = Rendering().renderers(("sr",))
        with House(
            engine, units, root, reader=reader, analysis=analysis or DrawnMuscles(), renderers=renderers, **changes
        ) as house:
            object.__setattr__(house.app.state.services, "render_page", Rendering().html)
            yield house
    finally:
        reader.close()


def analysed(house: House, *files: bytes) -> str:
    """Store, analyse and report; gives the id of the report."""
    client = house.client()
    upload(client, *files).raise_for_status()
    client.post(f"/api/v1/studies/{STUDY}/complete").raise_for_status()
    house.work()
    return str(client.get(f"/api/v1/studies/{STUDY}/report").raise_for_status().json()["report_id"])


def sign_in(house: House, tab: Tab, address: str, role: Role = Role.RADIOLOGIST) -> None:
    """The session of a one-time link, in a browser."""
    opened = house.sign_ins.open_session(house.sign_ins.create_link(role))
    assert opened is not None
    tab.carry(session_cookie_name(secure=False), opened.token, address)


def panel_is_ready(made: Tab, *, shows: str = "#review-title") -> None:
    """Wait for the review's script, and for what it shows."""
    made.wait(f"document.querySelector('#review-panel[data-ready] {shows}') !== null", timeout_seconds=60)


def read_by_anna(made: Tab, address: str) -> None:
    """The viewer of the study with its frame and its panel, after Anna signed in by the form."""
    page = made.page
    page.goto(f"{address}/sign-in?page=study&study={STUDY}")
    page.fill("#login", "anna")
    page.fill("#password", PASSWORD)
    page.press("#password", "Enter")
    made.wait("Number(document.querySelector('[data-view]')?.dataset.drawnFrame) > 0", timeout_seconds=240)
    panel_is_ready(made)


def bytes_of_frames(body: bytes) -> list[bytes]:
    """The pictures of one answer."""
    stream, pictures = BytesIO(body), []
    while length := stream.read(4):
        pictures.append(stream.read(int.from_bytes(length)))
    return pictures
