"""The report viewer in a real browser: the right overlay on the right frame, plots, keys, and nothing hostile that runs."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from service.access import Role
from service.ports import UnitOfWorkFactory
from tests.browser import Tab, tab
from tests.integration.api_parts import STUDY, House
from tests.integration.viewer_parts import (
    FRAME_SECONDS,
    FRAMES,
    INSTANCE,
    analysed,
    cine_file,
    contraction,
    sign_in,
    viewer_house,
)
from tests.peers import PLOTS

pytestmark = pytest.mark.timeout(300)

HOSTILE = "<script>alert(1)</script>^<img src onerror>"
#: Of the lines, in the colours of pictures and captures (service/core/render/overlay.py).
SUPERFICIAL, DEEP = (86, 180, 233), (230, 159, 0)
VIEW = "document.querySelector('[data-view]')"
#: The rows of the stored frame at which the canvas over the picture holds a colour, in one column of the stored frame.
ROWS_OF = """
([column, red, green, blue]) => {
  const over = document.querySelector("[data-over]"), picture = document.querySelector("[data-picture]");
  const { e: x, f: y, a: scale } = new DOMMatrix(getComputedStyle(picture).transform);
  const ratio = over.width / over.clientWidth;
  const data = over.getContext("2d").getImageData(Math.round((x + (column + 0.5) * scale) * ratio), 0, 1, over.height).data;
  const rows = [];
  for (let at = 0; at < over.height; at += 1) {
    const [r, g, b, a] = data.slice(4 * at, 4 * at + 4);
    const isNear = Math.abs(r - red) + Math.abs(g - green) + Math.abs(b - blue) < 30;
    if (a > 240 && isNear) rows.push((at / ratio - y) / scale - 0.5);
  }
  return rows;
}
"""


@dataclass
class Opened:
    """The viewer of one study in one tab."""

    tab: Tab
    report_id: str

    @property
    def frame(self) -> int:
        return int(self.tab.page.evaluate(f"Number({VIEW}.dataset.shownFrame)"))

    def goes_to(self, frame: int) -> None:
        """Wait until a frame is shown, and its own overlay with it."""
        self.tab.wait(f"{VIEW}.dataset.shownFrame === '{frame}'")

    def is_drawn(self, frame: int) -> None:
        self.tab.wait(f"{VIEW}.dataset.drawnFrame === '{frame}'")

    def press(self, *keys: str) -> None:
        for key in keys:
            self.tab.page.keyboard.press(key)

    def rows_of(self, colour: tuple[int, int, int], column: int = 225) -> list[float]:
        return [float(row) for row in self.tab.page.evaluate(ROWS_OF, [column, *colour])]

    def words(self, name: str) -> str:
        return str(self.tab.page.locator(f"[data-{name}]").first.text_content())


@pytest.fixture
def house(engine: Engine, units: UnitOfWorkFactory, tmp_path: Path) -> Iterator[House]:
    with viewer_house(engine, units, tmp_path) as made:
        yield made


@pytest.fixture
def viewer(house: House) -> Iterator[Opened]:
    """On a contraction of a muscle, whose patient has a hostile name."""
    short = cine_file(contraction(5), "1.2.4", PatientName=HOSTILE, SeriesDescription="<b onclick=alert(2)>second")
    report_id = analysed(house, cine_file(contraction(), PatientName=HOSTILE), short)
    with house.served() as address, tab(width=1280, height=900) as made:
        sign_in(house, made, address, Role.VIEWER)
        made.page.goto(f"{address}/studies/{STUDY}")
        opened = Opened(made, report_id)
        made.wait(f"Number({VIEW}.dataset.drawnFrame) > 0", timeout_seconds=60)
        yield opened
        assert made.problems == []


def test_overlay_of_each_frame_lies_where_that_frame_s_muscle_is(viewer: Opened) -> None:
    muscles = contraction()
    for key, near in (("Home", 1), ("p", FRAMES // 2), ("End", FRAMES)):
        viewer.press(key)
        viewer.tab.wait(f"Math.abs({VIEW}.dataset.shownFrame - {near}) < 3")
        frame = viewer.frame
        viewer.is_drawn(frame)
        muscle = muscles[frame - 1]
        upper, lower = (at / muscle.mm_per_pixel_y for at in (muscle.superficial_mm, muscle.superficial_mm + muscle.thickness_mm))
        assert min(abs(row - upper) for row in viewer.rows_of(SUPERFICIAL)) < 2
        assert viewer.rows_of(DEEP), frame
        assert all(abs(row - lower) < 3 for row in viewer.rows_of(DEEP)), frame
    viewer.press("o")
    assert viewer.rows_of(DEEP) == []
    viewer.press("o")
    assert viewer.rows_of(DEEP) != []


def test_overlay_stays_with_its_frame_while_the_cine_plays_at_its_rate(viewer: Opened) -> None:
    viewer.press("Home", "l")  # once, not in a loop
    viewer.goes_to(1)
    seen: list[Any] = viewer.tab.page.evaluate(
        """async () => {
          const view = document.querySelector("[data-view]"), seen = [];
          document.addEventListener("sonomyo:frame", ({detail}) => seen.push(
            [performance.now(), detail.frame, view.dataset.drawnFrame, detail.sop_instance_uid]));
          document.querySelector("[data-play]").click();
          const end = performance.now() + 20000;
          while (performance.now() < end && view.dataset.playing === "true") await new Promise(requestAnimationFrame);
          return seen;
        }"""
    )
    frames = [frame for _, frame, _, _ in seen]
    assert frames == sorted(frames)
    assert frames[-1] == FRAMES
    assert {uid for _, _, _, uid in seen} == {INSTANCE}
    assert all(drawn == str(frame) for _, frame, drawn, _ in seen)
    # Never faster than the cine; how much slower a busy machine is, says nothing.
    assert seen[-1][0] - seen[0][0] >= 1000 * FRAME_SECONDS * (frames[-1] - frames[0]) * 0.9


@pytest.mark.skipif(not PLOTS.exists(), reason="uPlot is not installed: python scripts/web_packages.py uplot")
def test_click_in_a_plot_goes_to_that_frame_and_its_value_follows(house: House, viewer: Opened) -> None:
    viewer.tab.wait("document.querySelectorAll('.plot .u-over').length >= 4")
    over = viewer.tab.page.locator(".plot .u-over").first
    over.scroll_into_view_if_needed()
    box = over.bounding_box()
    assert box is not None
    over.click(position={"x": box["width"] * 0.75, "y": box["height"] / 2})
    expected = round(1 + 0.75 * (FRAMES - 1))
    viewer.tab.wait(f"Math.abs({VIEW}.dataset.shownFrame - {expected}) <= 1")
    said = str(viewer.tab.page.locator(".plot output").first.text_content())
    findings = house.client().get(f"/api/v1/reports/{viewer.report_id}").json()["findings"]
    (angle,) = [one for one in findings if one["name"] == "pennation_angle" and one["evidence"]["sop_instance_uid"] == INSTANCE]
    assert float(said.removesuffix("°")) == pytest.approx(angle["series"]["values"][viewer.frame - 1], abs=0.06)


def test_everything_is_done_by_keys(viewer: Opened) -> None:
    viewer.press("End", "ArrowLeft")
    viewer.goes_to(FRAMES - 1)
    viewer.press("Home")
    viewer.goes_to(1)
    viewer.press("PageDown")
    viewer.goes_to(11)
    viewer.press("[", "PageDown")
    viewer.goes_to(21)
    viewer.press("]")
    assert viewer.words("loop-told") == "Loop 11 to 21"
    viewer.press("Space")
    viewer.tab.wait(f"{VIEW}.dataset.playing === 'true'")
    viewer.press("Space", "\\")
    assert viewer.words("loop-told") == ""
    # A ruler of 30 by 40 pixels of 0.1 mm.
    viewer.press("r", *["ArrowRight"] * 1, "Enter", *["Shift+ArrowRight"] * 3, *["Shift+ArrowDown"] * 4, "Enter", "Escape")
    viewer.tab.wait("document.querySelector('[data-announce]').textContent.includes('5.0 mm')")
    viewer.press("a", "Enter", "Shift+ArrowRight", "Enter", "Shift+ArrowDown", "Enter", "Escape")
    viewer.tab.wait("document.querySelector('[data-announce]').textContent.includes('90.0°')")
    viewer.press("?")
    viewer.tab.wait("document.querySelector('[data-help]').open")
    viewer.press("Escape")
    viewer.tab.wait("!document.querySelector('[data-help]').open")
    viewer.press("t")
    assert viewer.tab.page.evaluate("document.documentElement.dataset.theme") == "light"
    viewer.press("n")
    viewer.tab.wait("document.querySelector('[data-cine=\"1.2.4\"]').ariaPressed === 'true'")
    viewer.tab.wait("document.querySelector('[data-count]').textContent === '5'")
    # What the panel holds of each cine is no cine.
    viewer.tab.wait("document.querySelector('#review-panel .group') !== null")
    viewer.press("n")
    viewer.tab.wait(f"document.querySelector('[data-count]').textContent === '{FRAMES}'")
    assert viewer.tab.page.locator("#review-panel section[aria-pressed]").count() == 0


def test_panel_leads_to_frames_of_other_cines_and_hears_of_lines_that_are_moved(viewer: Opened) -> None:
    page = viewer.tab.page
    page.evaluate("document.dispatchEvent(new CustomEvent('sonomyo:seek', {detail: {sop_instance_uid: '1.2.4', frame: 3}}))")
    viewer.tab.wait("document.querySelector('[data-count]').textContent === '5'")
    viewer.goes_to(3)
    page.evaluate(
        f"document.dispatchEvent(new CustomEvent('sonomyo:seek', {{detail: {{sop_instance_uid: '{INSTANCE}', frame: 7}}}}))"
    )
    viewer.goes_to(7)
    viewer.is_drawn(7)
    page.evaluate("document.addEventListener('sonomyo:lines', ({detail}) => (window.moved = detail))")
    page.evaluate("document.dispatchEvent(new CustomEvent('sonomyo:edit-lines', {detail: {on: true}}))")
    viewer.tab.wait(f"{VIEW}.dataset.edits === 'lines'")
    viewer.press(*["Shift+ArrowUp"] * 2)
    moved = page.evaluate("window.moved")
    assert (moved["sop_instance_uid"], moved["frame"]) == (INSTANCE, 7)
    upper = contraction()[6].superficial_mm / 0.1
    assert moved["superficial"][0][1] == pytest.approx(upper - 10, abs=2)
    assert moved["superficial"][-1][1] == pytest.approx(upper, abs=2)
    assert len(moved["deep"]) == len(moved["superficial"])
    page.evaluate("document.dispatchEvent(new CustomEvent('sonomyo:edit-lines', {detail: {on: false}}))")
    assert page.evaluate(f"{VIEW}.dataset.edits") == ""


def test_name_of_a_patient_is_text_and_nothing_else(viewer: Opened) -> None:
    page = viewer.tab.page
    assert "<script>alert(1)</script>" in str(page.locator(".patient h1").text_content())
    assert page.title() == "Report · Sonomyo"
    assert page.locator(".patient img, .patient script, [data-cine] b").count() == 0
    assert "<b onclick=alert(2)>second" in str(page.locator("[data-cine='1.2.4']").text_content())


def test_window_changes_the_picture_and_not_the_overlay(viewer: Opened) -> None:
    page = viewer.tab.page
    assert page.evaluate("document.querySelector('[data-picture]').style.filter") == ""
    page.mouse.move(450, 450)
    page.mouse.down(button="right")
    page.mouse.move(550, 450)
    page.mouse.up(button="right")
    assert "window" in page.evaluate("document.querySelector('[data-picture]').style.filter")
    assert viewer.words("window-told").startswith("L 128 W 3")
    viewer.press("0")
    assert page.evaluate("document.querySelector('[data-picture]').style.filter") == ""
