"""What an open panel tells of other people's versions, and of the service's: offered calmly, and a conflict in German."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.browser import Tab, tab
from tests.integration.api_parts import STUDY
from tests.integration.test_review_browser import WHY, Desk, amend, desk, house, reading, save, text
from tests.page_checks import english_in

__all__ = ["desk", "house"]  # fixtures
pytestmark = pytest.mark.timeout(600)
ANGLE = ".finding[data-name='Pennation angle']"


def save_meanwhile(desk: Desk, change: dict[str, Any]) -> None:
    """Somebody else changes the thickness."""
    seen, finding_id = desk.newest(), desk.value("thickness")["finding_id"]
    body = {"why": WHY, "findings": [{**change, "finding_id": finding_id}]}
    headers = {"If-Match": f'"{seen["report_id"]}"'}
    desk.house.reviewer().patch(f"/api/v1/reports/{seen['report_id']}", json=body, headers=headers).raise_for_status()


@contextmanager
def listening(desk: Desk) -> Iterator[Tab]:
    """A review that hears of news."""
    with reading(desk) as anna:
        anna.wait("document.querySelector('[data-news]').dataset.listens === 'true'")
        yield anna


def test_reader_hears_that_somebody_else_made_a_version_and_sees_it_at_a_press(desk: Desk) -> None:
    with listening(desk) as anna:
        save_meanwhile(desk, {"action": "accept"})
        anna.page.click("[data-news] button")
        anna.wait("document.getElementById('review-panel').dataset.number === '2'")
        assert anna.page.evaluate("document.querySelector('[data-news]').hidden")


def test_reader_without_events_sees_within_a_minute_that_somebody_else_made_a_version(desk: Desk) -> None:
    with tab() as anna:
        anna.page.route("**/api/v1/events", lambda route: route.abort())
        anna.page.clock.install()
        desk.sign_in(anna, "anna")
        anna.wait("document.querySelector('[data-newest]') !== null")
        anna.page.clock.run_for(61_000)
        assert anna.page.evaluate("document.querySelector('[data-news]').hidden")
        save_meanwhile(desk, {"action": "accept"})
        anna.page.clock.run_for(61_000)
        anna.wait("!document.querySelector('[data-news]').hidden")
        anna.page.click("[data-news] button")
        anna.wait("document.getElementById('review-panel').dataset.number === '2'")


def test_reader_is_offered_the_version_that_the_service_makes_of_a_new_analysis(desk: Desk) -> None:
    with listening(desk) as anna:
        anna.wait("document.querySelector('[data-newest]') !== null")
        desk.house.reviewer().post(f"/api/v1/studies/{STUDY}/reanalyse").raise_for_status()
        desk.house.work()
        anna.wait("!document.querySelector('[data-news]').hidden")
        assert anna.page.evaluate("document.getElementById('review-panel').dataset.number") == "1"
        assert "another version" in text(anna, "[data-news]")
        anna.page.click("[data-news] button")
        anna.wait("document.getElementById('review-panel').dataset.number === '2'")


def test_reader_who_is_typing_keeps_the_words_when_another_version_is_shown(desk: Desk) -> None:
    with listening(desk) as anna:
        page = anna.page
        page.click("[data-open=impression-form]")
        page.fill("#impression-text", "A thick muscle.")
        save_meanwhile(desk, {"action": "set", "value": 18.8})
        page.click("[data-news] button")
        anna.wait("document.getElementById('review-panel').dataset.number === '2'")
        assert page.locator("#impression-form").is_visible()
        assert page.input_value("#impression-text") == "A thick muscle."
        page.fill("#words-why", WHY)
        page.press("#words-why", "Enter")
        anna.wait("document.querySelector('[data-unsaved]').textContent.startsWith('1 unsaved')")
        page.click(f"{ANGLE} [data-amend]")
        page.fill(f"{ANGLE} form[data-form=amend] [name=value]", "19")
        save_meanwhile(desk, {"action": "accept"})
        anna.wait("!document.querySelector('[data-news]').hidden")
        page.click("[data-news] button")
        anna.wait("document.getElementById('review-panel').dataset.number === '3'")
        anna.wait("document.getElementById('review-panel').ariaBusy === 'false'")
        assert page.locator(f"{ANGLE} form[data-form=amend]").is_visible()
        assert page.input_value(f"{ANGLE} form[data-form=amend] [name=value]") == "19"
        page.fill(f"{ANGLE} form[data-form=amend] [name=why]", WHY)
        page.press(f"{ANGLE} form[data-form=amend] [name=why]", "Enter")
        anna.wait("document.querySelector('[data-unsaved]').textContent.startsWith('2 unsaved')")


def test_words_that_have_no_place_in_the_version_that_is_shown_are_told(desk: Desk) -> None:
    with listening(desk) as anna:
        page = anna.page
        page.click("[data-open=cancel-form]")
        page.fill("#cancel-why", "of another patient")
        seen = desk.newest()["report_id"]
        headers = {"If-Match": f'"{seen}"'}
        desk.house.reviewer().post(f"/api/v1/reports/{seen}/cancel", json={"why": WHY}, headers=headers).raise_for_status()
        page.click("[data-news] button")
        anna.wait("document.getElementById('review-panel').dataset.status === 'cancelled'")
        assert "of another patient" in text(anna, "#review-panel")


def test_version_that_cannot_be_shown_now_is_told_and_leaves_everything_as_it_was(desk: Desk) -> None:
    with tab() as anna:
        desk.sign_in(anna, "anna")
        anna.wait("document.querySelector('[data-news]').dataset.listens === 'true'")
        page = anna.page
        page.click(f"{ANGLE} [data-amend]")
        page.fill(f"{ANGLE} form[data-form=amend] [name=value]", "19")
        save_meanwhile(desk, {"action": "accept"})
        anna.wait("!document.querySelector('[data-news]').hidden")
        for failing in ("**/api/v1/reports/*", "**/review?version=*"):
            page.route(failing, lambda route: route.abort())
            page.click("[data-news] button")
            anna.wait("document.querySelector('[data-news] [data-problem]').textContent.startsWith('The service could not')")
            assert page.input_value(f"{ANGLE} form[data-form=amend] [name=value]") == "19"
            page.unroute(failing)
        assert page.evaluate("document.getElementById('review-panel').dataset.number") == "1"
        assert [one for one in anna.problems if "ERR_FAILED" not in one] == []
        page.click("[data-news] button")
        anna.wait("document.getElementById('review-panel').dataset.number === '2'")
        assert page.input_value(f"{ANGLE} form[data-form=amend] [name=value]") == "19"


def test_conflict_in_german_tells_apart_what_was_changed_and_what_follows(desk: Desk) -> None:
    with tab(language="de-DE") as opened:
        desk.sign_in(opened, "anna")
        amend(opened, "900", row=ANGLE)
        opened.wait(f"document.querySelector(`{ANGLE} form [data-problem]`).textContent.includes('ist nicht plausibel')")
        opened.page.click(f"{ANGLE} form[data-form=amend] [data-close]")
        amend(opened, "19", "the second one's reason", row=ANGLE)
        opened.wait("document.querySelector('[data-unsaved]').textContent.startsWith('1 ungespeicherte')")
        save_meanwhile(desk, {"action": "set", "value": 18.8})
        opened.page.click("[data-save]")
        opened.wait("!document.querySelector('[data-conflict]').hidden")
        told = text(opened, "[data-conflict]")
        assert "Version 2 (vorläufig) ist aktuell." in told
        assert "Muskeldicke: aus 17,5 mm wurde 18,8 mm" in told
        assert "Version 2 laden und Eigenes wieder anwenden" in told
        assert "ersion 2 is" not in told
        assert told.index("Was von Ihnen nicht gespeichert ist:") < told.index("Was daraus folgt:")
        lists = "[...document.querySelectorAll('[data-conflict] ul')].map(list => [...list.children].map(one => one.textContent))"
        _, mine, follows = opened.page.evaluate(lists)
        assert mine == ["Fiederungswinkel: 19,0° (the second one's reason)."]
        assert [one.partition(":")[0] for one in follows] == ["Faszikellänge", "Faszikelwinkel"]
        typed = (WHY, "the second one's reason")
        assert [one for one in english_in(opened) if not any(reason in one for reason in typed)] == []


def test_number_in_german_has_a_decimal_comma_and_one_minus_sign(desk: Desk) -> None:
    with tab(language="de-DE") as opened:
        desk.sign_in(opened, "anna")
        words = opened.page.evaluate("performance.getEntriesByType('resource').find(one => one.name.endsWith('/words.js')).name")
        said = opened.page.evaluate(f"import('{words}').then(({{ decimal }}) => ['-12.5', '14.1', '-3'].map(decimal))")
        assert said == ["\u221212,5", "14,1", "\u22123"]


def keep_words(opened: Tab, field: str, words: str) -> None:
    """Write the impression or the comment, and keep it."""
    page = opened.page
    page.click("[data-open=impression-form]")
    page.fill(field, words)
    page.fill("#words-why", WHY)
    page.press("#words-why", "Enter")
    opened.wait(
        "document.querySelector('#impression-form').hidden && document.querySelector('#review-panel').ariaBusy === 'false'"
    )


def show_it(opened: Tab, version: int) -> None:
    """The version that is offered."""
    opened.wait("!document.querySelector('[data-news]').hidden")
    opened.page.click("[data-news] button")
    opened.wait(f"document.getElementById('review-panel').dataset.number === '{version}'")
    opened.wait("document.getElementById('review-panel').ariaBusy === 'false'")


def test_impression_kept_before_another_version_was_shown_is_saved_with_a_comment_kept_after(desk: Desk) -> None:
    with listening(desk) as anna:
        keep_words(anna, "#impression-text", "A thick muscle.")
        save_meanwhile(desk, {"action": "accept"})
        show_it(anna, 2)
        assert anna.page.input_value("#impression-text") == "A thick muscle."
        keep_words(anna, "#comment-text", "Seen twice.")
        save(anna, 3)
    stored = desk.newest()
    assert stored["written_impression"]["text"] == "A thick muscle."
    assert stored["comment"]["text"] == "Seen twice."


def test_impression_that_is_as_the_version_has_it_again_is_no_longer_unsaved(desk: Desk) -> None:
    with reading(desk) as anna:
        keep_words(anna, "#impression-text", "A thick muscle.")
        anna.wait("document.querySelector('[data-unsaved]').textContent.startsWith('1 unsaved')")
        keep_words(anna, "#impression-text", "")
        anna.wait("document.querySelector('[data-unsaved]').hidden")


def withdraw_meanwhile(desk: Desk) -> None:
    """Somebody else withdraws the report."""
    seen = desk.newest()["report_id"]
    headers = {"If-Match": f'"{seen}"'}
    desk.house.reviewer().post(f"/api/v1/reports/{seen}/cancel", json={"why": WHY}, headers=headers).raise_for_status()


def keep_two_changes(opened: Tab) -> None:
    """A number, and a comment of two lines."""
    amend(opened, "18.2")
    opened.wait("document.querySelector('[data-unsaved]').textContent.startsWith('1 unsaved')")
    keep_words(opened, "#comment-text", "Seen\ntwice.")
    opened.wait("document.querySelector('[data-unsaved]').textContent.startsWith('2 unsaved')")


def lost_is_listed(opened: Tab) -> None:
    """What was kept, with its words, and nothing unsaved beside it; it is gone once it is discarded."""
    place = opened.page.locator("[data-lost]")
    opened.wait("!document.querySelector('[data-lost]').hidden")
    opened.wait("document.getElementById('review-panel').ariaBusy === 'false'")
    assert place.locator("li").all_inner_texts() == [f"Thickness: 18.2 mm ({WHY}).", "Comment: Seen\ntwice.", f"Reason: {WHY}"]
    assert opened.page.locator(".finding .pending:visible").count() == 0
    place.get_by_role("button", name="Discard").click()
    assert place.is_hidden()
    assert opened.page.evaluate("document.activeElement.id") == "review-title"


def test_kept_changes_are_listed_with_their_words_after_a_conflict_with_a_withdrawal(desk: Desk) -> None:
    with tab() as anna:
        desk.sign_in(anna, "anna")
        keep_two_changes(anna)
        withdraw_meanwhile(desk)
        anna.page.click("[data-save]")
        anna.wait("!document.querySelector('[data-conflict]').hidden")
        assert anna.page.get_by_role("button", name="re-apply").count() == 0
        anna.page.get_by_role("button", name="Load version 2").click()
        lost_is_listed(anna)


def test_kept_changes_are_listed_with_their_words_when_a_withdrawn_version_is_shown(desk: Desk) -> None:
    with listening(desk) as anna:
        keep_two_changes(anna)
        withdraw_meanwhile(desk)
        show_it(anna, 2)
        lost_is_listed(anna)


def test_changes_that_cannot_be_tried_in_the_version_that_is_shown_say_why(desk: Desk) -> None:
    with tab() as anna:
        desk.sign_in(anna, "anna")
        anna.wait("document.querySelector('[data-news]').dataset.listens === 'true'")
        amend(anna, "18.2")
        anna.wait("document.querySelector('[data-unsaved]').textContent.startsWith('1 unsaved')")
        save_meanwhile(desk, {"action": "accept"})
        anna.page.route("**/preview", lambda route: route.abort())
        show_it(anna, 2)
        assert "could not be reached" in text(anna, "[data-save-problem]")
        assert text(anna, "[data-unsaved]").startswith("1 unsaved")


def test_what_is_listed_of_a_withdrawn_report_is_german_but_for_what_was_typed(desk: Desk) -> None:
    with tab(language="de-DE") as anna:
        desk.sign_in(anna, "anna")
        anna.wait("document.querySelector('[data-news]').dataset.listens === 'true'")
        keep_words(anna, "#impression-text", "Ein dicker Muskel.")
        keep_words(anna, "#comment-text", "Zweimal gesehen.")
        withdraw_meanwhile(desk)
        show_it(anna, 2)
        told = anna.page.locator("[data-lost] li").all_inner_texts()
        assert told == ["Beurteilung: Ein dicker Muskel.", "Kommentar: Zweimal gesehen.", f"Grund: {WHY}"]
