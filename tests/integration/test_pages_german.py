"""Pages in the language that a browser asks for, with the report's own words; what persons typed stays as they typed it."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from service.access import Role
from service.ports import UnitOfWorkFactory
from tests.browser import tab
from tests.integration.api_parts import STUDY, House
from tests.integration.viewer_parts import analysed, cine_file, contraction, sign_in, viewer_house

pytestmark = pytest.mark.timeout(600)
GERMAN = {"Accept": "text/html", "Accept-Language": "de-AT, en;q=0.5"}
#: A name that is a word of the catalogue.
NAME = "Worklist^Report"


@pytest.fixture
def house(engine: Engine, units: UnitOfWorkFactory, tmp_path: Path) -> Iterator[House]:
    with viewer_house(engine, units, tmp_path) as made:
        analysed(made, cine_file(contraction(), PatientName=NAME))
        yield made


def test_page_is_in_the_language_that_a_browser_asks_for(house: House) -> None:
    client = house.person(Role.RADIOLOGIST)
    german, english = client.get("/", headers=GERMAN), client.get("/", headers={"Accept": "text/html"})
    assert (german.headers["content-language"], english.headers["content-language"]) == ("de", "en")
    assert '<html lang="de">' in german.text
    assert "<h1>Arbeitsliste</h1>" in german.text
    assert "<h1>Worklist</h1>" in english.text
    assert "Worklist, Report" in german.text
    assert "<h1>Anmelden</h1>" in house.client(None).get("/sign-in", headers=GERMAN).text


def test_findings_and_buttons_of_the_panel_are_in_german(house: House) -> None:
    panel = house.person(Role.RADIOLOGIST).get(f"/studies/{STUDY}/review", headers=GERMAN).text
    for words in ("Beurteilung", "Fiederungswinkel", "Ändern", "Version 1 unterschreiben", "Nur für die Forschung"):
        assert words in panel
    assert ">Amend<" not in panel
    assert NAME.replace("^", ", ") in panel


def test_dates_and_times_are_written_one_way_on_every_page_and_report_of_a_language(house: House) -> None:
    client = house.person(Role.ADMINISTRATOR)
    report = client.get(f"/api/v1/studies/{STUDY}/report").json()["report_id"]
    ways = {"de": (r"\d\d\.\d\d\.\d{4}", r"\d{4}-\d\d-\d\d"), "en": (r"\d{4}-\d\d-\d\d", r"\d\d\.\d\d\.\d{4}")}
    for language, (wanted, other) in ways.items():
        asked = {"Accept": "text/html", "Accept-Language": language}
        for path in (
            "/",
            f"/studies/{STUDY}",
            f"/studies/{STUDY}/review",
            "/operations",
            "/users",
            "/audit",
            f"/api/v1/reports/{report}",
        ):
            text = seen(client.get(path, headers=asked).text)
            assert re.search(wanted, text), (language, path)
            assert not re.search(other, text), (language, path)
    german = {"Accept": "text/html", "Accept-Language": "de"}
    for path in ("/", f"/studies/{STUDY}", f"/api/v1/reports/{report}"):
        assert "20.11.2026" in seen(client.get(path, headers=german).text)


def seen(page: str) -> str:
    """The text between tags."""
    return re.sub(r"<(style|script)\b.*?</\1>|<[^>]*>", " ", page, flags=re.DOTALL)


@pytest.mark.parametrize(("language", "written"), [("de-DE", "20.11.2026, 08:30 UTC"), ("en-GB", "2026-11-20 08:30 UTC")])
def test_script_writes_a_moment_as_the_pages_do(house: House, language: str, written: str) -> None:
    with house.served() as address, tab(language=language) as made:
        made.page.goto(f"{address}/sign-in")
        made.page.evaluate(
            "import('/static/words.js').then((words) => { window.said = words.moment('2026-11-20T09:30:59+01:00'); })"
        )
        assert made.wait("window.said") == written


def test_viewer_says_in_german_what_its_scripts_say(house: House) -> None:
    with house.served() as address, tab(language="de-DE", is_still=True) as made:
        sign_in(house, made, address)
        made.page.goto(f"{address}/studies/{STUDY}")
        made.wait("Number(document.querySelector('[data-view]').dataset.drawnFrame) > 0", timeout_seconds=240)
        made.wait("document.querySelector('[data-events]').textContent.includes('Gipfel')", timeout_seconds=240)
        assert made.page.get_attribute("[data-play]", "aria-label") == "Abspielen"
        made.wait("document.querySelector('[data-announce]').textContent.startsWith('Bild ')", timeout_seconds=60)
        assert made.problems == []
