"""The first moments of a viewer, and what its pages may load: a press that comes early is kept, no policy is broken."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Route
from sqlalchemy import Engine

from service.ports import UnitOfWorkFactory
from tests.browser import Tab, tab
from tests.cine_files import JPEG_2000
from tests.integration.api_parts import STUDY, House
from tests.integration.viewer_parts import FRAMES, analysed, cine_file, contraction, sign_in, viewer_house, without_end
from tests.running import poll

pytestmark = pytest.mark.timeout(600)
VIEW = "document.querySelector('[data-view]')"
PLAY = "document.querySelector('[data-play]')"
AGAIN = "document.querySelector('[data-open-again]')"
SLIDER = "document.querySelector('[data-slider]')"
#: What a player shows of five frames while the second is waited for: it goes on there, and the others follow.
WAITING = """async (source) => {
  const { Player } = await import(source);
  const shown = [], due = [], ready = new Set([1]), wanted = [];
  window.requestAnimationFrame = (tick) => due.push(tick);
  const player = new Player({ count: 5, seconds: [0, 0.04, 0.08, 0.12, 0.16], isReady: (frame) => ready.has(frame),
    want: async (frame) => wanted.push(frame), show: (frame) => shown.push(frame), changed: () => {} });
  await player.seek(1);
  player.play();
  const begun = performance.now();
  for (let at = 0; at < 1000; at += 16) {
    if (at === 800) [2, 3, 4, 5].forEach((frame) => ready.add(frame));
    due.shift()(begun + at);
  }
  return [shown.slice(0, 5), wanted];
}"""
#: Where a player is, what it waits for, whether it plays and what failed: playing waited for 2, 3 was gone to, then 2 failed.
GONE_ON = """async (source) => {
  const { Player } = await import(source);
  const due = [], failed = [];
  let fail;
  window.requestAnimationFrame = (tick) => due.push(tick);
  const player = new Player({ count: 5, seconds: [0, 0.04, 0.08, 0.12, 0.16], isReady: (frame) => frame !== 2,
    want: () => new Promise((_, reject) => (fail = reject)), show: () => {}, changed: () => {},
    failed: (_, frame) => failed.push(frame) });
  await player.seek(1);
  player.play();
  const begun = performance.now();
  for (const at of [0, 50]) due.shift()(begun + at);
  await player.go(3);
  fail(new Error("late"));
  await new Promise((done) => setTimeout(done));
  return [player.frame, player.wanted, player.isPlaying, failed];
}"""
#: What a player shows of three frames, once and not in a loop, when the screen is late: a minute late at first, then for the
#: whole cine, whose last frame is not there yet.
LATE = """async (source) => {
  const { Player } = await import(source);
  const shown = [], due = [], ready = new Set([1, 2]);
  window.requestAnimationFrame = (tick) => due.push(tick);
  const player = new Player({ count: 3, seconds: [0, 0.04, 0.08], isReady: (frame) => ready.has(frame),
    want: async (frame) => ready.add(frame), show: (frame) => shown.push(frame), changed: () => {} });
  player.setLooping(false);
  await player.seek(1);
  player.play();
  const late = performance.now() + 60_000;
  for (const after of [0, 50, 9000, 9001, 9200]) due.shift()?.(late + after);
  return [shown, player.isPlaying];
}"""
#: What is known of three pictures while their answer comes in pieces, torn anywhere, and ends after the second.
PIECES = """async (source) => {
  const { Batch } = await import(source);
  const batch = new Batch(3), told = [];
  for (const place of [0, 1, 2]) batch.picture(place).then((bytes) => told.push([place, bytes ? [...bytes] : null]));
  let send;
  const body = new ReadableStream({ start: (control) => (send = control) });
  const total = batch.fill(body);
  const known = [];
  for (const piece of [[0, 0], [0, 1, 7, 0, 0, 0], [2], [8, 9, 0, 0, 0]]) {
    send.enqueue(new Uint8Array(piece));
    await new Promise((done) => setTimeout(done));
    known.push(told.length);
  }
  send.close();
  return [known, await total, told];
}"""


@pytest.fixture
def house(engine: Engine, units: UnitOfWorkFactory, tmp_path: Path) -> Iterator[House]:
    with viewer_house(engine, units, tmp_path) as made:
        analysed(made, cine_file(contraction()))
        yield made


def hold_frames(made: Tab) -> Callable[[], None]:
    """No frame comes until what this gives is called."""
    held: list[Route] = []
    is_free: list[bool] = []

    def hold(route: Route) -> None:
        if is_free:
            route.continue_()
        else:
            held.append(route)

    def free() -> None:
        is_free.append(True)
        for route in held:
            route.continue_()

    made.page.route("**/frames/**", hold)
    return free


def test_play_that_is_pressed_before_the_first_frame_is_there_plays_once_it_is(house: House) -> None:
    with house.served() as address, tab() as made:
        sign_in(house, made, address)
        free = hold_frames(made)
        made.page.goto(f"{address}/studies/{STUDY}", wait_until="commit")
        made.wait(f"{PLAY}?.disabled === false", timeout_seconds=60)
        made.page.evaluate(f"{PLAY}.click()")
        made.wait(f"{PLAY}.dataset.state === 'playing'")
        assert not made.page.evaluate(f"{VIEW}.dataset.shownFrame")
        free()
        made.wait(f"{VIEW}.dataset.playing === 'true' && Number({VIEW}.dataset.shownFrame) > 1", timeout_seconds=60)


def test_frame_that_is_asked_for_before_the_first_one_is_there_is_shown_and_not_the_first(house: House) -> None:
    with house.served() as address, tab() as made:
        sign_in(house, made, address)
        free = hold_frames(made)
        made.page.goto(f"{address}/studies/{STUDY}", wait_until="commit")
        count = "document.querySelector('[data-cine]').dataset.frames"
        made.wait(f"{PLAY}?.disabled === false && {SLIDER}.max === {count}", timeout_seconds=60)
        made.page.evaluate(f"{SLIDER}.value = {SLIDER}.max; {SLIDER}.dispatchEvent(new Event('input', {{ bubbles: true }}))")
        assert not made.page.evaluate(f"{VIEW}.dataset.shownFrame")
        free()
        made.wait(f"{VIEW}.dataset.shownFrame === {count}", timeout_seconds=20)


def go_until_known(made: Tab, address: str) -> None:
    """To the viewer, until it knows the cine."""
    made.page.goto(f"{address}/studies/{STUDY}", wait_until="commit")
    made.wait(f"{PLAY}?.disabled === false && {SLIDER}.max === '{FRAMES}'", timeout_seconds=60)


@contextmanager
def opening(house: House) -> Iterator[tuple[Tab, Callable[[], None]]]:
    """A page whose cine is known and has no picture yet, and what lets pictures come."""
    with house.served() as address, tab() as made:
        sign_in(house, made, address)
        free = hold_frames(made)
        go_until_known(made, address)
        yield made, free


def held_back(made: Tab, address: str) -> list[Route]:
    """All that is asked for there, from now on."""
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    made.page.route(address, hold)
    return held


def scrub(made: Tab, frame: int) -> None:
    made.page.evaluate(f"{SLIDER}.value = {frame}; {SLIDER}.dispatchEvent(new Event('input', {{ bubbles: true }}))")


def test_step_before_the_first_frame_is_there_is_one_from_where_the_cine_begins(house: House) -> None:
    with opening(house) as (made, free):
        start = int(made.page.evaluate("document.querySelector('[data-cine]').dataset.start || '1'"))
        made.page.keyboard.press("ArrowRight")
        free()
        made.wait(f"{VIEW}.dataset.shownFrame === '{start + 1}'", timeout_seconds=20)


def test_play_that_is_pressed_while_a_frame_that_was_asked_for_comes_plays_from_there(house: House) -> None:
    with house.served() as address, tab() as made:
        sign_in(house, made, address)
        came: list[str] = []
        held = held_back(made, "**/frames/33-*")
        made.page.on("requestfinished", lambda request: came.append(request.url))
        go_until_known(made, address)
        scrub(made, 40)
        made.page.evaluate(f"{PLAY}.click()")
        poll(
            lambda: made.page.evaluate("1") and held and any("/frames/1-16" in url for url in came),
            timeout_seconds=30,
            what="a frame",
        )
        assert made.page.evaluate(f"{PLAY}.dataset.state") == "playing"
        made.page.evaluate(
            "document.addEventListener('sonomyo:frame', ({detail}) => detail.frame && (window.seen ??= []).push(detail.frame))"
        )
        held[0].continue_()
        # A busy machine leaves frames out to keep time.
        made.wait("window.seen?.length > 1", timeout_seconds=20)
        first, second = made.page.evaluate("window.seen.slice(0, 2)")
        assert first == 40
        assert second > first


def test_play_is_given_up_by_who_asks_for_a_frame_before_the_first_one_is_there(house: House) -> None:
    with opening(house) as (made, free):
        made.page.evaluate(f"{PLAY}.click()")
        made.wait(f"{PLAY}.dataset.state === 'playing'")
        scrub(made, 5)
        made.wait(f"{PLAY}.dataset.state === 'paused'")
        free()
        made.wait(f"{VIEW}.dataset.shownFrame === '5'", timeout_seconds=20)
        assert made.page.evaluate(f"{VIEW}.dataset.playing") == "false"


def test_cine_whose_first_frame_does_not_come_shows_the_one_that_was_asked_for_and_complains_of_none(house: House) -> None:
    with house.served() as address, tab() as made:
        sign_in(house, made, address)
        failed: list[str] = []
        held = held_back(made, "**/frames/1-*")
        made.page.on("requestfailed", lambda request: failed.append(request.url))
        go_until_known(made, address)
        scrub(made, FRAMES)
        made.wait(f"{VIEW}.dataset.shownFrame === '{FRAMES}'", timeout_seconds=20)
        made.page.evaluate(f"new MutationObserver(() => (window.complained = true)).observe({AGAIN}, {{ attributes: true }})")
        for route in held:
            route.abort()
        made.page.unroute("**/frames/1-*")
        poll(lambda: made.page.evaluate("1") and len(failed) >= len(held), timeout_seconds=30, what="the failure")
        made.page.keyboard.press("ArrowLeft")
        made.wait(f"{VIEW}.dataset.shownFrame === '{FRAMES - 1}'", timeout_seconds=20)
        assert not made.page.evaluate("window.complained")


def of_module(house: House, name: str, script: str) -> object:
    """What a script finds that is given the address of a module of the viewer, in a page that may load it."""
    with house.served() as address, tab() as made:
        sign_in(house, made, address)
        made.page.goto(f"{address}/studies/{STUDY}", wait_until="commit")
        made.wait(f"{PLAY} !== null", timeout_seconds=60)
        main = str(made.page.evaluate("document.querySelector('script[src$=\"viewer/main.js\"]').src"))
        return made.page.evaluate(script, main.replace("main.js", name))


def test_cine_that_is_played_once_on_a_late_screen_starts_at_its_first_frame_and_ends_on_its_last(house: House) -> None:
    assert of_module(house, "player.js", LATE) == [[1, 2, 3], False]


def test_picture_is_there_as_soon_as_its_bytes_are_and_one_that_does_not_come_is_missed(house: House) -> None:
    told = [[0, [7]], [1, [8, 9]], [2, None]]
    assert of_module(house, "batch.js", PIECES) == [[0, 1, 1, 2], 14, told]


def test_cine_with_a_frame_that_cannot_be_decoded_shows_the_others_and_says_which(
    engine: Engine, units: UnitOfWorkFactory, tmp_path: Path
) -> None:
    with viewer_house(engine, units, tmp_path) as house:
        analysed(house, without_end(cine_file(contraction(6), syntax=JPEG_2000), 4))
        with house.served() as address, tab() as made:
            sign_in(house, made, address)
            made.page.goto(f"{address}/studies/{STUDY}", wait_until="commit")
            made.wait(f"{VIEW}?.dataset.shownFrame === '1'", timeout_seconds=60)
            for frame in ("2", "3"):
                made.page.keyboard.press("ArrowRight")
                made.wait(f"{VIEW}.dataset.shownFrame === '{frame}'")
            made.page.keyboard.press("ArrowRight")
            made.wait("[...document.querySelectorAll('[data-problem]')].some((one) => one.textContent.includes('rame 4'))")
            made.page.keyboard.press("End")
            made.wait(f"{VIEW}.dataset.shownFrame === '6'")


def test_cine_that_waits_for_a_frame_goes_on_at_that_frame(house: House) -> None:
    assert of_module(house, "player.js", WAITING) == [[1, 2, 3, 4, 5], [2]]


def test_frame_for_which_playing_waited_is_not_gone_to_when_it_fails_after_another_was_asked_for(house: House) -> None:
    assert of_module(house, "player.js", GONE_ON) == [3, 3, False, []]


def test_printable_report_has_its_own_styles_and_no_other(house: House) -> None:
    report = house.client().get(f"/api/v1/studies/{STUDY}/report").json()["report_id"]
    with house.served() as address, tab() as made:
        sign_in(house, made, address)
        answer = made.page.goto(f"{address}/api/v1/reports/{report}")
        assert answer is not None
        policy = answer.headers["content-security-policy"]
        assert "style-src 'sha256-" in policy
        assert "unsafe" not in policy
        assert made.page.evaluate("[...document.styleSheets].every((one) => one.cssRules.length > 10)")
        assert made.page.evaluate("getComputedStyle(document.querySelector('th')).textAlign") == "left"
        assert made.problems == []
        made.page.evaluate(
            "document.body.append(Object.assign(document.createElement('style'), {textContent: '* {color: red}'}))"
        )
        made.page.wait_for_timeout(0)
        assert any("Content Security Policy" in problem for problem in made.problems)
