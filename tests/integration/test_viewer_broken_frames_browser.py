"""Frames that can never be shown hide no other: a cine opens, plays and loops without them, and says which they are."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Engine

from service.ports import UnitOfWorkFactory
from tests.browser import Tab, tab
from tests.cine_files import JPEG_2000
from tests.integration.api_parts import STUDY, House
from tests.integration.test_viewer_recovers_browser import NEVER_LATER, Refusing, drawn, seek
from tests.integration.test_viewer_start_browser import of_module
from tests.integration.viewer_parts import (
    INSTANCE,
    analysed,
    cine_file,
    contraction,
    panel_is_ready,
    sign_in,
    viewer_house,
    without_end,
)

pytestmark = pytest.mark.timeout(600)
FRAMES = 6
OTHER = "1.2.4"
VIEW = "document.querySelector('[data-view]')"
PLAY = "document.querySelector('[data-play]')"
COMPLAINT = "document.querySelector('[data-complaint]')"
WHERE = "document.querySelector('.where').innerText"
#: Every number of a frame whose picture is shown from now on, in `window.seen`.
LISTEN = f"""(() => {{
  window.seen = [];
  const look = () => {VIEW}.dataset.shownFrame && window.seen.push(Number({VIEW}.dataset.shownFrame));
  new MutationObserver(look).observe({VIEW}, {{ attributeFilter: ['data-shown-frame'] }});
}})()"""
#: What a player shows, and when on its axis, of five frames whose third and last can never be shown; then once and not in a loop.
PASSED = """async (source) => {
  const { Player } = await import(source);
  const due = [], broken = new Set([3, 5]);
  let shown = [], at = 0;
  window.requestAnimationFrame = (tick) => due.push(tick);
  const player = new Player({ count: 5, seconds: [0, 0.035, 0.075, 0.115, 0.155],
    isReady: () => true, isBroken: (frame) => broken.has(frame),
    want: async () => {}, show: (frame) => shown.push([frame, at]), changed: () => {} });
  await player.seek(1);
  player.play();
  const begun = performance.now();
  const run = (until) => { for (; at < until; at += 20) due.shift()?.(begun + at); };
  run(420);
  const looped = [...shown];
  player.setLooping(false);
  run(700);
  const isOver = !player.isPlaying;
  shown = [];
  player.play();
  run(1000);
  return [looped, isOver, shown.map(([frame]) => frame)];
}"""
#: What a player does in a loop over two frames of which it turns out that they can never be shown.
NOTHING = """async (source) => {
  const { Player } = await import(source);
  const due = [], shown = [];
  let isKnown = false;
  window.requestAnimationFrame = (tick) => due.push(tick);
  const player = new Player({ count: 5, seconds: null, isReady: (frame) => frame === 1 || isKnown, isBroken: () => isKnown,
    want: async () => { isKnown = true; }, show: (frame) => shown.push(frame), changed: () => {} });
  await player.seek(1);
  player.setRange(2, 3);
  player.play();
  for (let at = 0; at < 100; at += 20) { due.shift()?.(performance.now() + at); await null; }
  return [shown, player.isPlaying];
}"""


@contextmanager
def opened(
    engine: Engine, units: UnitOfWorkFactory, root: Path, broken: Sequence[int], *, language: str = "en-GB"
) -> Iterator[Tab]:
    """The viewer of a cine of which some frames break off."""
    content = cine_file(contraction(FRAMES), syntax=JPEG_2000)
    for frame in broken:
        content = without_end(content, frame)
    with viewer_house(engine, units, root) as house:
        analysed(house, content)
        with house.served() as address, tab(language=language) as made:
            sign_in(house, made, address)
            made.page.goto(f"{address}/studies/{STUDY}", wait_until="commit")
            yield made


def complains(made: Tab, words: str) -> None:
    made.wait(f"{COMPLAINT}?.hidden === false && {COMPLAINT}.textContent.includes('{words}')", timeout_seconds=60)


@pytest.mark.parametrize("broken", [1, 4, FRAMES])
def test_cine_with_a_broken_frame_opens_plays_and_loops_without_it_and_says_which_it_is(
    engine: Engine, units: UnitOfWorkFactory, tmp_path: Path, broken: int
) -> None:
    with opened(engine, units, tmp_path, [broken]) as made:
        made.wait(f"{VIEW}?.dataset.shownFrame === '{2 if broken == 1 else 1}'", timeout_seconds=60)
        assert made.page.evaluate(f"{COMPLAINT}.hidden")
        made.wait(f"document.querySelector('[data-missing]').textContent === 'Frames that cannot be shown: {broken}'")
        made.page.evaluate(LISTEN)
        made.page.keyboard.press("Space")
        made.wait(f"window.seen.length >= {3 * FRAMES}", timeout_seconds=60)
        assert made.page.evaluate(f"{VIEW}.dataset.playing === 'true' && {COMPLAINT}.hidden")
        whole = [frame for frame in range(1, FRAMES + 1) if frame != broken]
        assert set(made.page.evaluate("window.seen")) == set(whole)
        made.page.keyboard.press("Space")
        seek(made, 2 if broken == 1 else broken - 1)
        made.page.keyboard.press("ArrowLeft" if broken == 1 else "ArrowRight")
        complains(made, f"Frame {broken} cannot be shown: ")
        assert made.page.evaluate(f"{WHERE}.startsWith('{broken} / 6')")
        assert made.page.evaluate(f"[{VIEW}.dataset.shownFrame, {VIEW}.dataset.drawnFrame]") == ["", ""]
        made.page.keyboard.press("ArrowRight")
        made.wait(f"{VIEW}.dataset.shownFrame === '{broken % FRAMES + 1}'")
        assert made.page.evaluate(f"{COMPLAINT}.hidden")


def test_cine_of_which_every_frame_is_broken_cannot_be_shown_and_nothing_plays(
    engine: Engine, units: UnitOfWorkFactory, tmp_path: Path
) -> None:
    with opened(engine, units, tmp_path, range(1, FRAMES + 1), language="de-DE") as made:
        complains(made, "Dieser Cineloop lässt sich nicht zeigen: Bild 1 kann nicht gezeigt werden: ")
        assert made.page.inner_text("[data-missing]") == "Bilder, die sich nicht zeigen lassen: 1\N{EN DASH}6"
        made.page.click("[data-play]")
        assert made.page.evaluate(f"{PLAY}.dataset.state") == "paused"


@pytest.fixture
def house(engine: Engine, units: UnitOfWorkFactory, tmp_path: Path) -> Iterator[House]:
    with viewer_house(engine, units, tmp_path) as made:
        analysed(made, cine_file(contraction(40)), cine_file(contraction(8), OTHER))
        yield made


def test_frame_that_is_passed_over_takes_its_time_and_a_cine_that_ends_with_one_is_at_its_end(house: House) -> None:
    looped = [[1, 0], [2, 40], [4, 120], [1, 200], [2, 240], [4, 320], [1, 400]]
    assert of_module(house, "player.js", PASSED) == [looped, True, [1, 2, 4]]


def test_loop_over_nothing_but_broken_frames_stops_at_one_which_says_why(house: House) -> None:
    assert of_module(house, "player.js", NOTHING) == [[1, 2], False]


@pytest.mark.parametrize("is_pressed", [True, False], ids=["by a press", "by itself"])
def test_frame_that_did_not_come_comes_later_and_is_not_told_as_broken(house: House, *, is_pressed: bool) -> None:
    with house.served() as address, tab(is_still=True) as made:
        if is_pressed:
            made.page.add_init_script(NEVER_LATER)
        refusing = Refusing(made.page, re.compile(r"/frames/(17|33)-"))
        sign_in(house, made, address)
        made.page.goto(f"{address}/studies/{STUDY}", wait_until="commit")
        made.wait(f"Number({VIEW}?.dataset.shownFrame) > 0", timeout_seconds=60)
        made.page.keyboard.press("End")
        complains(made, "Busy.")
        refusing.is_on = False
        if is_pressed:
            made.page.click("[data-open-again]")
        drawn(made, 40)
        assert made.page.evaluate(f"{COMPLAINT}.hidden && document.querySelector('[data-missing]').textContent === ''")


def test_cine_that_cannot_be_opened_leaves_nothing_of_the_one_before_it_and_plays_no_other(house: House) -> None:
    with house.served() as address, tab(is_still=True) as made:
        thumbnails = Refusing(made.page, re.compile(rf"/instances/{OTHER}/thumbnail"))
        refusing = Refusing(made.page, re.compile(rf"/cines/{OTHER}$"))
        sign_in(house, made, address)
        made.page.goto(f"{address}/studies/{STUDY}", wait_until="commit")
        drawn(made)
        made.wait("document.querySelector('[data-events]')?.hidden === false", timeout_seconds=60)
        made.wait(f"document.querySelector(`[data-cine='{OTHER}'] .no-preview`)?.textContent === 'No preview'")
        assert thumbnails.times
        marked = "document.querySelectorAll('[data-seek][aria-current=true]').length"
        panel_is_ready(made, shows="[data-seek]")
        made.page.locator(f"[data-seek='{INSTANCE}']").first.click()
        made.wait(f"{marked} > 0", timeout_seconds=60)
        made.page.click(f"[data-cine='{OTHER}']")
        complains(made, "This cine cannot be shown: Busy.")
        assert made.page.evaluate(f"[{WHERE}.trim(), {VIEW}.dataset.shownFrame, {marked}]") == [
            "\N{EN DASH} / \N{EN DASH}",
            "",
            0,
        ]
        for part in ("[data-events]", ".plots", ".kind", "[data-units]"):
            assert not made.page.locator(part).first.is_visible()
        assert made.page.is_disabled("[data-slider]")
        made.page.focus("[data-view]")
        made.page.keyboard.press("Space")
        assert made.page.evaluate(f"{PLAY}.dataset.state") == "paused"
        refusing.is_on = False
        made.page.click(f"[data-cine='{INSTANCE}']")
        drawn(made)
        assert made.page.evaluate(f"{VIEW}.dataset.playing") == "false"


def test_what_is_pressed_plotted_and_drawn_is_told_where_the_system_chooses_the_colours(house: House) -> None:
    ground = "(one) => getComputedStyle(one.matches ? one : document.querySelector(one)).backgroundColor"
    with house.served() as address, tab(is_still=True) as made:
        made.page.emulate_media(forced_colors="active")
        sign_in(house, made, address)
        made.page.goto(f"{address}/studies/{STUDY}", wait_until="commit")
        drawn(made)
        made.wait("document.querySelectorAll('.kind .swatch').length >= 5")
        made.wait("document.querySelectorAll('.plot .now').length >= 4 || !document.querySelector('[data-plots-missing]').hidden")
        swatches = made.page.evaluate(f"[...document.querySelectorAll('.swatch')].map({ground})")
        assert len(set(swatches)) == len(swatches)
        if made.page.locator(".plot .now").count():
            assert made.page.evaluate(f"({ground})('.plot .now')") != made.page.evaluate(f"({ground})('.plot')")
        for pressed, key in (("[data-overlay]", "o"), ("[data-loop]", "l")):
            before = made.page.evaluate(f"({ground})('{pressed}')")
            made.page.keyboard.press(key)
            made.wait(f"document.querySelector('{pressed}').ariaPressed === 'false'")
            made.wait(f"({ground})('{pressed}') !== '{before}'")
        open_cine, other = (f'[data-cine="{uid}"]' for uid in (INSTANCE, OTHER))
        assert made.page.evaluate(f"({ground})('{open_cine}') !== ({ground})('{other}')")


def test_legend_names_amended_lines_for_as_long_as_there_are_any(house: House) -> None:
    kind = "document.querySelector('[data-kind=amended]')"
    lines = [[10, 20], [90, 20]]
    pair = {"sop_instance_uid": INSTANCE, "frame": 3, "superficial": lines, "deep": [[x, y + 60] for x, y in lines]}
    tell = "(lines) => document.dispatchEvent(new CustomEvent('sonomyo:own-lines', { detail: { lines } }))"
    with house.served() as address, tab(is_still=True) as made:
        sign_in(house, made, address)
        made.page.goto(f"{address}/studies/{STUDY}", wait_until="commit")
        drawn(made)
        # It tells of its own lines, which are none, when it comes.
        panel_is_ready(made)
        made.page.evaluate(tell, [pair])
        made.wait(f"{kind}?.textContent === 'Amended line'")
        made.page.focus("[data-kind=amended]")
        made.page.evaluate(tell, [])
        made.wait(f"{kind} === null && document.activeElement === {VIEW}")
        made.page.keyboard.press("ArrowRight")
        made.wait(f"{kind} === null")
