"""Many tabs of one browser: only the one that is seen hears events, and one that is shown again catches up."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page
from sqlalchemy import Engine

from service.ports import UnitOfWorkFactory
from tests.browser import Tab, tab
from tests.integration.api_parts import STUDY, House, dicom_file, upload
from tests.integration.viewer_parts import analysed, cine_file, contraction, sign_in, viewer_house

pytestmark = pytest.mark.timeout(600)
LATER = f"{STUDY}.9"
#: What a browser does when another tab comes to the front. In headless Chromium every page stays visible, whichever is in front.
SEEN = """(state) => {
  Object.defineProperty(document, "hidden", { configurable: true, get: () => state === "hidden" });
  Object.defineProperty(document, "visibilityState", { configurable: true, get: () => state });
  document.dispatchEvent(new Event("visibilitychange"));
}"""
LIVE = "document.getElementById('live').dataset.state === 'on'"
LISTENS = "document.querySelector('[data-news]')?.dataset.listens === 'true'"
SHOWN_FRAME = "Number(document.querySelector('[data-view]')?.dataset.shownFrame) > 0"


@pytest.fixture
def house(engine: Engine, units: UnitOfWorkFactory, tmp_path: Path) -> Iterator[House]:
    with viewer_house(engine, units, tmp_path) as made:
        analysed(made, cine_file(contraction()))
        yield made


def listening_page(first: Tab, address: str) -> Page:
    """One more tab, whose events come."""
    made = Tab(first.page.context.new_page())
    made.page.goto(address)
    made.wait(LISTENS if "/studies/" in address else LIVE, timeout_seconds=60)
    return made.page


def test_eighth_tab_shows_its_frame_and_the_first_is_answered(house: House) -> None:
    with house.served() as address, tab() as first:
        sign_in(house, first, address)
        first.page.goto(address)
        first.wait(LIVE)
        before = first.page
        for number in range(6):
            before.evaluate(SEEN, "hidden")
            before = listening_page(first, f"{address}/studies/{STUDY}" if number % 2 else f"{address}/")
        before.evaluate(SEEN, "hidden")
        last = Tab(first.page.context.new_page())
        last.page.goto(f"{address}/studies/{STUDY}")
        last.wait(SHOWN_FRAME, timeout_seconds=60)
        last.wait(LISTENS)
        asked = "fetch('/api/v1/me', { signal: AbortSignal.timeout(10000) }).then(({ status }) => status)"
        assert first.page.evaluate(asked) == 200


def test_worklist_that_is_shown_again_has_the_study_that_arrived_while_it_was_hidden(house: House) -> None:
    with house.served() as address, tab() as first:
        sign_in(house, first, address)
        first.page.goto(address)
        first.wait(LIVE)
        first.page.evaluate(SEEN, "hidden")
        assert not first.page.evaluate(LIVE)
        upload(house.client(), dicom_file("1.2.9", study=LATER)).raise_for_status()
        # Somebody who sees a worklist hears of it; whoever does not is told nothing.
        other = listening_page(first, address)
        assert other.locator(f"tr[data-study='{LATER}']").count() == 1
        assert first.page.locator(f"tr[data-study='{LATER}']").count() == 0
        first.page.evaluate(SEEN, "visible")
        first.wait("document.getElementById('show-news').checkVisibility()")
        first.page.click("#show-news")
        assert first.page.locator(f"tr[data-study='{LATER}']").count() == 1
        assert first.page.evaluate(LIVE)
