"""What is unsaved in the panel when the session ends: it waits for the same person to sign in again in another tab."""

from typing import Any

import pytest
from playwright.sync_api import Page
from sqlalchemy import text as sql

from tests.browser import Tab, tab
from tests.integration.api_parts import PASSWORD
from tests.integration.test_review_browser import THICKNESS, WHY, Desk, amend, desk, house, ready, save, text

__all__ = ["desk", "house"]  # fixtures
pytestmark = pytest.mark.timeout(600)
PROBLEM = "document.querySelector('[data-save-problem]').textContent"


def end_sessions(desk: Desk) -> None:
    with desk.house.engine.begin() as connection:
        connection.execute(sql("DELETE FROM user_sessions"))


def sign_in_beside(desk: Desk, opened: Tab, login: str) -> Page:
    """In another tab of the same browser."""
    page = opened.page.context.new_page()
    page.goto(f"{desk.address}/sign-in")
    page.fill("#login", login)
    page.fill("#password", PASSWORD)
    page.press("#password", "Enter")
    page.wait_for_url(f"{desk.address}/")
    return page


def with_a_change(desk: Desk, opened: Tab) -> None:
    """Anna has changed a number, and typed a text that she did not apply."""
    desk.sign_in(opened, "anna")
    amend(opened, "18.8")
    opened.wait("document.querySelector('[data-unsaved]').textContent.startsWith('1 ')")
    opened.page.click("[data-open=impression-form]")
    opened.page.fill("#impression-text", "A thick muscle.")


def amended(desk: Desk) -> Any:
    return desk.value("thickness")["amended"]


def test_change_that_outlives_its_session_is_saved_after_signing_in_in_another_tab(desk: Desk) -> None:
    with tab() as opened:
        with_a_change(desk, opened)
        end_sessions(desk)
        opened.page.click("[data-save]")
        opened.wait(f"{PROBLEM}.startsWith('The session has ended. Sign in again in another tab, and save again here')")
        assert amended(desk) is None
        sign_in_beside(desk, opened, "anna")
        save(opened, 2)
        assert (desk.value("thickness")["value"], amended(desk)["by"], amended(desk)["why"]) == (18.8, "Dr Anna Grau", WHY)
        opened.wait("document.querySelector('#impression-text') !== null")
        assert opened.page.input_value("#impression-text") == "A thick muscle."


def test_change_is_not_saved_as_that_of_another_person_who_signed_in_beside(desk: Desk) -> None:
    with tab(language="de-DE") as opened:
        with_a_change(desk, opened)
        end_sessions(desk)
        sign_in_beside(desk, opened, "bert")
        opened.page.click("[data-save]")
        opened.wait(f"{PROBLEM}.startsWith('In diesem Browser hat sich jemand anderes angemeldet.')")
        assert amended(desk) is None
        assert "18,8" in text(opened, f"{THICKNESS} [data-pending]")


@pytest.mark.parametrize("language", ["en-GB", "de-DE"])
def test_conflict_with_what_the_same_person_saved_in_another_tab_says_so(desk: Desk, language: str) -> None:
    own = {
        "en-GB": "You saved this report meanwhile in another tab or window",
        "de-DE": "Sie haben diesen Befund inzwischen in einem anderen Tab oder Fenster gespeichert",
    }
    with tab(language=language) as first:
        desk.sign_in(first, "anna")
        second = Tab(first.page.context.new_page())
        second.page.goto(first.page.url)
        ready(second)
        for opened, value in ((first, "18.8"), (second, "19.9")):
            amend(opened, value)
            opened.wait("document.querySelector('[data-unsaved]').textContent.startsWith('1 ')")
        first.page.click("[data-save]")
        first.wait("document.getElementById('review-title').textContent === 'Version 2'")
        second.page.click("[data-save]")
        second.wait("!document.querySelector('[data-conflict]').hidden")
        assert second.page.locator("[data-conflict] h3").inner_text() == own[language]
        assert text(second, "[data-said]").startswith(f"{own[language]}. ")
        assert "18" in text(second, "[data-conflict]")
