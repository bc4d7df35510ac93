"""What was sent by STOW-RS counts as delivered once the server finds it by QIDO-RS, through the states of a commitment."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from service.adapters.stow import StowDestination
from service.adapters.stow_confirmation import StowConfirmation
from service.commitment import Commitments
from service.core.report import Delivery
from service.destination_settings import SearchSettings, StowDestinationSettings
from service.errors import InputRejected, Unavailable
from service.ports import UnitOfWorkFactory
from service.rendering import Rendering
from tests.e2e.orthanc import dicom_web_orthanc
from tests.integration.flow_parts import STUDY, House, received
from tests.web_server import serving

#: What the fake renderer gives the first version's document.
SENT = "2.25.1"
Answer = tuple[int, bytes]
Confirmed = Callable[..., "ConfirmingHouse"]


def found(*uids: str) -> Answer:
    return 200, json.dumps([{"00080018": {"vr": "UI", "Value": [uid]}} for uid in uids]).encode()


class ConfirmingHouse(House):
    """A destination that is looked into at `url`."""

    def __init__(self, units: UnitOfWorkFactory, engine: Engine, url: str, **search: Any) -> None:
        super().__init__(units, engine)
        terms = SearchSettings(**{"wait_seconds": 0, **search})
        given = {"protocol": "stow", "name": "pacs", "url": url, "username": "sonomyo", "password": "canary-7"}
        self.settings = StowDestinationSettings.model_validate({**given, "confirm_by_search": terms})
        commitments = Commitments(
            units=units,
            store=self.flow.store,
            destinations={"pacs": StowConfirmation(settings=self.settings, search=terms)},
        )
        self.flow = replace(self.flow, commitments=commitments)

    def composed(self) -> tuple[str, str, str]:
        """A report whose delivery is due."""
        self.flow.store_instance(received())
        self.flow.request_report(STUDY)
        while "deliver_report" not in self.waiting():
            self.work_one()
        report = self.report()
        assert report is not None
        return report.report_id, "pacs", "sr"

    def delivery(self) -> Delivery:
        report = self.report()
        assert report is not None
        (only,) = report.delivery
        return only

    def let_pause_pass(self) -> None:
        with self.engine.begin() as connection:
            connection.execute(text("UPDATE procrastinate_jobs SET scheduled_at = now() WHERE status = 'todo'"))


@pytest.fixture
def confirmed(units: UnitOfWorkFactory, engine: Engine) -> Confirmed:
    return lambda url, **search: ConfirmingHouse(units, engine, url, **search)


def test_object_that_the_server_finds_is_delivered(confirmed: Confirmed) -> None:
    with serving(lambda: found(SENT)) as web:
        house = confirmed(web.url)
        house.composed()
        house.work()
    assert (house.delivery().state, len(house.destination.received)) == ("delivered", 1)
    ((path, headers, _),) = web.requests
    assert path.startswith(f"/rs/instances?SOPInstanceUID={SENT}")
    assert headers["Authorization"].startswith("Basic ")


def test_object_that_the_server_indexes_late_is_delivered_without_being_sent_again(confirmed: Confirmed) -> None:
    answers = [found(SENT), (204, b""), (204, b"")]
    with serving(answers.pop) as web:
        house = confirmed(web.url, wait_seconds=30)
        house.composed()
        house.work()
    assert (house.delivery().state, len(house.destination.received), len(web.requests)) == ("delivered", 1, 3)


@pytest.mark.parametrize("answer", [(204, b""), (200, b"[]"), found("2.25.99")])
def test_object_that_the_server_does_not_find_is_sent_again_and_given_up_in_the_end(confirmed: Confirmed, answer: Answer) -> None:
    with serving(lambda: answer) as web:
        house = confirmed(web.url, maximum_requests=2)
        delivery = house.composed()
        house.work()
        assert (house.delivery().state, "does not hold" in (house.delivery().last_error or "")) == ("pending", True)
        house.let_pause_pass()
        with pytest.raises(InputRejected, match="sent 2 times") as refused:
            house.work()
        house.flow.give_up_delivery(*delivery, str(refused.value), final=True)
    assert (house.delivery().state, len(house.destination.received)) == ("failed", 2)


@pytest.mark.parametrize("answer", [(503, b""), (429, b""), (200, b"<html>"), (200, b'[{"00080018": {}}]')])
def test_server_that_cannot_search_now_is_asked_again_and_nothing_is_sent_again(confirmed: Confirmed, answer: Answer) -> None:
    answers = [found(SENT), answer]
    with serving(answers.pop) as web:
        house = confirmed(web.url)
        delivery = house.composed()
        with pytest.raises(Unavailable):
            house.work()
        assert house.delivery().state == "awaiting_commitment"
        house.flow.deliver_report(*delivery)
    assert (house.delivery().state, len(house.destination.received)) == ("delivered", 1)


def test_server_that_lets_nobody_search_is_told_with_the_setting_to_mend(confirmed: Confirmed) -> None:
    with serving(lambda: (403, b"")) as web:
        house = confirmed(web.url)
        house.composed()
        house.work()
    assert house.delivery().state == "refused"
    assert "confirm_by_search" in (house.delivery().last_error or "")


def test_object_in_orthanc_is_found_and_delivered(confirmed: Confirmed, tmp_path: Path) -> None:
    with dicom_web_orthanc(tmp_path, username="sonomyo", password="canary-7") as rest:
        house = confirmed(f"{str(rest.base_url).rstrip('/')}/dicom-web", wait_seconds=10)
        house.reader.uid_of = lambda _: "1.2.3"
        destination = StowDestination(settings=house.settings)
        house.flow = replace(house.flow, destinations={"pacs": destination}, renderers=Rendering().renderers({"sr"}))
        house.composed()
        house.work()
        assert len(rest.get("/instances").json()) == 1
    assert house.delivery().state == "delivered"
