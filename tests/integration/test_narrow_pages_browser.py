"""Pages at 320 CSS pixels, which is a window of 1280 at 400 %: none scrolls sideways (WCAG 1.4.10)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from sqlalchemy import Engine

from service.access import Role
from service.ports import UnitOfWorkFactory
from tests.browser import tab
from tests.integration.api_parts import PASSWORD, STUDY, House, dicom_file, upload
from tests.integration.viewer_parts import analysed, cine_file, contraction, read_by_anna, viewer_house
from tests.page_checks import faults_in, scrolls_sideways_by

pytestmark = pytest.mark.timeout(300)
PAGES = (
    *("/", "/?flag=failed", "/live", "/operations", "/operations/associations", "/users", "/audit", "/account", "/docs"),
    *(f"/studies/{STUDY}", f"/studies/{STUDY}/review", "/studies/1.8.0", "/nothing", "/sign-in"),
)
#: What is cut off at the left or the right, but in a region that scrolls.
CUT = """[...document.querySelectorAll('button, input, select, a, summary')].filter(one => {
  const box = one.getBoundingClientRect();
  const isOut = one.checkVisibility() && box.width > 1 && (box.left < -1 || box.right > document.documentElement.clientWidth + 1);
  return isOut && !one.closest('[tabindex="0"]:is(.flush, .scrolls, .wide), .cines, .skip');
}).map(one => one.outerHTML.slice(0, 120))"""


@pytest.fixture
def house(engine: Engine, units: UnitOfWorkFactory, tmp_path: Path) -> Iterator[House]:
    with viewer_house(engine, units, tmp_path) as made:
        made.users.add(login="anna", full_name="Dr Anna Grau", role=Role.ADMINISTRATOR, password=PASSWORD, actor="test")
        analysed(made, cine_file(contraction(5)), cine_file(contraction(5), "1.2.4"))
        upload(made.client(), dicom_file("1.9.0", study="1.8.0")).raise_for_status()
        made.kill_job("analyse_instance")
        yield made


@pytest.mark.parametrize("language", ["de-DE", "en-GB"])
def test_pages_at_320_and_640_pixels_do_not_scroll_sideways(house: House, language: Literal["de-DE", "en-GB"]) -> None:
    found = list[object]()
    with house.served() as address, tab(language=language) as made:
        read_by_anna(made, address)
        for width in (320, 640):
            made.page.set_viewport_size({"width": width, "height": 256})
            for path in PAGES:
                made.page.goto(address + path)
                made.page.wait_for_load_state()
                found += [(width, path, pixels) for pixels in [scrolls_sideways_by(made)] if pixels > 0]
                found += [(width, path, one) for one in made.page.evaluate(CUT)]
                found += [(width, path, fault) for fault in faults_in(made) if width == 320]
    assert found == []


def test_viewer_at_320_pixels_has_its_menus_and_its_help_within_the_window(house: House) -> None:
    with house.served() as address, tab(width=320, height=600) as made:
        read_by_anna(made, address)
        made.page.keyboard.press("w")
        assert made.page.evaluate(CUT) == []
        made.page.keyboard.press("Escape")
        made.page.get_by_role("button", name="Keys and mouse").click()
        assert made.page.evaluate("document.querySelector('[data-help]').scrollWidth <= innerWidth")
        assert made.page.evaluate(CUT) == []
        assert scrolls_sideways_by(made) <= 0
