"""The worker on a real queue: what it does with steps that fail, hang or are away."""

import signal
import threading
from collections.abc import Callable
from dataclasses import fields

from sqlalchemy import Engine, text

from service.adapters.postgres import libpq_url
from service.adapters.worker import Steps, make_worker_app, run_worker
from service.errors import InputRejected, Unavailable
from service.flow import Flow
from service.ports import UnitOfWorkFactory
from tests.integration.flow_parts import STUDY, House, received
from tests.running import poll


def work(house: House, engine: Engine, *, deadline_seconds: float, until: threading.Event) -> bool:
    """Run a worker until the event, or until it stops of itself."""
    steps = Steps(deadline_seconds)
    app = make_worker_app(
        flow=house.flow, steps=steps, database_url=libpq_url(engine.url.render_as_string(hide_password=False)), maximum_attempts=3
    )

    def stop_at_the_event() -> None:
        if until.wait(timeout=100):
            signal.raise_signal(signal.SIGTERM)

    return run_worker(
        flow=house.flow,
        app=app,
        steps=steps,
        queues=None,
        concurrency=1,
        maximum_attempts=3,
        ready=lambda: threading.Thread(target=stop_at_the_event, daemon=True).start(),
    )


def jobs(engine: Engine, name: str) -> list[tuple[str, int]]:
    """Status and attempts of the jobs of one task."""
    with engine.connect() as connection:
        found = connection.execute(
            text("SELECT status::text, attempts FROM procrastinate_jobs WHERE task_name = 'sonomyo.' || :name ORDER BY id"),
            {"name": name},
        )
        return [(status, attempts) for status, attempts in found]


def test_step_that_hangs_goes_back_to_the_queue_and_the_worker_makes_way(units: UnitOfWorkFactory, engine: Engine) -> None:
    house = House(units, engine)
    released = threading.Event()
    house.analysis.before = lambda: hang_until(released)
    house.flow.store_instance(received())
    assert work(house, engine, deadline_seconds=0.5, until=threading.Event()) is False
    assert jobs(engine, "analyse_instance") == [("todo", 1)]
    released.set()


def test_step_of_a_wrong_input_is_tried_once_and_named_in_the_report(units: UnitOfWorkFactory, engine: Engine) -> None:
    house = House(units, engine)
    done = threading.Event()
    house.analysis.before = raising(InputRejected("Frame 2 is cut off.", reason="truncated"), done)
    house.flow.store_instance(received())
    assert work(house, engine, deadline_seconds=60, until=done) is True
    assert jobs(engine, "analyse_instance") == [("succeeded", 1)]
    house.flow.request_report(STUDY)
    house.work()
    report = house.report()
    assert report is not None
    assert any("Frame 2 is cut off" in limitation for limitation in report.limitations)


def test_step_whose_part_is_away_is_tried_again_later(units: UnitOfWorkFactory, engine: Engine) -> None:
    house = House(units, engine)
    done = threading.Event()
    house.analysis.before = raising(Unavailable("Triton does not answer."), done)
    house.flow.store_instance(received())
    assert work(house, engine, deadline_seconds=60, until=done) is True
    assert jobs(engine, "analyse_instance") == [("todo", 1)]


def test_stalled_look_at_a_study_whose_next_look_waits_is_aborted_and_the_others_recovered(
    units: UnitOfWorkFactory, engine: Engine
) -> None:
    house = House(units, engine)
    house.flow.store_instance(received())
    with engine.begin() as connection:
        connection.execute(text("UPDATE procrastinate_jobs SET status = 'doing', attempts = 1"))
    house.flow.store_instance(received(uid="1.2.4"))
    assert jobs(engine, "complete_study") == [("doing", 1), ("todo", 0)]
    done = threading.Event()
    house.analysis.before = lambda: done.set() if house.analysis.runs == 2 else None
    assert work(house, engine, deadline_seconds=60, until=done) is True
    looks = [status for status, _ in jobs(engine, "complete_study")]
    assert (looks[0], set(looks[1:])) == ("aborted", {"todo"})
    assert [status for status, _ in jobs(engine, "analyse_instance")] == ["succeeded", "succeeded"]


def stall(engine: Engine, *, attempts: int) -> None:
    """As if a worker had died on each job that is due."""
    with engine.begin() as connection:
        stalled = (
            "UPDATE procrastinate_jobs SET status = 'doing', attempts = :attempts WHERE status = 'todo' AND scheduled_at IS NULL"
        )
        connection.execute(text(stalled), {"attempts": attempts})


def test_job_that_kills_each_worker_is_a_dead_letter_and_its_study_goes_on(units: UnitOfWorkFactory, engine: Engine) -> None:
    house = House(units, engine)
    house.flow.store_instance(received())
    stall(engine, attempts=2)
    given_up = threading.Event()
    stop_when(lambda: jobs(engine, "analyse_instance") == [("failed", 3)], given_up)
    assert work(house, engine, deadline_seconds=60, until=given_up) is True
    house.flow.request_report(STUDY)
    house.work()
    report = house.report()
    assert report is not None
    assert any("the worker of the last one died" in limitation for limitation in report.limitations)


def test_delivery_that_a_worker_died_on_keeps_its_own_many_attempts(units: UnitOfWorkFactory, engine: Engine) -> None:
    house = House(units, engine)
    house.flow.store_instance(received())
    house.flow.request_report(STUDY)
    while "deliver_report" not in house.waiting():
        house.work_one()
    stall(engine, attempts=30)
    sent = threading.Event()
    stop_when(lambda: [status for status, _ in jobs(engine, "deliver_report")] == ["todo"], sent)
    assert work(house, engine, deadline_seconds=60, until=sent) is True


def test_analysis_whose_job_is_gone_is_given_up(units: UnitOfWorkFactory, engine: Engine) -> None:
    house = House(units, engine)
    house.flow.store_instance(received())
    with engine.begin() as connection:
        connection.execute(text("UPDATE procrastinate_jobs SET status = 'failed' WHERE task_name LIKE '%analyse%'"))
    given_up = threading.Event()
    stop_when(lambda: states(engine) == ["failed"], given_up)
    assert work(house, engine, deadline_seconds=60, until=given_up) is True


def states(engine: Engine) -> list[str]:
    with engine.connect() as connection:
        return list(connection.execute(text("SELECT state FROM analyses")).scalars())


def stop_when(condition: Callable[[], bool], reached: threading.Event) -> None:
    """Set the event once the condition holds."""

    def watch() -> None:
        poll(condition, timeout_seconds=100, what="the worker's work")
        reached.set()

    threading.Thread(target=watch, daemon=True).start()


class LooksAgain(House):
    """Whose look at a study fails after it has ordered the next look."""

    def __init__(self, units: UnitOfWorkFactory, engine: Engine, looked: threading.Event) -> None:
        super().__init__(units, engine)
        flow = self.flow

        class Failing(Flow):
            def complete_study(self, study_instance_uid: str) -> None:
                with flow.units() as unit:
                    unit.jobs.complete_study(study_instance_uid, after_seconds=600)
                looked.set()
                raise Unavailable("The database does not answer.")

        self.flow = Failing(**{each.name: getattr(flow, each.name) for each in fields(flow)})


def test_failed_look_at_a_study_whose_next_look_waits_is_no_job_that_runs_for_ever(
    units: UnitOfWorkFactory, engine: Engine
) -> None:
    looked = threading.Event()
    house = LooksAgain(units, engine, looked)
    house.flow.store_instance(received())
    house.age_study(3600)
    assert work(house, engine, deadline_seconds=60, until=looked) is True
    looks = [status for status, _ in jobs(engine, "complete_study")]
    assert (looks[0], set(looks[1:])) == ("succeeded", {"todo"})


def hang_until(released: threading.Event) -> None:
    assert released.wait(timeout=60)


def raising(error: Exception, done: threading.Event) -> Callable[[], None]:
    def raise_it() -> None:
        done.set()
        raise error

    return raise_it
