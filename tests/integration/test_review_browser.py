"""The review panel in a real browser: amend, accept, reject, draw, sign, by two persons and by keyboard alone."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext
from sqlalchemy import Engine

from service.access import Role
from service.core.findings import Finding
from service.ports import UnitOfWorkFactory
from tests.browser import Tab, tab
from tests.calf_report import cine_findings
from tests.fakes import FakeAnalysis
from tests.integration.api_parts import PASSWORD, STUDY, House, dicom_file, reported

WHY = "measured again by hand"
#: Would be run, or fetched, where a page took it for markup.
HOSTILE = "<script>alert(1)</script>^<svg/onload>"
HOSTILE_WHY = "</p><script>window.stolen=1</script><img src=x onerror='window.stolen=1'>"
INSTANCE = "1.2.3"
THICKNESS = ".finding[data-name=Thickness]"
LENGTH = ".finding[data-name='Fascicle length']"


class Calf(FakeAnalysis):
    """Says what the calf report says."""

    def analyse(self, *arguments: Any, **keywords: Any) -> tuple[Finding, ...]:
        super().analyse(*arguments, **keywords)
        return cine_findings(INSTANCE)


@dataclass
class Desk:
    """A study with its first report, served, and persons who read it."""

    house: House
    address: str
    tabs: list[Tab] = field(default_factory=list)

    def newest(self) -> dict[str, Any]:
        answer = self.house.client().get(f"/api/v1/studies/{STUDY}/report")
        assert answer.status_code == 200
        read: dict[str, Any] = answer.json()
        return read

    def value(self, name: str) -> Any:
        return next(finding for finding in self.newest()["findings"] if finding["name"] == name)

    def sign_in(self, opened: Tab, login: str) -> None:
        page = opened.page
        page.goto(f"{self.address}/sign-in?page=review&study={STUDY}")
        page.fill("#login", login)
        page.fill("#password", PASSWORD)
        page.press("#password", "Enter")
        ready(opened)


@pytest.fixture
def house(engine: Engine, units: UnitOfWorkFactory, tmp_path: Path) -> Iterator[House]:
    with House(engine, units, tmp_path / "store", analysis=Calf()) as made:
        for login, role in (("anna", Role.RADIOLOGIST), ("bert", Role.RADIOLOGIST), ("vera", Role.VIEWER)):
            made.users.add(login=login, full_name=f"Dr {login.title()} Grau", role=role, password=PASSWORD, actor="test")
        yield made


@pytest.fixture
def desk(house: House) -> Iterator[Desk]:
    reported(house)
    with house.served() as address:
        yield Desk(house, address)


def ready(opened: Tab) -> None:
    """Wait until the panel's script listens; what is pressed before that is lost."""
    opened.page.wait_for_selector("#review-panel[data-ready]", timeout=60_000)


@contextmanager
def reading(desk: Desk, login: str = "anna") -> Iterator[Tab]:
    """Somebody's tab on the panel, in which nothing went wrong in the end."""
    with tab() as opened:
        desk.sign_in(opened, login)
        yield opened
        assert opened.problems == []


def amend(opened: Tab, value: str, why: str = WHY, row: str = THICKNESS) -> None:
    opened.page.click(f"{row} [data-amend]")
    opened.page.fill(f"{row} form[data-form=amend] [name=value]", value)
    opened.page.fill(f"{row} form[data-form=amend] [name=why]", why)
    opened.page.press(f"{row} form[data-form=amend] [name=why]", "Enter")


def save(opened: Tab, version: int) -> None:
    opened.page.click("[data-save]")
    opened.wait(f"document.getElementById('review-title').textContent === 'Version {version}'")


def text(opened: Tab, selector: str) -> str:
    return opened.page.locator(selector).inner_text()


def test_typed_thickness_changes_the_length_that_follows_and_the_stored_version(desk: Desk) -> None:
    with reading(desk) as opened:
        before = desk.value("fascicle_length")["value"]
        amend(opened, "20,5")
        opened.wait(f"document.querySelector(`{LENGTH} [data-pending]`).textContent.includes('which follows')")
        assert desk.newest()["version"] == 1
        save(opened, 2)
        thickness, length = desk.value("thickness"), desk.value("fascicle_length")
        assert (thickness["value"], thickness["amended"]["method"], thickness["amended"]["why"]) == (20.5, "typed", WHY)
        assert length["amended"]["method"] == "computed"
        assert length["value"] > before
        assert f"{length['value']:.1f} mm" in text(opened, f"{LENGTH} .value")
        assert "20.5 mm" in text(opened, "[data-impression]")
        assert opened.page.evaluate("document.activeElement.id") == "review-title"


def test_value_that_cannot_be_is_explained_beside_its_field(desk: Desk) -> None:
    with tab() as opened:
        desk.sign_in(opened, "anna")
        amend(opened, "2050")
        opened.wait(f"document.querySelector(`{THICKNESS} form [data-problem]`).textContent.includes('not plausible')")
        assert opened.page.get_attribute(f"{THICKNESS} [name=value]", "aria-invalid") == "true"
        assert opened.page.locator("[data-unsaved]").is_hidden()


def test_finding_is_rejected_another_accepted_and_the_report_signed(desk: Desk) -> None:
    with reading(desk) as opened:
        page = opened.page
        page.click(f"{THICKNESS} [data-reject]")
        page.fill(f"{THICKNESS} form[data-form=reject] [name=why]", "another muscle")
        page.press(f"{THICKNESS} form[data-form=reject] [name=why]", "Enter")
        opened.wait(f"document.querySelector(`{THICKNESS} [data-pending]`).textContent.includes('another muscle')")
        page.click(".finding[data-name='Pennation angle'] [data-accept]")
        opened.wait("document.querySelector('[data-unsaved]').textContent.startsWith('2 unsaved')")
        assert page.locator("[data-open=sign-form]").is_hidden()
        save(opened, 2)
        assert "rejected" in text(opened, f"{THICKNESS} .value")
        assert "Reviewed by Dr Anna Grau" in text(opened, ".finding[data-name='Pennation angle'] .flags")
        page.click("[data-open=sign-form]")
        assert "Dr Anna Grau states" in text(opened, "#sign-form")
        page.click("#sign-form button[type=submit]")
        opened.wait("document.querySelector('.review-status').dataset.status === 'final'")
    made = desk.newest()
    assert (made["version"], made["status"], made["signed_by"]) == (3, "final", "Dr Anna Grau")
    assert desk.value("thickness")["value"] is None
    assert desk.value("pennation_angle")["accepted"]["by"] == "Dr Anna Grau"


def test_second_of_two_persons_sees_what_the_first_saved_and_applies_theirs_anew(desk: Desk) -> None:
    with tab() as opened:
        desk.sign_in(opened, "anna")
        amend(opened, "19", "the second one's reason", row=".finding[data-name='Pennation angle']")
        opened.wait("document.querySelector('[data-unsaved]').textContent.startsWith('1 unsaved')")
        other = opened.page.context.browser
        assert other is not None
        first_saves(desk, other.new_context())
        opened.page.click("[data-save]")
        opened.wait("!document.querySelector('[data-conflict]').hidden")
        told = text(opened, "[data-conflict]")
        assert "Dr Bert Grau amended it" in told
        assert "Thickness: 17.5 mm became 18.8 mm" in told
        assert "Pennation angle: 19.0°" in told
        assert desk.value("pennation_angle")["amended"] is None
        opened.page.click("[data-conflict] button")
        opened.wait("document.getElementById('review-title').textContent === 'Version 2'")
        save(opened, 3)
    assert (desk.value("thickness")["value"], desk.value("pennation_angle")["value"]) == (18.8, 19.0)


def first_saves(desk: Desk, context: BrowserContext) -> None:
    """Bert, in a browser of his own."""
    opened = Tab(context.new_page())
    desk.sign_in(opened, "bert")
    amend(opened, "18.8")
    opened.wait("!document.querySelector('[data-save]').closest('div').hidden")
    save(opened, 2)
    context.close()


def test_report_is_amended_saved_and_signed_by_keyboard_alone(desk: Desk) -> None:
    with reading(desk) as opened:
        keys = opened.page.keyboard
        opened.page.focus("#review-title")
        keys.press("j")
        keys.press("e")
        opened.wait("document.activeElement.name === 'value'")
        keys.type("18.2")
        keys.press("Tab")
        keys.type(WHY)
        keys.press("Enter")
        opened.wait("document.querySelector('[data-unsaved]').textContent.startsWith('1 unsaved')")
        opened.wait("document.activeElement.matches('[data-amend]')")
        keys.press("Control+s")
        opened.wait("document.getElementById('review-title').textContent === 'Version 2'")
        opened.wait("document.activeElement.id === 'review-title'")
        for _ in range(200):
            if opened.page.evaluate("document.activeElement.dataset.open === 'sign-form'"):
                break
            keys.press("Tab")
        keys.press("Enter")
        opened.wait("document.activeElement.closest('#sign-form') !== null")
        keys.press("Escape")
        opened.wait("document.activeElement.dataset.open === 'sign-form'")
        keys.press("Enter")
        opened.wait("document.activeElement.closest('#sign-form') !== null")
        keys.press("Enter")
        opened.wait("document.querySelector('.review-status').dataset.status === 'final'")
    assert desk.newest()["status"] == "final"


def test_frame_of_a_finding_is_asked_for_and_lines_drawn_in_it_are_stored_as_evidence(desk: Desk) -> None:
    drawn = {"superficial": [[40, 150], [600, 150]], "deep": [[40, 400], [600, 400]]}
    with reading(desk) as opened:
        page = opened.page
        page.evaluate(
            "window.asked = []; for (const name of ['seek', 'edit-lines', 'report'])"
            " document.addEventListener(`sonomyo:${name}`, ({detail}) => asked.push([name, detail]))"
        )
        page.click(f"{THICKNESS} [data-seek]")
        page.click("[data-draw]")
        assert [name for name, _ in page.evaluate("asked")] == ["seek", "edit-lines"]
        assert page.evaluate("asked[0][1]") == {"sop_instance_uid": INSTANCE, "frame": 31}
        detail = json.dumps({"sop_instance_uid": INSTANCE, "frame": 12, **drawn})
        page.evaluate(f"document.dispatchEvent(new CustomEvent('sonomyo:lines', {{detail: {detail}}}))")
        opened.wait("document.querySelector('[data-drawn]').textContent.includes('thickness 20.0 mm')")
        page.fill("form[data-form=lines] [name=why]", WHY)
        page.press("form[data-form=lines] [name=why]", "Enter")
        opened.wait("!document.querySelector('[data-pending-lines]').hidden")
        save(opened, 2)
        assert "frame 12" in text(opened, f"{THICKNESS} [data-seek]")
        shown = page.evaluate("asked.findLast(([name]) => name === 'report')[1]")
        assert (shown["report_id"], shown["version"], shown["status"]) == (desk.newest()["report_id"], 2, "preliminary")
    thickness, pennation = desk.value("thickness"), desk.value("pennation_angle")
    assert (thickness["value"], thickness["amended"]["method"]) == (pytest.approx(20.0), "drawn")
    assert thickness["evidence"]["frames"] == [12]
    assert thickness["evidence"]["lines"][1]["points"] == drawn["deep"]
    angle = desk.value("fascicle_angle")["series"]["values"][11]
    assert pennation["value"] == pytest.approx(abs(angle))
    assert desk.value("echo_intensity")["flags"] == ["rests_on_amended"]


def test_hostile_name_and_reason_stay_inert(house: House) -> None:
    client = house.client()
    client.post(
        "/api/v1/studies", content=dicom_file(PatientName=HOSTILE), headers={"Content-Type": "application/dicom"}
    ).raise_for_status()
    client.post(f"/api/v1/studies/{STUDY}/complete").raise_for_status()
    house.work()
    with house.served() as address:
        desk = Desk(house, address)
        with reading(desk) as opened:
            amend(opened, "18.2", HOSTILE_WHY)
            opened.wait("!document.querySelector('[data-save]').closest('div').hidden")
            save(opened, 2)
            assert HOSTILE_WHY in text(opened, THICKNESS)
            assert opened.page.evaluate("window.stolen") is None
            assert opened.page.locator("main img, main script").count() == 0
            assert "<script>alert(1)</script>" in text(opened, "h1")


def test_viewer_and_one_time_link_are_told_why_they_cannot_act(desk: Desk) -> None:
    with reading(desk, "vera") as opened:
        assert "Your role is to read" in text(opened, "#why-not")
        assert opened.page.locator("[data-amend], [data-accept], [data-reject], [data-open]").count() == 0
    with tab() as opened:
        opened.page.goto(f"{desk.address}/sign-in/{desk.house.sign_ins.create_link(Role.RADIOLOGIST)}/studies/{STUDY}")
        opened.page.goto(f"{desk.address}/studies/{STUDY}/review")
        assert "sign in to an account of your own" in text(opened, "#why-not")
        assert opened.page.locator("[data-amend], [data-open]").count() == 0


def test_draft_beside_a_signed_version_is_told_of_on_both_and_given_up(desk: Desk) -> None:
    with reading(desk) as opened:
        page = opened.page
        page.click("[data-open=sign-form]")
        page.click("#sign-form button[type=submit]")
        opened.wait("document.querySelector('.review-status').dataset.status === 'final'")
        assert page.locator("[data-open=sign-form]").count() == 0
        amend(opened, "18.8")
        opened.wait("!document.querySelector('[data-save]').closest('div').hidden")
        page.click(f"{THICKNESS} [data-undo]")
        opened.wait("document.querySelector('[data-save]').closest('div').hidden")
        amend(opened, "18.9")
        opened.wait("!document.querySelector('[data-save]').closest('div').hidden")
        save(opened, 3)
        assert "beside version 2, which stays official" in text(opened, ".review-head")
        page.click("a[href='?version=official']")
        page.wait_for_url("**version=official")
        ready(opened)
        opened.wait("document.getElementById('review-title')?.textContent === 'Version 2'")
        assert page.locator("[data-amend]").count() == 0
        page.click("a[href='?version=draft']")
        page.wait_for_url("**version=draft")
        ready(opened)
        opened.wait("document.getElementById('review-title')?.textContent === 'Version 3'")
        page.click("[data-open=cancel-form]")
        page.press("#cancel-why", "Enter")
        opened.wait("document.querySelector('#cancel-form [data-problem]').textContent.includes('Give a reason')")
        page.fill("#cancel-why", "not better after all")
        page.press("#cancel-why", "Enter")
        opened.wait("document.getElementById('review-title')?.textContent === 'Version 2'")
    assert (desk.newest()["version"], desk.newest()["status"]) == (2, "final")
