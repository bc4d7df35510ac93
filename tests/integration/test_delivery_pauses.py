"""A destination that does not answer is left alone for a growing while, by all workers alike, and no attempt is used up."""

import threading
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from service.adapters.operation_queries import PostgresOperationViews
from service.core.circuit import FAILURES_BEFORE_A_PAUSE, FIRST_PAUSE_SECONDS
from service.errors import InputRejected, Paused, Unavailable
from service.operation_views import CircuitView
from service.ports import UnitOfWorkFactory
from tests.integration import api_parts
from tests.integration.flow_parts import STUDY, House, pacs_away, received
from tests.integration.test_worker import jobs, stop_when, work


@pytest.fixture
def house(units: UnitOfWorkFactory, engine: Engine) -> House:
    return House(units, engine)


def composed(house: House) -> str:
    """A report whose delivery is due."""
    house.flow.store_instance(received())
    house.flow.request_report(STUDY)
    while "deliver_report" not in house.waiting():
        house.work_one()
    report = house.report()
    assert report is not None
    return report.report_id


def try_once(house: House, report_id: str) -> type[Exception] | None:
    try:
        house.flow.deliver_report(report_id, "pacs", "sr")
    except Unavailable as error:
        return type(error)
    return None


def paused(house: House) -> str:
    """The same, after the destination was away too often."""
    report_id = composed(house)
    house.destination.before = pacs_away
    assert [try_once(house, report_id) for _ in range(FAILURES_BEFORE_A_PAUSE)] == [Unavailable] * FAILURES_BEFORE_A_PAUSE
    return report_id


def seconds_left(engine: Engine) -> float:
    with engine.connect() as connection:
        left = connection.execute(text("SELECT extract(epoch FROM retry_at - now()) FROM destination_circuits")).scalar_one()
        return float(left)


def let_pass(engine: Engine, seconds: float) -> None:
    """Time, for destinations and the jobs that wait for them."""
    with engine.begin() as connection:
        shift = {"by": timedelta(seconds=seconds)}
        connection.execute(text("UPDATE destination_circuits SET retry_at = retry_at - :by, paused_at = paused_at - :by"), shift)
        connection.execute(text("UPDATE procrastinate_jobs SET scheduled_at = scheduled_at - :by"), shift)


def calls(house: House) -> list[int]:
    """Grows by one whenever something is sent, successfully from now on."""
    made: list[int] = []
    house.destination.before = lambda: made.append(1)
    return made


def test_destination_away_a_few_times_is_tried_each_time(house: House) -> None:
    report_id = composed(house)
    house.destination.before = pacs_away
    for _ in range(FAILURES_BEFORE_A_PAUSE - 1):
        assert try_once(house, report_id) is Unavailable
    house.destination.before = lambda: None
    assert try_once(house, report_id) is None
    assert len(house.destination.received) == 1


def test_destination_away_too_often_is_left_alone_by_every_worker(house: House, units: UnitOfWorkFactory, engine: Engine) -> None:
    report_id = paused(house)
    other = House(units, engine)
    made = calls(other)
    assert try_once(other, report_id) is Paused
    assert made == []
    assert 0 < seconds_left(engine) <= FIRST_PAUSE_SECONDS


def test_trial_after_the_pause_is_one_and_a_failure_doubles_the_pause(house: House, engine: Engine) -> None:
    report_id = paused(house)
    let_pass(engine, FIRST_PAUSE_SECONDS)
    beside: list[type[Exception] | None] = []

    def away_while_another_asks() -> None:
        house.destination.before = lambda: None
        beside.append(try_once(house, report_id))
        pacs_away()

    house.destination.before = away_while_another_asks
    assert try_once(house, report_id) is Unavailable
    assert beside == [Paused]
    assert FIRST_PAUSE_SECONDS < seconds_left(engine) <= 2 * FIRST_PAUSE_SECONDS


def test_trial_that_succeeds_ends_the_pause_and_what_waits_is_due_at_once(house: House, engine: Engine) -> None:
    report_id = paused(house)
    with engine.begin() as connection:
        hour = (
            "UPDATE procrastinate_jobs SET status = 'todo', scheduled_at = now() + interval '1 hour' WHERE task_name LIKE :task"
        )
        connection.execute(text(hour), {"task": "%deliver_report"})
    let_pass(engine, FIRST_PAUSE_SECONDS)
    house.destination.before = lambda: None
    assert house.work_one() is False
    assert try_once(house, report_id) is None
    assert house.work_one() is True


def test_refusal_is_an_answer_and_ends_the_pause(house: House, engine: Engine) -> None:
    def refuse() -> None:
        raise InputRejected("The peer answered 0x0122: SOP class not supported.")

    report_id = paused(house)
    let_pass(engine, FIRST_PAUSE_SECONDS)
    house.destination.before = refuse
    assert try_once(house, report_id) is None
    assert circuit(house).state == "answers"


def test_failure_that_began_before_the_pause_makes_it_no_longer(house: House, units: UnitOfWorkFactory, engine: Engine) -> None:
    with units() as unit:
        began_at = unit.now()
    paused(house)
    with units() as unit:
        unit.circuits.failed("pacs", "The PACS did not answer in time.", began_at=began_at)
    assert seconds_left(engine) <= FIRST_PAUSE_SECONDS
    assert circuit(house).last_error == "The PACS did not answer in time."


def test_pause_of_one_destination_leaves_the_others_alone(house: House, units: UnitOfWorkFactory) -> None:
    paused(house)
    with units() as unit:
        unit.circuits.admit("archive")


def test_delivery_that_waits_for_a_paused_destination_uses_up_no_attempt(house: House, engine: Engine) -> None:
    paused(house)
    with engine.begin() as connection:
        connection.execute(text("UPDATE procrastinate_jobs SET attempts = 7 WHERE task_name LIKE '%deliver_report'"))
    made = calls(house)
    done = threading.Event()
    stop_when(lambda: scheduled(engine) == ["todo"], done)
    assert work(house, engine, deadline_seconds=60, until=done) is True
    assert made == []
    assert jobs(engine, "deliver_report") == [("todo", 7)]
    report = house.report()
    assert report is not None
    assert [delivery.state for delivery in report.delivery] == ["pending"]
    with engine.connect() as connection:
        assert connection.execute(text("SELECT attempts FROM deliveries")).scalar_one() == 0


def scheduled(engine: Engine) -> Sequence[str]:
    """Status of the deliveries' jobs that wait for a time."""
    with engine.connect() as connection:
        query = "SELECT status::text FROM procrastinate_jobs WHERE task_name LIKE '%deliver_report' AND scheduled_at > now()"
        return connection.execute(text(query)).scalars().all()


def circuit(house: House) -> CircuitView:
    return PostgresOperationViews(engine=house.engine).circuits()["pacs"]


def test_destinations_show_the_pause_its_reason_and_its_end(engine: Engine, units: UnitOfWorkFactory, tmp_path: Path) -> None:
    with api_parts.House(engine=engine, units=units, root=tmp_path / "store") as house:
        client = house.client()
        house.destination.before = pacs_away
        api_parts.upload(client, api_parts.dicom_file()).raise_for_status()
        client.post(f"/api/v1/studies/{api_parts.STUDY}/complete").raise_for_status()
        with pytest.raises(Unavailable):
            house.work()
        report_id = client.get(f"/api/v1/studies/{api_parts.STUDY}/report").json()["report_id"]
        before = client.get("/api/v1/destinations").json()["destinations"][0]
        for _ in range(FAILURES_BEFORE_A_PAUSE - 1):
            with pytest.raises(Unavailable):
                house.flow.deliver_report(report_id, "pacs", "sr")
        during = client.get("/api/v1/destinations").json()["destinations"][0]
        house.flow.give_up_delivery(report_id, "pacs", "sr", "every attempt failed", final=True)
        with engine.begin() as connection:
            connection.execute(text("UPDATE procrastinate_jobs SET status = 'failed' WHERE status = 'doing'"))
        (delivery,) = client.get("/api/v1/deliveries").json()["deliveries"]
        house.destination.before = lambda: None
        # Whoever sends again has mended something: that is the trial.
        client.post(f"/api/v1/deliveries/{delivery['delivery_id']}/requeue").raise_for_status()
        house.work()
        after = client.get("/api/v1/destinations").json()["destinations"][0]
    assert (before["protocol"], before["address"], before["state"]) == ("dicom", "PACS@127.0.0.1:104", "failing")
    assert (during["state"], during["last_error"]) == ("paused", "The PACS does not answer.")
    assert during["retry_at"] is not None
    assert during["deliveries"] == {"pending": 1}
    assert (after["state"], after["retry_at"], after["consecutive_failures"]) == ("answers", None, 0)
    assert after["deliveries"] == {"delivered": 1}
