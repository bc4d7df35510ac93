"""Live guidance as a person sees it in a real browser: a network that goes away, a hand that is named."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydicom.uid import generate_uid
from sqlalchemy import Engine

from service.access import Role
from service.api.gate import session_cookie_name
from service.core.analyses.analysis import Tensors
from service.core.cine import Pixels
from service.errors import Unavailable
from service.ports import UnitOfWorkFactory
from simulator.wrist import WristFrame, draw_volunteer
from tests.browser import Tab, tab
from tests.integration.api_parts import STUDY, House, dicom_file, upload
from tests.wrist_parts import asked_live, pictures, well

SEEN_WELL = "S4"
#: Twenty seconds of a probe that is held still.
TIMES = 25


@pytest.fixture(scope="module")
def frames() -> list[WristFrame]:
    return pictures(draw_volunteer(11), *well(SEEN_WELL, 12))


@pytest.fixture
def house(engine: Engine, units: UnitOfWorkFactory, tmp_path: Path) -> Iterator[House]:
    with House(engine, units, tmp_path) as made:
        yield made


@contextmanager
def replaying(house: House, frames: list[WristFrame]) -> Iterator[Tab]:
    """The page of a radiologist, with a stored cine of these frames chosen and not begun."""
    rows, columns = frames[0].sector.shape
    pixels = b"".join(one.sector.tobytes() for one in frames)
    uid = generate_uid()
    padded = pixels + b"\0" * (len(pixels) % 2)
    file = dicom_file(uid, NumberOfFrames=len(frames), Rows=rows, Columns=columns, PixelData=padded)
    upload(house.client(), file).raise_for_status()
    client = house.session(Role.RADIOLOGIST)
    name = session_cookie_name(secure=False)
    with house.served() as url, tab() as made:
        made.carry(name, client.cookies[name], url)
        made.page.goto(f"{url}/live?study={STUDY}&series={STUDY}.1&instance={uid}")
        made.wait("document.querySelector('#source')?.dataset.source === 'cine'")
        yield made


def test_live_page_whose_network_goes_away_shows_no_grade_of_an_earlier_frame_and_goes_on(
    house: House, frames: list[WristFrame]
) -> None:
    is_away, answer = threading.Event(), asked_live(frames)

    def ask(image: Pixels) -> Tensors:
        if is_away.is_set():
            raise Unavailable("The network does not answer.", reason="triton")
        return answer(image)

    house.ask = ask
    with replaying(house, frames * TIMES) as made:
        made.page.click("[data-start]")
        made.wait("document.querySelector('#grade').dataset.grade === 'A'", timeout_seconds=60)
        is_away.set()
        made.wait("!document.querySelector('#problem').hidden")
        assert made.page.inner_text("#problem") == "The network does not answer."
        assert made.page.get_attribute("#grade", "data-grade") == ""
        assert made.page.inner_text("#plane") == "No answer"
        assert made.page.inner_text("#advice") == ""
        is_away.clear()
        made.wait("document.querySelector('#grade').dataset.grade === 'A'")
        assert made.page.is_hidden("#problem")
        made.page.click("[data-stop]")
        made.wait("document.body.dataset.state === 'ended'")
        assert made.problems == []


def test_live_page_keeps_frames_under_the_hand_that_was_named(house: House, frames: list[WristFrame]) -> None:
    house.ask = asked_live(frames)
    with replaying(house, frames) as made:
        made.page.check("[name=keep]")
        made.page.select_option("[name=laterality]", "R")
        made.page.click("[data-start]")
        made.wait("document.body.dataset.state === 'ended'", timeout_seconds=60)
        kept = made.page.get_attribute("#kept a", "href")
        assert made.page.is_hidden("#problem")
    assert kept is not None
    (still,) = house.client().get(f"/dicom-web{kept}/metadata").json()
    assert still["00200060"]["Value"] == ["R"]
