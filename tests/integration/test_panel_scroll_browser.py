"""The panel of findings as it scrolls: its foot, with what signs and saves, lies over no button of a row."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from service.access import Role
from service.ports import UnitOfWorkFactory
from tests.browser import Tab, tab
from tests.integration.api_parts import PASSWORD
from tests.integration.viewer_parts import analysed, cine_file, contraction, read_by_anna, viewer_house
from tests.page_checks import faults_in

pytestmark = pytest.mark.timeout(300)
SCROLL = """(top) => {
  const scrolls = [...document.querySelectorAll('.beside, .beside *')].find(one => one.scrollHeight > one.clientHeight + 20
    && getComputedStyle(one).overflowY === 'auto');
  scrolls.scrollTop = top;
  return scrolls.scrollTop;
}"""
#: Buttons of which the middle of the lower edge is seen by nobody, and the upper one is; those that scrolling cuts are left out.
COVERED = """[...document.querySelectorAll('.finding button')].filter(one => {
  const box = one.getBoundingClientRect(), x = (box.left + box.right) / 2;
  const foot = document.querySelector('.decide').getBoundingClientRect();
  const scrolls = one.closest('[data-scrolls]').getBoundingClientRect();
  return box.height > 0 && box.top < foot.top - 2 && box.bottom > foot.top + 2 && scrolls.bottom > foot.top + 2;
}).length"""


@pytest.fixture
def viewer(engine: Engine, units: UnitOfWorkFactory, tmp_path: Path) -> Iterator[Tab]:
    with viewer_house(engine, units, tmp_path) as house:
        house.users.add(login="anna", full_name="Dr Anna Grau", role=Role.RADIOLOGIST, password=PASSWORD, actor="test")
        analysed(house, cine_file(contraction(5)))
        with house.served() as address, tab(height=720, theme="light", language="de-DE", is_still=True) as made:
            read_by_anna(made, address)
            yield made
            assert made.problems == []


def test_foot_of_the_panel_covers_no_button_wherever_it_is_scrolled_to(viewer: Tab) -> None:
    row = viewer.page.locator(".finding:has([data-amend])").first
    row.locator("[data-amend]").click()
    form = row.locator("form[data-form=amend]")
    form.locator("[name=value]").fill("12")
    form.locator("[name=why]").fill("nachgemessen")
    form.locator("[type=submit]").click()
    viewer.wait("document.querySelector('[data-save]').checkVisibility()")
    found = list[object]()
    for top in range(0, 200, 20):
        viewer.page.evaluate(SCROLL, top)
        found += [(top, "covered", covered) for covered in [viewer.page.evaluate(COVERED)] if covered]
        found += [(top, fault) for fault in faults_in(viewer)]
    assert found == []


def test_end_key_in_the_panel_scrolls_it_and_leaves_the_frame(viewer: Tab) -> None:
    page = viewer.page
    page.locator("[data-read]").focus()
    page.keyboard.press("End")
    viewer.wait("document.querySelector('[data-read]').scrollTop > 0")
    assert page.evaluate("document.querySelector('[data-view]').dataset.shownFrame") != "5"
