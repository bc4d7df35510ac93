"""The pages in a real browser: search, live updates, keys, what an administrator mends, hostile text, themes, accessibility."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import pytest
from sqlalchemy import Engine

from service.access import Role
from service.api.gate import session_cookie_name
from service.destination_settings import DicomDestinationSettings
from service.ports import UnitOfWorkFactory
from tests.browser import Tab, tab
from tests.integration.api_parts import PASSWORD, STUDY, House, dicom_file, reported, upload
from tests.integration.store_parts import Scp, running
from tests.page_checks import faults_in, scrolls_sideways_by

#: They open many pages, each in a browser of its own.
pytestmark = pytest.mark.timeout(300)
HOSTILE = "<script>alert(1)</script><h6>^\"'}}{{7*7}}"
PAGES = ("/", "/live", "/operations", "/operations/associations", "/users", "/audit", "/account", "/docs", "/studies/1.8.0")


@pytest.fixture
def pacs() -> Iterator[tuple[int, int]]:
    """The ports of one that answers C-ECHO, and of one that does not know us."""
    with running(Scp()) as scp, running(Scp(), require_calling="SOMEBODY") as stranger:
        yield scp.port, stranger.port


@pytest.fixture
def house(engine: Engine, units: UnitOfWorkFactory, tmp_path: Path, pacs: tuple[int, int]) -> Iterator[House]:
    destinations = (
        DicomDestinationSettings(name="pacs", host="127.0.0.1", port=pacs[0], ae_title="PACS"),
        DicomDestinationSettings(name="away", host="127.0.0.1", port=pacs[1], ae_title="PACS"),
    )
    with House(engine, units, tmp_path / "store", destination_settings=destinations) as made:
        reported(made)
        yield made


@contextmanager
def signed_in(
    house: House,
    role: Role = Role.ADMINISTRATOR,
    theme: Literal["dark", "light"] = "dark",
    width: int = 1280,
    language: str = "en-GB",
) -> Iterator[tuple[Tab, str]]:
    """A tab of somebody with a role, and the service's address."""
    client = house.person(role, f"{role.value}-{theme}-{width}")
    name = session_cookie_name(secure=False)
    with house.served() as url, tab(theme=theme, width=width, language=language) as made:
        made.carry(name, client.cookies[name], url)
        yield made, url


def add(house: House, number: int, name: str = "Novak^Eva") -> None:
    file = dicom_file(
        f"1.9.{number}", study=f"1.8.{number}", PatientName=name, PatientID=f"N{number}", AccessionNumber=f"ACC{number}"
    )
    upload(house.client(), file).raise_for_status()


def rows(made: Tab) -> list[str]:
    return list(made.page.evaluate("[...document.querySelectorAll('tr[data-study]')].map(row => row.dataset.study)"))


def test_search_in_the_worklist_by_keyboard_alone_finds_and_opens_a_study(house: House) -> None:
    for number in range(3):
        add(house, number, f"Novak{number}^Eva")
    with signed_in(house, Role.VIEWER) as (made, url):
        made.page.goto(url)
        made.page.keyboard.press("/")
        made.page.keyboard.type("eva novak1")
        made.page.keyboard.press("Enter")
        made.page.wait_for_url("**/?search=*")
        assert rows(made) == ["1.8.1"]
        assert "ovak" not in made.page.url
        assert made.page.evaluate("document.getElementById('patient').value") == "eva novak1"
        made.page.evaluate("document.querySelector('[data-study] a').focus()")
        made.page.keyboard.press("Enter")
        made.page.wait_for_url("**/studies/1.8.1")
        made.page.go_back()
        made.page.wait_for_url("**/?search=*")
        assert rows(made) == ["1.8.1"]
        assert made.problems == []


def test_worklist_changes_rows_in_place_and_announces_new_ones(house: House) -> None:
    add(house, 0)
    with signed_in(house, Role.VIEWER) as (made, url):
        made.page.goto(url)
        made.wait("document.getElementById('live').dataset.state === 'on'")
        made.page.evaluate("document.querySelector(`[data-study='1.8.0'] a`).focus()")
        house.client().post("/api/v1/studies/1.8.0/complete").raise_for_status()
        house.work()
        add(house, 1)
        made.wait("!document.getElementById('news').hidden")
        assert rows(made) == ["1.8.0", STUDY]
        made.wait("document.querySelector(`[data-study='1.8.0']`).textContent.includes('Needs review')")
        assert made.page.evaluate("document.activeElement.closest('tr').dataset.study") == "1.8.0"
        made.page.get_by_role("button", name="Show 1 new study").click()
        assert rows(made) == ["1.8.1", "1.8.0", STUDY]
        assert made.problems == []


def test_two_open_worklists_both_follow_what_happens(house: House) -> None:
    add(house, 0)
    with signed_in(house, Role.VIEWER) as (first, url):
        second = Tab(first.page.context.new_page(), first.problems)
        for made in (first, second):
            made.page.goto(url)
            made.wait("document.getElementById('live').dataset.state === 'on'")
        house.client().post("/api/v1/studies/1.8.0/complete").raise_for_status()
        house.work()
        add(house, 1)
        for made in (first, second):
            made.wait("document.querySelector(`[data-study='1.8.0']`).textContent.includes('Needs review')")
            made.wait("!document.getElementById('news').hidden")
            assert rows(made) == ["1.8.0", STUDY]
        second.page.get_by_role("button", name="Show 1 new study").click()
        assert (rows(first), rows(second)) == (["1.8.0", STUDY], ["1.8.1", "1.8.0", STUDY])
        assert first.problems == []


def test_page_of_a_study_without_a_report_shows_it_when_it_is_made(house: House) -> None:
    add(house, 0)
    with signed_in(house, Role.RADIOLOGIST) as (made, url):
        made.page.goto(f"{url}/studies/1.8.0")
        with made.page.expect_navigation(url=f"{url}/studies/1.8.0", wait_until="commit"):
            made.page.get_by_role("button", name="Complete now").click()
        with made.page.expect_navigation(url=f"{url}/studies/1.8.0"):
            house.work()
        assert "version 1" in str(made.page.text_content("body"))


def test_worklist_of_two_pages_goes_to_the_older_one_and_back(house: House) -> None:
    for number in range(50):
        add(house, number)
    with signed_in(house, Role.VIEWER) as (made, url):
        made.page.goto(url)
        assert rows(made)[0] == "1.8.49"
        made.page.get_by_role("link", name="Older studies").click()
        made.page.wait_for_url("**/?cursor=*")
        assert rows(made) == [STUDY]
        made.page.get_by_role("link", name="Newest").click()
        made.page.wait_for_url(f"{url}/")
        assert len(rows(made)) == 50


def test_administrator_requeues_a_dead_letter_and_asks_destinations_whether_they_answer(house: House) -> None:
    add(house, 0)
    job = house.kill_job("analyse_instance")
    with signed_in(house) as (made, url):
        made.page.goto(f"{url}/operations")
        made.page.get_by_role("button", name="Ask pacs").click()
        made.page.get_by_text("pacs: answers C-ECHO").wait_for()
        made.page.get_by_role("button", name="Ask away").click()
        made.page.get_by_role("alert").get_by_text("AE titles").wait_for()
        made.page.get_by_role("button", name=f"Requeue job {job}").click()
        made.page.get_by_text(f"Job {job} is back in the queue").wait_for()
        assert made.page.get_by_role("button", name=f"Requeue job {job}").count() == 0
        assert made.problems == []
    assert house.client().get(f"/api/v1/jobs/{job}").json()["state"] == "queued"


def test_administrator_adds_an_account_whose_first_password_signs_in_and_disables_it(house: House) -> None:
    with signed_in(house) as (made, url):
        made.page.goto(f"{url}/users")
        made.page.fill("input[name=login]", "carla")
        made.page.fill("input[name=full_name]", "Dr Carla <b>Test</b>")
        made.page.get_by_role("button", name="Add", exact=True).click()
        made.page.locator(".secret").wait_for()
        password = str(made.page.text_content(".secret"))
        assert house.client(None).post("/sign-in", data={"login": "carla", "password": password}).status_code == 303
        made.page.get_by_role("button", name="Disable carla").click()
        made.page.get_by_role("button", name="Enable carla").wait_for()
        assert house.client(None).post("/sign-in", data={"login": "carla", "password": password}).status_code == 401
        made.page.goto(f"{url}/audit")
        assert "user disabled" in str(made.page.text_content("main"))
        assert made.problems == []


def test_hostile_name_of_a_patient_stays_text_on_every_page(house: House) -> None:
    add(house, 0, HOSTILE)
    with signed_in(house) as (made, url):
        made.page.on("dialog", lambda dialog: made.problems.append(f"a dialog: {dialog.message}"))
        for path in PAGES:
            made.page.goto(url + path)
            assert made.page.locator("h6").count() == 0
        made.page.goto(url)
        assert "<script>alert(1)</script><h6>" in str(made.page.text_content("[data-study='1.8.0']"))
        assert made.problems == []


@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize("width", [1280, 2560])
def test_pages_in_either_theme_and_width_have_no_fault_that_axe_finds(
    house: House, theme: Literal["dark", "light"], width: int
) -> None:
    add(house, 0)
    house.kill_job("analyse_instance")
    faults = list[object]()
    with signed_in(house, theme=theme, width=width) as (made, url):
        for path in (*PAGES, "/?flag=failed"):
            made.page.goto(url + path)
            made.page.wait_for_load_state()
            faults += [(path, fault) for fault in faults_in(made)]
        # A worklist that hears of something without a session would ask in vain, which the browser notes.
        made.page.goto("about:blank")
        made.page.context.clear_cookies()
        made.page.goto(f"{url}/sign-in")
        faults += [("/sign-in", fault) for fault in faults_in(made)]
    assert faults == []
    assert made.problems == []


def test_theme_that_a_person_chose_holds_on_the_next_page(house: House) -> None:
    with signed_in(house, Role.VIEWER) as (made, url):
        made.page.goto(url)
        made.page.get_by_label("Theme").select_option("light")
        made.page.goto(f"{url}/account")
        assert made.page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "light"
        assert made.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(244, 246, 248)"


@pytest.mark.parametrize("width", [1280, 2560])
def test_pages_at_usual_and_great_width_need_no_sideways_scrolling(house: House, width: int) -> None:
    add(house, 0)
    with signed_in(house, width=width) as (made, url):
        for path in PAGES:
            made.page.goto(url + path)
            assert scrolls_sideways_by(made) <= 0, path


def test_header_shows_the_areas_that_a_role_may_enter(house: House) -> None:
    for role, areas in ((Role.VIEWER, 2), (Role.ADMINISTRATOR, 5)):
        client = house.person(role, role.value)
        assert client.get("/").text.split("</nav>")[0].count("<a href=") == areas
    assert PASSWORD not in house.log.getvalue()
