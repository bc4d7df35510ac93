"""The usual arrival does in one statement what the unit of work's steps do one by one."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine, text

from service.adapters.postgres import make_engine
from service.adapters.usual_arrival import PostgresArrivals
from service.core.instance import ContentDigest, InstanceAttributes, PatientIdentity
from service.core.routing import RoutingDecision
from service.errors import Unavailable
from service.ports import UnitOfWorkFactory
from service.records import ReceivedInstance, StoredInstance

STUDY = "1.2.3"
DECISION = RoutingDecision("muscle_architecture", selected=True, rule="calf", why="Selected: it matches.")


def received(
    uid: str = "1.2.3.4", *, patient_id: str = "0815", modality: str | None = "US", pixels: str = "p"
) -> ReceivedInstance:
    attributes = InstanceAttributes(
        sop_instance_uid=uid,
        sop_class_uid="1.2.840.10008.5.1.4.1.1.3.1",
        study_instance_uid=STUDY,
        series_instance_uid="1.2.3.1",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        modality=modality,
        identity=PatientIdentity(patient_id=patient_id, patient_name="Иванов^山田"),
        image_type=("ORIGINAL", "PRIMARY"),
        region_data_types=(1, 10),
    )
    return ReceivedInstance(
        attributes=attributes,
        digest=ContentDigest(attributes=patient_id, pixels=pixels),
        storage_key=f"ab/{uid}.dcm",
        size_bytes=7,
        calling_ae_title="SCANNER",
        called_ae_title="SONOMYO",
        peer_address="192.0.2.1",
    )


def arrive(engine: Engine, instance: ReceivedInstance, *selected: RoutingDecision) -> StoredInstance | None:
    return PostgresArrivals(engine=engine).save(instance, selected, after_seconds=60.0)


def by_steps(units: UnitOfWorkFactory, instance: ReceivedInstance, *selected: RoutingDecision) -> None:
    with units() as unit:
        stored = unit.instances.save(instance)
        if selected:
            unit.studies.touch(STUDY)
            unit.jobs.complete_study(STUDY, after_seconds=60.0)
        for decision in selected:
            unit.analyses.open(stored.instance_id, decision)
            unit.jobs.analyse_instance(stored.instance_id, decision.analysis_name)


def everything(engine: Engine) -> dict[str, list[dict[str, Any]]]:
    """Rows of all tables that an arrival touches; times told only by whether they are there, and jobs in no order."""
    found = {}
    with engine.connect() as connection:
        for table in ("studies", "instances", "analyses", "procrastinate_jobs", "procrastinate_events"):
            rows = [dict(row) for row in connection.execute(text(f"TABLE {table}")).mappings()]
            for row in rows:
                row.update({name: "a time" for name, value in row.items() if isinstance(value, datetime)})
                if table.startswith("procrastinate"):
                    row.update(id=None, job_id=None)
            found[table] = sorted(rows, key=str)
    return found


def clear(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(
            text("TRUNCATE studies, instances, analyses, procrastinate_jobs, procrastinate_events RESTART IDENTITY CASCADE")
        )


@pytest.mark.parametrize("selected", [(), (DECISION,), (DECISION, replace(DECISION, analysis_name="myofascial_pain"))])
def test_arrival_leaves_the_same_rows_and_jobs_as_its_steps(
    units: UnitOfWorkFactory, engine: Engine, selected: tuple[RoutingDecision, ...]
) -> None:
    arrivals = [received(), received("1.2.3.5", modality="SR"), received("1.2.3.6", modality=None)]
    for instance in arrivals:
        by_steps(units, instance, *selected)
    expected = everything(engine)
    clear(engine)
    for instance in arrivals:
        assert arrive(engine, instance, *selected) is not None
    assert everything(engine) == expected


def test_arrival_gives_the_stored_instance(units: UnitOfWorkFactory, engine: Engine) -> None:
    stored = arrive(engine, received(), DECISION)
    with units() as unit:
        assert stored is not None
        assert replace(unit.instances.get(stored.instance_id), is_new=True) == stored


def test_known_uid_is_left_to_the_long_way(engine: Engine) -> None:
    assert arrive(engine, received(), DECISION) is not None
    before = everything(engine)
    assert arrive(engine, received(), DECISION) is None
    assert arrive(engine, received(patient_id="other"), DECISION) is None
    assert everything(engine) == before


def test_arrivals_at_once_under_one_uid_store_one(engine: Engine) -> None:
    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(lambda number: arrive(engine, received(pixels=str(number)), DECISION), range(8)))
    assert sum(outcome is not None for outcome in outcomes) == 1
    rows = everything(engine)
    assert [len(rows[table]) for table in ("studies", "instances", "analyses", "procrastinate_jobs")] == [1, 1, 1, 2]


def test_arrivals_at_once_in_one_study_all_store(engine: Engine) -> None:
    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(lambda number: arrive(engine, received(f"1.2.9.{number}"), DECISION), range(40)))
    assert all(outcomes)
    rows = everything(engine)
    assert [len(rows[table]) for table in ("studies", "instances", "analyses", "procrastinate_jobs")] == [1, 40, 40, 41]


def test_arrival_that_the_database_refuses_keeps_nothing(engine: Engine) -> None:
    twice = (DECISION, DECISION)
    with pytest.raises(psycopg.errors.UniqueViolation):
        arrive(engine, received(), *twice)
    assert not any(everything(engine).values())


def test_database_that_is_away_is_unavailable() -> None:
    engine = make_engine("postgresql://nobody@127.0.0.1:1/nothing", pool_size=1)
    with pytest.raises(Unavailable):
        arrive(engine, received())
