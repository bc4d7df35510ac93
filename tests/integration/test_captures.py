"""Captures on a real PostgreSQL: made after the report by a job of their own, once, and only where they are wanted."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import pytest
from sqlalchemy import Engine, text

from service.adapters.job_queries import PostgresJobViews
from service.bootstrap import Service
from service.core.analyses.analysis import DescribeModel, Infer
from service.core.cine import Cine
from service.core.findings import Finding, Polyline
from service.core.masks import MaskKeeper
from service.core.report import Report
from service.errors import InputRejected
from service.operation_views import JobState
from service.ports import UnitOfWorkFactory
from service.records import RenderedObject, StoredAnalysis, StoredInstance
from service.settings import Settings
from tests.fakes import FakeAnalysis, FakeDestination
from tests.integration.flow_parts import STUDY, House, received
from tests.integration.test_worker import jobs, stop_when, work

WANTS_CAPTURES = frozenset({"sr", "sc"})


@dataclass
class Drawing(FakeAnalysis):
    """Draws a line in the first frame."""

    def analyse(self, cine: Cine, infer: Infer, describe: DescribeModel, keep: MaskKeeper | None = None) -> tuple[Finding, ...]:
        line = Polyline(label="fascicle", frame=1, points=((1.0, 2.0), (6.0, 5.0)))
        findings = super().analyse(cine, infer, describe, keep)
        return tuple(one.model_copy(update={"evidence": one.evidence.model_copy(update={"lines": (line,)})}) for one in findings)


@dataclass
class Captures:
    """Stands in for the renderer; `before` runs first and may raise."""

    before: Callable[[], None] = lambda: None
    made: list[str] = field(default_factory=list)

    def __call__(
        self, report: Report, kind: str, instance: StoredInstance, analysis: StoredAnalysis, cine: Cine
    ) -> RenderedObject:
        self.before()
        self.made.append(kind)
        return RenderedObject(
            sop_instance_uid=f"2.25.{report.version}.{kind.partition('.')[2]}",
            sop_class_uid="1.2.840.10008.5.1.4.1.1.7.4",
            kind=kind,
            report_id=report.report_id,
            media_type="application/dicom",
            content=f"{instance.attributes.sop_instance_uid} by {analysis.analysis_name}, {cine.number_of_frames}".encode(),
        )


class DrawingHouse(House):
    """A house whose destination wants captures."""

    def __init__(self, units: UnitOfWorkFactory, engine: Engine) -> None:
        super().__init__(units, engine)
        self.captures = Captures()
        self.destination.kinds = WANTS_CAPTURES
        self.flow = replace(self.flow, capture=self.captures, analyses={"muscle_architecture": Drawing()})

    def work_until_capture(self) -> None:
        """Until the capture is what comes next."""
        self.flow.store_instance(received())
        self.flow.request_report(STUDY)
        while "capture_cine" not in self.waiting() or "deliver_report" in self.waiting():
            self.work_one()

    def sent(self) -> Sequence[str]:
        return [one.kind for one in self.destination.received]

    def deliveries(self) -> dict[str, str]:
        report = self.report()
        assert report is not None
        return {delivery.kind: delivery.state for delivery in report.delivery}

    def capture_again(self) -> None:
        """The first capture's job once more, as after a worker that died at its end."""
        with self.engine.begin() as connection:
            query = "SELECT args FROM procrastinate_jobs WHERE task_name = 'sonomyo.capture_cine' ORDER BY id LIMIT 1"
            arguments = connection.execute(text(query)).scalar_one()
            connection.execute(text("UPDATE procrastinate_jobs SET status = 'doing' WHERE task_name = 'sonomyo.capture_cine'"))
        self.flow.capture_cine(**arguments)


@pytest.fixture
def house(units: UnitOfWorkFactory, engine: Engine) -> DrawingHouse:
    return DrawingHouse(units, engine)


def test_capture_of_each_cine_that_was_drawn_in_follows_the_report(house: DrawingHouse) -> None:
    house.flow.store_instance(received())
    house.flow.store_instance(received("1.2.4"))
    house.flow.request_report(STUDY)
    house.work()
    captures = {one.kind: one.content for one in house.destination.received if one.kind != "sr"}
    assert captures == {"sc.1": b"1.2.3 by muscle_architecture, 3", "sc.2": b"1.2.4 by muscle_architecture, 3"}
    assert house.deliveries() == {"sr": "delivered", "sc.1": "delivered", "sc.2": "delivered"}


def test_capture_that_no_destination_wants_is_not_asked_for(house: DrawingHouse) -> None:
    house.destination.kinds = frozenset({"sr"})
    house.flow.store_instance(received())
    house.flow.request_report(STUDY)
    house.work()
    assert (house.sent(), jobs(house.engine, "capture_cine")) == (["sr"], [])


def test_capture_goes_only_where_it_is_wanted(house: DrawingHouse) -> None:
    other = FakeDestination(name="other")
    house.flow = replace(house.flow, destinations={"pacs": house.destination, "other": other})
    house.flow.store_instance(received())
    house.flow.request_report(STUDY)
    house.work()
    assert house.sent() == ["sr", "sc.1"]
    assert [one.kind for one in other.received] == ["sr"]


def test_capture_of_an_analysis_that_drew_nothing_is_not_asked_for(house: DrawingHouse) -> None:
    house.flow = replace(house.flow, analyses={"muscle_architecture": FakeAnalysis()})
    house.flow.store_instance(received())
    house.flow.request_report(STUDY)
    house.work()
    assert (house.sent(), jobs(house.engine, "capture_cine")) == (["sr"], [])


def test_capture_is_drawn_outside_any_transaction(house: DrawingHouse) -> None:
    open_then: list[int] = []

    def look() -> None:
        with house.engine.connect() as connection:
            query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'idle in transaction'"
            open_then.append(connection.execute(text(query)).scalar_one())

    house.captures.before = look
    house.work_until_capture()
    house.work()
    assert (open_then, house.captures.made) == ([0], ["sc.1"])


def test_capture_again_makes_and_sends_nothing_twice(house: DrawingHouse) -> None:
    house.work_until_capture()
    house.work()
    house.capture_again()
    house.work()
    assert (house.captures.made, house.sent()) == (["sc.1"], ["sr", "sc.1"])


def test_capture_by_two_workers_at_once_is_sent_once(house: DrawingHouse) -> None:
    together = threading.Barrier(2, timeout=30)

    def meet() -> None:
        together.wait()

    house.captures.before = meet
    house.work_until_capture()
    threads = [threading.Thread(target=house.capture_again) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    house.work()
    assert (house.captures.made, house.sent()) == (["sc.1", "sc.1"], ["sr", "sc.1"])


def test_capture_of_a_superseded_report_is_not_made(house: DrawingHouse) -> None:
    house.work_until_capture()
    first = house.report()
    assert first is not None
    taken = "UPDATE procrastinate_jobs SET status = 'doing' WHERE task_name = 'sonomyo.capture_cine'"
    with house.engine.begin() as connection:
        connection.execute(text(taken))
    house.flow.store_instance(received("1.2.4"))
    house.flow.request_report(STUDY)
    house.work()
    assert house.captures.made == ["sc.1", "sc.2"]
    house.capture_again()
    house.work()
    assert house.captures.made == ["sc.1", "sc.2"]
    assert first.report_id not in {one.report_id for one in house.destination.received if one.kind != "sr"}


def test_capture_whose_report_is_superseded_while_it_is_drawn_is_thrown_away(house: DrawingHouse) -> None:
    house.work_until_capture()
    first = house.report()
    assert first is not None

    def meanwhile() -> None:
        house.captures.before = lambda: None
        house.flow.store_instance(received("1.2.4"))
        house.flow.request_report(STUDY)
        house.work()

    house.captures.before = meanwhile
    house.work()
    with house.flow.units() as unit:
        assert not unit.reports.is_rendered(first.report_id, "sc.1")
    assert first.report_id not in {one.report_id for one in house.destination.received if one.kind != "sr"}


def test_capture_of_an_analysis_that_was_asked_for_anew_is_left_to_the_next_version(house: DrawingHouse) -> None:
    house.work_until_capture()
    house.flow.reanalyse(STUDY)
    house.capture_again()
    assert house.captures.made == []
    house.work()
    newest = house.report()
    assert newest is not None
    assert [one.report_id for one in house.destination.received if one.kind == "sc.1"] == [newest.report_id]


def test_capture_of_a_held_study_waits_for_a_person(house: DrawingHouse) -> None:
    house.work_until_capture()
    with house.engine.begin() as connection:
        connection.execute(text("UPDATE studies SET identity_hold = true"))
    house.capture_again()
    assert (house.deliveries()["sc.1"], "deliver_report" in house.waiting()) == ("held", False)
    house.flow.acknowledge_identity(STUDY)
    house.work()
    assert (house.deliveries()["sc.1"], house.sent()) == ("delivered", ["sr", "sc.1"])


def test_capture_about_another_patient_is_not_made(house: DrawingHouse) -> None:
    house.work_until_capture()
    house.flow.store_instance(received(attributes="corrected", patient_id="P2"))
    house.capture_again()
    assert house.captures.made == []


def test_capture_that_cannot_be_made_is_a_dead_letter_that_says_why_and_holds_up_nothing(house: DrawingHouse) -> None:
    def refuse() -> None:
        raise InputRejected("Frame 2 is cut off.", reason="frame_truncated")

    house.captures.before = refuse
    house.flow.store_instance(received())
    house.flow.request_report(STUDY)
    over = threading.Event()
    stop_when(lambda: jobs(house.engine, "capture_cine") == [("failed", 1)] and house.sent() == ["sr"], over)
    assert work(house, house.engine, deadline_seconds=60, until=over) is True
    (dead,) = PostgresJobViews(engine=house.engine).jobs(state=JobState.DEAD, task=None, limit=5, cursor=None).jobs
    assert (dead.task, dead.queue, dead.kind, dead.failure) == (
        "capture_cine",
        "capture",
        "sc.1",
        "frame_truncated: Frame 2 is cut off.",
    )
    assert house.deliveries() == {"sr": "delivered"}


def test_capture_that_kills_its_workers_is_a_dead_letter_that_says_so(house: DrawingHouse) -> None:
    house.work_until_capture()
    with house.engine.begin() as connection:
        stalled = "UPDATE procrastinate_jobs SET status = 'doing', attempts = 2 WHERE task_name = 'sonomyo.capture_cine'"
        connection.execute(text(stalled))
    over = threading.Event()
    stop_when(lambda: jobs(house.engine, "capture_cine") == [("failed", 3)], over)
    assert work(house, house.engine, deadline_seconds=60, until=over) is True
    (dead,) = PostgresJobViews(engine=house.engine).jobs(state=JobState.DEAD, task="capture_cine", limit=5, cursor=None).jobs
    assert dead.failure is not None
    assert dead.failure.startswith("worker_died")


def test_service_draws_captures_where_a_destination_wants_them() -> None:
    peer = {"name": "pacs", "host": "127.0.0.1", "port": 104, "ae_title": "PACS"}

    def opened(kinds: list[str]) -> Service:
        tree = {"database": {"url": "postgresql://nobody@127.0.0.1:1/none"}, "destinations": [{**peer, "kinds": kinds}]}
        return Service(Settings.model_validate(tree))

    assert opened(["sr", "sc"]).flow.capture is not None
    assert opened(["sr", "seg"]).flow.capture is None
