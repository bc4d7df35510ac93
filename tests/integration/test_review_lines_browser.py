"""Aponeuroses drawn by hand in the viewer: no line that was moved is lost, and the picture and the panel agree on it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
from playwright.sync_api import Route
from sqlalchemy import Engine

from service.access import Role
from service.ports import UnitOfWorkFactory
from tests.browser import Tab, tab
from tests.integration.api_parts import PASSWORD
from tests.integration.test_clicks_browser import on_page
from tests.integration.test_review_slow_browser import slow
from tests.integration.test_viewer_browser import ROWS_OF, SUPERFICIAL, VIEW
from tests.integration.viewer_parts import analysed, cine_file, contraction, read_by_anna, viewer_house
from tests.peers import PLOTS
from tests.running import poll

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.skipif(not PLOTS.exists(), reason="uPlot is not installed: python scripts/web_packages.py uplot"),
]

FORM = "form[data-form=lines]"
THICKNESS = ".finding[data-name=Thickness]"
WHY = "drawn again by hand"
NOT_KEPT = "The lines that you drew are not kept yet: keep or discard them."
PIXELS_PER_KEY = 5


@dataclass
class Drawing:
    """Anna at the viewer of a contraction, and what the panel hears of lines."""

    tab: Tab

    @property
    def frame(self) -> int:
        return int(self.tab.page.evaluate(f"Number({VIEW}.dataset.shownFrame)"))

    @property
    def top(self) -> float:
        """The row of the upper line's first handle, where it was moved to last."""
        return float(self.tab.page.evaluate("window.moved.superficial[0][1]"))

    def begin(self) -> None:
        self.tab.page.click("[data-draw]")
        self.has_handles()

    def has_handles(self) -> None:
        self.tab.wait(f"{VIEW}.dataset.edits === 'lines'")

    def raise_line(self, times: int = 1) -> None:
        """The first handle of the upper line, by keys."""
        self.tab.page.focus("[data-view]")
        for _ in range(times):
            self.tab.page.keyboard.press("Shift+ArrowUp")

    def go(self, frame: int) -> None:
        self.tab.page.evaluate(f"document.dispatchEvent(new CustomEvent('sonomyo:seek', {{detail: {{frame: {frame}}}}}))")
        self.tab.wait(f"{VIEW}.dataset.drawnFrame === '{frame}'")

    def tells(self, words: str) -> None:
        """Wait until the form says it of the lines."""
        self.tab.wait(f"document.querySelector('{FORM} [data-drawn]').textContent.includes('{words}')")

    def keep(self) -> None:
        self.tab.page.fill(f"{FORM} [name=why]", WHY)
        self.tab.page.press(f"{FORM} [name=why]", "Enter")
        self.tab.wait("!document.querySelector('[data-pending-lines]').hidden")

    def rows(self) -> dict[int, float]:
        """Where the upper line is painted beside its first handle, by column; there is none in the gaps of a dashed one."""
        found = {column: self.tab.page.evaluate(ROWS_OF, [column, *SUPERFICIAL]) for column in range(45, 75)}
        return {column: fmean(rows) for column, rows in found.items() if rows}


@contextmanager
def reading(engine: Engine, units: UnitOfWorkFactory, tmp_path: Path, *files: bytes) -> Iterator[Drawing]:
    with viewer_house(engine, units, tmp_path) as house:
        house.users.add(login="anna", full_name="Dr Anna Grau", role=Role.RADIOLOGIST, password=PASSWORD, actor="test")
        analysed(house, *files)
        with house.served() as address, tab(width=1440, is_still=True) as made:
            read_by_anna(made, address)
            made.page.evaluate("document.addEventListener('sonomyo:lines', ({detail}) => (window.moved = detail))")
            yield Drawing(made)
            assert made.problems == []


@pytest.fixture
def drawing(engine: Engine, units: UnitOfWorkFactory, tmp_path: Path) -> Iterator[Drawing]:
    with reading(engine, units, tmp_path, cine_file(contraction())) as made:
        yield made


def is_reminded(drawing: Drawing) -> None:
    drawing.tab.wait(f"document.querySelector('{FORM} [data-problem]').textContent === '{NOT_KEPT}'")
    drawing.tab.wait(f"document.activeElement.closest('{FORM}') !== null")  # the words may be there from before
    drawing.has_handles()


def test_moved_lines_stay_when_another_form_is_opened_and_can_be_kept(drawing: Drawing) -> None:
    page = drawing.tab.page
    drawing.begin()
    drawing.raise_line(2)
    top = drawing.top
    for opener in (f"{THICKNESS} [data-amend]", "[data-open=sign-form]", "[data-draw]"):
        page.click(opener)
        is_reminded(drawing)
        page.focus("[data-view]")
    page.keyboard.press("Control+s")
    is_reminded(drawing)
    drawing.raise_line()
    assert drawing.top == pytest.approx(top - PIXELS_PER_KEY)
    drawing.keep()
    assert page.locator(FORM).is_hidden()


def test_lines_that_are_discarded_are_the_software_s_again_and_no_number_stays(drawing: Drawing) -> None:
    page = drawing.tab.page
    before = drawing.rows()
    drawing.begin()
    drawing.raise_line(2)
    drawing.tells("thickness")
    assert page.locator(f"{FORM} [data-close]").inner_text() == "Discard"
    page.click(f"{FORM} [data-close]")
    assert drawing.rows() == pytest.approx(before, abs=1)
    drawing.begin()
    assert page.locator(f"{FORM} [data-drawn]").inner_text() == "No line was moved yet."


def test_moved_lines_are_there_again_after_another_frame_which_has_no_handles_meanwhile(drawing: Drawing) -> None:
    page = drawing.tab.page
    drawing.begin()
    frame = drawing.frame
    drawing.raise_line(4)
    top = drawing.top
    drawing.go(frame + 1)
    drawing.tab.wait(f"document.querySelector('[data-editing]').textContent.startsWith('Your lines lie in frame {frame}:')")
    assert page.evaluate(f"{VIEW}.dataset.edits") == ""
    drawing.go(frame)
    drawing.has_handles()
    drawing.raise_line()
    assert drawing.top == pytest.approx(top - PIXELS_PER_KEY)


def test_kept_lines_are_dashed_in_the_picture_and_drawn_on_from_there(drawing: Drawing) -> None:
    page = drawing.tab.page
    before = drawing.rows()
    drawing.begin()
    frame = drawing.frame
    drawing.raise_line(4)
    top = drawing.top
    drawing.keep()
    thickness = page.locator(f"{THICKNESS} [data-pending]").inner_text().partition(" mm")[0].removeprefix("Unsaved: ")
    kept = drawing.rows()
    assert 0 < len(kept) < len(before) == 30
    assert all(kept[column] < before[column] - PIXELS_PER_KEY for column in kept)
    drawing.tab.wait("[...document.querySelectorAll('.kind')].some((one) => one.textContent === 'Amended line')")
    drawing.go(frame + 3)
    drawing.begin()
    drawing.tab.wait(f"{VIEW}.dataset.shownFrame === '{frame}'")
    drawing.tells(f"thickness {thickness} mm;")
    assert page.input_value(f"{FORM} [name=why]") == WHY
    drawing.has_handles()
    drawing.raise_line()
    assert drawing.top == pytest.approx(top - PIXELS_PER_KEY)
    page.click(f"{FORM} [data-close]")
    page.click("[data-undo-lines]")
    drawing.tab.wait("document.querySelector('[data-pending-lines]').hidden")
    assert drawing.rows() == pytest.approx(before, abs=1)


def test_numbers_of_lines_moved_by_a_held_key_are_asked_for_once_at_a_time_and_the_newest_last(drawing: Drawing) -> None:
    page = drawing.tab.page
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/preview", hold)
    drawing.begin()
    drawing.raise_line(12)
    poll(lambda: page.evaluate("1") and held, timeout_seconds=30, what="a request")
    assert len(held) == 1
    held[0].continue_()
    poll(lambda: page.evaluate("1") and len(held) > 1, timeout_seconds=30, what="another request")
    held[1].continue_()
    drawing.tells("thickness")
    assert len(held) == 2
    asked: dict[str, Any] = json.loads(str(held[1].request.post_data))
    assert asked["lines"][0]["superficial"][0][1] == drawing.top


def test_kept_lines_stay_in_their_frame_while_others_are_drawn_in_another(drawing: Drawing) -> None:
    drawing.begin()
    frame = drawing.frame
    drawing.raise_line(4)
    drawing.keep()
    kept = drawing.rows()
    drawing.begin()
    drawing.go(frame + 2)
    drawing.has_handles()
    drawing.raise_line(2)
    drawing.go(frame)
    assert f"frame {frame}" in drawing.tab.page.locator("[data-pending-lines]").inner_text()
    assert drawing.rows() == pytest.approx(kept, abs=1)
    drawing.tab.wait("document.querySelector('[data-editing]').textContent.startsWith('Your lines lie in frame')")
    drawing.keep()
    drawing.tab.wait(f"document.querySelector('[data-pending-lines]').textContent.includes('frame {frame + 2}')")


def test_line_that_is_drawn_is_seen_also_where_amended_lines_are_hidden(drawing: Drawing) -> None:
    page = drawing.tab.page
    drawing.begin()
    drawing.raise_line(4)
    drawing.keep()
    page.get_by_role("button", name="Amended line").click()
    assert drawing.rows() == {}
    drawing.begin()
    drawing.raise_line()
    assert drawing.rows() != {}


def test_lines_moved_while_a_version_is_saved_keep_their_handles_and_the_focus_in_the_picture(drawing: Drawing) -> None:
    page = drawing.tab.page
    page.click(f"{THICKNESS} [data-accept]")
    drawing.tab.wait("document.querySelector('[data-unsaved]').textContent.startsWith('1 unsaved')")
    before = drawing.rows()
    with slow(drawing.tab, "**/api/v1/reports/*", "PATCH"):
        page.click("[data-save]")
        drawing.begin()
        drawing.raise_line(4)
        drawing.tells("thickness")
    drawing.tab.wait("document.getElementById('review-panel').dataset.number === '2'")
    drawing.tab.wait(f"document.querySelector('{FORM} [data-problem]').textContent === '{NOT_KEPT}'")
    drawing.tells("thickness")
    assert page.locator(FORM).is_visible()
    assert page.evaluate(f"document.activeElement === {VIEW}")
    top = drawing.top
    drawing.raise_line()
    assert drawing.top == pytest.approx(top - PIXELS_PER_KEY)
    drawn = drawing.rows()
    assert all(drawn[column] < before[column] - PIXELS_PER_KEY for column in drawn)
    drawing.keep()


@contextmanager
def begun_while_saving(drawing: Drawing) -> Iterator[None]:
    """Drawing is begun, and what is within happens, while an acceptance is being saved; afterwards that version is shown."""
    drawing.tab.page.click(f"{THICKNESS} [data-accept]")
    drawing.tab.wait("document.querySelector('[data-unsaved]').textContent.startsWith('1 unsaved')")
    with slow(drawing.tab, "**/api/v1/reports/*", "PATCH"):
        drawing.tab.page.click("[data-save]")
        drawing.begin()
        yield
    drawing.tab.wait("document.getElementById('review-panel').dataset.number === '2'")
    drawing.has_handles()


def test_drawing_that_is_begun_while_a_version_is_saved_goes_on_over_it(drawing: Drawing) -> None:
    page = drawing.tab.page
    with begun_while_saving(drawing):
        pass
    assert page.locator(FORM).is_visible()
    drawing.raise_line()
    drawing.tells("thickness")
    drawing.keep()


def test_reason_typed_while_a_version_is_saved_goes_on_in_its_field_and_not_in_the_picture(drawing: Drawing) -> None:
    page = drawing.tab.page
    with begun_while_saving(drawing):
        page.focus(f"{FORM} [name=why]")
        page.keyboard.type("mea")
    page.keyboard.type("sured")
    assert page.input_value(f"{FORM} [name=why]") == "measured"


def test_drawing_in_another_cine_ends_that_in_the_first(engine: Engine, units: UnitOfWorkFactory, tmp_path: Path) -> None:
    files = [cine_file(contraction(5), uid) for uid in ("1.2.3", "1.2.4")]
    with reading(engine, units, tmp_path, *files) as drawing:
        pressed = "[...document.querySelectorAll('[data-draw]')].map((one) => one.ariaPressed).join()"
        page = drawing.tab.page
        page.locator("[data-draw]").nth(0).click()
        drawing.has_handles()
        page.locator("[data-draw]").nth(1).click()
        drawing.tab.wait(f"{pressed} === 'false,true'")
        drawing.tab.wait(f"document.querySelectorAll('{FORM}:not([hidden])').length === 1")
        drawing.has_handles()
        drawing.raise_line()
        drawing.tab.wait("window.moved?.sop_instance_uid === document.querySelectorAll('[data-draw]')[1].dataset.draw")


def test_cine_that_is_looked_at_stays_while_a_version_is_saved_though_another_is_being_drawn_in(
    engine: Engine, units: UnitOfWorkFactory, tmp_path: Path
) -> None:
    files = [cine_file(contraction(5), uid) for uid in ("1.2.3", "1.2.4")]
    with reading(engine, units, tmp_path, *files) as drawing:
        page = drawing.tab.page
        page.locator("[data-draw]").nth(0).click()
        drawing.has_handles()
        page.locator("[data-cine]").nth(1).click()
        drawing.tab.wait(f"Number({VIEW}.dataset.shownFrame) > 0")
        page.locator(f"{THICKNESS} [data-accept]").nth(0).click()
        drawing.tab.wait("!document.querySelector('[data-unsaved]').hidden")
        page.click("[data-save]")
        drawing.tab.wait("document.getElementById('review-panel').dataset.number === '2'")
        assert page.locator("[data-cine]").nth(1).get_attribute("aria-pressed") == "true"
        page.locator("[data-cine]").nth(0).click()
        drawing.has_handles()


def test_lines_that_are_not_kept_are_told_where_saving_was_pressed_whatever_has_the_focus(drawing: Drawing) -> None:
    drawing.begin()
    drawing.raise_line()
    drawing.tab.page.focus("[data-speed]")
    drawing.tab.page.keyboard.press("Control+s")
    is_reminded(drawing)


def test_line_that_is_held_while_what_was_drawn_before_is_kept_is_drawn_on(drawing: Drawing) -> None:
    page = drawing.tab.page
    drawing.begin()
    drawing.raise_line()
    before = drawing.top
    page.fill(f"{FORM} [name=why]", WHY)
    with slow(drawing.tab, "**/preview", "POST"):
        page.press(f"{FORM} [name=why]", "Enter")
        column, row = page.evaluate("window.moved.superficial[0]")
        x, y = on_page(drawing.tab, column, row)
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x, y - 20)
    drawing.tab.wait("!document.querySelector('[data-pending-lines]').hidden")
    page.mouse.move(x, y - 30)
    page.mouse.up()
    drawing.tab.wait(f"window.moved.superficial[0][1] < {before} - 10")
    drawing.has_handles()
    assert page.locator(FORM).is_visible()
    assert page.locator(f"{FORM} [data-close]").inner_text() == "Discard"
