"""What is dragged in the picture is done by single clicks, too (WCAG 2.5.7), and a drag with the ruler sets both its ends."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from service.ports import UnitOfWorkFactory
from tests.browser import Tab, tab
from tests.integration.api_parts import STUDY
from tests.integration.viewer_parts import analysed, cine_file, contraction, sign_in, viewer_house

pytestmark = pytest.mark.timeout(300)
#: Where the view is, and how a point of the frame lies in it: left, top, scale, right, down.
PLACED = """(() => {
  const { left, top } = document.querySelector('[data-view]').getBoundingClientRect();
  const { a, e, f } = new DOMMatrix(getComputedStyle(document.querySelector('[data-picture]')).transform);
  return [left, top, a, e, f];
})()"""
TOLD = "document.querySelector('[data-announce]').textContent"
#: The plots have taken their room, and the picture is fitted to what they leave.
LAID_OUT = """
  (document.querySelectorAll('.plot .u-over').length >= 4 || !document.querySelector('[data-plots-missing]').hidden) &&
  document.querySelector('[data-over]').height === document.querySelector('[data-view]').clientHeight
"""


@pytest.fixture
def viewer(engine: Engine, units: UnitOfWorkFactory, tmp_path: Path) -> Iterator[Tab]:
    with viewer_house(engine, units, tmp_path) as house:
        analysed(house, cine_file(contraction(5)))
        with house.served() as address, tab() as made:
            sign_in(house, made, address)
            made.page.goto(f"{address}/studies/{STUDY}")
            made.wait("Number(document.querySelector('[data-view]')?.dataset.drawnFrame) > 0", timeout_seconds=60)
            made.wait(LAID_OUT)
            yield made
            assert made.problems == []


def on_page(made: Tab, column: float, row: float) -> tuple[float, float]:
    left, top, scale, right, down = made.page.evaluate(PLACED)
    return left + right + (column + 0.5) * scale, top + down + (row + 0.5) * scale


def edit_lines(made: Tab) -> list[list[float]]:
    """The handles of the superficial line, after the first was moved by a key."""
    made.page.evaluate("document.addEventListener('sonomyo:lines', ({detail}) => (window.moved = detail.superficial))")
    made.page.evaluate("document.dispatchEvent(new CustomEvent('sonomyo:edit-lines', {detail: {on: true}}))")
    made.wait("document.querySelector('[data-view]').dataset.edits === 'lines'")
    made.page.keyboard.press("ArrowDown")
    handles: list[list[float]] = made.page.evaluate("window.moved")
    return handles


def test_handle_that_is_clicked_goes_where_the_next_click_is(viewer: Tab) -> None:
    column, row = edit_lines(viewer)[2]
    viewer.page.mouse.click(*on_page(viewer, column, row))
    viewer.wait(f"{TOLD}.includes('click its new place')")
    assert viewer.page.evaluate("window.moved[2]") == [column, row]
    viewer.page.mouse.click(*on_page(viewer, column + 6, row + 20))
    assert viewer.page.evaluate("window.moved[2]") == pytest.approx([column + 6, row + 20], abs=0.6)
    viewer.page.mouse.click(*on_page(viewer, column + 60, row + 90))
    assert viewer.page.evaluate("window.moved[2]") == pytest.approx([column + 6, row + 20], abs=0.6)


def test_handle_that_is_clicked_and_let_go_with_escape_stays(viewer: Tab) -> None:
    column, row = edit_lines(viewer)[2]
    viewer.page.mouse.click(*on_page(viewer, column, row))
    viewer.page.keyboard.press("Escape")
    viewer.page.mouse.click(*on_page(viewer, column + 6, row + 40))
    assert viewer.page.evaluate("window.moved[2]") == [column, row]
    assert viewer.page.evaluate("document.querySelector('[data-view]').dataset.edits") == "lines"


def test_click_in_a_picture_that_is_larger_brings_that_place_to_the_middle(viewer: Tab) -> None:
    page = viewer.page
    before = page.evaluate(PLACED)
    page.mouse.click(before[0] + 200, before[1] + 150)
    assert page.evaluate(PLACED) == before
    page.keyboard.press("+")
    page.keyboard.press("+")
    left, top, _, right, down = page.evaluate(PLACED)
    page.mouse.click(left + 200, top + 150)
    after = page.evaluate(PLACED)
    width, height = (page.evaluate(f"document.querySelector('[data-view]').client{side}") for side in ("Width", "Height"))
    assert after[3:] == pytest.approx([right + width / 2 - 200, down + height / 2 - 150], abs=1)


def press(made: Tab, at: tuple[float, float], *moves: float) -> None:
    """The main button goes down there, the pointer to the right by so much, and the button up."""
    made.page.mouse.move(*at)
    made.page.mouse.down()
    for right in moves:
        made.page.mouse.move(at[0] + right, at[1])
    made.page.mouse.up()


def test_press_that_trembles_leaves_the_picture_and_a_drag_moves_it_as_far_as_the_pointer(viewer: Tab) -> None:
    page = viewer.page
    before = page.evaluate(PLACED)
    beside = (before[0] + 200, before[1] + 150)
    press(viewer, beside, 1, 2)
    assert page.evaluate(PLACED) == before
    press(viewer, beside, 2, 9, 30)
    assert page.evaluate(PLACED) == pytest.approx([*before[:3], before[3] + 30, before[4]], abs=0.5)
    page.keyboard.press("+")
    larger = page.evaluate(PLACED)
    press(viewer, beside, 1, 2)
    assert page.evaluate(PLACED) == larger


def test_click_that_misses_a_handle_or_is_a_tool_s_leaves_a_larger_picture(viewer: Tab) -> None:
    page = viewer.page
    column, row = edit_lines(viewer)[2]
    page.keyboard.press("+")
    page.keyboard.press("+")
    placed = page.evaluate(PLACED)
    x, y = on_page(viewer, column, row)
    page.mouse.click(x, y + 18)
    assert page.evaluate(PLACED) == placed
    page.keyboard.press("r")
    page.mouse.click(x, y + 18)
    assert page.evaluate(PLACED) == placed
    assert page.evaluate("window.moved[2]") == [column, row]


def test_double_click_while_lines_are_edited_moves_no_line_and_leaves_the_view(viewer: Tab) -> None:
    page = viewer.page
    column, row = edit_lines(viewer)[2]
    page.keyboard.press("+")
    placed = page.evaluate(PLACED)
    x, y = on_page(viewer, column, row)
    page.mouse.dblclick(x + 3, y + 3)
    assert page.evaluate("window.moved[2]") == [column, row]
    assert page.evaluate(PLACED) == placed
    page.mouse.dblclick(*on_page(viewer, column + 6, row + 20))
    moved = page.evaluate("window.moved[2]")
    assert moved == pytest.approx([column + 6, row + 20], abs=0.6)
    assert page.evaluate(PLACED) == placed
    page.mouse.click(*on_page(viewer, column + 40, row + 70))
    assert page.evaluate("window.moved[2]") == moved


def test_drag_with_the_ruler_measures_from_where_it_began_to_where_it_ended(viewer: Tab) -> None:
    page = viewer.page
    page.keyboard.press("r")
    page.mouse.move(*on_page(viewer, 100, 100))
    page.mouse.down()
    page.mouse.move(*on_page(viewer, 120, 110))
    page.mouse.move(*on_page(viewer, 130, 140))
    page.mouse.up()
    viewer.wait(f"/5\\.0 mm|4\\.9 mm|5\\.1 mm/.test({TOLD})")


@pytest.mark.parametrize("is_pointed", [True, False], ids=["double click", "Enter twice"])
def test_two_points_of_a_ruler_in_one_place_are_no_measurement(viewer: Tab, *, is_pointed: bool) -> None:
    page = viewer.page
    page.focus("[data-view]")
    page.keyboard.press("r")
    if is_pointed:
        page.mouse.dblclick(*on_page(viewer, 60, 60))
    else:
        page.keyboard.press("Enter")
        page.keyboard.press("Enter")
    page.keyboard.press("Backspace")
    viewer.wait(f"{TOLD} === 'No measurement on this frame.'")
    page.mouse.click(*on_page(viewer, 110, 60))
    viewer.wait(f"{TOLD}.endsWith(' mm')")
