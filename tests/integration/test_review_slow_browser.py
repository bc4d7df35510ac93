"""What is done in the panel while an answer is slow: nothing that was drawn, typed or pressed is lost without a word."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Route

from tests.browser import Tab, tab
from tests.integration.test_review_browser import INSTANCE, THICKNESS, WHY, Desk, amend, desk, house, reading, text
from tests.integration.test_review_news_browser import keep_words, listening, save_meanwhile, withdraw_meanwhile
from tests.running import poll

__all__ = ["desk", "house"]  # fixtures
pytestmark = pytest.mark.timeout(600)
ANGLE = ".finding[data-name='Pennation angle']"
AMEND = f"{THICKNESS} form[data-form=amend]"
LINES = "form[data-form=lines]"
DRAWN = {
    "sop_instance_uid": INSTANCE,
    "frame": 12,
    "superficial": [[40, 150], [600, 150]],
    "deep": [[40, 400], [600, 400]],
}
HAS_ONE = "document.querySelector('[data-unsaved]').textContent.startsWith('1 unsaved')"
IS_QUIET = "document.getElementById('review-panel').ariaBusy === 'false'"
BROKEN = "The database is being restored."
AFTER_FAILURE = "What you pressed first could not be done, so what you pressed after it was not done either."
NOT_DONE = "Version 2 is shown now. What you pressed before it came was not done: press again where it still holds."


@contextmanager
def slow(opened: Tab, address: str, method: str, *, fails: bool = False) -> Iterator[None]:
    """What happens within happens while that request is under way; it goes on afterwards, or fails."""
    held: list[Route] = []

    def hold(route: Route) -> None:
        if route.request.method == method:
            held.append(route)
        else:
            route.fallback()

    opened.page.route(address, hold)
    yield
    poll(lambda: opened.page.evaluate("1") and held, timeout_seconds=30, what="the request")
    if fails:
        held[0].fulfill(status=503, content_type="application/problem+json", body=json.dumps({"detail": BROKEN}))
    else:
        held[0].continue_()
    opened.page.unroute(address, hold)


def shows(opened: Tab, version: int) -> None:
    opened.wait(f"document.getElementById('review-panel').dataset.number === '{version}'")
    opened.wait(IS_QUIET)


def accept(opened: Tab) -> None:
    opened.page.click(f"{ANGLE} [data-accept]")
    opened.wait(HAS_ONE)


def accept_and_forget(opened: Tab) -> None:
    """Press, whatever comes of it."""
    opened.page.click(f"{ANGLE} [data-accept]")


def draw(opened: Tab) -> None:
    """Without keeping it."""
    opened.page.click("[data-draw]")
    opened.page.evaluate(f"document.dispatchEvent(new CustomEvent('sonomyo:lines', {{detail: {json.dumps(DRAWN)}}}))")
    tells_numbers(opened)


def tells_numbers(opened: Tab) -> None:
    opened.wait(f"document.querySelector('{LINES} [data-drawn]').textContent.startsWith('Frame 12: thickness 20.0 mm;')")


def press_sign(opened: Tab) -> None:
    opened.page.click("[data-open=sign-form]")
    opened.page.click("#sign-form button[type=submit]")


@contextmanager
def saving(opened: Tab) -> Iterator[None]:
    """What happens within happens while an amended thickness is being saved."""
    amend(opened, "18.2")
    opened.wait(HAS_ONE)
    with slow(opened, "**/api/v1/reports/*", "PATCH"):
        opened.page.click("[data-save]")
        yield


def press_save(opened: Tab) -> None:
    accept(opened)
    opened.page.click("[data-save]")


@pytest.mark.parametrize(
    ("press", "address", "method"), [(press_save, "**/api/v1/reports/*", "PATCH"), (press_sign, "**/sign", "POST")]
)
def test_lines_drawn_while_a_version_is_made_are_still_drawn_over_it_and_can_be_kept(
    desk: Desk, press: Callable[[Tab], None], address: str, method: str
) -> None:
    with reading(desk) as opened:
        page = opened.page
        page.evaluate("document.addEventListener('sonomyo:own-lines', ({detail}) => (window.own = detail.lines))")
        with slow(opened, address, method):
            press(opened)
            draw(opened)
            page.fill(f"{LINES} [name=why]", WHY)
        shows(opened, 2)
        opened.wait(
            f"document.querySelector('{LINES} [data-problem]').textContent.startsWith('The lines that you drew are not kept')"
        )
        tells_numbers(opened)
        assert page.locator(LINES).is_visible()
        assert page.get_attribute("[data-draw]", "aria-pressed") == "true"
        assert page.evaluate("own.map(({frame, is_kept}) => [frame, is_kept])") == [[12, False]]
        assert page.evaluate(f"document.activeElement === document.querySelector('{LINES}').elements.why")
        page.keyboard.type(", twice")
        page.keyboard.press("Enter")
        told = f"Unsaved: lines drawn in frame 12 ({WHY}, twice)."
        opened.wait(f"document.querySelector('[data-pending-lines]').textContent === '{told}'")


def test_lines_drawn_while_another_s_version_comes_are_still_drawn_over_it(desk: Desk) -> None:
    with listening(desk) as opened:
        save_meanwhile(desk, {"action": "accept"})
        opened.wait("!document.querySelector('[data-news]').hidden")
        with slow(opened, "**/review?version=*", "GET"):
            opened.page.click("[data-news] button")
            draw(opened)
        shows(opened, 2)
        tells_numbers(opened)
        assert opened.page.locator(LINES).is_visible()
        opened.page.fill(f"{LINES} [name=why]", WHY)
        opened.page.press(f"{LINES} [name=why]", "Enter")
        opened.wait("!document.querySelector('[data-pending-lines]').hidden")


def test_lines_drawn_before_a_withdrawn_version_is_shown_are_listed_with_their_numbers(desk: Desk) -> None:
    with listening(desk) as opened:
        draw(opened)
        withdraw_meanwhile(desk)
        opened.page.click("[data-news] button")
        shows(opened, 2)
        assert text(opened, "[data-lost] li").startswith("Lines: Frame 12: thickness 20.0 mm;")
        assert "no place in this version" in text(opened, "[data-lost]")
        assert opened.page.locator("[role=status] button, [role=status] ul").locator("visible=true").count() == 0


def test_all_that_is_discarded_while_it_is_saved_is_said_not_to_be_discarded(desk: Desk) -> None:
    with reading(desk) as opened:
        with saving(opened):
            opened.page.click("[data-discard]")
            assert text(opened, "[data-unsaved]").startswith("1 unsaved")
        shows(opened, 2)
        assert text(opened, "[data-not-done] [data-why]") == NOT_DONE
        assert opened.page.evaluate("document.querySelector('[data-said]').textContent") == "Saved as version 2."
    assert desk.value("thickness")["value"] == 18.2


def test_all_that_is_discarded_while_it_is_saved_in_vain_is_discarded(desk: Desk) -> None:
    with tab() as opened:
        desk.sign_in(opened, "anna")
        amend(opened, "18.2")
        opened.wait(HAS_ONE)
        held: list[Route] = []

        def hold(route: Route) -> None:
            held.append(route)

        opened.page.route("**/api/v1/reports/*", hold)
        opened.page.click("[data-save]")
        opened.page.click("[data-discard]")
        poll(lambda: opened.page.evaluate("1") and held, timeout_seconds=30, what="the request")
        held[0].abort()
        opened.wait("document.querySelector('[data-said]').textContent === 'All unsaved changes are discarded.'")
        assert opened.page.locator("[data-unsaved]").is_hidden()
    assert desk.newest()["version"] == 1


def test_finding_accepted_while_a_version_is_made_is_said_not_to_be_accepted(desk: Desk) -> None:
    with reading(desk) as opened:
        with saving(opened):
            opened.page.click("[data-save]")
            opened.page.click(f"{ANGLE} [data-accept]")
        shows(opened, 2)
        assert text(opened, "[data-not-done] [data-why]") == NOT_DONE
        accept(opened)
        assert opened.page.locator("[data-not-done]").is_hidden()


def test_findings_accepted_while_another_change_is_tried_are_accepted_after_it(desk: Desk) -> None:
    with reading(desk) as opened:
        with slow(opened, "**/preview", "POST"):
            amend(opened, "18.2")
            opened.page.click(f"{ANGLE} [data-accept]")
            opened.page.click(f"{ANGLE} [data-accept]")
        opened.wait("document.querySelector('[data-unsaved]').textContent.startsWith('2 unsaved')")
        assert text(opened, f"{ANGLE} [data-pending]").endswith("Unsaved: accepted as it is.")
        opened.wait(f"document.querySelector(`{AMEND}`).hidden")


def test_finding_accepted_before_all_is_discarded_is_not_accepted_after_it(desk: Desk) -> None:
    with reading(desk) as opened:
        accept(opened)
        with slow(opened, "**/preview", "POST"):
            amend(opened, "18.2")
            opened.page.click(f"{ANGLE} [data-accept]")
            opened.page.click("[data-discard]")
        opened.wait(IS_QUIET)
        opened.page.click("[data-open=cancel-form]")
        assert opened.page.locator("[data-unsaved]").is_hidden()


def test_version_that_was_saved_and_cannot_be_shown_is_told_to_be_saved_and_offered(desk: Desk) -> None:
    with tab() as opened:
        desk.sign_in(opened, "anna")
        amend(opened, "18.2")
        opened.wait(HAS_ONE)
        opened.page.route("**/review?version=*", lambda route: route.abort())
        opened.page.click("[data-save]")
        told = "Saved as version 2. This cannot be shown yet: The service could not be reached."
        opened.wait(f"document.querySelector('[data-save-problem]').textContent === '{told}'")
        assert opened.page.locator("[data-discard]").is_hidden()
        opened.page.unroute("**/review?version=*")
        accept(opened)
        opened.page.click("[data-news] button")
        shows(opened, 2)
        opened.wait(HAS_ONE)
    assert desk.newest()["version"] == 2
    assert desk.value("thickness")["value"] == 18.2


def test_report_is_not_signed_after_a_finding_that_could_not_be_accepted(desk: Desk) -> None:
    with tab() as opened:
        desk.sign_in(opened, "anna")
        opened.page.click("[data-open=sign-form]")
        with slow(opened, "**/preview", "POST", fails=True):
            opened.page.click(f"{ANGLE} [data-accept]")
            opened.page.click("#sign-form button[type=submit]")
        opened.wait(f"document.querySelector('[data-not-done] [data-why]').textContent === {json.dumps(AFTER_FAILURE)}")
        assert text(opened, "[data-save-problem]") == BROKEN
        assert desk.newest()["status"] == "preliminary"
        opened.page.click("#sign-form button[type=submit]")
        opened.wait("document.getElementById('review-panel').dataset.status === 'final'")


def test_nothing_is_saved_after_a_change_that_could_not_be_undone(desk: Desk) -> None:
    with tab() as opened:
        desk.sign_in(opened, "anna")
        amend(opened, "18.2")
        opened.wait(HAS_ONE)
        with slow(opened, "**/preview", "POST", fails=True):
            accept_and_forget(opened)
            opened.page.keyboard.press("Control+s")
        opened.wait(f"document.querySelector('[data-not-done] [data-why]').textContent === {json.dumps(AFTER_FAILURE)}")
        opened.wait(IS_QUIET)
        assert text(opened, "[data-unsaved]").startswith("1 unsaved")
        assert desk.newest()["version"] == 1
        opened.page.keyboard.press("Control+s")
        shows(opened, 2)


def test_number_that_is_discarded_while_it_is_tried_is_not_kept(desk: Desk) -> None:
    with reading(desk) as opened:
        with slow(opened, "**/preview", "POST"):
            amend(opened, "18.2")
            opened.page.click(f"{AMEND} [data-close]")
        opened.wait(IS_QUIET)
        assert opened.page.locator("[data-unsaved]").is_hidden()
        assert opened.page.locator(AMEND).is_hidden()


def test_report_that_is_being_withdrawn_is_said_not_to_be_discarded(desk: Desk) -> None:
    with reading(desk) as opened:
        opened.page.click("[data-open=cancel-form]")
        opened.page.fill("#cancel-form [name=why]", WHY)
        with slow(opened, "**/cancel", "POST"):
            opened.page.click("#cancel-form button[type=submit]")
            opened.page.click("#cancel-form [data-close]")
            assert text(opened, "#cancel-form [data-problem]") == "This is being done, and cannot be undone any more."
        opened.wait("document.getElementById('review-panel').dataset.status === 'cancelled'")


def test_number_that_is_typed_while_the_one_before_is_tried_is_kept_after_it(desk: Desk) -> None:
    with reading(desk) as opened:
        with slow(opened, "**/preview", "POST"):
            amend(opened, "18.2")
            opened.page.fill(f"{AMEND} [name=value]", "18.9")
            opened.page.press(f"{AMEND} [name=value]", "Enter")
            opened.page.keyboard.press("Control+s")
        shows(opened, 2)
    assert desk.value("thickness")["value"] == 18.9


def test_all_that_is_discarded_while_somebody_else_saved_is_no_conflict_any_more(desk: Desk) -> None:
    with tab() as opened:
        desk.sign_in(opened, "anna")
        accept(opened)
        save_meanwhile(desk, {"action": "set", "value": 17.0, "why": WHY})
        with slow(opened, "**/api/v1/reports/*", "PATCH"):
            opened.page.click("[data-save]")
            opened.page.click("[data-discard]")
        opened.wait("document.querySelector('[data-said]').textContent === 'All unsaved changes are discarded.'")
        assert opened.page.locator("[data-conflict]").is_hidden()
        opened.page.click("[data-news] button")
        shows(opened, 2)


def test_kept_comment_is_told_with_its_reason_while_it_is_unsaved(desk: Desk) -> None:
    with reading(desk) as opened:
        keep_words(opened, "#comment-text", "Seen twice.")
        told = "document.querySelector('[data-pending-words]').textContent"
        assert opened.page.evaluate(told) == f"Unsaved, the comment becomes: Seen twice.\nReason: {WHY}"
        opened.page.click("[data-save]")
        shows(opened, 2)
        keep_words(opened, "#comment-text", "")
        assert opened.page.evaluate(told) == f"Unsaved: the comment is removed.\nReason: {WHY}"


def test_impression_that_was_cleared_is_told_and_listed_when_a_withdrawn_version_is_shown(desk: Desk) -> None:
    with tab(language="de-DE") as opened:
        desk.sign_in(opened, "anna")
        opened.wait("document.querySelector('[data-news]').dataset.listens === 'true'")
        keep_words(opened, "#impression-text", "Ein dicker Muskel.")
        opened.page.click("[data-save]")
        shows(opened, 2)
        keep_words(opened, "#impression-text", "")
        assert text(opened, "[data-pending-words]").startswith(
            "Ungespeichert: Die Beurteilung wird aus den Befunden zusammengestellt."
        )
        withdraw_meanwhile(desk)
        opened.wait("!document.querySelector('[data-news]').hidden")
        opened.page.click("[data-news] button")
        shows(opened, 3)
        told = opened.page.locator("[data-lost] li").all_inner_texts()
        assert told == ["Beurteilung: leer: aus den Befunden zusammengestellt", f"Grund: {WHY}"]
