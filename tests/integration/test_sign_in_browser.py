"""The way in and out as a real browser goes it: forms without a script, cookies, and where they say that they come from."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from service.access import Role
from service.ports import UnitOfWorkFactory
from tests.browser import Page, browser
from tests.integration.api_parts import PASSWORD, STUDY, House, dicom_file, upload
from tests.integration.test_api_server import running

NEW_PASSWORD = "staple of a quiet pond"


@pytest.fixture
def house(engine: Engine, units: UnitOfWorkFactory, tmp_path: Path) -> Iterator[House]:
    with House(engine, units, tmp_path / "store") as made:
        made.users.add(login="anna", full_name="Dr Anna Kowalska", role=Role.RADIOLOGIST, password=PASSWORD, actor="test")
        yield made


def test_person_signs_in_works_changes_the_password_and_signs_out(house: House, tmp_path: Path) -> None:
    upload(house.client(), dicom_file()).raise_for_status()
    with running(house) as server, browser(tmp_path / "browser") as page:
        url = f"http://127.0.0.1:{server.port}"
        page.open(f"{url}/studies/{STUDY}")
        page.wait("document.readyState === 'complete' && location.pathname === '/sign-in'")
        submit(page, login="anna", password="something else")
        assert "Login or password is wrong" in page.evaluate("document.querySelector('[role=alert]').textContent")
        assert page.evaluate("document.getElementById('login').value") == "anna"
        submit(page, login="anna", password=PASSWORD)
        assert page.evaluate("location.pathname") == f"/studies/{STUDY}"
        assert page.evaluate("document.cookie") == ""
        submit(page, form=f"form[action='/studies/{STUDY}/complete']")
        assert page.evaluate("location.pathname") == f"/studies/{STUDY}"
        page.open(f"{url}/account")
        page.wait("document.querySelector('h1')?.textContent === 'Dr Anna Kowalska'")
        submit(page, current=PASSWORD, new=NEW_PASSWORD, repeated=NEW_PASSWORD)
        submit(page, login="anna", password=NEW_PASSWORD)
        assert page.evaluate("document.querySelector('h1').textContent") == "Worklist"
        submit(page, form="form[action='/sign-out']")
        assert page.evaluate("document.querySelector('h1').textContent") == "Signed out"
        page.open(f"{url}/account")
        page.wait("document.readyState === 'complete' && location.pathname === '/sign-in'")


def submit(page: Page, form: str = "form.card", **values: str) -> None:
    """Fill a form in, send it, and wait for the page that follows."""
    for name, value in values.items():
        page.evaluate(f"document.getElementById('{name}').value = '{value}'")
    page.evaluate(f"window.isOld = true; document.querySelector(`{form}`).requestSubmit()")
    page.wait("!window.isOld && document.readyState === 'complete'")
