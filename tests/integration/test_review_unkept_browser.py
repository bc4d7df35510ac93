"""What is typed into a form of the panel and not kept: it is neither lost nor left out of a version without a word."""

import pytest
from playwright.sync_api import Dialog, Route

from tests.browser import Tab, tab
from tests.integration.test_review_browser import THICKNESS, WHY, Desk, amend, desk, house, reading, save, text
from tests.running import poll

__all__ = ["desk", "house"]  # fixtures
pytestmark = pytest.mark.timeout(600)
ANGLE = ".finding[data-name='Pennation angle']"
AMEND = f"{THICKNESS} form[data-form=amend]"
WORDS = "#impression-form"
NOT_KEPT = "What you typed is not kept yet: keep or discard it."
HAS_ONE = "document.querySelector('[data-unsaved]').textContent.startsWith('1 unsaved')"


def write_impression(opened: Tab) -> None:
    """Without keeping it."""
    opened.page.click("[data-open=impression-form]")
    opened.page.fill("#impression-text", "A thick muscle.")
    opened.page.fill("#words-why", WHY)


def type_thickness(opened: Tab, value: str = "18.2") -> None:
    """Without keeping it."""
    opened.page.click(f"{THICKNESS} [data-amend]")
    opened.page.fill(f"{AMEND} [name=value]", value)


def is_reminded(opened: Tab, form: str) -> None:
    """The form is there, says what is to be done, and has the focus."""
    opened.wait(f"document.querySelector(`{form} [data-problem]`).textContent === '{NOT_KEPT}'")
    assert opened.page.locator(f"{form} [data-problem]").is_visible()
    assert opened.page.evaluate(f"document.activeElement.closest(`{form}`) !== null")


def test_report_with_words_that_were_typed_and_not_kept_is_not_signed(desk: Desk) -> None:
    with reading(desk) as opened:
        page = opened.page
        write_impression(opened)
        page.click("[data-open=sign-form]")
        is_reminded(opened, WORDS)
        assert page.locator("#sign-form").is_hidden()
        assert page.input_value("#impression-text") == "A thick muscle."
        page.click(f"{WORDS} button[type=submit]")
        opened.wait(HAS_ONE)
        save(opened, 2)
        page.click("[data-open=sign-form]")
        page.click("#sign-form button[type=submit]")
        opened.wait("document.querySelector('.review-status').dataset.status === 'final'")
    assert desk.newest()["impression"].startswith("A thick muscle.")


def test_words_that_are_discarded_hinder_no_signature(desk: Desk) -> None:
    with reading(desk) as opened:
        page = opened.page
        write_impression(opened)
        page.click("[data-open=sign-form]")
        is_reminded(opened, WORDS)
        assert text(opened, f"{WORDS} [data-close]") == "Discard"
        page.click(f"{WORDS} [data-close]")
        assert page.locator(WORDS).is_hidden()
        assert page.input_value("#impression-text") == ""
        page.click("[data-open=sign-form]")
        page.click("#sign-form button[type=submit]")
        opened.wait("document.querySelector('.review-status').dataset.status === 'final'")


def test_typed_number_stays_when_another_form_is_opened_or_escape_pressed(desk: Desk) -> None:
    with reading(desk) as opened:
        page = opened.page
        type_thickness(opened)
        page.click(f"{ANGLE} [data-reject]")
        is_reminded(opened, AMEND)
        assert page.locator(f"{ANGLE} form[data-form=reject]").is_hidden()
        page.click("[data-open=cancel-form]")
        is_reminded(opened, AMEND)
        page.keyboard.press("Escape")
        is_reminded(opened, AMEND)
        assert page.input_value(f"{AMEND} [name=value]") == "18.2"
        page.fill(f"{AMEND} [name=value]", "17.5")
        assert text(opened, f"{AMEND} [data-close]") == "Leave"
        page.keyboard.press("Escape")
        assert page.locator(AMEND).is_hidden()


def test_key_to_save_says_that_what_was_typed_is_not_kept(desk: Desk) -> None:
    with reading(desk) as opened:
        write_impression(opened)
        opened.page.keyboard.press("Control+s")
        is_reminded(opened, WORDS)
    assert desk.newest()["version"] == 1


def test_version_saved_beside_typed_words_says_that_these_are_not_in_it(desk: Desk) -> None:
    with reading(desk) as opened:
        amend(opened, "18.2")
        opened.wait(HAS_ONE)
        write_impression(opened)
        save(opened, 2)
        is_reminded(opened, WORDS)
        opened.page.keyboard.press("End")
        opened.page.keyboard.type(" Or not.")
        assert opened.page.input_value("#impression-text") == "A thick muscle. Or not."


def test_page_with_a_typed_number_asks_before_it_is_left(desk: Desk) -> None:
    with reading(desk) as opened:
        asked: list[str] = []

        def stay(dialog: Dialog) -> None:
            asked.append(dialog.type)
            dialog.dismiss()

        opened.page.on("dialog", stay)
        type_thickness(opened)
        opened.page.keyboard.type("5")
        opened.page.evaluate("void setTimeout(() => location.assign('/'))")
        poll(lambda: opened.page.evaluate("1") and asked, timeout_seconds=30, what="the question")
        assert asked == ["beforeunload"]
        assert opened.page.input_value(f"{AMEND} [name=value]") == "18.25"


def test_kept_number_that_is_looked_at_again_hinders_nothing_and_undone_is_gone(desk: Desk) -> None:
    with reading(desk) as opened:
        page = opened.page
        amend(opened, "18.2")
        opened.wait(HAS_ONE)
        page.click(f"{THICKNESS} [data-amend]")
        assert page.input_value(f"{AMEND} [name=value]") == "18.2"
        page.click(f"{ANGLE} [data-amend]")
        assert page.locator(f"{ANGLE} form[data-form=amend]").is_visible()
        assert page.locator(AMEND).is_hidden()
        page.click(f"{THICKNESS} [data-undo]")
        opened.wait("document.querySelector('[data-unsaved]').hidden")
        page.click(f"{THICKNESS} [data-amend]")
        assert page.input_value(f"{AMEND} [name=value]") == "17.5"


def test_report_with_a_change_since_the_signature_was_asked_for_is_not_signed(desk: Desk) -> None:
    with reading(desk) as opened:
        opened.page.click("[data-open=sign-form]")
        opened.page.click(f"{ANGLE} [data-accept]")
        opened.wait(HAS_ONE)
        opened.page.click("#sign-form button[type=submit]")
        opened.wait("document.querySelector('#sign-form [data-problem]').textContent.includes('Save before you sign')")
        save(opened, 2)
    assert desk.newest()["status"] == "preliminary"
    assert desk.value("pennation_angle")["accepted"]["by"] == "Dr Anna Grau"


def test_thickness_of_nothing_is_refused_beside_its_field(desk: Desk) -> None:
    with tab() as opened:
        desk.sign_in(opened, "anna")
        amend(opened, "0.0")
        opened.wait(f"document.querySelector(`{AMEND} [data-problem]`).textContent === 'Thickness must be above 0.'")
        assert opened.page.locator("[data-unsaved]").is_hidden()


def test_report_with_a_change_since_the_withdrawal_was_asked_for_is_not_withdrawn(desk: Desk) -> None:
    with reading(desk) as opened:
        page = opened.page
        page.click("[data-open=cancel-form]")
        page.fill("#cancel-why", WHY)
        page.click(f"{ANGLE} [data-accept]")
        opened.wait(HAS_ONE)
        page.click("#cancel-form button[type=submit]")
        told = "Save or discard your unsaved changes first."
        opened.wait(f"document.querySelector('#cancel-form [data-problem]').textContent === '{told}'")
        page.click("[data-discard]")
        page.click("#cancel-form button[type=submit]")
        opened.wait("document.getElementById('review-panel').dataset.status === 'cancelled'")


def test_discarded_changes_stay_discarded_when_a_slow_answer_comes_after(desk: Desk) -> None:
    with reading(desk) as opened:
        page = opened.page
        held: list[Route] = []
        page.click(f"{ANGLE} [data-accept]")
        opened.wait(HAS_ONE)

        def hold(route: Route) -> None:
            held.append(route)

        page.route("**/preview", hold)
        amend(opened, "18.2")
        poll(lambda: page.evaluate("1") and held, timeout_seconds=30, what="the question")
        page.click("[data-discard]")
        held[0].continue_()
        opened.wait("document.getElementById('review-panel').ariaBusy === 'false'")
        assert page.locator("[data-unsaved]").is_hidden()
        assert page.evaluate("document.querySelector('[data-said]').textContent") == "All unsaved changes are discarded."
        assert page.input_value(f"{AMEND} [name=value]") == "18.2"
        page.click("[data-open=sign-form]")
        is_reminded(opened, AMEND)
