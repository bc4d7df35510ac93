"""Every page in German in a real browser: no English is left, nothing is too wide, axe finds nothing."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from service.access import Role
from service.ports import UnitOfWorkFactory
from tests.browser import Tab, tab
from tests.integration.api_parts import PASSWORD, STUDY, House
from tests.integration.test_pages_browser import PAGES, add, house, pacs, signed_in
from tests.integration.viewer_parts import INSTANCE, analysed, cine_file, contraction, read_by_anna, viewer_house
from tests.page_checks import english_in, faults_in, scrolls_sideways_by
from tests.peers import PLOTS

__all__ = ["house", "pacs"]  # fixtures
pytestmark = pytest.mark.timeout(600)
THICKNESS = ".finding[data-name=Thickness]"


def looked_at(made: Tab, where: str) -> list[object]:
    """What is wrong with the page that is shown."""
    found: list[object] = [(where, "English", one) for one in english_in(made)]
    found += [(where, "axe", fault) for fault in faults_in(made)]
    return found + [(where, "too wide by", pixels) for pixels in [scrolls_sideways_by(made)] if pixels > 0]


def test_pages_in_german_have_no_english_and_no_fault_that_axe_finds(house: House) -> None:
    add(house, 0, "Nováková^Eva")
    house.kill_job("analyse_instance")
    remember_associations(house)
    with signed_in(house, language="de-DE") as (made, url):
        found: list[object] = []
        for path in (*PAGES, "/?flag=failed", "/studies/9.9.9", "/users/000000000000"):
            made.page.goto(url + path)
            made.page.wait_for_load_state()
            found += looked_at(made, path)
        made.page.context.clear_cookies()
        for path in ("/sign-in", f"/sign-in/{'x' * 40}"):
            made.page.goto(url + path)
            found += looked_at(made, path)
    assert found == []


def remember_associations(house: House) -> None:
    """One that went well, and one that was turned away."""
    with house.engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO associations (listener, peer_address, calling_ae_title, outcome, reason, closed_at) VALUES "
                "('here', '10.0.0.1', 'PROBE', 'released', NULL, now()), "
                "('here', '10.0.0.9', 'STRANGER', 'rejected', 'address 10.0.0.9 is not on the allow-list', now())"
            )
        )


def test_what_an_administrator_does_is_answered_in_german(house: House) -> None:
    add(house, 0)
    job = house.kill_job("analyse_instance")
    with signed_in(house, language="de-DE") as (made, url):
        page, found = made.page, list[object]()
        page.goto(f"{url}/operations")
        page.get_by_role("button", name="pacs fragen").click()
        page.get_by_text("pacs: antwortet auf C-ECHO").wait_for()
        page.get_by_role("button", name="away fragen").click()
        page.get_by_role("alert").get_by_text("Die Gegenstelle hat die Assoziation abgewiesen").wait_for()
        page.get_by_role("button", name=f"Auftrag {job} neu einreihen").click()
        page.get_by_text(f"Auftrag {job} ist wieder in der Warteschlange").wait_for()
        found += looked_at(made, "a job is requeued")
        page.goto(f"{url}/users")
        page.fill("input[name=login]", "!")
        page.fill("input[name=full_name]", "Dr Carla Test")
        page.get_by_role("button", name="Anlegen").click()
        page.get_by_role("alert").get_by_text("Ein Anmeldename hat 2 bis 64 Zeichen").wait_for()
        page.fill("input[name=login]", "carla")
        page.get_by_role("button", name="Anlegen").click()
        page.locator(".secret").wait_for()
        found += looked_at(made, "an account is added")
        page.goto(f"{url}/account")
        page.fill("#current", PASSWORD)
        for name in ("new", "repeated"):
            page.fill(f"#{name}", "administrator administrator")
        page.get_by_role("button", name="Passwort ändern").click()
        page.get_by_role("alert").get_by_text("leicht zu erraten").wait_for()
        found += looked_at(made, "a password is refused")
        page.goto(f"{url}/audit")
        page.get_by_text("Konto angelegt").first.wait_for()
        found += looked_at(made, "what was done is audited")
        assert found == []
        assert [one for one in made.problems if "422" not in one] == []  # the browser tells of what was refused


@pytest.fixture
def reading_room(engine: Engine, units: UnitOfWorkFactory, tmp_path: Path) -> Iterator[House]:
    with viewer_house(engine, units, tmp_path) as made:
        made.users.add(login="anna", full_name="Dr Anna Grau", role=Role.RADIOLOGIST, password=PASSWORD, actor="test")
        analysed(made, cine_file(contraction(), PatientName="Novák^Eva", StudyDescription="Wade"))
        yield made


@pytest.mark.skipif(not PLOTS.exists(), reason="uPlot is not installed: python scripts/web_packages.py uplot")
def test_viewer_in_german_has_no_english_is_not_too_wide_and_keeps_its_own_reasons_german(reading_room: House) -> None:
    with reading_room.served() as address, tab(language="de-DE", is_still=True) as made:
        page, found = made.page, list[object]()
        read_by_anna(made, address)
        made.wait("document.querySelectorAll('.plot .u-over').length >= 4", timeout_seconds=60)
        found += looked_at(made, "the viewer")
        page.click(f"{THICKNESS} [data-accept]")
        made.wait("!document.querySelector('[data-unsaved]').hidden")
        page.click("[data-save]")
        made.wait("document.getElementById('review-title').textContent === 'Version 2'", timeout_seconds=120)
        for one in page.locator("#review-panel details > summary").all():
            one.click()
        assert "geändert von Dr Anna Grau: Befunde geprüft" in page.locator(".versions").inner_text()
        found += looked_at(made, "a version")
        page.click("[data-open=sign-form]")
        page.click("[data-do=help]")
        found += looked_at(made, "the keys")
        assert found == []
        assert made.problems == []
    report = reading_room.client().get(f"/api/v1/studies/{STUDY}/report").json()
    assert report["act"]["why"] == "findings reviewed"
    page_in_german = {"Accept": "text/html", "Accept-Language": "de"}
    assert "Befunde geprüft" in reading_room.client().get(f"/api/v1/reports/{report['report_id']}", headers=page_in_german).text


def test_viewer_in_german_of_a_cine_without_scale_and_time_says_why_in_german(
    engine: Engine, units: UnitOfWorkFactory, tmp_path: Path
) -> None:
    with viewer_house(engine, units, tmp_path) as house:
        house.users.add(login="anna", full_name="Dr Anna Grau", role=Role.RADIOLOGIST, password=PASSWORD, actor="test")
        file = cine_file(contraction(), SequenceOfUltrasoundRegions=None, FrameIncrementPointer=None, FrameTime=None)
        analysed(house, file)
        with house.served() as address, tab(language="de-DE", is_still=True) as made:
            read_by_anna(made, address)
            made.wait("document.querySelector('[data-scale-note]').textContent !== ''")
            assert "SequenceOfUltrasoundRegions fehlt" in made.page.locator("[data-scale-note]").inner_text()
            assert "FrameIncrementPointer fehlt" in made.page.locator("[data-time-note]").inner_text()
            assert english_in(made) == []
        address = f"/studies/{STUDY}/cines/{INSTANCE}"
        told = {tag: house.client().get(address, headers={"Accept-Language": tag}) for tag in ("de", "en")}
        assert told["en"].json()["region"]["reason"] == "there is no SequenceOfUltrasoundRegions"
        assert told["de"].headers["etag"] != told["en"].headers["etag"]
        assert "Accept-Language" in told["de"].headers["vary"]
