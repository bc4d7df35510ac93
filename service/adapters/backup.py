"""Backup and restore: database and instance store in one archive, consistent, verified by hash.

The database is dumped from one snapshot; what its rows name lies in the store already and never changes, and retention waits
until the archive is written. Restoring verifies the whole archive before it touches anything, puts the files in place, then
replaces the database in one transaction.
"""

import importlib.metadata
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import IO

from sqlalchemy import Connection, Engine, text

from service.adapters.audit_rows import append_entry
from service.adapters.backup_archive import (
    DUMP,
    ArchiveWriter,
    Manifest,
    damage_translated,
    new_archive,
    read_members,
    verify_archive,
)
from service.adapters.instance_store import FileInstanceStore, read_instance, storage_key
from service.adapters.migrations import knows_revision, newest_revision, revision_of
from service.adapters.postgres import make_engine, vendor_errors_translated
from service.adapters.postgres_programs import dump_database, load_database
from service.adapters.retention import REMOVAL_LOCK
from service.errors import Conflict, InputRejected, NotFound, SonomyoError, Unavailable

#: Called with the step, the bytes done and the bytes in all.
StepProgress = Callable[[str, int, int], None]

_BATCH = 1000
_PIECE_BYTES = 1 << 20
_NAMED_IN_MANIFEST = 100
#: A deflated object is read as well, whatever the listener would take today.
_MAXIMUM_INFLATED_BYTES = 1 << 40
_LIVE = text("SELECT storage_key, max(size_bytes) FROM instances WHERE removed_at IS NULL GROUP BY storage_key ORDER BY 1")
_LIVE_AMONG = text("SELECT storage_key FROM instances WHERE storage_key = ANY(:keys) AND removed_at IS NULL")
_OTHERS = text(
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend'"
    " AND pid <> pg_backend_pid()"
)
#: A listener serves nothing that the archive calls open: it ends when the backup was made, by the same database's clock.
_CLOSE_ASSOCIATIONS = text(
    "UPDATE associations SET outcome = 'connection_lost', reason = 'the listener stopped', closed_at = :at"
    " WHERE closed_at IS NULL"
)
_HOLDS_STUDIES = text("SELECT EXISTS (SELECT FROM studies)")


def backup(file: Path, *, database_url: str, store: FileInstanceStore, progress: StepProgress | None = None) -> str:
    """Write and verify one archive; gives a sentence about it. The service may run meanwhile.

    Raises Conflict when the file exists, Unavailable when database or disk cannot serve, and SonomyoError, the archive
    being kept, when the store lacks a file.
    """
    file = file.absolute()
    if file.exists():
        raise Conflict(f"{file} exists; choose another name.")
    engine = make_engine(database_url, pool_size=2)
    try:
        with _removal_paused(engine), tempfile.TemporaryDirectory(dir=file.parent, prefix=".sonomyo-backup-") as folder:
            snapshot = _take_snapshot(engine, database_url, Path(folder))
            unfinished = Path(folder) / "archive.tar"
            manifest = _write(unfinished, snapshot, store, progress or _silent)
            verify_archive(unfinished, _step(progress, "verifying", manifest.dump_bytes + manifest.instance_bytes))
            unfinished.rename(file)
            _sync_folder(file.parent)
    except OSError as error:
        raise Unavailable(f"The archive cannot be written: {os.strerror(error.errno or 0)}.") from error
    finally:
        engine.dispose()
    return _summary(file, manifest)


def restore(
    file: Path, *, database_url: str, store: FileInstanceStore, force: bool = False, progress: StepProgress | None = None
) -> str:
    """Put an archive back; gives a sentence about it. Nothing else may use the database meanwhile.

    Raises InputRejected when the archive is damaged, Conflict when the target holds studies (unless forced) or is in use, or
    when a newer version made the archive. Interrupted, it is run again with `force`.
    """
    size_bytes = file.stat().st_size
    verified = _step(progress, "verifying", size_bytes)
    manifest = verify_archive(file, verified)
    verified(size_bytes)
    if not knows_revision(manifest.revision):
        raise Conflict(f"The archive is of revision {manifest.revision}, which this version does not know; use a newer one.")
    engine = make_engine(database_url, pool_size=1)
    try:
        _check_target(engine, store, force=force)
        engine.dispose()
        with tempfile.TemporaryDirectory(dir=store.root, prefix=".restore-") as folder:
            dump = Path(folder) / DUMP
            _extract(file, dump, store, _step(progress, "restoring", manifest.dump_bytes + manifest.instance_bytes))
            load_database(database_url, dump)
        removed = _remove_strangers(engine, store)
        _record(engine, manifest, removed)
    except OSError as error:
        raise Unavailable(f"The archive cannot be restored: {os.strerror(error.errno or 0)}.") from error
    finally:
        engine.dispose()
    advice = "" if manifest.revision == newest_revision() else " Run `sonomyo migrate` next."
    return f"Restored {manifest.instances} instances and the database as of {manifest.created_at:%Y-%m-%d %H:%M:%S %Z}.{advice}"


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """The database as of one moment: its dump, and a file with a line for each file of the store that it names."""

    created_at: datetime
    revision: str
    dump: Path
    keys: Path
    instance_bytes: int


@contextmanager
def _removal_paused(engine: Engine) -> Iterator[None]:
    with vendor_errors_translated(), engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": REMOVAL_LOCK})
        try:
            yield
        finally:
            connection.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": REMOVAL_LOCK})


def _take_snapshot(engine: Engine, database_url: str, folder: Path) -> _Snapshot:
    options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    with vendor_errors_translated(), engine.connect().execution_options(**options) as connection:
        exported: str = connection.execute(text("SELECT pg_export_snapshot()")).scalar_one()
        created_at: datetime = connection.execute(text("SELECT now()")).scalar_one()
        revision = revision_of(connection)
        if revision is None:
            raise Conflict("The database holds no tables of this service; there is nothing to back up.")
        dump_database(database_url, folder / DUMP, snapshot=exported)
        instance_bytes = _list_keys(connection, folder / "keys")
    return _Snapshot(created_at.astimezone(UTC), revision, folder / DUMP, folder / "keys", instance_bytes)


def _list_keys(connection: Connection, to: Path) -> int:
    total_bytes = 0
    with to.open("w", encoding="ascii") as file:
        for key, size_bytes in connection.execution_options(yield_per=_BATCH).execute(_LIVE):
            file.write(f"{key}\n")
            total_bytes += size_bytes
    return total_bytes


def _write(path: Path, snapshot: _Snapshot, store: FileInstanceStore, progress: StepProgress) -> Manifest:
    total_bytes = snapshot.dump.stat().st_size + snapshot.instance_bytes
    free_bytes = shutil.disk_usage(path.parent).free
    if free_bytes < total_bytes:
        raise Unavailable(f"The archive needs {total_bytes >> 20} MiB, and {free_bytes >> 20} MiB are free there.")
    with new_archive(path) as archive:
        with snapshot.dump.open("rb") as dump:
            dump_bytes = archive.add(DUMP, dump)
        snapshot.dump.unlink()
        done_bytes, count, missing = dump_bytes, 0, []
        with snapshot.keys.open(encoding="ascii") as lines:
            for key in map(str.rstrip, lines):
                added = _add_instance(archive, store, key)
                if added is None:
                    missing.append(key)
                    continue
                count, done_bytes = count + 1, done_bytes + added
                progress("writing", done_bytes, total_bytes)
        return archive.finish(
            lambda sums: Manifest(
                created_at=snapshot.created_at,
                service_version=importlib.metadata.version("sonomyo"),
                revision=snapshot.revision,
                instances=count,
                instance_bytes=done_bytes - dump_bytes,
                dump_bytes=dump_bytes,
                sums_sha256=sums,
                missing=len(missing),
                first_missing=tuple(missing[:_NAMED_IN_MANIFEST]),
            )
        )


def _add_instance(archive: ArchiveWriter, store: FileInstanceStore, key: str) -> int | None:
    """Its size, or None when the store does not hold it as it was received."""
    try:
        with store.path(key).open("rb") as file:
            if not _is_whole(store.path(key), key):
                return None
            return archive.add(f"instances/{key}", file)
    except (NotFound, FileNotFoundError):
        return None


def _is_whole(path: Path, key: str) -> bool:
    """The same data set that arrived again may have another File Meta Information, so that only its content can tell."""
    try:
        _, digest = read_instance(path, maximum_inflated_bytes=_MAXIMUM_INFLATED_BYTES)
        return storage_key(digest) == key
    except InputRejected:
        return False


def _summary(file: Path, manifest: Manifest) -> str:
    size = (
        f"{manifest.instances} instances ({manifest.instance_bytes >> 20} MiB) and the database ({manifest.dump_bytes >> 20} MiB)"
    )
    if manifest.missing:
        raise SonomyoError(
            f"{file} was written and verified with {size}, but {manifest.missing} files of the store are lost or damaged,"
            f" the first of them {manifest.first_missing[0]}; the archive's manifest.json names the first {_NAMED_IN_MANIFEST}."
        )
    return f"{file}: {size}, written and verified."


def _check_target(engine: Engine, store: FileInstanceStore, *, force: bool) -> None:
    with vendor_errors_translated(), engine.connect() as connection:
        if connection.execute(_OTHERS).scalar_one():
            raise Conflict("Other programs use the database: stop the listener, the workers and the API first.")
        holds_rows = revision_of(connection) is not None and connection.execute(_HOLDS_STUDIES).scalar_one()
    holds_files = next(iter(store.keys()), None) is not None
    if (holds_rows or holds_files) and not force:
        raise Conflict("The database or the instance store is not empty; `--force` replaces what is there.")


def _extract(file: Path, dump: Path, store: FileInstanceStore, progress: Callable[[int], None]) -> None:
    done_bytes = 0
    with damage_translated():
        for member in read_members(file):
            if member.name == DUMP:
                with dump.open("wb") as target:
                    shutil.copyfileobj(member.content, target)
            elif member.key is not None and not _holds(store, member.key, member.size_bytes):
                _place(store, member.key, member.content)
            if member.name == DUMP or member.key is not None:
                done_bytes += member.size_bytes
                progress(done_bytes)


def _place(store: FileInstanceStore, key: str, content: IO[bytes]) -> None:
    with store.incoming.create() as incoming:
        while piece := content.read(_PIECE_BYTES):
            incoming.write(piece)
        store.place(incoming.path, key)


def _holds(store: FileInstanceStore, key: str, size_bytes: int) -> bool:
    """Keys are made from content, so what lies there under the same key is the same, unless it is cut off."""
    try:
        return store.path(key).stat().st_size == size_bytes
    except NotFound:
        return False


def _remove_strangers(engine: Engine, store: FileInstanceStore) -> int:
    """Files that the restored database does not name: left in place, they would be adopted as new at the next start."""
    removed = 0
    keys = iter(store.keys())
    with vendor_errors_translated(), engine.connect() as connection:
        while batch := list(islice(keys, _BATCH)):
            known = set(connection.execute(_LIVE_AMONG, {"keys": batch}).scalars())
            for key in batch:
                if key not in known:
                    store.delete(key)
                    removed += 1
    return removed


def _record(engine: Engine, manifest: Manifest, removed: int) -> None:
    detail = {"archive_of": manifest.created_at.isoformat(), "instances": manifest.instances, "files_removed": removed}
    with vendor_errors_translated(), engine.begin() as connection:
        connection.execute(_CLOSE_ASSOCIATIONS, {"at": manifest.created_at})
        append_entry(connection, actor="operator", action="database_restored", subject="database", detail=detail)


def _step(progress: StepProgress | None, step: str, total_bytes: int) -> Callable[[int], None]:
    def show(done_bytes: int) -> None:
        if progress is not None:
            progress(step, done_bytes, total_bytes)

    return show


def _silent(_step: str, _done: int, _total: int) -> None:
    return


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
