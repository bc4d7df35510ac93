"""Files and rows after a crash: what a start makes of those that do not agree."""

import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from service.adapters.instance_store import FileInstanceStore, read_instance, storage_key
from service.adapters.reconciliation import ReadInstance, Reconciled, SaveReceived, reconcile, reconcile_until_settled
from service.commands.listening import reader_of_orphans
from service.core.instance import ContentDigest, InstanceAttributes
from service.errors import Unavailable
from service.ports import UnitOfWorkFactory
from service.records import ReceivedInstance, StoredInstance
from service.settings import DicomSettings
from tests.integration.stored_studies import store_instance

STUDY = "1.2.3.5"


@pytest.fixture
def store(tmp_path: Path) -> FileInstanceStore:
    return FileInstanceStore(root=tmp_path / "store")


def restart(units: UnitOfWorkFactory, engine: Engine, store: FileInstanceStore) -> Reconciled:
    return reconcile(engine=engine, store=store, read=read_instance, save=saving(units))


def saving(units: UnitOfWorkFactory) -> SaveReceived:
    def save(received: ReceivedInstance) -> StoredInstance:
        with units() as unit:
            return unit.instances.save(received)

    return save


def rows(engine: Engine) -> list[str]:
    with engine.connect() as connection:
        return list(connection.execute(text("SELECT sop_instance_uid FROM instances ORDER BY 1")).scalars())


def forget(engine: Engine, uid: str) -> None:
    """As if the power went between the rename of the file and the commit of its row."""
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM instances WHERE sop_instance_uid = :uid"), {"uid": uid})


def test_file_without_a_row_is_adopted_once(units: UnitOfWorkFactory, engine: Engine, store: FileInstanceStore) -> None:
    for uid in ("1.2.3.1", "1.2.3.2"):
        store_instance(units, store, uid, study=STUDY)
    forget(engine, "1.2.3.2")
    assert restart(units, engine, store) == Reconciled(files=2, adopted=1, unreadable=0, missing=())
    assert rows(engine) == ["1.2.3.1", "1.2.3.2"]
    assert restart(units, engine, store).adopted == 0


def test_row_without_its_file_is_told_and_kept(units: UnitOfWorkFactory, engine: Engine, store: FileInstanceStore) -> None:
    stored = store_instance(units, store, "1.2.3.1", study=STUDY)
    store.path(stored.storage_key).unlink()
    assert restart(units, engine, store).missing == (stored.storage_key,)
    assert rows(engine) == ["1.2.3.1"]


def test_file_whose_content_is_not_what_its_name_says_is_not_adopted(
    units: UnitOfWorkFactory, engine: Engine, store: FileInstanceStore
) -> None:
    stored = store_instance(units, store, "1.2.3.1", study=STUDY)
    key = storage_key(ContentDigest(attributes="another", pixels="content"))
    store.path(stored.storage_key).rename(store.root / "instances" / key)
    forget(engine, "1.2.3.1")
    assert restart(units, engine, store) == Reconciled(files=1, adopted=0, unreadable=1, missing=())
    assert rows(engine) == []


def test_young_file_without_a_row_is_left_to_the_arrival_that_may_still_commit_it(
    units: UnitOfWorkFactory, engine: Engine, store: FileInstanceStore
) -> None:
    stored = store_instance(units, store, "1.2.3.1", study=STUDY)
    forget(engine, "1.2.3.1")
    found = reconcile(engine=engine, store=store, read=read_instance, save=saving(units), settled_seconds=60)
    assert found == Reconciled(files=1, adopted=0, unreadable=0, missing=(), unsettled=(stored.storage_key,))
    assert rows(engine) == []


def test_young_file_is_adopted_without_a_restart_when_it_has_settled(
    units: UnitOfWorkFactory, engine: Engine, store: FileInstanceStore
) -> None:
    store_instance(units, store, "1.2.3.1", study=STUDY)
    forget(engine, "1.2.3.1")
    assert run(engine, store, saving(units), settled_seconds=1) == Reconciled(files=1, adopted=1, unreadable=0, missing=())
    assert rows(engine) == ["1.2.3.1"]


def test_arrival_that_commits_while_its_file_settles_is_not_adopted_again(
    units: UnitOfWorkFactory, engine: Engine, store: FileInstanceStore
) -> None:
    stored = store_instance(units, store, "1.2.3.1", study=STUDY)
    forget(engine, "1.2.3.1")
    first = reconcile(engine=engine, store=store, read=read_instance, save=saving(units), settled_seconds=60)
    store_instance(units, store, "1.2.3.1", study=STUDY)
    again = reconcile(engine=engine, store=store, read=read_instance, save=must_not_save, among=first.unsettled)
    assert first.unsettled == (stored.storage_key,)
    assert again == Reconciled(files=1, adopted=0, unreadable=0, missing=())


def test_instance_that_arrives_during_the_walk_is_neither_orphan_nor_missing(
    units: UnitOfWorkFactory, engine: Engine, tmp_path: Path
) -> None:
    store = ArrivalDuringTheWalk(root=tmp_path / "store")
    store.arrive = lambda: store_instance(units, store, "1.2.3.1", study=STUDY)
    found = reconcile(engine=engine, store=store, read=read_instance, save=must_not_save)
    assert (found.adopted, found.unsettled, found.missing) == (0, (), ())
    assert rows(engine) == ["1.2.3.1"]


def test_content_that_arrives_again_while_its_orphan_is_read_is_left_to_that_arrival(
    units: UnitOfWorkFactory, engine: Engine, store: FileInstanceStore
) -> None:
    stored = store_instance(units, store, "1.2.3.1", study=STUDY)
    forget(engine, "1.2.3.1")

    def read(path: Path) -> tuple[InstanceAttributes, ContentDigest]:
        store_instance(units, store, "1.2.3.1", study=STUDY)
        return read_instance(path)

    found = reconcile(engine=engine, store=store, read=read, save=must_not_save)
    assert found.unsettled == (stored.storage_key,)


def test_store_and_database_that_come_back_are_reconciled_without_a_restart(
    units: UnitOfWorkFactory, engine: Engine, tmp_path: Path
) -> None:
    store = ArrivalDuringTheWalk(root=tmp_path / "store")
    for uid in ("1.2.3.1", "1.2.3.2"):
        store_instance(units, store, uid, study=STUDY)
        forget(engine, uid)
    troubles: list[Exception] = [Unavailable("The database is away"), OSError("The disk is away")]

    def fail_once() -> None:
        if len(troubles) == 2:
            raise troubles.pop()

    def save(received: ReceivedInstance) -> object:
        if troubles:
            raise troubles.pop()
        return saving(units)(received)

    store.arrive = fail_once

    found = run(engine, store, save)
    assert found is not None
    assert (found.adopted, troubles) == (2, [])
    assert rows(engine) == ["1.2.3.1", "1.2.3.2"]


def test_stop_ends_the_attempts(units: UnitOfWorkFactory, engine: Engine, store: FileInstanceStore) -> None:
    store_instance(units, store, "1.2.3.1", study=STUDY)
    forget(engine, "1.2.3.1")
    stop = threading.Event()

    def save(_: ReceivedInstance) -> object:
        stop.set()
        raise Unavailable("The database is away")

    assert run(engine, store, save, stop=stop) is None


def test_orphan_that_cannot_be_saved_does_not_keep_others_from_being_adopted(
    units: UnitOfWorkFactory, engine: Engine, store: FileInstanceStore
) -> None:
    for uid in ("1.2.3.1", "1.2.3.2"):
        store_instance(units, store, uid, study=STUDY)
        forget(engine, uid)

    def save(received: ReceivedInstance) -> object:
        if received.attributes.sop_instance_uid == "1.2.3.1":
            raise RuntimeError("a surprise")
        return saving(units)(received)

    found = reconcile(engine=engine, store=store, read=read_instance, save=save)
    assert (found.adopted, found.unreadable) == (1, 1)
    assert rows(engine) == ["1.2.3.2"]


def test_file_that_the_disk_does_not_give_does_not_keep_others_from_being_adopted(
    units: UnitOfWorkFactory, engine: Engine, store: FileInstanceStore
) -> None:
    bad, _ = (store_instance(units, store, uid, study=STUDY) for uid in ("1.2.3.1", "1.2.3.2"))
    for uid in ("1.2.3.1", "1.2.3.2"):
        forget(engine, uid)

    def read(path: Path) -> tuple[InstanceAttributes, ContentDigest]:
        if path == store.path(bad.storage_key):
            raise Unavailable("A stored instance cannot be read: Input/output error")
        return read_instance(path)

    found = reconcile(engine=engine, store=store, read=read, save=saving(units))
    assert (found.adopted, found.unreadable) == (1, 1)
    assert rows(engine) == ["1.2.3.2"]


@pytest.mark.parametrize(
    ("settings", "adopted"), [(DicomSettings(accept_deflated=True), ["1.2.3.1"]), (DicomSettings(accept_deflated=False), [])]
)
def test_deflated_orphan_is_adopted_where_the_service_takes_deflated_objects(
    units: UnitOfWorkFactory, engine: Engine, store: FileInstanceStore, settings: DicomSettings, adopted: list[str]
) -> None:
    store_instance(units, store, "1.2.3.1", study=STUDY, deflated=True)
    forget(engine, "1.2.3.1")
    found = run(engine, store, saving(units), read=reader_of_orphans(settings))
    assert found is not None
    assert (found.adopted, rows(engine)) == (len(adopted), adopted)


def test_missing_files_are_named_in_the_log_twenty_at_most(
    units: UnitOfWorkFactory, engine: Engine, store: FileInstanceStore, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(21):
        store.path(store_instance(units, store, f"1.2.3.{number + 1}", study=STUDY).storage_key).unlink()
    with caplog.at_level(logging.ERROR, logger="sonomyo.reconciliation"):
        missing = restart(units, engine, store).missing
    (record,) = caplog.records
    assert record.__dict__["count"] == len(missing) == 21
    assert record.__dict__["storage_keys"] == missing[:20]


class ArrivalDuringTheWalk(FileInstanceStore):
    """A store to which something happens as soon as its names have been read."""

    arrive: Callable[[], object]

    def keys(self) -> Iterator[str]:
        yield from list(super().keys())
        self.arrive()


def run(
    engine: Engine,
    store: FileInstanceStore,
    save: SaveReceived,
    *,
    read: ReadInstance = read_instance,
    settled_seconds: float = 0,
    stop: threading.Event | None = None,
) -> Reconciled | None:
    """What the listener runs beside the first associations."""
    return reconcile_until_settled(
        engine=engine,
        store=store,
        read=read,
        save=save,
        stop=stop or threading.Event(),
        settled_seconds=settled_seconds,
        retry_seconds=0.01,
    )


def must_not_save(_: ReceivedInstance) -> object:
    raise AssertionError("saved what has a row")
