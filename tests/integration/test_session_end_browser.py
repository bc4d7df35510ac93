"""Whoever has a page open is told before the session ends, and can stay signed in; a page prolongs none by itself."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine
from sqlalchemy import text as sql

from service.access import Role
from service.ports import UnitOfWorkFactory
from tests.browser import Tab, tab
from tests.integration.api_parts import PASSWORD
from tests.integration.test_review_browser import Desk, amend, desk, house, save
from tests.integration.test_review_session_browser import end_sessions, sign_in_beside
from tests.integration.viewer_parts import analysed, cine_file, contraction, read_by_anna, viewer_house
from tests.page_checks import english_in, faults_in, scrolls_sideways_by

__all__ = ["desk", "house"]  # fixtures
pytestmark = pytest.mark.timeout(600)
NOTICE = "document.querySelector('[data-session]')"
LOOK = "document.dispatchEvent(new Event('visibilitychange'))"
TOLD = "document.querySelector('[data-session-told]').textContent"


#: What a click on "Stay signed in" would reach.
REACHED = """(() => { const box = document.querySelector('[data-session-stay]').getBoundingClientRect();
 const found = document.elementFromPoint(box.left + box.width / 2, box.top + box.height / 2);
 return found?.matches('[data-session-stay]') ?? false })()"""


def unused_for(desk: Desk, minutes: float) -> None:
    with desk.house.engine.begin() as connection:
        changed = sql("UPDATE user_sessions SET last_used_at = now() - make_interval(secs => :seconds)")
        connection.execute(changed, {"seconds": 60 * minutes})


def warned(desk: Desk, opened: Tab, minutes: float = 27) -> None:
    """The notice is there, after so many minutes without use."""
    opened.wait(f"{NOTICE} !== null")
    unused_for(desk, minutes)
    opened.page.evaluate(LOOK)
    opened.wait(f"!{NOTICE}.hidden")


@pytest.fixture
def viewed(engine: Engine, units: UnitOfWorkFactory, tmp_path: Path) -> Iterator[Desk]:
    """A study for the viewer, which has a full screen and a help."""
    with viewer_house(engine, units, tmp_path / "store") as made:
        made.users.add(login="anna", full_name="Dr Anna Grau", role=Role.RADIOLOGIST, password=PASSWORD, actor="test")
        analysed(made, cine_file(contraction()))
        with made.served() as address:
            yield Desk(made, address)


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


@pytest.mark.parametrize(
    ("key", "is_open"), [("f", "document.fullscreenElement"), ("?", "document.querySelector('dialog:modal')")]
)
def test_notice_in_full_screen_and_over_the_help_is_seen_told_and_worked(viewed: Desk, key: str, is_open: str) -> None:
    with tab() as opened:
        read_by_anna(opened, viewed.address)
        opened.page.focus("[data-view]")
        opened.page.keyboard.press(key)
        opened.wait(f"{is_open} !== null")
        warned(viewed, opened)
        assert opened.page.evaluate(REACHED)
        assert opened.page.evaluate(f"{is_open}.contains(document.querySelector('[data-session-told]'))")
        assert "signed out in 3 min" in opened.page.evaluate(TOLD)
        assert faults_in(opened) == []
        opened.page.get_by_role("button", name="Stay signed in").press("Enter")
        opened.wait(f"{NOTICE}.hidden")
        assert unused_minutes(viewed) < 1
        warned(viewed, opened)
        opened.page.keyboard.press("Escape")
        opened.page.evaluate("document.fullscreenElement && document.exitFullscreen()")
        opened.wait(f"{is_open} === null && {NOTICE}.closest('dialog, [data-stage]') === null")
        assert opened.page.evaluate(REACHED)


def test_notice_of_an_ended_session_goes_when_its_window_is_used_after_signing_in_in_another(desk: Desk) -> None:
    with tab() as opened:
        ended_and_signed_in_beside(desk, opened)
        opened.page.evaluate("dispatchEvent(new Event('focus'))")
        opened.wait(f"{NOTICE}.hidden")


def test_notice_of_an_ended_session_goes_when_a_change_is_saved(desk: Desk) -> None:
    with tab() as opened:
        ended_and_signed_in_beside(desk, opened)
        save(opened, 2)
        opened.wait(f"{NOTICE}.hidden", timeout_seconds=15)  # before it looks by itself


def ended_and_signed_in_beside(desk: Desk, opened: Tab) -> None:
    desk.sign_in(opened, "anna")
    amend(opened, "18.8")
    opened.wait("document.querySelector('[data-unsaved]').textContent.startsWith('1 ')")
    end_sessions(desk)
    opened.page.evaluate(LOOK)
    opened.wait(f"{TOLD}.startsWith('Your session has ended')")
    sign_in_beside(desk, opened, "anna")
    assert not opened.page.evaluate(f"{NOTICE}.hidden")


def test_staying_signed_in_without_a_connection_is_told_as_failed_and_can_be_tried_again(desk: Desk) -> None:
    with tab() as opened:
        desk.sign_in(opened, "anna")
        warned(desk, opened)
        opened.page.context.set_offline(True)
        opened.page.click("[data-session-stay]")
        opened.wait(f"{TOLD}.startsWith('That did not work')")
        assert opened.page.locator("[data-session-failed]").inner_text().startswith("That did not work")
        opened.page.context.set_offline(False)
        opened.page.click("[data-session-stay]")
        opened.wait(f"{NOTICE}.hidden")
        assert unused_minutes(desk) < 1


def test_staying_signed_in_gives_the_focus_back_and_tells_for_how_long(desk: Desk) -> None:
    with tab() as opened:
        desk.sign_in(opened, "anna")
        warned(desk, opened)
        opened.page.focus("[data-open=impression-form]")
        opened.page.focus("[data-session-stay]")
        opened.page.keyboard.press("Enter")
        opened.wait(f"{NOTICE}.hidden")
        assert opened.page.evaluate("document.activeElement.dataset.open") == "impression-form"
        assert opened.page.evaluate(TOLD) == "You stay signed in. If the service is not used, the session ends in 30 min."


def test_notice_that_was_closed_comes_back_in_the_last_minute(desk: Desk) -> None:
    with tab() as opened:
        desk.sign_in(opened, "anna")
        warned(desk, opened)
        opened.page.focus("[data-open=impression-form]")
        opened.page.focus("[data-session-close]")
        opened.page.keyboard.press("Enter")
        assert opened.page.evaluate(f"{NOTICE}.hidden")
        assert opened.page.evaluate("document.activeElement.dataset.open") == "impression-form"
        unused_for(desk, 28)
        opened.page.evaluate(LOOK)
        opened.wait("document.querySelector('[data-session-words]').textContent.includes('in 2 min')")
        assert opened.page.evaluate(f"{NOTICE}.hidden")
        warned(desk, opened, 29.3)
        assert "signed out in 1 min" in opened.page.evaluate(TOLD)
        assert opened.problems == []


def test_notice_counts_on_where_the_service_does_not_answer_and_tells_in_the_end_that_the_session_is_over(desk: Desk) -> None:
    with tab() as opened:
        opened.page.clock.install()
        desk.sign_in(opened, "anna")
        warned(desk, opened)
        opened.page.route("**/api/v1/me", lambda route: route.abort())
        opened.page.clock.fast_forward(90_000)
        opened.wait("/signed out in [12] min/.test(document.querySelector('[data-session-words]').textContent)")
        opened.page.clock.fast_forward(120_000)
        opened.wait(f"{TOLD}.startsWith('Your session has ended')")
        opened.page.unroute("**/api/v1/me")
        opened.page.evaluate(LOOK)
        opened.wait("/signed out in 3 min/.test(document.querySelector('[data-session-words]').textContent)")
