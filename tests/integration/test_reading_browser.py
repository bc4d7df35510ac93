"""A report is read in a real browser, all the way: worklist, viewer with its panel, signature, and the worklist again."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import pytest
from sqlalchemy import Engine

from service.access import Role
from service.ports import UnitOfWorkFactory
from tests.browser import Tab, tab
from tests.integration.api_parts import PASSWORD, STUDY, House, dicom_file, upload
from tests.integration.viewer_parts import FRAMES, analysed, cine_file, contraction, panel_is_ready, viewer_house
from tests.page_checks import faults_in, scrolls_sideways_by
from tests.peers import PLOTS

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.skipif(not PLOTS.exists(), reason="uPlot is not installed: python scripts/web_packages.py uplot"),
]

WHY = "measured again by hand"
VIEW = "document.querySelector('[data-view]')"
THICKNESS, LENGTH = ".finding[data-name=Thickness]", ".finding[data-name='Fascicle length']"


@pytest.fixture
def house(engine: Engine, units: UnitOfWorkFactory, tmp_path: Path) -> Iterator[House]:
    """With a radiologist, a study that has its first report, and another one that has none."""
    with viewer_house(engine, units, tmp_path) as made:
        made.users.add(login="anna", full_name="Dr Anna Grau", role=Role.RADIOLOGIST, password=PASSWORD, actor="test")
        analysed(made, cine_file(contraction(), PatientName="Novak^Eva", AccessionNumber="ACC7"))
        upload(made.client(), dicom_file("1.9.1", study="1.8.1", PatientName="Other^One")).raise_for_status()
        yield made


@contextmanager
def signed_in(house: House, theme: Literal["dark", "light"] = "dark", width: int = 1440) -> Iterator[tuple[Tab, str]]:
    """The worklist, just after Anna has typed her password."""
    with house.served() as address, tab(theme=theme, width=width, is_still=True) as made:
        made.page.goto(f"{address}/sign-in")
        made.page.fill("#login", "anna")
        made.page.fill("#password", PASSWORD)
        made.page.press("#password", "Enter")
        made.wait("document.getElementById('live')?.dataset.state === 'on'")
        yield made, address
        assert made.problems == []


def is_read(made: Tab) -> None:
    """Wait for the overlay of a frame, the plots, and the panel's script."""
    made.wait(f"Number({VIEW}?.dataset.drawnFrame) > 0", timeout_seconds=60)
    made.wait("document.querySelectorAll('.plot .u-over').length >= 4")
    panel_is_ready(made)


def tab_to(made: Tab, condition: str) -> None:
    """By the Tab key, as often as it takes."""
    for _ in range(150):
        if made.page.evaluate(f"document.activeElement.matches(`{condition}`)"):
            return
        made.page.keyboard.press("Tab")
    pytest.fail(f"the Tab key does not lead to {condition}")


def newest(house: House) -> dict[str, Any]:
    read: dict[str, Any] = house.client().get(f"/api/v1/studies/{STUDY}/report").raise_for_status().json()
    return read


def named(report: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(one for one in report["findings"] if one["name"] == name)
    return found


def test_study_is_found_read_amended_and_signed_and_final_in_the_worklist(house: House) -> None:
    with signed_in(house) as (made, address):
        find_and_open(made)
        before = newest(house)
        click_in_the_middle_of_a_plot(made)
        frame = named(before, "thickness")["evidence"]["frames"][0]
        amend_thickness_by_keys(made, frame)
        assert newest(house)["version"] == 1
        made.page.keyboard.press("Control+s")
        made.wait("document.getElementById('review-title').textContent === 'Version 2'")
        made.wait("document.querySelector('[data-version-shown]').innerText.includes('preliminary, version 2')")
        stored = newest(house)
        assert (named(stored, "thickness")["value"], named(stored, "thickness")["amended"]["why"]) == (20.5, WHY)
        length = named(stored, "fascicle_length")["value"]
        assert length > named(before, "fascicle_length")["value"]
        assert f"{length:.1f} mm" in made.page.locator(f"{LENGTH} .value").inner_text()
        # The frame stays, with what is drawn in it, and each series is plotted once.
        made.wait(f"{VIEW}.dataset.drawnFrame === '{frame}'")
        captions = made.page.locator(".plot figcaption span").all_text_contents()
        assert len(captions) == len(set(captions))

        made.page.focus("[data-open=sign-form]")
        made.page.keyboard.press("Enter")
        made.wait("document.activeElement.closest('#sign-form') !== null")
        made.page.keyboard.press("Enter")
        made.wait("document.querySelector('[data-version-shown]').innerText.includes('final, version 3')")
        assert made.page.locator("[data-version-shown] .flag.good").is_visible()
        assert (newest(house)["status"], newest(house)["signed_by"]) == ("final", "Dr Anna Grau")

        made.page.goto(f"{address}/")
        row = made.page.locator(f"tr[data-study='{STUDY}']").inner_text()
        assert "v3, final" in row
        assert "Needs review" not in row


def find_and_open(made: Tab) -> None:
    """By keys alone: from the worklist to the viewer."""
    keys = made.page.keyboard
    keys.press("/")
    keys.type("novak")
    keys.press("Enter")
    made.page.wait_for_url("**/?search=*")
    assert made.page.locator("tr[data-study]").count() == 1
    assert "Needs review" in made.page.locator(f"tr[data-study='{STUDY}']").inner_text()
    tab_to(made, "tr[data-study] a")
    keys.press("Enter")
    made.page.wait_for_url(f"**/studies/{STUDY}")
    is_read(made)


def click_in_the_middle_of_a_plot(made: Tab) -> None:
    """The one thing for which a pointer is taken: its place is a frame, which comes with its overlay."""
    over = made.page.locator(".plot .u-over").first
    over.scroll_into_view_if_needed()
    box = over.bounding_box()
    assert box is not None
    over.click(position={"x": box["width"] * 0.5, "y": box["height"] / 2})
    made.wait(f"Math.abs({VIEW}.dataset.shownFrame - {FRAMES // 2}) <= 1")
    made.wait(f"{VIEW}.dataset.drawnFrame === {VIEW}.dataset.shownFrame")


def amend_thickness_by_keys(made: Tab, frame: int) -> None:
    """To the finding, its frame, and a number for it; until the page tells what follows. Nothing is stored."""
    keys = made.page.keyboard
    keys.press("j")
    made.wait("document.activeElement.matches('.finding')")
    while made.page.evaluate(f"document.activeElement.closest(`{THICKNESS}`) === null"):
        keys.press("j")
    keys.press("f")
    made.wait(f"{VIEW}.dataset.shownFrame === '{frame}'")
    keys.press("e")
    made.wait("document.activeElement.name === 'value'")
    keys.type("20.5")
    keys.press("Tab")
    keys.type(WHY)
    keys.press("Enter")
    made.wait(f"document.querySelector(`{LENGTH} [data-pending]`).textContent.includes('which follows')")


@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize("width", [1280, 2560])
def test_viewer_with_its_panel_in_either_theme_has_no_fault_that_axe_finds(
    house: House, theme: Literal["dark", "light"], width: int
) -> None:
    with signed_in(house, theme, width) as (made, address):
        made.page.goto(f"{address}/studies/{STUDY}")
        is_read(made)
        made.page.locator(f"{THICKNESS} [data-amend]").click()
        faults = faults_in(made)
        made.page.keyboard.press("Escape")
        made.page.locator("[data-open=sign-form]").click()
        for one in made.page.locator("#review-panel details > summary").all():
            one.click()
        faults += faults_in(made)
        made.page.keyboard.press("Escape")
        made.page.locator("[data-do=help]").click()
        faults += faults_in(made)
        assert faults == []
        assert scrolls_sideways_by(made) <= 0
