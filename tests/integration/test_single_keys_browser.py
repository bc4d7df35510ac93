"""Keys of one character can be turned off (WCAG 2.1.4): with Alt, and by buttons, all is still done."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from service.access import Role
from service.ports import UnitOfWorkFactory
from tests.browser import Tab, tab
from tests.integration.api_parts import PASSWORD, STUDY
from tests.integration.viewer_parts import analysed, cine_file, contraction, read_by_anna, viewer_house
from tests.page_checks import faults_in
from tests.running import poll

pytestmark = pytest.mark.timeout(600)
TOOL = "document.querySelector('[data-view]').dataset.tool ?? ''"
ROW = "document.activeElement.closest('.finding') !== null"


@pytest.fixture
def viewer(engine: Engine, units: UnitOfWorkFactory, tmp_path: Path) -> Iterator[tuple[Tab, str]]:
    with viewer_house(engine, units, tmp_path) as house, house.served() as address, tab() as made:
        analysed(house, cine_file(contraction()))
        house.users.add(login="anna", full_name="Dr Anna Grau", role=Role.RADIOLOGIST, password=PASSWORD, actor="test")
        read_by_anna(made, address)
        yield made, address
        assert made.problems == []


def open_viewer(made: Tab, address: str) -> None:
    made.page.goto(f"{address}/studies/{STUDY}")
    made.wait("Number(document.querySelector('[data-view]')?.dataset.drawnFrame) > 0", timeout_seconds=60)
    made.wait("document.querySelector('#review-panel .finding') !== null")


def switch_off(made: Tab) -> None:
    page = made.page
    page.keyboard.press("?")
    made.wait("document.querySelector('[data-help]').open")
    switch = page.get_by_role("switch", name="Single keys")
    assert switch.is_checked()
    switch.focus()
    page.keyboard.press("Space")
    assert not switch.is_checked()
    assert faults_in(made) == []
    page.keyboard.press("Escape")


def test_single_keys_switched_off_do_nothing_anywhere_and_this_is_remembered(viewer: tuple[Tab, str]) -> None:
    made, address = viewer
    page = made.page
    page.locator(".areas a").first.focus()
    page.keyboard.press("r")
    assert page.evaluate(TOOL) == "ruler"
    page.keyboard.press("Escape")
    switch_off(made)
    for _ in range(2):
        page.locator(".areas a").first.focus()
        for key in ("r", "a", "t", "?", "l", "o"):
            page.keyboard.press(key)
        page.locator(".finding").first.focus()
        page.keyboard.press("e")
        page.keyboard.press("j")
        assert page.evaluate(TOOL) == ""
        assert page.locator("[data-overlay]").get_attribute("aria-pressed") == "true"
        assert not page.evaluate("document.querySelector('[data-help]').open")
        assert page.locator("form.in-place:not([hidden])").count() == 0
        assert page.evaluate("document.activeElement === document.querySelector('.finding')")
        open_viewer(made, address)
    page.goto(address)
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") != "patient"
    page.keyboard.press("Alt+/")
    assert page.evaluate("document.activeElement.id") == "patient"


def test_single_keys_switched_off_leave_arrows_buttons_and_keys_with_alt(viewer: tuple[Tab, str]) -> None:
    made, _ = viewer
    page = made.page
    switch_off(made)
    page.locator("[data-view]").focus()
    page.keyboard.press("Home")
    made.wait("document.querySelector('[data-view]').dataset.shownFrame === '1'")
    page.keyboard.press("Alt+r")
    assert page.evaluate(TOOL) == "ruler"
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Angle", exact=True).click()
    assert page.evaluate(TOOL) == "angle"
    page.keyboard.press("Escape")
    page.keyboard.press("Alt+j")
    assert page.evaluate(ROW)
    page.keyboard.press("Alt+e")
    assert page.locator("form[data-form=amend]:not([hidden])").count() == 1
    told = page.locator("[data-use=ruler]")
    assert (told.get_attribute("aria-keyshortcuts"), told.get_attribute("title")) == ("Alt+r", "Ruler (Alt + r)")


def test_single_keys_switched_on_again_in_one_tab_work_in_another(viewer: tuple[Tab, str]) -> None:
    made, address = viewer
    switch_off(made)
    other = Tab(made.page.context.new_page(), made.problems)
    open_viewer(other, address)
    other.page.get_by_role("button", name="Keys and mouse").click()
    other.page.get_by_role("switch", name="Single keys").click()
    made.wait("document.querySelector('[data-use=ruler]').getAttribute('aria-keyshortcuts') === 'r'")
    made.page.keyboard.press("r")
    assert made.page.evaluate(TOOL) == "ruler"


def test_single_keys_switched_off_in_one_tab_are_off_in_a_worklist_that_is_open(viewer: tuple[Tab, str]) -> None:
    made, address = viewer
    worklist = made.page.context.new_page()
    worklist.goto(address)
    focused = "document.activeElement.id"
    worklist.keyboard.press("/")
    assert worklist.evaluate(focused) == "patient"
    worklist.evaluate("document.activeElement.blur(); addEventListener('storage', () => (window.isTold = true))")
    switch_off(made)
    poll(lambda: worklist.evaluate("window.isTold"), timeout_seconds=30, what="the other tab's choice")
    worklist.keyboard.press("/")
    assert worklist.evaluate(focused) != "patient"
    worklist.keyboard.press("Alt+/")
    assert worklist.evaluate(focused) == "patient"
