"""Retention on a real database and a real store: what goes, what stays, and what a kill in between leaves."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pytest
from sqlalchemy import Engine, text

from service.adapters.audit import PostgresAuditLog
from service.adapters.instance_store import FileInstanceStore, read_instance
from service.adapters.reconciliation import reconcile
from service.adapters.retention import REMOVAL_LOCK, Retention
from service.ports import UnitOfWorkFactory
from service.settings import RetentionSettings
from tests.integration.stored_studies import age_study, removed, save_delivery, save_report, store_instance

OLD, OLDER, NEW = "1.2.3.1", "1.2.3.2", "1.2.3.3"


@dataclass(frozen=True)
class Disk:
    total: int
    free: int


@pytest.fixture
def store(tmp_path: Path) -> FileInstanceStore:
    return FileInstanceStore(root=tmp_path / "store")


@pytest.fixture
def make(engine: Engine, store: FileInstanceStore) -> Callable[..., Retention]:
    def retention(**settings: float) -> Retention:
        return Retention(engine=engine, store=store, settings=RetentionSettings(**settings), destinations=["pacs"])

    return retention


def fill(units: UnitOfWorkFactory, engine: Engine, store: FileInstanceStore) -> None:
    """Three studies of two instances each: ten days, twenty days and an hour and a half old."""
    for study, days in ((OLD, 10.0), (OLDER, 20.0), (NEW, 0.0625)):
        for number in (1, 2):
            store_instance(units, store, f"{study}.{number}", study=study)
        age_study(engine, study, days=days)


def test_age_old_delivered_study_loses_its_bytes_and_keeps_its_rows(
    units: UnitOfWorkFactory, engine: Engine, store: FileInstanceStore, make: Callable[..., Retention]
) -> None:
    fill(units, engine, store)
    save_delivery(engine, save_report(engine, OLDER), state="delivered")
    retention = make(maximum_age_days=15)

    (gone,) = retention.remove_by_age()
    assert (gone.study_instance_uid, gone.why, gone.instances) == (OLDER, "age", 2)
    assert retention.remove_files(settled_seconds=0) == 2

    assert (removed(engine, OLDER), removed(engine, OLD)) == ([True, True], [False, False])
    assert len(list(store.keys())) == 4
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM reports")).scalar_one() == 1


@pytest.mark.parametrize("state", ["pending", "held", "awaiting_commitment", "failed", "refused"])
def test_age_undelivered_object_keeps_the_study(
    units: UnitOfWorkFactory, engine: Engine, store: FileInstanceStore, make: Callable[..., Retention], state: str
) -> None:
    fill(units, engine, store)
    save_delivery(engine, save_report(engine, OLDER), state=state)
    assert make(maximum_age_days=15).remove_by_age() == []


@pytest.mark.parametrize("state", ["refused", "failed"])
def test_age_delivery_to_a_destination_that_is_gone_keeps_nothing(
    units: UnitOfWorkFactory, engine: Engine, store: FileInstanceStore, make: Callable[..., Retention], state: str
) -> None:
    fill(units, engine, store)
    save_delivery(engine, save_report(engine, OLDER), state=state, destination="removed")
    assert [study.study_instance_uid for study in make(maximum_age_days=15).remove_by_age()] == [OLDER]


def test_age_refused_object_of_an_older_version_keeps_nothing_once_the_newest_arrived(
    units: UnitOfWorkFactory, engine: Engine, store: FileInstanceStore, make: Callable[..., Retention]
) -> None:
    fill(units, engine, store)
    save_delivery(engine, save_report(engine, OLDER), state="refused")
    save_delivery(engine, save_report(engine, OLDER, version=2), state="delivered")
    assert [study.study_instance_uid for study in make(maximum_age_days=15).remove_by_age()] == [OLDER]


def test_age_object_that_was_given_up_keeps_nothing(
    units: UnitOfWorkFactory, engine: Engine, store: FileInstanceStore, make: Callable[..., Retention]
) -> None:
    fill(units, engine, store)
    save_delivery(engine, save_report(engine, OLDER), state="abandoned")
    assert [study.study_instance_uid for study in make(maximum_age_days=15).remove_by_age()] == [OLDER]


@pytest.mark.parametrize("status", ["final", "amended"])
def test_age_signed_report_keeps_the_study(
    units: UnitOfWorkFactory, engine: Engine, store: FileInstanceStore, make: Callable[..., Retention], status: str
) -> None:
    fill(units, engine, store)
    save_report(engine, OLDER)
    save_report(engine, OLDER, status=status, version=2)
    assert make(maximum_age_days=15).remove_by_age() == []


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE studies SET is_stale = true",
        "UPDATE studies SET identity_hold = true",
        "UPDATE studies SET completion_requested_at = now()",
        "INSERT INTO analyses (instance_id, analysis_name, state, why) SELECT id, 'any', 'queued', '' FROM instances",
        (
            "INSERT INTO procrastinate_jobs (task_name, queue_name, args, status)"
            " SELECT 'sonomyo.compare_pixels', 'analysis', jsonb_build_object('instance_id', id), 'todo' FROM instances"
        ),
        (
            "INSERT INTO procrastinate_jobs (task_name, queue_name, args, status)"
            " SELECT 'sonomyo.capture_cine', 'capture', jsonb_build_object('instance_id', id), 'doing' FROM instances"
        ),
        (
            "WITH made AS (INSERT INTO associations (listener, peer_address) VALUES ('here', '127.0.0.1') RETURNING id)"
            " UPDATE instances SET association_id = made.id FROM made"
        ),
    ],
    ids=["stale", "held", "wanted", "analysis queued", "comparison queued", "capture under way", "association open"],
)
def test_age_unfinished_study_stays(
    units: UnitOfWorkFactory, engine: Engine, store: FileInstanceStore, make: Callable[..., Retention], change: str
) -> None:
    fill(units, engine, store)
    with engine.begin() as connection:
        connection.execute(text(change))
    assert make(maximum_age_days=15).remove_by_age() == []


def test_disk_oldest_studies_go_until_enough_will_be_free(
    units: UnitOfWorkFactory, engine: Engine, store: FileInstanceStore, make: Callable[..., Retention]
) -> None:
    fill(units, engine, store)
    retention = make(minimum_free_fraction=0.5)
    (first,) = retention.remove_by_disk(Disk(total=10_000, free=4_999))
    assert (first.study_instance_uid, first.why) == (OLDER, "disk")
    assert retention.remove_by_disk(Disk(total=10_000, free=4_999)) == [], "what is marked already counts as free"
    (second,) = retention.remove_by_disk(Disk(total=10_000, free=4_999 - first.size_bytes))
    assert second.study_instance_uid == OLD


def test_disk_enough_free_removes_nothing(
    units: UnitOfWorkFactory, engine: Engine, store: FileInstanceStore, make: Callable[..., Retention]
) -> None:
    fill(units, engine, store)
    assert make(minimum_free_fraction=0.5).remove_by_disk(Disk(total=10_000, free=5_000)) == []


def test_disk_full_spares_what_arrived_within_the_hour(
    units: UnitOfWorkFactory, engine: Engine, store: FileInstanceStore, make: Callable[..., Retention]
) -> None:
    fill(units, engine, store)
    age_study(engine, NEW, days=0.01)
    gone = make(minimum_free_fraction=1.0).remove_by_disk(Disk(total=1 << 40, free=0))
    assert [study.study_instance_uid for study in gone] == [OLDER, OLD]


def test_settings_absent_remove_nothing(
    units: UnitOfWorkFactory, engine: Engine, store: FileInstanceStore, make: Callable[..., Retention]
) -> None:
    fill(units, engine, store)
    assert (make().remove_by_age(), make().remove_by_disk(Disk(total=1, free=0))) == ([], [])


def test_removal_leaves_one_audit_entry_each_on_an_unbroken_chain(
    units: UnitOfWorkFactory, engine: Engine, store: FileInstanceStore, make: Callable[..., Retention]
) -> None:
    fill(units, engine, store)
    make(maximum_age_days=5).remove_by_age()
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT actor, action, subject, detail ->> 'instances' FROM audit ORDER BY id")).all()
    assert rows == [("retention", "study_removed", study, "2") for study in (OLDER, OLD)]
    assert PostgresAuditLog(engine=engine).first_broken() is None


def test_killed_after_marking_next_start_removes_the_files_and_adopts_none(
    units: UnitOfWorkFactory, engine: Engine, store: FileInstanceStore, make: Callable[..., Retention]
) -> None:
    fill(units, engine, store)
    make(maximum_age_days=15).remove_by_age()  # and here the process dies
    assert len(list(store.keys())) == 6

    found = reconcile(engine=engine, store=store, read=read_instance, save=_must_not_save)
    assert (found.adopted, found.missing) == (0, ())
    again = make(maximum_age_days=15)
    assert again.resume() == 2
    assert again.remove_files(settled_seconds=0) == 2
    assert len(list(store.keys())) == 4
    assert reconcile(engine=engine, store=store, read=read_instance, save=_must_not_save).missing == ()


def test_same_content_arriving_after_marking_keeps_its_file(
    units: UnitOfWorkFactory, engine: Engine, store: FileInstanceStore, make: Callable[..., Retention]
) -> None:
    fill(units, engine, store)
    retention = make(maximum_age_days=15)
    retention.remove_by_age()
    again = store_instance(units, store, f"{OLDER}.1", study=OLDER)
    assert retention.remove_files(settled_seconds=0) == 1
    assert store.path(again.storage_key).is_file()
    assert removed(engine, OLDER) == [False, True]


def test_file_just_stored_waits_for_its_commit(
    units: UnitOfWorkFactory, engine: Engine, store: FileInstanceStore, make: Callable[..., Retention]
) -> None:
    fill(units, engine, store)
    retention = make(maximum_age_days=15)
    retention.remove_by_age()
    assert retention.remove_files() == 0, "an arrival could have renamed its file here a moment ago"
    assert len(list(store.keys())) == 6


def test_storage_key_of_a_live_row_is_not_deleted(
    units: UnitOfWorkFactory, engine: Engine, store: FileInstanceStore, make: Callable[..., Retention]
) -> None:
    fill(units, engine, store)
    shared = "UPDATE instances SET storage_key = (SELECT max(storage_key) FROM instances WHERE study_instance_uid = :old)"
    with engine.begin() as connection:
        connection.execute(text(shared + " WHERE study_instance_uid IN (:old, :older)"), {"old": OLD, "older": OLDER})
    retention = make(maximum_age_days=15)
    assert len(retention.remove_by_age()) == 1
    assert retention.remove_files(settled_seconds=0) == 0


def test_backup_under_way_no_file_is_removed(
    units: UnitOfWorkFactory, engine: Engine, store: FileInstanceStore, make: Callable[..., Retention]
) -> None:
    fill(units, engine, store)
    retention = make(maximum_age_days=15)
    retention.remove_by_age()
    with engine.connect() as backup:
        backup.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": REMOVAL_LOCK})
        assert retention.remove_files(settled_seconds=0) == 0
        backup.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": REMOVAL_LOCK})
    assert retention.remove_files(settled_seconds=0) == 2


def test_keep_runs_until_stopped(
    units: UnitOfWorkFactory, engine: Engine, store: FileInstanceStore, make: Callable[..., Retention]
) -> None:
    fill(units, engine, store)
    stop = threading.Event()
    thread = threading.Thread(target=make(maximum_age_days=15, interval_seconds=0.05).keep, args=(stop,))
    thread.start()
    try:
        until = time.monotonic() + 10
        while removed(engine, OLDER) != [True, True]:
            assert time.monotonic() < until
    finally:
        stop.set()
        thread.join(timeout=10)
    assert not thread.is_alive()


def _must_not_save(_: object) -> NoReturn:
    raise AssertionError("a file that retention marked must not be adopted")
