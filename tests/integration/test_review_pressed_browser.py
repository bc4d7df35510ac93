"""What is pressed in the panel is done as it stood then, can be taken back while it waits, and is told as what it became."""

import json

import pytest
from playwright.sync_api import Route

from tests.browser import tab
from tests.integration.test_review_browser import THICKNESS, WHY, Desk, amend, desk, house, reading, text
from tests.integration.test_review_news_browser import save_meanwhile
from tests.integration.test_review_slow_browser import (
    AMEND,
    ANGLE,
    HAS_ONE,
    IS_QUIET,
    accept,
    accept_and_forget,
    shows,
    slow,
)

__all__ = ["desk", "house"]  # fixtures
pytestmark = pytest.mark.timeout(600)
BEING_DONE = "This is being done, and cannot be undone any more."


def test_number_is_kept_as_it_stood_when_that_was_pressed(desk: Desk) -> None:
    with reading(desk) as opened:
        with slow(opened, "**/preview", "POST"):
            accept_and_forget(opened)
            amend(opened, "18.2")
            opened.page.keyboard.press("Control+s")
            opened.page.fill(f"{AMEND} [name=value]", "1")
        shows(opened, 2)
        assert opened.page.input_value(f"{AMEND} [name=value]") == "1"
        assert text(opened, f"{AMEND} [data-problem]") == "What you typed is not kept yet: keep or discard it."
    assert desk.value("thickness")["value"] == 18.2


def test_all_that_is_discarded_while_it_is_saved_is_told_to_be_saved_though_that_cannot_be_shown(desk: Desk) -> None:
    with tab() as opened:
        desk.sign_in(opened, "anna")
        amend(opened, "18.2")
        opened.wait(HAS_ONE)
        opened.page.route("**/review?version=*", lambda route: route.abort())
        with slow(opened, "**/api/v1/reports/*", "PATCH"):
            opened.page.click("[data-save]")
            opened.page.click("[data-discard]")
        saved = "Saved as version 2. This cannot be shown yet: The service could not be reached."
        opened.wait(f"document.querySelector('[data-save-problem]').textContent === '{saved}'")
        opened.wait(IS_QUIET)
        assert text(opened, "[data-save-problem]") == saved
        assert "discarded" not in str(opened.page.locator("[data-said]").text_content())
        assert opened.page.evaluate("document.activeElement.id") == "review-title"
    assert desk.value("thickness")["value"] == 18.2


@pytest.mark.parametrize("way", ["Escape", "the button"])
def test_signing_that_waits_its_turn_can_be_taken_back(desk: Desk, way: str) -> None:
    with reading(desk) as opened:
        with slow(opened, "**/preview", "POST"):
            accept_and_forget(opened)
            opened.page.click("[data-open=sign-form]")
            opened.page.click("#sign-form button[type=submit]")
            if way == "Escape":
                opened.page.keyboard.press("Escape")
            else:
                opened.page.click("#sign-form [data-close]")
            assert opened.page.locator("#sign-form").is_hidden()
        opened.wait(HAS_ONE)
        opened.wait(IS_QUIET)
        assert opened.page.locator("[data-not-done]").is_hidden()
        assert text(opened, "[data-unsaved]").startswith("1 unsaved")
        opened.page.click("[data-save]")
        shows(opened, 2)
    assert desk.newest()["status"] == "preliminary"


def test_report_that_is_being_signed_is_said_not_to_be_left(desk: Desk) -> None:
    with reading(desk) as opened:
        opened.page.click("[data-open=sign-form]")
        with slow(opened, "**/sign", "POST"):
            opened.page.click("#sign-form button[type=submit]")
            opened.page.keyboard.press("Escape")
            assert text(opened, "#sign-form [data-problem]") == BEING_DONE
        opened.wait("document.getElementById('review-panel').dataset.status === 'final'")


def test_number_that_was_discarded_stops_nothing_though_it_could_not_be_tried(desk: Desk) -> None:
    with tab() as opened:
        desk.sign_in(opened, "anna")
        with slow(opened, "**/preview", "POST", fails=True):
            amend(opened, "18.2")
            opened.page.click(f"{AMEND} [data-close]")
            accept_and_forget(opened)
        opened.wait(HAS_ONE)
        opened.page.click(f"{THICKNESS} [data-amend]")
        assert opened.page.locator(f"{AMEND} [data-problem]").is_hidden()
        assert opened.page.locator(f"{AMEND} [aria-invalid]").count() == 0


def test_conflict_about_nothing_any_more_is_news(desk: Desk) -> None:
    with tab() as opened:
        desk.sign_in(opened, "anna")
        accept(opened)
        save_meanwhile(desk, {"action": "set", "value": 17.0, "why": WHY})
        opened.page.click("[data-save]")
        opened.wait("!document.querySelector('[data-conflict]').hidden")
        opened.page.click(f"{ANGLE} [data-undo]")
        opened.wait("document.querySelector('[data-conflict]').hidden")
        opened.page.click("[data-news] button")
        shows(opened, 2)


@pytest.mark.parametrize("width", [320, 900, 1280])
def test_notice_of_what_was_not_done_is_seen_wherever_the_page_is_scrolled_to_and_can_be_closed(desk: Desk, width: int) -> None:
    with tab(width=width, height=700, language="de-DE") as opened:
        desk.sign_in(opened, "anna")

        def refuse(route: Route) -> None:
            route.fulfill(status=503, content_type="application/problem+json", body=json.dumps({"detail": "Wartung."}))

        opened.page.route("**/preview", refuse)
        with slow(opened, "**/preview", "POST", fails=True):
            accept_and_forget(opened)
            opened.page.click("[data-open=sign-form]")
            opened.page.click("#sign-form button[type=submit]")
        opened.wait("!document.querySelector('[data-not-done]').hidden")
        for scrolled in (0, 10_000):
            opened.page.evaluate(f"scrollTo(0, {scrolled})")
            assert opened.page.evaluate(SEEN)
        opened.page.click("[data-not-done] button")
        assert opened.page.locator("[data-not-done]").is_hidden()
        assert opened.page.evaluate("document.activeElement.id") == "review-title"


#: Whether all corners and the middle of the words are in the window with nothing over them.
SEEN = """(() => { const place = document.querySelector('[data-not-done] [data-why]'), box = place.getBoundingClientRect();
 const points = [[.5, .5], [.02, .1], [.98, .9]].map(([x, y]) => [box.left + x * box.width, box.top + y * box.height]);
 return points.every(([x, y]) => document.elementFromPoint(x, y)?.closest('[data-not-done]')) })()"""
