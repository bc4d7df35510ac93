"""A request for commitment that is refused, cannot be made, or is interrupted: what becomes of the delivery."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from service.core.circuit import FAILURES_BEFORE_A_PAUSE
from service.errors import Paused, Unavailable
from service.ports import UnitOfWorkFactory
from tests.integration.commitment_parts import CommittingHouse, Peer
from tests.integration.store_parts import PYNETDICOM_LEAVES_A_SOCKET
from tests.integration.test_commitment_scu import composed, sent
from tests.running import free_port

Make = Callable[..., CommittingHouse]


@pytest.fixture
def make(units: UnitOfWorkFactory, engine: Engine, tmp_path: Path) -> Make:
    return lambda **changes: CommittingHouse(units, engine, tmp_path, **changes)


@pytest.fixture
def pacs() -> Iterator[Peer]:
    with Peer().running() as peer:
        yield peer


def test_destination_that_takes_no_commitment_is_a_refusal_that_names_it(make: Make) -> None:
    with Peer().running(takes_commitment=False) as pacs:
        house = make(port=pacs.port)
        sent(house)
    state, attempts, error = house.delivery()
    assert (state, attempts) == ("refused", 1)
    assert "PACS takes no Storage Commitment" in error


def test_destination_that_takes_no_commitment_and_need_not_is_delivered(make: Make) -> None:
    with Peer().running(takes_commitment=False) as pacs:
        house = make(port=pacs.port, required=False)
        sent(house)
    assert house.delivery()[0] == "delivered"


def test_request_that_is_refused_for_good_ends_the_delivery(make: Make, pacs: Peer) -> None:
    house = make(port=pacs.port)
    pacs.action_status = 0x0123
    sent(house)
    assert house.delivery()[0] == "refused"
    assert "0x0123" in house.delivery()[2]


def test_request_that_cannot_be_taken_now_is_made_again_without_sending_the_object_again(make: Make, pacs: Peer) -> None:
    house = make(port=pacs.port, wait_seconds=10)
    pacs.action_status = 0x0213
    delivery = composed(house)
    with pytest.raises(Unavailable, match="0x0213"):
        house.flow.deliver_report(*delivery)
    pacs.action_status, pacs.reports_here = 0x0000, [None]
    house.flow.deliver_report(*delivery)
    assert (house.delivery(), len(house.destination.received)) == (("delivered", 1, ""), 1)
    assert len({transaction for transaction, _ in pacs.asked}) == 1


@PYNETDICOM_LEAVES_A_SOCKET
def test_destination_away_after_storing_is_asked_when_it_is_back_and_pauses_meanwhile(make: Make) -> None:
    port = free_port()
    house = make(port=port, wait_seconds=10)
    delivery = composed(house)
    for _ in range(FAILURES_BEFORE_A_PAUSE):
        with pytest.raises(Unavailable):
            house.flow.deliver_report(*delivery)
    with pytest.raises(Paused):
        house.flow.deliver_report(*delivery)
    with house.engine.begin() as connection:
        connection.execute(text("UPDATE destination_circuits SET retry_at = now()"))
    with Peer(reports_here=[None]).running(port=port):
        house.flow.deliver_report(*delivery)
    assert (house.delivery()[0], len(house.destination.received)) == ("delivered", 1)


def test_worker_killed_between_storing_and_asking_asks_and_sends_nothing_twice(make: Make, pacs: Peer) -> None:
    house = make(port=pacs.port, wait_seconds=10)
    pacs.reports_here = [None]
    delivery = composed(house)
    with house.flow.units() as unit:
        unit.outbox.close(*delivery, state="awaiting_commitment", error=None)
        unit.commitments.open(*delivery)
    house.flow.deliver_report(*delivery)
    assert (house.delivery()[0], house.destination.received, len(pacs.asked)) == ("delivered", [], 1)


def test_worker_killed_between_asking_and_noting_it_asks_as_the_same_transaction(make: Make, pacs: Peer) -> None:
    house = make(port=pacs.port)
    delivery = sent(house)
    with house.engine.begin() as connection:
        connection.execute(text("UPDATE commitments_asked SET accepted_at = NULL"))
    house.flow.deliver_report(*delivery)
    assert len(pacs.asked) == 2
    assert pacs.asked[0] == pacs.asked[1]
