"""The flow over a real PostgreSQL with fakes around it, and a worker that runs what is due."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Engine, text

from service.adapters.usual_arrival import PostgresArrivals
from service.core.compose import Software
from service.core.instance import ContentDigest, InstanceAttributes, PatientIdentity
from service.core.report import Report
from service.core.routing import RoutingRules
from service.errors import Unavailable
from service.flow import Flow
from service.ports import UnitOfWorkFactory
from service.records import ReceivedInstance, RenderedObject, StoredAnalysis, StoredInstance
from tests.fakes import FakeAnalysis, FakeDestination, FakeReader, FakeServer, FakeStore

STUDY = "1.2.826.0.1.3680043.8.498.1"
US_MULTI_FRAME = "1.2.840.10008.5.1.4.1.1.3.1"


def received(
    uid: str = "1.2.3", *, pixels: str = "pixels", attributes: str = "attributes", patient_id: str = "P1", **changes: Any
) -> ReceivedInstance:
    return ReceivedInstance(
        attributes=InstanceAttributes(
            **{
                "sop_instance_uid": uid,
                "sop_class_uid": US_MULTI_FRAME,
                "study_instance_uid": STUDY,
                "series_instance_uid": f"{STUDY}.1",
                "transfer_syntax_uid": "1.2.840.10008.1.2.1",
                "modality": "US",
                "identity": PatientIdentity(patient_id=patient_id, patient_name="Ivanov^Иван"),
                "number_of_frames": 3,
                "rows": 8,
                "columns": 8,
                "samples_per_pixel": 1,
                "photometric_interpretation": "MONOCHROME2",
                "has_pixel_data": True,
                **changes,
            }
        ),
        digest=ContentDigest(attributes=attributes, pixels=pixels),
        storage_key=f"{uid}-{attributes}-{pixels}",
        size_bytes=100,
    )


def render(report: Report, instances: Sequence[StoredInstance], _: Sequence[StoredAnalysis]) -> list[RenderedObject]:
    made = RenderedObject(
        sop_instance_uid=f"2.25.{report.version}",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.88.34",
        kind="sr",
        report_id=report.report_id,
        media_type="application/dicom",
        content=f"{report.report_id} over {len(instances)}".encode(),
    )
    return [made]


class House:
    """The flow with its fakes, and a worker that runs every job that is due, in order."""

    def __init__(self, units: UnitOfWorkFactory, engine: Engine) -> None:
        self.engine = engine
        self.analysis = FakeAnalysis()
        self.destination = FakeDestination()
        self.reader = FakeReader()
        self.flow = Flow(
            units=units,
            arrivals=PostgresArrivals(engine=engine),
            store=FakeStore(),
            reader=self.reader,
            server=FakeServer(),
            analyses={"muscle_architecture": self.analysis},
            destinations={"pacs": self.destination},
            renderers={"sr": render},
            rules=RoutingRules(),
            stable_age_seconds=60,
            software=Software(service_version="test"),
        )

    def work(self) -> None:
        """Run the jobs that are due until none is left."""
        while self.work_one():
            pass

    def work_one(self) -> bool:
        """Run the oldest job that is due; False when there is none."""
        job = self._claim()
        if job is not None:
            getattr(self.flow, job[0].removeprefix("sonomyo."))(**job[1])
        return job is not None

    def waiting(self) -> list[str]:
        with self.engine.connect() as connection:
            rows = connection.execute(text("SELECT task_name FROM procrastinate_jobs WHERE status = 'todo' ORDER BY id"))
            return [name.removeprefix("sonomyo.") for (name,) in rows]

    def age_study(self, seconds: float) -> None:
        """Let time pass for the study and its scheduled jobs."""
        with self.engine.begin() as connection:
            shift = {"seconds": seconds}
            connection.execute(
                text("UPDATE studies SET last_selected_at = last_selected_at - make_interval(secs => :seconds)"), shift
            )
            connection.execute(
                text("UPDATE procrastinate_jobs SET scheduled_at = scheduled_at - make_interval(secs => :seconds)"), shift
            )

    def report(self) -> Report | None:
        with self.flow.units() as unit:
            return unit.reports.newest(STUDY)

    def _claim(self) -> tuple[str, dict[str, Any]] | None:
        with self.engine.begin() as connection:
            row = connection.execute(
                text(
                    "UPDATE procrastinate_jobs SET status = 'doing' WHERE id = (SELECT id FROM procrastinate_jobs "
                    "WHERE status = 'todo' AND (scheduled_at IS NULL OR scheduled_at <= now()) ORDER BY id LIMIT 1) "
                    "RETURNING task_name, args"
                )
            ).one_or_none()
        return None if row is None else (row.task_name, row.args)


def pacs_away() -> None:
    raise Unavailable("The PACS does not answer.")


def status_of(house: House) -> tuple[str, bool]:
    """The study's status, and whether a request for completion still waits."""
    with house.engine.connect() as connection:
        row = connection.execute(text("SELECT status, completion_requested_at FROM studies")).one()
    return row.status, row.completion_requested_at is not None
