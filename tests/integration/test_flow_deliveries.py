"""What the flow makes of a delivery that waits, is refused, or is overtaken by a newer version."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine, text

from service.core.report import Report
from service.errors import InputRejected, Unavailable
from service.ports import UnitOfWorkFactory
from tests.integration.flow_parts import STUDY, House, pacs_away, received


@pytest.fixture
def house(units: UnitOfWorkFactory, engine: Engine) -> House:
    return House(units, engine)


def test_peer_that_refuses_for_good_closes_the_delivery_with_its_reason(house: House) -> None:
    def refuse() -> None:
        raise InputRejected("The peer answered 0x0122: SOP class not supported.")

    house.destination.before = refuse
    house.flow.store_instance(received())
    house.flow.request_report(STUDY)
    house.work()
    report = house.report()
    assert report is not None
    assert [(delivery.state, delivery.last_error) for delivery in report.delivery] == [
        ("refused", "The peer answered 0x0122: SOP class not supported.")
    ]


def report_that_waits_for_the_pacs(house: House) -> Report:
    """Version 1, composed while the PACS was away; its delivery is pending."""
    house.destination.before = pacs_away
    house.flow.store_instance(received())
    house.flow.request_report(STUDY)
    with pytest.raises(Unavailable):
        house.work()
    house.destination.before = lambda: None
    report = house.report()
    assert report is not None
    assert [delivery.state for delivery in report.delivery] == ["pending"]
    return report


def delivery_state(house: House, report_id: str) -> str:
    with house.flow.units() as unit:
        (delivery,) = unit.reports.get(report_id).delivery
        return delivery.state


def test_pending_delivery_of_another_patient_is_superseded_when_the_pacs_returns(house: House) -> None:
    first = report_that_waits_for_the_pacs(house)
    house.flow.store_instance(received(attributes="corrected", patient_id="P2"))
    house.flow.request_report(STUDY)
    house.work()
    house.flow.deliver_report(first.report_id, "pacs", "sr")
    assert (delivery_state(house, first.report_id), house.destination.received) == ("superseded", [])
    house.flow.acknowledge_identity(STUDY)
    house.work()
    newest = house.report()
    assert newest is not None
    assert [sent.report_id for sent in house.destination.received] == [newest.report_id]


def test_pending_delivery_of_another_patient_is_not_sent_before_the_next_version_either(house: House) -> None:
    first = report_that_waits_for_the_pacs(house)
    house.flow.store_instance(received(attributes="corrected", patient_id="P2"))
    house.flow.acknowledge_identity(STUDY)
    house.flow.deliver_report(first.report_id, "pacs", "sr")
    assert (delivery_state(house, first.report_id), house.destination.received) == ("superseded", [])


def test_pending_delivery_of_a_held_study_is_held_until_a_person_acknowledges(house: House) -> None:
    first = report_that_waits_for_the_pacs(house)
    with house.engine.begin() as connection:
        connection.execute(text("UPDATE studies SET identity_hold = true"))
    house.flow.deliver_report(first.report_id, "pacs", "sr")
    assert (delivery_state(house, first.report_id), house.destination.received) == ("held", [])
    house.flow.acknowledge_identity(STUDY)
    house.work()
    assert delivery_state(house, first.report_id) == "delivered"


def test_pending_delivery_gives_way_to_a_newer_version_of_the_same_patient(house: House) -> None:
    first = report_that_waits_for_the_pacs(house)
    house.flow.store_instance(received("1.2.4"))
    house.flow.request_report(STUDY)
    house.work()
    newest = house.report()
    assert newest is not None
    assert (delivery_state(house, first.report_id), delivery_state(house, newest.report_id)) == ("superseded", "delivered")
    house.flow.deliver_report(first.report_id, "pacs", "sr")
    assert [sent.report_id for sent in house.destination.received] == [newest.report_id]


def test_pending_delivery_of_a_study_that_was_emptied_is_superseded(house: House) -> None:
    first = report_that_waits_for_the_pacs(house)
    house.flow.store_instance(received(attributes="moved", study_instance_uid=f"{STUDY}.2"))
    house.flow.request_report(STUDY)
    house.flow.acknowledge_identity(STUDY)
    house.work()
    house.flow.deliver_report(first.report_id, "pacs", "sr")
    assert (delivery_state(house, first.report_id), house.destination.received) == ("superseded", [])


def test_pending_delivery_tells_when_it_is_tried_next(house: House) -> None:
    house.destination.before = pacs_away
    house.flow.store_instance(received())
    house.flow.request_report(STUDY)
    while "deliver_report" not in house.waiting():
        house.work_one()
    due = house.report()
    with house.engine.begin() as connection:
        statement = (
            "UPDATE procrastinate_jobs SET scheduled_at = '2030-01-02T03:04:05Z' WHERE task_name = 'sonomyo.deliver_report'"
        )
        connection.execute(text(statement))
    scheduled = house.report()
    house.destination.before = lambda: None
    with house.engine.begin() as connection:
        connection.execute(text("UPDATE procrastinate_jobs SET scheduled_at = NULL"))
    house.work()
    delivered = house.report()
    assert due is not None
    assert scheduled is not None
    assert delivered is not None
    assert due.delivery[0].next_attempt_at is not None
    assert scheduled.delivery[0].next_attempt_at == datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert (delivered.delivery[0].state, delivered.delivery[0].next_attempt_at) == ("delivered", None)


def test_version_that_was_on_its_way_while_the_next_was_composed_is_told_as_delivered(house: House) -> None:
    def compose_meanwhile() -> None:
        house.destination.before = lambda: None
        house.flow.store_instance(received("1.2.4"))
        house.flow.request_report(STUDY)
        house.work()

    first = report_that_waits_for_the_pacs(house)
    house.destination.before = compose_meanwhile
    house.flow.deliver_report(first.report_id, "pacs", "sr")
    assert delivery_state(house, first.report_id) == "delivered"
