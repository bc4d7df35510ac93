"""The page of a study whose report is not there yet becomes its viewer, whatever befalls the stream of its events."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Route
from sqlalchemy import Engine

from service.access import Role
from service.ports import UnitOfWorkFactory
from tests.browser import Tab, tab
from tests.integration.api_parts import STUDY, House, dicom_file, upload
from tests.integration.test_tabs_browser import SEEN
from tests.integration.viewer_parts import sign_in, viewer_house
from tests.running import poll

pytestmark = pytest.mark.timeout(300)
EVENTS = "**/api/v1/events"
IS_VIEWER = "document.querySelector('[data-viewer]') !== null"
#: As when another page is followed to, and the way back leads to this one as it was.
LEAVE = "dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true }))"
COME_BACK = "dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))"


class Streams:
    """The streams of events that a page asks for: answered 503 while this is on, else by the service."""

    def __init__(self, made: Tab, *, is_refusing: bool = False) -> None:
        self.is_refusing, self.asked = is_refusing, 0
        made.page.route(EVENTS, self._answer)

    def _answer(self, route: Route) -> None:
        self.asked += 1
        if self.is_refusing:
            route.fulfill(status=503, content_type="application/problem+json", body='{"detail": "Too many listen already."}')
        else:
            route.continue_()


@pytest.fixture
def house(engine: Engine, units: UnitOfWorkFactory, tmp_path: Path) -> Iterator[House]:
    with viewer_house(engine, units, tmp_path) as made:
        upload(made.client(), dicom_file("1.2.3")).raise_for_status()
        yield made


@contextmanager
def opened(house: House) -> Iterator[tuple[Tab, str]]:
    """A tab of a reader, and the page of the study."""
    with house.served() as address, tab() as made:
        sign_in(house, made, address, Role.VIEWER)
        yield made, f"{address}/studies/{STUDY}"


def wait_for_stream(made: Tab, streams: Streams, number: int = 1) -> None:
    def is_asked() -> bool:
        made.page.evaluate("0")  # what Playwright was told of meanwhile is handed on
        return streams.asked >= number

    poll(is_asked, timeout_seconds=30, what=f"{number} streams")


@contextmanager
def becoming_the_viewer(made: Tab, page: str) -> Iterator[None]:
    with made.page.expect_navigation(url=page):
        yield
    assert made.page.evaluate(IS_VIEWER)


def report(house: House) -> None:
    house.client().post(f"/api/v1/studies/{STUDY}/complete").raise_for_status()
    house.work()


def test_waiting_page_whose_stream_was_refused_asks_for_one_again_and_shows_the_report(house: House) -> None:
    with opened(house) as (made, page):
        streams = Streams(made, is_refusing=True)
        made.page.goto(page)
        wait_for_stream(made, streams)
        with becoming_the_viewer(made, page):
            streams.is_refusing = False
            report(house)


def test_waiting_page_whose_streams_are_all_refused_asks_ever_more_slowly_and_looks_once_a_minute(house: House) -> None:
    with opened(house) as (made, page):
        streams = Streams(made, is_refusing=True)
        made.page.clock.install()
        made.page.goto(page)
        wait_for_stream(made, streams)
        for number, seconds in ((2, 2), (3, 4), (4, 8), (5, 16)):
            made.page.clock.run_for(1000 * seconds - 500)
            assert streams.asked <= number
            made.page.clock.run_for(600)
            wait_for_stream(made, streams, number)
        report(house)
        assert not made.page.evaluate(IS_VIEWER)
        with becoming_the_viewer(made, page):
            made.page.clock.run_for(60_000)


def test_waiting_page_that_is_shown_again_shows_the_report_that_was_made_while_it_was_hidden(house: House) -> None:
    with opened(house) as (made, page):
        streams = Streams(made)
        made.page.goto(page)
        wait_for_stream(made, streams)
        made.page.evaluate(SEEN, "hidden")
        report(house)
        assert not made.page.evaluate(IS_VIEWER)
        streams.is_refusing = True
        with becoming_the_viewer(made, page):
            made.page.evaluate(SEEN, "visible")


def test_waiting_page_that_the_way_back_leads_to_shows_the_report_that_was_made_meanwhile(house: House) -> None:
    with opened(house) as (made, page):
        streams = Streams(made)
        made.page.goto(page)
        wait_for_stream(made, streams)
        made.page.evaluate(LEAVE)
        report(house)
        assert not made.page.evaluate(IS_VIEWER)
        with becoming_the_viewer(made, page):
            made.page.evaluate(COME_BACK)
