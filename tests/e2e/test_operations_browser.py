"""What an administrator mends on the operations page of a running service: pressed in a browser, by mouse and by keyboard alone.

Two destinations refuse a report. One delivery is sent again, too early and then after its destination was mended; the other is
given up. The files of the store are away, and the analysis that died of it is requeued when they are back. Each act has its
effect and an entry of the audit trail.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pynetdicom import evt

from simulator.write import simulate
from tests.browser import Tab, tab
from tests.e2e.sending import send, study_of
from tests.integration.store_parts import Scp, running
from tests.running import RunningService, poll, running_service

pytestmark = pytest.mark.timeout(900)
PASSWORD = "correct horse battery"
REASON = "That archive was switched off for good"
PATIENCE_SECONDS = 120
#: Data Set does not match SOP Class (PS3.4 B.2.3): asking again would not help.
REFUSAL, SUCCESS = 0xA900, 0x0000

NAMES = ("archive", "pacs")


class Peer(Scp):
    """A PACS that takes nothing until it is mended."""

    def __init__(self) -> None:
        super().__init__(self._status)
        self.is_mended = False
        self.kept = 0

    def _status(self, _: evt.Event) -> int:
        self.kept += self.is_mended
        return SUCCESS if self.is_mended else REFUSAL


@dataclass
class Place:
    """A service whose report two peers refused, and the page of an administrator."""

    service: RunningService
    peers: dict[str, Peer]
    tab: Tab
    study: str

    def delivery(self, name: str) -> dict[str, Any]:
        """Of the first report to a destination."""
        answer = self.service.api.get("/api/v1/deliveries", params={"destination": name}).raise_for_status().json()
        return dict(min(answer["deliveries"], key=lambda one: one["delivery_id"]))

    def ends(self, name: str, state: str, *, attempts: int = 1) -> dict[str, Any]:
        """The delivery, once it is in a state after so many attempts."""

        def told() -> dict[str, Any] | None:
            one = self.delivery(name)
            return one if one["state"] == state and one["attempts"] >= attempts else None

        return poll(told, timeout_seconds=PATIENCE_SECONDS, what=f"{name}: {state}")

    def open(self, path: str) -> None:
        self.tab.page.goto(f"http://127.0.0.1:{self.service.http_port}{path}")

    def row(self, name: str) -> Any:
        """Of the delivery to a destination, among those that wait for a person."""
        return self.tab.page.locator("section", has=self.tab.page.locator("#deliveries")).locator("tr", has_text=name)

    def audited(self, action: str) -> str:
        """The newest entry of an action, as the page of the audit trail shows it."""
        self.open("/audit")
        return str(self.tab.page.locator("tr", has_text=action).first.text_content())


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("operations")
    with ExitStack() as stack:
        peers = {name: Peer() for name in NAMES}
        for peer in peers.values():
            stack.enter_context(running(peer))
        destinations = json.dumps([destination(name, peer.port) for name, peer in peers.items()])
        service = stack.enter_context(
            running_service(
                folder / "service", destinations=destinations, stable_age_seconds="3600", worker__maximum_attempts="3"
            )
        )
        study = reported(service, folder)
        account = {"login": "otto", "full_name": "Otto Braun", "role": "administrator", "password": PASSWORD}
        service.api.post("/api/v1/users", json=account).raise_for_status()
        made = Place(service, peers, stack.enter_context(tab()), study)
        for name in NAMES:
            made.ends(name, "refused")
        made.open("/sign-in")
        made.tab.page.fill("#login", "otto")
        made.tab.page.fill("#password", PASSWORD)
        made.tab.page.press("#password", "Enter")
        made.tab.page.wait_for_url("**/")
        yield made


def destination(name: str, port: int) -> dict[str, Any]:
    address = {"host": "127.0.0.1", "port": port, "ae_title": "PACS"}
    return {"protocol": "dicom", "name": name, "kinds": ["comprehensive_sr"], **address}


def reported(service: RunningService, folder: Path) -> str:
    """A short cine, sent and reported; gives the study's UID."""
    (path,) = simulate("calf", folder / "cines", seed=11, transfer_syntax="jpeg", number_of_frames=12)
    send(service, path)
    service.complete(study_of(path))
    service.report(study_of(path), timeout_seconds=300)
    return study_of(path)


def test_delivery_that_is_sent_again_is_refused_while_its_peer_is_and_arrives_once_that_is_mended(place: Place) -> None:
    page, number = place.tab.page, place.delivery("pacs")["delivery_id"]
    again = page.get_by_role("button", name=f"Send delivery {number} again")
    place.open("/operations")
    before = place.delivery("pacs")["attempts"]
    again.click()
    page.get_by_role("status").get_by_text(f"Delivery {number} is on its way again").wait_for()
    place.ends("pacs", "refused", attempts=before + 1)
    place.open("/operations")
    assert "refused" in str(place.row("pacs").text_content())
    place.peers["pacs"].is_mended = True
    reach(place.tab, f"Send delivery {number} again")
    page.keyboard.press("Enter")
    page.get_by_role("status").get_by_text(f"Delivery {number} is on its way again").wait_for()
    place.ends("pacs", "delivered")
    assert place.peers["pacs"].kept == 1
    place.open("/operations")
    assert place.row("pacs").count() == 0
    entry = place.audited("delivery requeued")
    assert all(words in entry for words in ("Otto Braun", "pacs", str(number)))
    assert place.tab.problems == []


def test_delivery_that_is_given_up_by_keyboard_alone_needs_a_reason_and_is_tried_no_more(place: Place) -> None:
    page, number = place.tab.page, place.delivery("archive")["delivery_id"]
    place.open("/operations")
    reach(place.tab, f"Send delivery {number} again")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # the words that unfold the reason
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # without a reason: the browser asks for it
    assert place.delivery("archive")["state"] == "refused"
    page.keyboard.type(REASON)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Give up"
    page.keyboard.press("Enter")
    page.get_by_role("status").get_by_text(f"Delivery {number} is given up").wait_for()
    assert place.row("archive").count() == 0
    assert place.delivery("archive")["state"] == "abandoned"
    entry = place.audited("delivery abandoned")
    assert all(words in entry for words in ("Otto Braun", "archive", REASON))
    assert place.peers["archive"].kept == 0
    assert place.tab.problems == []


def test_dead_job_that_is_requeued_by_keyboard_alone_is_done(place: Place) -> None:
    page, service = place.tab.page, place.service
    stored = service.data_dir / "store" / "instances"
    away = stored.rename(stored.with_name("away"))
    service.api.post(f"/api/v1/studies/{place.study}/reanalyse").raise_for_status()
    (job,) = poll(dead_jobs(service), timeout_seconds=PATIENCE_SECONDS, what="a dead job")
    away.rename(stored)
    place.open("/operations")
    reach(place.tab, f"Requeue job {job}")
    page.keyboard.press("Space")
    page.get_by_role("status").get_by_text(f"Job {job} is back in the queue").wait_for()
    poll(lambda: measured(service, place.study), timeout_seconds=PATIENCE_SECONDS, what="a later version with a thickness")
    assert service.api.get(f"/api/v1/jobs/{job}").json()["state"] == "succeeded"
    place.open("/operations")
    assert page.get_by_role("button", name=f"Requeue job {job}").count() == 0
    entry = place.audited("job requeued")
    assert all(words in entry for words in ("Otto Braun", f"job:{job}"))
    assert place.tab.problems == []


def dead_jobs(service: RunningService) -> Callable[[], list[int]]:
    """Their ids, when it is called."""
    return lambda: [one["job_id"] for one in service.api.get("/api/v1/jobs", params={"state": "dead"}).json()["jobs"]]


def measured(service: RunningService, study: str) -> bool:
    report = service.api.get(f"/api/v1/studies/{study}/report").json()
    return report["version"] > 1 and any(one["name"] == "thickness" for one in report["findings"])


def reach(made: Tab, name: str) -> None:
    """By the tabulator alone, to a button that is seen to have the focus."""
    made.page.evaluate("document.activeElement.blur()")
    for _ in range(100):
        made.page.keyboard.press("Tab")
        if made.page.evaluate("document.activeElement.getAttribute('aria-label')") == name:
            outline = made.page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            assert outline != "none"
            return
    raise AssertionError(f"{name} is not reached by the tabulator")
