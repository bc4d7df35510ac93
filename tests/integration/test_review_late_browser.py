"""An answer that comes late takes no focus and no word from who has gone on, and is gone to or told where it is waited for."""

import pytest

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
    saving,
    shows,
    slow,
)

__all__ = ["desk", "house"]  # fixtures
pytestmark = pytest.mark.timeout(600)
OF_ANGLE = f"{ANGLE} form[data-form=amend]"
MEANWHILE = "Somebody else saved this report meanwhile. Nothing of yours is lost."


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
        with saving(opened):
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
        with saving(opened):
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
