"""Whoever has a page open is told before the session ends, and can stay signed in; a page prolongs none by itself."""

import pytest
from sqlalchemy import text as sql

from tests.browser import tab
from tests.integration.test_review_browser import Desk, desk, house
from tests.page_checks import english_in, faults_in, scrolls_sideways_by

__all__ = ["desk", "house"]  # fixtures
pytestmark = pytest.mark.timeout(600)
NOTICE = "document.querySelector('[data-session]')"
LOOK = "document.dispatchEvent(new Event('visibilitychange'))"
TOLD = "document.querySelector('[data-session-told]').textContent"


def unused_for(desk: Desk, minutes: int) -> None:
    with desk.house.engine.begin() as connection:
        changed = sql("UPDATE user_sessions SET last_used_at = now() - make_interval(mins => :minutes)")
        connection.execute(changed, {"minutes": minutes})


def left_of_life(desk: Desk, minutes: int) -> None:
    with desk.house.engine.begin() as connection:
        changed = sql("UPDATE user_sessions SET expires_at = now() + make_interval(mins => :minutes)")
        connection.execute(changed, {"minutes": minutes})


def unused_minutes(desk: Desk) -> float:
    with desk.house.engine.connect() as connection:
        found = connection.execute(sql("SELECT extract(epoch FROM now() - last_used_at) / 60 FROM user_sessions"))
        return float(found.scalar_one())


def test_page_tells_before_an_unused_session_ends_and_prolongs_it_on_demand_alone(desk: Desk) -> None:
    with tab() as opened:
        desk.sign_in(opened, "anna")
        opened.wait(f"{NOTICE} !== null")
        opened.page.evaluate(LOOK)
        unused_for(desk, 26)
        opened.page.evaluate(LOOK)
        opened.wait(f"!{NOTICE}.hidden")
        assert "signed out in 4 min" in opened.page.locator("[data-session-words]").inner_text()
        assert "signed out in 4 min" in opened.page.evaluate(TOLD)
        assert unused_minutes(desk) > 25
        opened.page.get_by_role("button", name="Stay signed in").press("Enter")
        opened.wait(f"{NOTICE}.hidden")
        assert unused_minutes(desk) < 1
        assert opened.problems == []


def test_page_tells_before_a_session_ends_for_good_and_when_it_has_ended(desk: Desk) -> None:
    with tab() as opened:
        desk.sign_in(opened, "anna")
        opened.wait(f"{NOTICE} !== null")
        left_of_life(desk, 3)
        opened.page.evaluate(LOOK)
        opened.wait(f"{TOLD}.startsWith('Your session ends in 3 min')")
        assert opened.page.locator("[data-session-stay]").is_hidden()
        left_of_life(desk, -1)
        opened.page.evaluate(LOOK)
        opened.wait(f"{TOLD}.startsWith('Your session has ended')")
        assert opened.page.locator("[data-session-sign-in]").is_visible()


@pytest.mark.parametrize("width", [1280, 320])
def test_notice_of_a_session_in_german_has_no_fault_that_axe_finds(desk: Desk, width: int) -> None:
    with tab(language="de-DE", is_still=True, width=width) as opened:
        desk.sign_in(opened, "anna")
        opened.wait(f"{NOTICE} !== null")
        unused_for(desk, 27)
        opened.page.evaluate(LOOK)
        opened.wait(f"!{NOTICE}.hidden")
        assert [*faults_in(opened), *english_in(opened)] == []
        assert scrolls_sideways_by(opened) <= 0
