"""Backup and restore with real pg_dump and psql: what comes back is what was there, and a damaged archive changes nothing."""

import itertools
import subprocess
import tarfile
import threading
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from service.adapters.audit import PostgresAuditLog
from service.adapters.backup import backup, restore
from service.adapters.backup_archive import DUMP, Manifest, new_archive, read_members, verify_archive
from service.adapters.instance_store import FileInstanceStore
from service.adapters.postgres import make_engine
from service.errors import Conflict, InputRejected, SonomyoError, Unavailable
from service.ports import UnitOfWorkFactory
from tests.integration.stored_studies import save_delivery, save_report, store_instance, stored_files

STUDY = "1.2.3.1"
_numbers = itertools.count(1)


@pytest.fixture
def store(tmp_path: Path) -> FileInstanceStore:
    return FileInstanceStore(root=tmp_path / "store")


@pytest.fixture
def other_store(tmp_path: Path) -> FileInstanceStore:
    return FileInstanceStore(root=tmp_path / "other")


@pytest.fixture
def other_url(postgres_server: Any) -> Iterator[str]:
    """An empty database, not even migrated."""
    name = f"restored_{next(_numbers)}"
    postgres_server.create_database(name)
    yield postgres_server.url(name)
    admin = make_engine(postgres_server.url("postgres"), pool_size=1).execution_options(isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    admin.dispose()


def fill(units: UnitOfWorkFactory, engine: Engine, store: FileInstanceStore) -> None:
    for number in (1, 2, 3):
        store_instance(
            units, store, f"{STUDY}.{number}", study=STUDY, PatientName="Иванов^Иван", SpecificCharacterSet="ISO_IR 192"
        )
    save_delivery(engine, save_report(engine, STUDY), state="pending")
    PostgresAuditLog(engine=engine).append(actor="test", action="looked", subject=STUDY)


def rows(url: str) -> dict[str, list[Any]]:
    """Every row of every table but the audit trail, as text."""
    engine = make_engine(url, pool_size=1)
    with engine.connect() as connection:
        names = connection.execute(
            text("SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'audit' ORDER BY 1")
        ).scalars()
        found = {name: list(connection.execute(text(f"SELECT t::text FROM {name} t ORDER BY 1")).scalars()) for name in names}  # noqa: S608 - of names that the catalogue gave
    engine.dispose()
    return found


def test_restored_service_holds_the_same_rows_and_bytes(
    units: UnitOfWorkFactory,
    engine: Engine,
    database_url: str,
    store: FileInstanceStore,
    other_url: str,
    other_store: FileInstanceStore,
    tmp_path: Path,
) -> None:
    fill(units, engine, store)
    said = backup(tmp_path / "a.tar", database_url=database_url, store=store)
    assert "3 instances" in said
    restore(tmp_path / "a.tar", database_url=other_url, store=other_store)

    assert rows(other_url) == rows(database_url)
    assert stored_files(other_store) == stored_files(store)
    assert len(stored_files(store)) == 3
    restored = make_engine(other_url, pool_size=1)
    assert PostgresAuditLog(engine=restored).first_broken() is None
    with restored.connect() as connection:
        assert connection.execute(text("SELECT action FROM audit ORDER BY id")).scalars().all() == ["looked", "database_restored"]
    restored.dispose()


def test_restored_database_still_refuses_to_change_reports_and_goes_on_counting(
    units: UnitOfWorkFactory,
    engine: Engine,
    database_url: str,
    store: FileInstanceStore,
    other_url: str,
    other_store: FileInstanceStore,
    tmp_path: Path,
) -> None:
    fill(units, engine, store)
    backup(tmp_path / "a.tar", database_url=database_url, store=store)
    restore(tmp_path / "a.tar", database_url=other_url, store=other_store)
    restored = make_engine(other_url, pool_size=1)
    with restored.connect() as connection, pytest.raises(Exception, match="immutable"):
        connection.execute(text("UPDATE reports SET status = 'final'"))
    with restored.begin() as connection:
        insert = "INSERT INTO analyses (instance_id, analysis_name, state, why) SELECT max(id), 'x', 'done', '' FROM instances"
        connection.execute(text(insert))
    restored.dispose()

    again = tmp_path / "b.tar"
    backup(again, database_url=other_url, store=other_store)
    restore(again, database_url=other_url, store=other_store, force=True)
    assert stored_files(other_store) == stored_files(store)


def test_association_that_was_open_when_the_backup_was_made_is_closed_in_the_restored_database(
    units: UnitOfWorkFactory,
    engine: Engine,
    database_url: str,
    store: FileInstanceStore,
    other_url: str,
    other_store: FileInstanceStore,
    tmp_path: Path,
) -> None:
    fill(units, engine, store)
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO associations (listener, peer_address) VALUES ('here', '127.0.0.1')"))
    backup(tmp_path / "a.tar", database_url=database_url, store=store)
    restore(tmp_path / "a.tar", database_url=other_url, store=other_store)
    restored = make_engine(other_url, pool_size=1)
    with restored.connect() as connection:
        row = connection.execute(text("SELECT outcome, closed_at >= opened_at AS is_closed FROM associations")).one()
    restored.dispose()
    assert row == ("connection_lost", True)


def test_archive_is_checked_by_ordinary_tools(
    units: UnitOfWorkFactory, engine: Engine, database_url: str, store: FileInstanceStore, tmp_path: Path
) -> None:
    fill(units, engine, store)
    backup(tmp_path / "a.tar", database_url=database_url, store=store)
    assert (tmp_path / "a.tar").stat().st_mode & 0o777 == 0o600
    (tmp_path / "out").mkdir()
    subprocess.run(["tar", "-xf", tmp_path / "a.tar", "-C", tmp_path / "out"], check=True)
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=tmp_path / "out", check=True)
    manifest = Manifest.model_validate_json((tmp_path / "out" / "manifest.json").read_text())
    assert (manifest.instances, manifest.missing) == (3, 0)


def test_instances_that_arrive_meanwhile_never_leave_a_row_without_its_file(
    units: UnitOfWorkFactory,
    engine: Engine,
    database_url: str,
    store: FileInstanceStore,
    other_url: str,
    other_store: FileInstanceStore,
    tmp_path: Path,
) -> None:
    fill(units, engine, store)
    stop = threading.Event()

    def arrive() -> None:
        for number in itertools.count(10):
            if stop.is_set():
                return
            store_instance(units, store, f"{STUDY}.{number}", study=STUDY)

    sender = threading.Thread(target=arrive)
    sender.start()
    try:
        backup(tmp_path / "a.tar", database_url=database_url, store=store)
    finally:
        stop.set()
        sender.join()
    restore(tmp_path / "a.tar", database_url=other_url, store=other_store)
    restored = make_engine(other_url, pool_size=1)
    with restored.connect() as connection:
        keys = set(connection.execute(text("SELECT storage_key FROM instances")).scalars())
    restored.dispose()
    assert keys == set(other_store.keys())
    assert len(keys) >= 3


def test_deflated_object_is_not_taken_for_damaged(
    units: UnitOfWorkFactory, engine: Engine, database_url: str, store: FileInstanceStore, tmp_path: Path
) -> None:
    fill(units, engine, store)
    store_instance(units, store, f"{STUDY}.9", study=STUDY, deflated=True)
    backup(tmp_path / "a.tar", database_url=database_url, store=store)
    assert verify_archive(tmp_path / "a.tar", lambda _: None).instances == 4


def test_removed_bytes_are_not_wanted(
    units: UnitOfWorkFactory, engine: Engine, database_url: str, store: FileInstanceStore, tmp_path: Path
) -> None:
    fill(units, engine, store)
    gone = store_instance(units, store, f"{STUDY}.9", study=STUDY)
    with engine.begin() as connection:
        connection.execute(text("UPDATE instances SET removed_at = now() WHERE id = :id"), {"id": gone.instance_id})
    backup(tmp_path / "a.tar", database_url=database_url, store=store)
    assert verify_archive(tmp_path / "a.tar", lambda _: None).instances == 3


def test_stored_files_amiss_are_told_and_the_rest_is_kept(
    units: UnitOfWorkFactory, engine: Engine, database_url: str, store: FileInstanceStore, tmp_path: Path
) -> None:
    fill(units, engine, store)
    lost, cut, changed = sorted(
        store_instance(units, store, f"{STUDY}.{number}", study=STUDY).storage_key for number in (7, 8, 9)
    )
    store.path(lost).unlink()
    store.path(cut).write_bytes(store.path(cut).read_bytes()[:-1])
    store.path(changed).write_bytes(store.path(changed).read_bytes()[:-1] + b"!")
    with pytest.raises(SonomyoError, match=lost):
        backup(tmp_path / "a.tar", database_url=database_url, store=store)
    manifest = verify_archive(tmp_path / "a.tar", lambda _: None)
    assert (manifest.instances, manifest.missing, manifest.first_missing) == (3, 3, (lost, cut, changed))


def test_existing_file_is_not_overwritten(database_url: str, store: FileInstanceStore, tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_text("precious")
    with pytest.raises(Conflict):
        backup(tmp_path / "a.tar", database_url=database_url, store=store)
    assert (tmp_path / "a.tar").read_text() == "precious"


def test_archive_damaged_anywhere_restores_nothing(
    units: UnitOfWorkFactory,
    engine: Engine,
    database_url: str,
    store: FileInstanceStore,
    other_url: str,
    other_store: FileInstanceStore,
    tmp_path: Path,
) -> None:
    fill(units, engine, store)
    archive = tmp_path / "a.tar"
    backup(archive, database_url=database_url, store=store)
    content = archive.read_bytes()
    for middle in middles_of_members(archive):
        changed = bytearray(content)
        changed[middle] ^= 0x01
        for damaged in (changed, content[:middle]):
            archive.write_bytes(damaged)
            with pytest.raises(InputRejected):
                restore(archive, database_url=other_url, store=other_store)
    assert (rows(other_url), stored_files(other_store)) == ({}, {})


def middles_of_members(archive: Path) -> list[int]:
    """An offset inside each of the dump, three instances, the sums and the manifest."""
    with tarfile.open(archive) as tar:
        found = [member.offset_data + member.size // 2 for member in tar.getmembers()]
    assert len(found) == 6
    return found


@pytest.mark.parametrize("name", ["../../outside", "instances/../../outside", "/etc/outside", "instances/ab/x.dcm"])
def test_archive_with_a_foreign_member_is_refused(tmp_path: Path, name: str) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        tar.addfile(tarfile.TarInfo(name))
    with pytest.raises(InputRejected):
        list(read_members(tmp_path / "a.tar"))


def test_target_in_use_is_refused(
    units: UnitOfWorkFactory, engine: Engine, database_url: str, store: FileInstanceStore, tmp_path: Path
) -> None:
    fill(units, engine, store)
    backup(tmp_path / "a.tar", database_url=database_url, store=store)
    with engine.connect() as other:
        other.execute(text("SELECT 1"))
        with pytest.raises(Conflict, match="stop"):
            restore(tmp_path / "a.tar", database_url=database_url, store=store, force=True)


def test_target_not_empty_needs_force_and_is_then_replaced(
    units: UnitOfWorkFactory, engine: Engine, database_url: str, store: FileInstanceStore, tmp_path: Path
) -> None:
    fill(units, engine, store)
    backup(tmp_path / "a.tar", database_url=database_url, store=store)
    before = (rows(database_url), stored_files(store))
    store_instance(units, store, f"{STUDY}.77", study="1.2.3.77")
    engine.dispose()
    with pytest.raises(Conflict, match="force"):
        restore(tmp_path / "a.tar", database_url=database_url, store=store)
    assert len(stored_files(store)) == 4
    restore(tmp_path / "a.tar", database_url=database_url, store=store, force=True)
    assert (rows(database_url), stored_files(store)) == before


def test_dump_that_does_not_load_leaves_the_database_as_it_was(
    units: UnitOfWorkFactory, engine: Engine, database_url: str, store: FileInstanceStore, tmp_path: Path
) -> None:
    fill(units, engine, store)
    backup(tmp_path / "a.tar", database_url=database_url, store=store)
    manifest = verify_archive(tmp_path / "a.tar", lambda _: None)
    dump = next(member.content.read() for member in read_members(tmp_path / "a.tar") if member.name == DUMP)
    (tmp_path / "half.dump").write_bytes(dump[: len(dump) * 9 // 10])
    with new_archive(tmp_path / "bad.tar") as archive, (tmp_path / "half.dump").open("rb") as half:
        archive.add(DUMP, half)
        archive.finish(lambda sums: manifest.model_copy(update={"instances": 0, "sums_sha256": sums}))
    before = (rows(database_url), stored_files(store))
    engine.dispose()
    with pytest.raises(Unavailable, match="loaded"):
        restore(tmp_path / "bad.tar", database_url=database_url, store=store, force=True)
    assert (rows(database_url), stored_files(store)) == before


def test_archive_of_a_newer_version_is_refused(
    units: UnitOfWorkFactory, engine: Engine, database_url: str, store: FileInstanceStore, tmp_path: Path
) -> None:
    fill(units, engine, store)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    backup(tmp_path / "a.tar", database_url=database_url, store=store)
    engine.dispose()
    with pytest.raises(Conflict, match="9999"):
        restore(tmp_path / "a.tar", database_url=database_url, store=store, force=True)


def test_large_instance_passes_through_little_memory(
    units: UnitOfWorkFactory,
    engine: Engine,
    database_url: str,
    store: FileInstanceStore,
    other_url: str,
    other_store: FileInstanceStore,
    tmp_path: Path,
) -> None:
    fill(units, engine, store)
    large = store_instance(units, store, f"{STUDY}.9", study=STUDY, PixelData=bytes(64 << 20))
    tracemalloc.start()
    try:
        backup(tmp_path / "a.tar", database_url=database_url, store=store)
        restore(tmp_path / "a.tar", database_url=other_url, store=other_store)
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()
    assert other_store.path(large.storage_key).stat().st_size == large.size_bytes > 64 << 20
