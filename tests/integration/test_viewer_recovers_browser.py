"""What of a report did not come at first, and comes later: overlays, plots, the cine itself; without the page loaded anew."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route
from sqlalchemy import Engine
from sqlalchemy import text as sql

from service.access import Role
from service.ports import UnitOfWorkFactory
from tests.browser import Tab, tab
from tests.integration.api_parts import PASSWORD, STUDY, House
from tests.integration.test_report_life import amend, done, official
from tests.integration.test_tabs_browser import SEEN
from tests.integration.viewer_parts import INSTANCE, analysed, cine_file, contraction, read_by_anna, sign_in, viewer_house
from tests.peers import PLOTS

pytestmark = pytest.mark.timeout(600)
#: Overlays come by 64 frames: the last frames are on a page of their own.
FRAMES, LATE = 72, 68
LATE_PAGE = re.compile(r"/overlays/.*frames=65-")
VIEW = "document.querySelector('[data-view]')"
FAILED = "document.querySelector('[data-overlay-failed]')"
COMPLAINT = "document.querySelector('[data-complaint]')"
FASCICLE = "[data-kind=Fascicle]"
#: A page that does nothing by itself after a pause.
NEVER_LATER = (
    "const { setTimeout: later } = window; window.setTimeout = (deed, pause = 0) => (pause < 2000 ? later(deed, pause) : 0);"
)


@pytest.fixture
def house(engine: Engine, units: UnitOfWorkFactory, tmp_path: Path) -> Iterator[House]:
    with viewer_house(engine, units, tmp_path) as made:
        analysed(made, cine_file(contraction(FRAMES)))
        yield made


class Refusing:
    """The service answers 503 to what is asked for there, for as long as this is on."""

    def __init__(self, page: Page, what: re.Pattern[str]) -> None:
        self.is_on, self.times = True, 0
        page.route(what, self._answer)

    def _answer(self, route: Route) -> None:
        if not self.is_on:
            route.continue_()
            return
        self.times += 1
        route.fulfill(status=503, content_type="application/problem+json", body='{"detail": "Busy."}')


def opened(house: House, made: Tab, address: str) -> None:
    """The viewer with the overlay of its first frame."""
    sign_in(house, made, address, Role.VIEWER)
    made.page.goto(f"{address}/studies/{STUDY}", wait_until="commit")
    drawn(made)


def drawn(made: Tab, frame: int | None = None) -> None:
    wanted = "> 0" if frame is None else f"=== {frame}"
    made.wait(f"Number({VIEW}?.dataset.drawnFrame) {wanted}", timeout_seconds=90)


def seek(made: Tab, frame: int) -> None:
    made.page.evaluate(f"document.dispatchEvent(new CustomEvent('sonomyo:seek', {{detail: {{frame: {frame}}}}}))")
    made.wait(f"{VIEW}.dataset.shownFrame === '{frame}'")


def told(made: Tab, words: str) -> None:
    made.wait(f"{FAILED}?.hidden === false && {FAILED}.firstElementChild.textContent === '{words}'")


def refused_late(house: House, made: Tab, address: str) -> Refusing:
    """The viewer at a late frame, whose overlay does not come."""
    refusing = Refusing(made.page, LATE_PAGE)
    opened(house, made, address)
    seek(made, LATE)
    told(made, "No overlay: Busy.")
    return refusing


def test_overlay_that_was_refused_is_told_for_its_frames_and_comes_when_one_is_wanted_later(house: House) -> None:
    with house.served() as address, tab(is_still=True) as made:
        refusing = refused_late(house, made, address)
        for frame in range(LATE + 1, FRAMES + 1):
            seek(made, frame)
        assert refusing.times <= 2  # not once a frame
        seek(made, 20)
        drawn(made, 20)
        assert made.page.evaluate(f"{FAILED}.hidden")
        refusing.is_on = False
        seek(made, LATE)
        drawn(made, LATE)
        assert made.page.evaluate(f"{FAILED}.hidden")


def test_overlay_that_was_refused_comes_at_a_press_of_try_again_and_the_keys_lead_on(house: House) -> None:
    with house.served() as address, tab(is_still=True) as made:
        made.page.add_init_script(NEVER_LATER)
        refusing = refused_late(house, made, address)
        refusing.is_on = False
        made.page.focus("[data-overlay-again]")
        made.page.keyboard.press("Enter")
        drawn(made, LATE)
        assert made.page.evaluate(f"document.activeElement === {VIEW}")
        made.page.keyboard.press("ArrowRight")
        drawn(made, LATE + 1)


def test_overlay_that_was_refused_comes_by_itself_to_a_frame_that_stands_still(house: House) -> None:
    with house.served() as address, tab(is_still=True) as made:
        refusing = refused_late(house, made, address)
        refusing.is_on = False
        drawn(made, LATE)


def test_lines_that_were_refused_are_told_as_such_and_have_handles_when_they_come(house: House) -> None:
    editing = "document.querySelector('[data-editing]')"
    with house.served() as address, tab(is_still=True) as made:
        made.page.add_init_script(NEVER_LATER)
        refusing = refused_late(house, made, address)
        made.page.evaluate("document.dispatchEvent(new CustomEvent('sonomyo:edit-lines', {detail: {on: true}}))")
        words = "The lines of this frame have not come yet: they can be moved as soon as they are there."
        made.wait(f"!{editing}.hidden && {editing}.textContent === '{words}'")
        refusing.is_on = False
        made.page.focus("[data-overlay-again]")
        made.page.keyboard.press("Enter")
        made.wait(f"{VIEW}.dataset.edits === 'lines' && {editing}.textContent === 'Moving the aponeurosis lines'")
        seek(made, 20)
        made.wait(f"{VIEW}.dataset.edits === 'lines'")


@pytest.mark.parametrize("answers", [True, False], ids=["refused", "unanswered"])
def test_cine_plays_on_where_an_overlay_does_not_come(house: House, *, answers: bool) -> None:
    with house.served() as address, tab() as made:
        made.page.add_init_script("const { timeout } = AbortSignal; AbortSignal.timeout = () => timeout.call(AbortSignal, 1500);")
        if answers:
            Refusing(made.page, LATE_PAGE)
        else:
            made.page.route(LATE_PAGE, lambda _: None)
        opened(house, made, address)
        seek(made, 55)
        made.page.keyboard.press("Space")
        for part in ("> 64", "< 40"):
            made.wait(f"{VIEW}.dataset.playing === 'true' && Number({VIEW}.dataset.shownFrame) {part}")


def test_overlay_that_outlives_its_session_comes_after_signing_in_in_another_tab(house: House) -> None:
    house.users.add(login="anna", full_name="Dr Anna Grau", role=Role.RADIOLOGIST, password=PASSWORD, actor="test")
    with house.served() as address, tab(is_still=True, language="de-DE") as made:
        made.page.add_init_script(NEVER_LATER)
        refusing = Refusing(made.page, LATE_PAGE)
        read_by_anna(made, address)
        seek(made, LATE)
        told(made, "Keine Überlagerung: Busy.")
        with house.engine.begin() as connection:
            connection.execute(sql("DELETE FROM user_sessions"))
        refusing.is_on = False
        made.page.click("[data-overlay-again]")
        told(made, "Keine Überlagerung: Die Sitzung ist beendet. Melden Sie sich in einem anderen Tab wieder an.")
        made.page.evaluate(SEEN, "hidden")
        beside = made.page.context.new_page()
        beside.goto(f"{address}/sign-in")
        beside.fill("#login", "anna")
        beside.fill("#password", PASSWORD)
        beside.press("#password", "Enter")
        beside.wait_for_url(f"{address}/")
        made.page.evaluate(SEEN, "visible")
        drawn(made, LATE)


@pytest.mark.parametrize("what", [r"/cines/[\d.]+$", r"/frames/\d"], ids=["cine", "frames"])
def test_cine_that_did_not_come_is_shown_after_try_again_is_pressed(house: House, what: str) -> None:
    with house.served() as address, tab(is_still=True) as made:
        refusing = Refusing(made.page, re.compile(what))
        sign_in(house, made, address, Role.VIEWER)
        made.page.goto(f"{address}/studies/{STUDY}", wait_until="commit")
        made.wait(f"{COMPLAINT}?.hidden === false && {COMPLAINT}.textContent.includes('Busy.')", timeout_seconds=60)
        made.page.click("[data-open-again]")
        made.wait(f"{COMPLAINT}.hidden === false && {VIEW} === document.activeElement")
        refusing.is_on = False
        made.page.focus("[data-open-again]")
        made.page.keyboard.press("Enter")
        drawn(made)
        assert made.page.evaluate(f"{COMPLAINT}.hidden")


@pytest.mark.skipif(not PLOTS.exists(), reason="uPlot is not installed: python scripts/web_packages.py uplot")
def test_plots_whose_library_did_not_come_are_drawn_after_try_again_is_pressed(house: House) -> None:
    with house.served() as address, tab(is_still=True) as made:
        refusing = Refusing(made.page, re.compile(r"uPlot\.esm\.js"))
        sign_in(house, made, address, Role.VIEWER)
        made.page.goto(f"{address}/studies/{STUDY}", wait_until="commit")
        made.wait("document.querySelector('[data-plots-failed]')?.hidden === false", timeout_seconds=60)
        words = "The series cannot be plotted: A part of the page did not load."
        assert made.page.locator("[data-plots-why]").inner_text() == words
        refusing.is_on = False
        made.page.click("[data-plot-again]")
        made.wait("document.querySelectorAll('.plot .u-over').length >= 4", timeout_seconds=60)
        assert made.page.locator("[data-plots-failed]").is_hidden()
        assert [one for one in made.problems if "503" not in one] == []


def test_kind_that_a_person_hid_stays_hidden_in_the_next_version_and_the_next_cine(
    engine: Engine, units: UnitOfWorkFactory, tmp_path: Path
) -> None:
    is_hidden = f"document.querySelector('{FASCICLE}')?.ariaPressed === 'false'"
    with viewer_house(engine, units, tmp_path) as house:
        analysed(house, cine_file(contraction(8)), cine_file(contraction(8), "1.2.4"))
        with house.served() as address, tab(is_still=True) as made:
            opened(house, made, address)
            made.page.click(FASCICLE)
            made.wait(is_hidden)
            (first, *_) = official(house.client())["findings"]
            change = {"action": "accept", "finding_id": first["finding_id"]}
            saved = done(amend(house.reviewer(), official(house.client()), findings=[change]))
            detail = {name: saved[name] for name in ("report_id", "version", "status")}
            made.page.evaluate("(detail) => document.dispatchEvent(new CustomEvent('sonomyo:report', { detail }))", detail)
            made.wait(is_hidden)
            for uid in ("1.2.4", INSTANCE):
                made.page.click(f"[data-cine='{uid}']")
                made.wait(f"document.querySelector(`[data-cine='{uid}']`).ariaPressed === 'true' && {is_hidden}")
            made.page.press(FASCICLE, " ")
            made.wait(f"!({is_hidden})")
            made.page.click("[data-cine='1.2.4']")
            made.wait(f"document.querySelector('{FASCICLE}')?.ariaPressed === 'true'")
