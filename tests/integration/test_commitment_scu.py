"""A destination is asked whether it holds what was delivered (PS3.4 J): a delivery waits for the answer, whatever breaks."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from service.adapters.deliveries import Deliveries
from service.adapters.job_queries import PostgresJobViews
from service.adapters.operation_queries import PostgresOperationViews
from service.errors import Conflict, InputRejected
from service.operation_views import DeliveryState, EventPosition
from service.ports import UnitOfWorkFactory
from tests.integration.commitment_parts import CommittingHouse, Peer
from tests.integration.flow_parts import STUDY, received
from tests.integration.listener_parts import wait_until
from tests.integration.test_worker import jobs, stop_when, work

Make = Callable[..., CommittingHouse]
HOUR = 3600
NO_SUCH_INSTANCE, PROCESSING_FAILURE = 0x0112, 0x0110


@pytest.fixture
def make(units: UnitOfWorkFactory, engine: Engine, tmp_path: Path) -> Make:
    return lambda **changes: CommittingHouse(units, engine, tmp_path, **changes)


@pytest.fixture
def pacs() -> Iterator[Peer]:
    with Peer().running() as peer:
        yield peer


def composed(house: CommittingHouse) -> tuple[str, str, str]:
    """A report whose delivery is due."""
    house.flow.store_instance(received())
    house.flow.request_report(STUDY)
    while "deliver_report" not in house.waiting():
        house.work_one()
    report = house.report()
    assert report is not None
    return report.report_id, "pacs", "sr"


def sent(house: CommittingHouse) -> tuple[str, str, str]:
    """The same, sent and asked."""
    delivery = composed(house)
    house.work()
    return delivery


def test_stored_object_waits_for_the_report_on_a_new_association_and_is_delivered_by_it(make: Make, pacs: Peer) -> None:
    house = make(port=pacs.port)
    sent(house)
    assert (house.delivery(), len(house.destination.received)) == (("awaiting_commitment", 1, ""), 1)
    ((transaction, uids),) = pacs.asked
    assert (uids, pacs.callers) == ([house.destination.received[0].sop_instance_uid], ["SONOMYO"])
    with house.listening() as port:
        assert pacs.report(port, transaction, None) == 0x0000
    house.work()
    assert (house.delivery(), house.transactions()) == (("delivered", 1, ""), ["committed"])


def test_report_without_role_negotiation_is_taken_as_well(make: Make, pacs: Peer) -> None:
    house = make(port=pacs.port)
    sent(house)
    with house.listening() as port:
        assert pacs.report(port, pacs.asked[0][0], None, role=False) == 0x0000
    house.work()
    assert house.delivery()[0] == "delivered"


def test_report_on_the_same_association_delivers_at_once(make: Make, pacs: Peer) -> None:
    house = make(port=pacs.port, wait_seconds=10)
    pacs.reports_here = [None]
    sent(house)
    assert (house.delivery(), pacs.report_statuses) == (("delivered", 1, ""), [0x0000])
    assert len(house.destination.received) == 1


def test_request_that_is_answered_by_another_way_is_not_waited_for(make: Make, pacs: Peer) -> None:
    house = make(port=pacs.port, wait_seconds=60)
    with house.listening() as port:
        reporter = threading.Thread(target=lambda: report_when_asked(pacs, port))
        reporter.start()
        began = time.monotonic()
        sent(house)
        reporter.join()
    assert house.delivery()[0] == "delivered"
    assert time.monotonic() - began < 30


def report_when_asked(pacs: Peer, port: int) -> None:
    wait_until(lambda: bool(pacs.asked))
    pacs.report(port, pacs.asked[0][0], None)


def test_followers_of_events_hear_once_that_it_was_delivered(make: Make, pacs: Peer, engine: Engine) -> None:
    house = make(port=pacs.port)
    composed(house)
    with house.listening() as port:
        threading.Thread(target=lambda: report_when_asked(pacs, port)).start()
        delivered = threading.Event()
        stop_when(lambda: house.delivery()[0] == "delivered", delivered)
        assert work(house, engine, deadline_seconds=60, until=delivered) is True
    told = [event.name for event in PostgresJobViews(engine=engine).events_after(EventPosition(), limit=100)]
    assert (told.count("delivered"), told.count("delivery_refused")) == (1, 0)


def test_destination_that_does_not_hold_it_gets_it_again(make: Make, pacs: Peer) -> None:
    house = make(port=pacs.port, wait_seconds=10)
    pacs.reports_here = [NO_SUCH_INSTANCE, None]
    sent(house)
    state, attempts, error = house.delivery()
    assert (state, attempts) == ("pending", 1)
    assert "0x0112 no such object instance" in error
    house.let_pass(30)
    house.work()
    assert (house.delivery(), house.transactions()) == (("delivered", 2, ""), ["failed", "committed"])
    assert len({transaction for transaction, _ in pacs.asked}) == 2
    first, again = house.destination.received
    assert first.content == again.content


def test_destination_that_never_holds_it_ends_as_a_dead_letter_that_says_so(make: Make, pacs: Peer, engine: Engine) -> None:
    house = make(port=pacs.port, wait_seconds=10, maximum_requests=2)
    pacs.reports_here = [PROCESSING_FAILURE, NO_SUCH_INSTANCE]
    sent(house)
    house.let_pass(30)
    failed = threading.Event()
    stop_when(lambda: "failed" in [status for status, _ in jobs(engine, "deliver_report")], failed)
    assert work(house, engine, deadline_seconds=60, until=failed) is True
    state, attempts, error = house.delivery()
    assert (state, attempts, len(house.destination.received)) == ("failed", 2, 2)
    assert "not_committed" in error
    assert "0x0112" in error


def test_object_that_was_given_up_is_sent_again_by_an_operator_with_all_its_requests(
    make: Make, pacs: Peer, engine: Engine
) -> None:
    house = make(port=pacs.port, wait_seconds=10, maximum_requests=1)
    pacs.reports_here = [NO_SUCH_INSTANCE]
    give_up(house, composed(house))
    assert house.delivery()[0] == "failed"
    ((delivery_id,),) = house.rows("SELECT id FROM deliveries")
    Deliveries(engine=engine).send_again(delivery_id, actor="test")
    pacs.reports_here = [None]
    house.work()
    assert (house.delivery()[0], house.transactions()) == ("delivered", ["failed", "committed"])


def give_up(house: CommittingHouse, delivery: tuple[str, str, str]) -> None:
    """As the worker does with a step that ends for good."""
    set_jobs(house, "doing")
    with pytest.raises(InputRejected) as ended:
        house.flow.deliver_report(*delivery)
    house.flow.give_up_delivery(*delivery, f"{ended.value.reason}: {ended.value}", final=True)
    set_jobs(house, "failed")


def set_jobs(house: CommittingHouse, status: str) -> None:
    with house.engine.begin() as connection:
        query = "UPDATE procrastinate_jobs SET status = :status WHERE task_name LIKE '%deliver_report' AND status <> 'succeeded'"
        connection.execute(text(query), {"status": status})


def test_silence_until_the_deadline_is_asked_again_as_a_new_transaction_and_ends(make: Make, pacs: Peer) -> None:
    house = make(port=pacs.port, maximum_requests=2)
    delivery = sent(house)
    house.let_pass(HOUR - 5)
    house.work()
    assert house.transactions() == ["asked"]
    house.let_pass(5)
    house.work()
    assert house.transactions() == ["unanswered", "asked"]
    house.let_pass(HOUR)
    give_up(house, delivery)
    state, attempts, error = house.delivery()
    assert (state, attempts, len(pacs.asked), len(house.destination.received)) == ("failed", 1, 2, 1)
    assert "3600 s" in error


def test_silence_of_a_destination_that_need_not_commit_is_delivered_with_a_note(make: Make, pacs: Peer) -> None:
    house = make(port=pacs.port, maximum_requests=1, required=False)
    sent(house)
    house.let_pass(HOUR)
    house.work()
    state, _, error = house.delivery()
    assert state == "delivered"
    assert "did not say" in error


def test_late_report_on_what_was_given_up_delivers_it_after_all(make: Make, pacs: Peer) -> None:
    house = make(port=pacs.port, maximum_requests=1)
    delivery = sent(house)
    house.let_pass(HOUR)
    give_up(house, delivery)
    with house.listening() as port:
        assert pacs.report(port, pacs.asked[0][0], None) == 0x0000
    house.work()
    assert (house.delivery()[0], house.transactions(), len(house.destination.received)) == ("delivered", ["committed"], 1)


def test_report_that_comes_twice_or_contradicts_the_first_changes_nothing(make: Make, pacs: Peer) -> None:
    house = make(port=pacs.port)
    sent(house)
    with house.listening() as port:
        for reason in (None, None, NO_SUCH_INSTANCE):
            assert pacs.report(port, pacs.asked[0][0], reason) == 0x0000
            house.work()
    assert (house.delivery(), house.transactions()) == (("delivered", 1, ""), ["committed"])
    assert len(house.destination.received) == 1


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"transaction": "2.25.404"}, 0x0110),
        ({"calling": "SOMEBODY"}, 0x0110),
        ({"instance": "1.2.3"}, 0x0112),
        ({"event_type": 3}, 0x0113),
        ({"uid": "1.2.404"}, 0x0115),
        ({"transaction": ""}, 0x0115),
    ],
    ids=["unknown transaction", "another peer", "another instance", "another event", "object not named", "no transaction"],
)
def test_report_that_is_not_ours_is_refused_and_the_delivery_still_waits(
    make: Make, pacs: Peer, changes: dict[str, Any], status: int
) -> None:
    house = make(port=pacs.port)
    sent(house)
    with house.listening() as port:
        assert pacs.report(port, pacs.asked[0][0], None, **changes) == status
    wait_until(lambda: bool(house.rows("SELECT 1 FROM associations WHERE closed_at IS NOT NULL")))
    (((failure,),),) = house.rows("SELECT failures FROM associations")
    assert failure["status"] == status
    house.work()
    assert (house.delivery()[0], house.transactions()) == ("awaiting_commitment", ["asked"])


def test_new_version_takes_the_place_of_one_that_awaits_its_commitment(make: Make, pacs: Peer) -> None:
    house = make(port=pacs.port)
    first = sent(house)
    house.flow.store_instance(received(uid="1.2.4"))
    house.flow.request_report(STUDY)
    while house.report() is None or house.report().version == 1:  # type: ignore[union-attr]  # asked just before
        house.work_one()
    with house.flow.units() as unit:
        assert unit.outbox.lock(*first).state == "superseded"
    with house.listening() as port:
        assert pacs.report(port, pacs.asked[0][0], None) == 0x0000
    house.work()
    with house.flow.units() as unit:
        assert unit.outbox.lock(*first).state == "superseded"


def test_report_and_operators_see_what_awaits_its_commitment_and_can_give_it_up(make: Make, pacs: Peer, engine: Engine) -> None:
    house = make(port=pacs.port)
    sent(house)
    report = house.report()
    assert report is not None
    (shown,) = report.delivery
    assert (shown.state, shown.next_attempt_at is not None) == ("awaiting_commitment", True)
    views = PostgresOperationViews(engine=engine)
    assert views.deliveries_by_destination() == {"pacs": {"awaiting_commitment": 1}}
    (delivery,) = views.deliveries(state=DeliveryState.AWAITING_COMMITMENT, destination="pacs", limit=5, cursor=None).deliveries
    operator = Deliveries(engine=engine)
    with pytest.raises(Conflict):
        operator.send_again(delivery.delivery_id, actor="test")
    with engine.begin() as connection:
        connection.execute(text("UPDATE procrastinate_jobs SET status = 'succeeded' WHERE status = 'doing'"))
    operator.abandon(delivery.delivery_id, actor="test", reason="that archive was replaced")
    with house.listening() as port:
        assert pacs.report(port, pacs.asked[0][0], None) == 0x0000
    house.work()
    assert house.delivery()[0] == "abandoned"


def test_destination_whose_setting_was_taken_back_counts_what_it_stored_as_delivered(make: Make, pacs: Peer) -> None:
    delivery = sent(make(port=pacs.port))
    without = make()
    without.flow.deliver_report(*delivery)
    assert without.delivery()[0] == "delivered"
