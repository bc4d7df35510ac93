"""Motor units in a real browser: territories with numbers over every frame, rows of firings that choose a unit and a frame."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from service.access import Role
from service.core.render.overlay import UNIT_COLOURS
from service.ports import UnitOfWorkFactory
from tests.browser import Tab, tab
from tests.integration.api_parts import PASSWORD, STUDY
from tests.integration.known_analyses import fast_cine, known_units
from tests.integration.test_review_browser import WHY, amend, save
from tests.integration.viewer_parts import analysed, sign_in, viewer_house
from tests.motor_parts import UNITS
from tests.page_checks import faults_in
from tests.peers import PLOTS

pytestmark = pytest.mark.timeout(300)

VIEW = "document.querySelector('[data-view]')"
ROWS = "[...document.querySelectorAll('button.unit')]"
#: How many pixels of the canvas over the picture have a colour.
PIXELS_OF = """
([red, green, blue]) => {
  const over = document.querySelector("[data-over]");
  const data = over.getContext("2d").getImageData(0, 0, over.width, over.height).data;
  let count = 0;
  for (let at = 0; at < data.length; at += 4) {
    count += data[at + 3] > 240 && Math.abs(data[at] - red) + Math.abs(data[at + 1] - green) + Math.abs(data[at + 2] - blue) < 30;
  }
  return count;
}
"""


@pytest.fixture
def viewer(engine: Engine, units: UnitOfWorkFactory, tmp_path: Path) -> Iterator[Tab]:
    with viewer_house(engine, units, tmp_path, analysis=known_units()) as house:
        analysed(house, fast_cine())
        with house.served() as address, tab(width=1280, height=1000) as made:
            sign_in(house, made, address, Role.VIEWER)
            made.page.goto(f"{address}/studies/{STUDY}")
            made.wait(f"{VIEW}.dataset.drawnFrame === '256'", timeout_seconds=60)
            made.wait(f"{ROWS}.length === {len(UNITS)}")
            yield made
            assert made.problems == []


def test_territories_and_rows_of_units_have_the_same_colours_and_numbers(viewer: Tab) -> None:
    viewer.wait(f"{ROWS}[0].style.getPropertyValue('--unit') !== ''")
    for number, colour in enumerate(UNIT_COLOURS[: len(UNITS)], start=1):
        assert viewer.page.evaluate(PIXELS_OF, list(colour)) > 50
        assert viewer.page.evaluate(f"{ROWS}[{number - 1}].style.getPropertyValue('--unit')") == "#{:02x}{:02x}{:02x}".format(
            *colour
        )
        assert viewer.page.evaluate(f"{ROWS}[{number - 1}].textContent").startswith(str(number))
    viewer.page.keyboard.press("End")
    viewer.wait(f"{VIEW}.dataset.drawnFrame === '512'")
    assert viewer.page.evaluate(PIXELS_OF, list(UNIT_COLOURS[2])) > 50


def test_row_chooses_its_unit_and_a_place_in_it_a_frame(viewer: Tab) -> None:
    track = viewer.page.locator("button.unit .unit-track").nth(2)
    box = track.bounding_box()
    assert box is not None
    track.click(position={"x": box["width"] * 0.25, "y": box["height"] / 2})
    viewer.wait(f"Math.abs({VIEW}.dataset.shownFrame - 128) < 6")
    assert viewer.page.evaluate(f"{ROWS}.map((row) => row.ariaPressed)") == ["false", "false", "true"]
    assert "unit 3" in str(viewer.page.locator("[data-twitch]").text_content())
    viewer.wait(f"Math.abs(parseFloat({ROWS}[0].querySelector('.unit-now').style.left) - 25) < 1.5")


@pytest.mark.skipif(not PLOTS.exists(), reason="uPlot is not installed: python scripts/web_packages.py uplot")
def test_unit_that_the_keyboard_chooses_has_its_train_plotted_alone(viewer: Tab) -> None:
    viewer.wait("document.querySelectorAll('.plot').length === 1")
    assert str(viewer.page.locator(".plot figcaption").text_content()).startswith("Motor unit 1")
    viewer.page.locator("button.unit").first.focus()
    viewer.page.keyboard.press("ArrowDown")
    assert viewer.page.evaluate(f"{ROWS}.map((row) => row.ariaPressed)") == ["false", "true", "false"]
    assert viewer.page.evaluate("document.activeElement.getAttribute('aria-label')").startswith("Motor unit 2: 15 firings")
    viewer.wait("document.querySelector('.plot figcaption')?.textContent.startsWith('Motor unit 2')")


@pytest.fixture
def reader(engine: Engine, units: UnitOfWorkFactory, tmp_path: Path) -> Iterator[Tab]:
    """A radiologist's, who may amend."""
    with viewer_house(engine, units, tmp_path, analysis=known_units()) as house:
        house.users.add(login="anna", full_name="Dr Anna Grau", role=Role.RADIOLOGIST, password=PASSWORD, actor="test")
        analysed(house, fast_cine())
        with house.served() as address, tab(width=1440, height=1000) as made:
            made.page.goto(f"{address}/sign-in")
            made.page.fill("#login", "anna")
            made.page.fill("#password", PASSWORD)
            made.page.press("#password", "Enter")
            made.wait("document.getElementById('live') !== null")
            made.page.goto(f"{address}/studies/{STUDY}")
            made.wait(f"{VIEW}?.dataset.drawnFrame === '256'", timeout_seconds=60)
            made.wait(f"{ROWS}.length === {len(UNITS)}")
            made.page.wait_for_selector("#review-panel[data-ready]", timeout=60_000)
            yield made
            assert made.problems == []


def test_amended_and_rejected_units_are_told_in_their_rows_and_the_picture_as_soon_as_they_are_saved(reader: Tab) -> None:
    reader.wait(f"{ROWS}[1].style.getPropertyValue('--unit') !== ''")
    assert reader.page.evaluate(PIXELS_OF, list(UNIT_COLOURS[1])) > 50
    amend(reader, "20.5", row=unit_row(1))
    wait_until_pending(reader, unit_row(1))
    reject(reader, unit_row(2))
    save(reader, 2)
    reader.wait(f"{ROWS}[0].textContent.includes('20.5 Hz, amended')")
    first, second, _ = reader.page.evaluate(f"{ROWS}.map((row) => row.ariaLabel)")
    assert "20.5 Hz as amended by Dr Anna Grau" in first
    assert second.startswith("Motor unit 2: rejected by Dr Anna Grau")
    row = f"{ROWS}[1]"
    assert reader.page.evaluate(f"getComputedStyle({row}.querySelector('.unit-name')).textDecorationLine") == "line-through"
    assert reader.page.evaluate(f"{row}.textContent").endswith("rejected")
    # Its outline has no colour of its own any more, but a dashed one is there, with the number struck through.
    reader.wait(f"({PIXELS_OF})({list(UNIT_COLOURS[1])}) < 10")
    reader.wait(f"({PIXELS_OF})([200, 200, 200]) > 20")
    reader.page.locator("button.unit .unit-name").nth(1).click()
    assert reader.page.locator("[data-twitch]").inner_text() == f"Motor unit 2 was rejected by Dr Anna Grau: {WHY}"
    assert "Motor unit count 2" in reader.page.locator("#review-panel").inner_text()
    assert faults_in(reader) == []


def unit_row(number: int) -> str:
    return f".finding[data-name='Motor unit {number}']"


def reject(made: Tab, row: str) -> None:
    made.page.click(f"{row} [data-reject]")
    made.page.fill(f"{row} form[data-form=reject] [name=why]", WHY)
    made.page.press(f"{row} form[data-form=reject] [name=why]", "Enter")
    wait_until_pending(made, row)


def wait_until_pending(made: Tab, row: str) -> None:
    made.wait(f"document.querySelector(`{row} [data-pending]`).textContent.includes('{WHY}')")
