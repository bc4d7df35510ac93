"""An answer that comes late takes no focus from who has gone on, changes nothing of what was pressed, and tells what is so."""

import json

import pytest
from playwright.sync_api import Route

from tests.browser import Tab, tab
from tests.integration.test_review_browser import THICKNESS, WHY, Desk, amend, desk, house, reading, text
from tests.integration.test_review_news_browser import keep_words, listening, save_meanwhile
from tests.integration.test_review_slow_browser import (
    AMEND,
    ANGLE,
    HAS_ONE,
    IS_QUIET,
    accept,
    accept_and_forget,
    press_sign,
    shows,
    slow,
)

__all__ = ["desk", "house"]  # fixtures
pytestmark = pytest.mark.timeout(600)
OF_ANGLE = f"{ANGLE} form[data-form=amend]"
MEANWHILE = "Somebody else saved this report meanwhile. Nothing of yours is lost."
BEING_DONE = "This is being done, and cannot be undone any more."


def value(opened: Tab, field: str) -> str:
    return opened.page.input_value(field)


def test_change_undone_late_leaves_the_focus_to_who_writes_the_impression(desk: Desk) -> None:
    with reading(desk) as opened:
        accept(opened)
        amend(opened, "18.2")
        opened.wait("document.querySelector('[data-unsaved]').textContent.startsWith('2 unsaved')")
        with slow(opened, "**/preview", "POST"):
            opened.page.click(f"{THICKNESS} [data-undo]")
            opened.page.click("[data-open=impression-form]")
            opened.page.fill("#impression-text", "")
            opened.page.keyboard.type("Thi")
        opened.wait(HAS_ONE)
        opened.wait(IS_QUIET)
        opened.page.keyboard.type("ck")
        assert value(opened, "#impression-text") == "Thick"


def test_version_saved_late_leaves_the_focus_in_the_field_in_which_somebody_types(desk: Desk) -> None:
    with reading(desk) as opened:
        amend(opened, "18.2")
        opened.wait(HAS_ONE)
        with slow(opened, "**/api/v1/reports/*", "PATCH"):
            opened.page.click("[data-save]")
            opened.page.click(f"{ANGLE} [data-amend]")
            opened.page.fill(f"{OF_ANGLE} [name=value]", "21")
            opened.page.focus(f"{OF_ANGLE} [name=why]")
            opened.page.keyboard.type("mered")
            for _ in range(3):
                opened.page.keyboard.press("ArrowLeft")
        shows(opened, 2)
        opened.page.keyboard.type("asu")
        assert (value(opened, f"{OF_ANGLE} [name=value]"), value(opened, f"{OF_ANGLE} [name=why]")) == ("21", "measured")


def test_form_opened_while_a_version_is_saved_is_still_open_over_it_for_what_is_typed_next(desk: Desk) -> None:
    with reading(desk) as opened:
        amend(opened, "18.2")
        opened.wait(HAS_ONE)
        with slow(opened, "**/api/v1/reports/*", "PATCH"):
            opened.page.click("[data-save]")
            opened.page.click(f"{ANGLE} [data-amend]")
        shows(opened, 2)
        opened.page.keyboard.type("21")
        assert value(opened, f"{OF_ANGLE} [name=value]") == "21"


def test_conflict_that_comes_late_leaves_the_focus_to_who_types(desk: Desk) -> None:
    with tab() as opened:
        desk.sign_in(opened, "anna")
        accept(opened)
        save_meanwhile(desk, {"action": "set", "value": 17.0, "why": WHY})
        with slow(opened, "**/api/v1/reports/*", "PATCH"):
            opened.page.click("[data-save]")
            opened.page.click(f"{THICKNESS} [data-amend]")
            opened.page.fill(f"{AMEND} [name=value]", "1")
        opened.wait("!document.querySelector('[data-conflict]').hidden")
        opened.page.keyboard.type("8.2")
        assert value(opened, f"{AMEND} [name=value]") == "18.2"


def test_conflict_that_is_out_of_sight_is_gone_to_or_told_where_it_was_pressed(desk: Desk) -> None:
    with tab(height=700) as opened:
        desk.sign_in(opened, "anna")
        save_meanwhile(desk, {"action": "set", "value": 17.0, "why": WHY})
        opened.page.click("[data-open=cancel-form]")
        opened.page.fill("#cancel-form [name=why]", WHY)
        opened.page.keyboard.press("Enter")
        opened.wait("!document.querySelector('[data-conflict]').hidden")
        opened.wait("document.activeElement.closest('[data-conflict]') !== null")
        with slow(opened, "**/cancel", "POST"):
            opened.page.click("#cancel-form button[type=submit]")
            opened.page.focus("#cancel-form [name=why]")
            opened.page.keyboard.type("!")
        opened.wait(f"document.querySelector('#cancel-form [data-problem]').textContent === '{MEANWHILE}'")
        assert opened.page.evaluate("document.activeElement.name") == "why"


def test_conflict_is_gone_to_though_the_form_that_was_kept_before_it_closed_itself_meanwhile(desk: Desk) -> None:
    with tab(height=700) as opened:
        desk.sign_in(opened, "anna")
        save_meanwhile(desk, {"action": "set", "value": 17.0, "why": WHY})
        with slow(opened, "**/preview", "POST"):
            amend(opened, "18.2")
            opened.page.keyboard.press("Control+s")
        opened.wait("!document.querySelector('[data-conflict]').hidden")
        opened.wait("document.activeElement.closest('[data-conflict]') !== null")


def test_words_kept_and_gone_on_with_while_they_are_saved_go_on_over_the_version(desk: Desk) -> None:
    with reading(desk) as opened:
        keep_words(opened, "#impression-text", "Swollen.")
        with slow(opened, "**/api/v1/reports/*", "PATCH"):
            opened.page.click("[data-save]")
            opened.page.click("[data-open=impression-form]")
            opened.page.focus("#impression-text")
            opened.page.keyboard.press("Control+End")
        shows(opened, 2)
        opened.page.keyboard.type(" Also oedema.")
        assert value(opened, "#impression-text") == "Swollen. Also oedema."


def test_form_in_which_somebody_has_gone_on_stays_open_when_what_was_kept_of_it_is_answered(desk: Desk) -> None:
    with reading(desk) as opened:
        with slow(opened, "**/preview", "POST"):
            amend(opened, "18.2")
            opened.page.keyboard.press("End")
        opened.wait(HAS_ONE)
        opened.wait(IS_QUIET)
        opened.page.keyboard.type(", carefully")
        assert value(opened, f"{AMEND} [name=why]") == f"{WHY}, carefully"
        opened.page.keyboard.press("Enter")
        opened.wait(f"document.querySelector(`{AMEND}`).hidden")
        opened.page.click("[data-save]")
        shows(opened, 2)
    assert desk.value("thickness")["amended"]["why"] == f"{WHY}, carefully"


def test_words_typed_by_keys_of_the_caret_stay_in_the_form_of_which_something_was_kept(desk: Desk) -> None:
    with reading(desk) as opened:
        with slow(opened, "**/preview", "POST"):
            amend(opened, "18.2", why="measured")
            opened.page.keyboard.press("Control+ArrowLeft")
        opened.wait(HAS_ONE)
        opened.wait(IS_QUIET)
        opened.page.keyboard.type("calmly ")
        assert value(opened, f"{AMEND} [name=why]") == "calmly measured"


def test_number_that_is_undone_late_leaves_what_is_selected_in_its_form(desk: Desk) -> None:
    with reading(desk) as opened:
        amend(opened, "18.2")
        opened.wait(HAS_ONE)
        accept_and_forget(opened)
        opened.wait("document.querySelector('[data-unsaved]').textContent.startsWith('2 unsaved')")
        with slow(opened, "**/preview", "POST"):
            opened.page.click(f"{THICKNESS} [data-undo]")
            opened.page.click(f"{THICKNESS} [data-amend]")
        opened.wait(HAS_ONE)
        opened.wait(IS_QUIET)
        opened.page.keyboard.type("21")
        assert value(opened, f"{AMEND} [name=value]") == "21"


def test_all_that_is_selected_stays_all_over_a_longer_text_of_a_version_that_comes_late(desk: Desk) -> None:
    with listening(desk) as opened:
        save_meanwhile(desk, {"action": "set", "value": 117.25, "why": WHY})
        opened.wait("!document.querySelector('[data-news]').hidden")
        with slow(opened, "**/review?version=*", "GET"):
            opened.page.click("[data-news] button")
            opened.page.click(f"{THICKNESS} [data-amend]")
        shows(opened, 2)
        opened.page.keyboard.type("11.2")
        assert value(opened, f"{AMEND} [name=value]") == "11.2"


def test_words_added_to_a_reason_after_withdrawing_was_pressed_are_listed_and_withdraw_nothing_else(desk: Desk) -> None:
    with reading(desk) as opened:
        press_sign(opened)
        shows(opened, 2)
        amend(opened, "18.2")
        opened.wait(HAS_ONE)
        opened.page.click("[data-save]")
        shows(opened, 3)
        opened.page.click("[data-open=cancel-form]")
        opened.page.fill("#cancel-form [name=why]", WHY)
        with slow(opened, "**/review?version=*", "GET"):
            opened.page.keyboard.press("Enter")
            opened.page.keyboard.type(", twice")
        opened.wait("!document.querySelector('[data-lost]').hidden")
        assert text(opened, "[data-lost] li") == f"{WHY}, twice"
        assert opened.page.locator("#cancel-form").is_hidden()
        assert value(opened, "#cancel-form [name=why]") == ""
    assert desk.newest()["status"] != "cancelled"


def test_withdrawing_that_is_begun_goes_on_over_a_version_that_comes_late(desk: Desk) -> None:
    with listening(desk) as opened:
        save_meanwhile(desk, {"action": "set", "value": 17.0, "why": WHY})
        opened.wait("!document.querySelector('[data-news]').hidden")
        with slow(opened, "**/review?version=*", "GET"):
            opened.page.click("[data-news] button")
            opened.page.click("[data-open=cancel-form]")
        shows(opened, 2)
        opened.page.keyboard.type("another patient")
        assert value(opened, "#cancel-form [name=why]") == "another patient"


def test_kept_number_stands_in_its_form_over_another_s_version_too(desk: Desk) -> None:
    with tab() as opened:
        desk.sign_in(opened, "anna")
        amend(opened, "18.2")
        opened.wait(HAS_ONE)
        save_meanwhile(desk, {"action": "set", "value": 17.0, "why": WHY})
        opened.page.click("[data-save]")
        opened.wait("!document.querySelector('[data-conflict]').hidden")
        with slow(opened, "**/review?version=*", "GET"):
            opened.page.click("[data-conflict] button")
            opened.page.click(f"{THICKNESS} [data-amend]")
            opened.page.keyboard.press("End")
        shows(opened, 2)
        opened.page.keyboard.type("5")
        assert (value(opened, f"{AMEND} [name=value]"), value(opened, f"{AMEND} [name=why]")) == ("18.25", WHY)


def test_second_conflict_keeps_the_focus_that_was_in_the_first(desk: Desk) -> None:
    with tab() as opened:
        desk.sign_in(opened, "anna")
        accept(opened)
        save_meanwhile(desk, {"action": "set", "value": 17.0, "why": WHY})
        opened.page.click("[data-save]")
        opened.wait("!document.querySelector('[data-conflict]').hidden")
        with slow(opened, "**/api/v1/reports/*", "PATCH"):
            opened.page.click("[data-save]")
            opened.page.focus("[data-conflict] button")
            opened.page.keyboard.press("Shift")
        opened.wait(IS_QUIET)
        opened.wait("document.activeElement.closest('[data-conflict]') !== null")


def test_reminder_goes_with_what_it_reminds_of(desk: Desk) -> None:
    with reading(desk) as opened:
        accept(opened)
        opened.page.click("[data-save]")
        shows(opened, 2)
        opened.page.click(f"{THICKNESS} [data-amend]")
        opened.page.fill(f"{AMEND} [name=value]", "18.2")
        opened.page.fill(f"{AMEND} [name=why]", WHY)
        with slow(opened, "**/preview", "POST"):
            opened.page.click(f"{ANGLE} [data-accept]")
            opened.page.focus(f"{AMEND} [name=why]")
            opened.page.keyboard.press("Control+s")
            opened.page.keyboard.press("End")
        shows(opened, 3)
        opened.wait(f"document.querySelector(`{AMEND} [data-problem]`).textContent !== ''")
        opened.page.press(f"{AMEND} [name=why]", "Enter")
        opened.wait(HAS_ONE)
        opened.wait("[...document.querySelectorAll('[data-problem], [data-save-problem]')].every((one) => !one.textContent)")


def test_focus_on_a_button_that_a_late_answer_hides_goes_to_the_head_of_the_panel(desk: Desk) -> None:
    with reading(desk) as opened:
        with slow(opened, "**/preview", "POST"):
            accept_and_forget(opened)
            opened.page.focus("[data-open=sign-form]")
        opened.wait(HAS_ONE)
        opened.wait("document.activeElement.id === 'review-title'")


def test_focus_on_a_finding_stays_on_it_over_a_version_that_comes_late(desk: Desk) -> None:
    with reading(desk) as opened:
        accept(opened)
        with slow(opened, "**/api/v1/reports/*", "PATCH"):
            opened.page.click("[data-save]")
            opened.page.keyboard.press("j")
            opened.wait("document.activeElement.dataset.name === 'Thickness'")
        shows(opened, 2)
        assert opened.page.evaluate("document.activeElement.dataset.name") == "Thickness"


def test_number_is_kept_as_it_stood_when_that_was_pressed(desk: Desk) -> None:
    with reading(desk) as opened:
        with slow(opened, "**/preview", "POST"):
            accept_and_forget(opened)
            amend(opened, "18.2")
            opened.page.keyboard.press("Control+s")
            opened.page.fill(f"{AMEND} [name=value]", "1")
        shows(opened, 2)
        assert value(opened, f"{AMEND} [name=value]") == "1"
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
