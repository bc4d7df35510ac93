"""Retention: the bytes of old studies go, so that the disk watermark is no dead end; their rows and reports stay.

Never touched: studies with a signed report, an object of the newest report that did not reach a destination of the settings,
an analysis still to run or a report still to come. An operator can give such an object up, so that nothing is kept for ever.
The rows are marked and audited in one transaction, then the files are removed; a kill in between leaves marked rows, whose
files go at the next start.
"""

import shutil
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Literal, Protocol

import structlog
from sqlalchemy import Connection, Engine, func, select, text, update

from service.adapters.audit_rows import append_entry
from service.adapters.instance_store import FileInstanceStore
from service.adapters.postgres import vendor_errors_translated
from service.adapters.tables import InstanceRow, StudyRow
from service.errors import NotFound, Unavailable
from service.settings import RetentionSettings

Why = Literal["age", "disk"]

#: Held while files are removed, and by a backup, which must find every file that its snapshot names.
REMOVAL_LOCK = 7_305_301_924
#: A study that something arrived for within the last hour is left alone, whatever the disk says.
UNDISTURBED_SECONDS = 3600.0
#: A file this young may belong to an arrival whose row is not committed yet: it waits.
SETTLED_SECONDS = 60.0
#: How often the disk is looked at and marked files are removed.
SWEEP_SECONDS = 30.0
_BATCH = 500
_SECONDS_A_DAY = 86400.0

_MAY_GO = """
    s.last_received_at < now() - make_interval(secs => :older_than_seconds)
    AND NOT s.is_stale AND NOT s.identity_hold AND s.completion_requested_at IS NULL
    AND EXISTS (SELECT FROM instances i WHERE i.study_instance_uid = s.study_instance_uid AND i.removed_at IS NULL)
    AND NOT EXISTS (SELECT FROM reports r WHERE r.study_instance_uid = s.study_instance_uid AND r.status IN ('final', 'amended'))
    AND NOT EXISTS (SELECT FROM deliveries d JOIN reports r ON r.report_id = d.report_id
        WHERE r.study_instance_uid = s.study_instance_uid AND d.state NOT IN ('delivered', 'superseded', 'abandoned')
            AND d.destination = ANY(:destinations)
            AND r.version = (SELECT max(n.version) FROM reports n WHERE n.study_instance_uid = r.study_instance_uid))
    AND NOT EXISTS (SELECT FROM analyses a JOIN instances i ON i.id = a.instance_id
        WHERE i.study_instance_uid = s.study_instance_uid AND a.state = 'queued')
    AND NOT EXISTS (SELECT FROM associations c JOIN instances i ON i.association_id = c.id
        WHERE i.study_instance_uid = s.study_instance_uid AND c.closed_at IS NULL)
    AND NOT EXISTS (SELECT FROM instances i JOIN procrastinate_jobs j
        ON j.task_name = 'sonomyo.compare_pixels' AND j.status IN ('todo', 'doing') AND (j.args ->> 'instance_id')::bigint = i.id
        WHERE i.study_instance_uid = s.study_instance_uid)
    AND NOT EXISTS (SELECT FROM instances i JOIN procrastinate_jobs j
        ON j.task_name = 'sonomyo.capture_cine' AND j.status IN ('todo', 'doing') AND (j.args ->> 'instance_id')::bigint = i.id
        WHERE i.study_instance_uid = s.study_instance_uid)
"""
_OLDEST = text(
    f"SELECT s.study_instance_uid FROM studies s WHERE {_MAY_GO} ORDER BY s.last_received_at, s.study_instance_uid LIMIT :most"  # noqa: S608 - a constant
)
_STILL_MAY_GO = text(f"SELECT EXISTS (SELECT FROM studies s WHERE s.study_instance_uid = :uid AND {_MAY_GO})")  # noqa: S608 - a constant
_ALL_REMOVED = text(
    "SELECT storage_key, max(size_bytes) FROM instances WHERE storage_key = ANY(:keys)"
    " GROUP BY storage_key HAVING bool_and(removed_at IS NOT NULL)"
)


class DiskUsage(Protocol):
    """What `shutil.disk_usage` gives."""

    @property
    def total(self) -> int:
        """Size of the file system in bytes."""

    @property
    def free(self) -> int:
        """Bytes that an unprivileged process may still write."""


@dataclass(frozen=True, slots=True)
class RemovedStudy:
    """One study whose bytes were given up."""

    study_instance_uid: str
    why: Why
    instances: int
    size_bytes: int


class Retention:
    """One of these runs in a process; several processes take turns."""

    def __init__(
        self, *, engine: Engine, store: FileInstanceStore, settings: RetentionSettings, destinations: Collection[str]
    ) -> None:
        """`destinations` are the names of the settings: what waits for another one waits in vain."""
        self._engine = engine
        self._destinations = sorted(destinations)
        self._store = store
        self._settings = settings
        #: Storage key -> bytes, of marked rows whose files are still there.
        self._marked: dict[str, int] = {}

    def keep(self, stop: threading.Event) -> None:
        """Until `stop`: by age at the set interval, by free disk at each sweep; an outage of database or disk is waited out."""
        age_is_due = 0.0
        is_resumed = False
        while not stop.is_set():
            try:
                is_resumed = is_resumed or self.resume() >= 0
                if time.monotonic() >= age_is_due:
                    self.remove_by_age()
                    age_is_due = time.monotonic() + self._settings.interval_seconds
                self.remove_by_disk(shutil.disk_usage(self._store.root))
                self.remove_files()
            except (Unavailable, OSError) as trouble:
                structlog.get_logger().warning("retention_postponed", exc_info=trouble)
            stop.wait(min(self._settings.interval_seconds, SWEEP_SECONDS))

    def resume(self) -> int:
        """Find the files of rows that were marked before a kill; gives how many. Raises Unavailable."""
        keys = iter(self._store.keys())
        with vendor_errors_translated(), self._engine.connect() as connection:
            while batch := list(islice(keys, _BATCH)):
                self._marked.update((key, size) for key, size in connection.execute(_ALL_REMOVED, {"keys": batch}))
        return len(self._marked)

    def remove_by_age(self) -> list[RemovedStudy]:
        """Mark every study older than the setting that may go. Raises Unavailable."""
        days = self._settings.maximum_age_days
        if days is None:
            return []
        return self._mark_while("age", older_than_seconds=max(days * _SECONDS_A_DAY, UNDISTURBED_SECONDS), bytes_wanted=None)

    def remove_by_disk(self, usage: DiskUsage) -> list[RemovedStudy]:
        """Mark the oldest studies that may go until enough of the disk will be free. Raises Unavailable."""
        fraction = self._settings.minimum_free_fraction
        if fraction is None:
            return []
        wanted = int(fraction * usage.total) - usage.free - sum(self._marked.values())
        return self._mark_while("disk", older_than_seconds=UNDISTURBED_SECONDS, bytes_wanted=wanted) if wanted > 0 else []

    def remove_files(self, *, settled_seconds: float = SETTLED_SECONDS) -> int:
        """Remove the files of marked rows; gives how many. Raises Unavailable."""
        removed = 0
        with self._alone() as is_alone:
            for key in list(self._marked) if is_alone else []:
                removed += self._remove_file(key, settled_seconds)
        return removed

    def _mark_while(self, why: Why, *, older_than_seconds: float, bytes_wanted: int | None) -> list[RemovedStudy]:
        marked: list[RemovedStudy] = []
        size_bytes = 0
        for uid in self._candidates(older_than_seconds):
            if bytes_wanted is not None and size_bytes >= bytes_wanted:
                break
            study = self._mark(uid, why, older_than_seconds)
            if study is not None:
                marked.append(study)
                size_bytes += study.size_bytes
        return marked

    def _candidates(self, older_than_seconds: float) -> Iterator[str]:
        """Oldest first, each once."""
        seen: set[str] = set()
        while fresh := [uid for uid in self._oldest(older_than_seconds) if uid not in seen]:
            seen.update(fresh)
            yield from fresh

    def _oldest(self, older_than_seconds: float) -> list[str]:
        with vendor_errors_translated(), self._engine.connect() as connection:
            found = connection.execute(_OLDEST, {**self._judging(older_than_seconds), "most": _BATCH})
            return list(found.scalars())

    def _judging(self, older_than_seconds: float) -> dict[str, object]:
        return {"older_than_seconds": older_than_seconds, "destinations": self._destinations}

    def _mark(self, study_instance_uid: str, why: Why, older_than_seconds: float) -> RemovedStudy | None:
        """One study in one transaction, judged again under its lock; None when it may not go after all."""
        with vendor_errors_translated(), self._engine.begin() as connection:
            locked = select(StudyRow.study_instance_uid).where(StudyRow.study_instance_uid == study_instance_uid)
            if connection.execute(locked.with_for_update(skip_locked=True)).first() is None:
                return None
            judged = {**self._judging(older_than_seconds), "uid": study_instance_uid}
            if not connection.execute(_STILL_MAY_GO, judged).scalar_one():
                return None
            files = _mark_rows(connection, study_instance_uid)
            removed = RemovedStudy(study_instance_uid, why, len(files), sum(files.values()))
            detail = {"why": why, "instances": removed.instances, "size_bytes": removed.size_bytes}
            append_entry(connection, actor="retention", action="study_removed", subject=study_instance_uid, detail=detail)
        self._marked.update(files)
        structlog.get_logger().info("study_removed", study_instance_uid=study_instance_uid, **detail)
        return removed

    def _remove_file(self, key: str, settled_seconds: float) -> bool:
        """Under the locks of the key's rows, so that an arrival of the same content either is seen here or finds no file."""
        with vendor_errors_translated(), self._engine.begin() as connection:
            rows = connection.execute(select(InstanceRow.removed_at).where(InstanceRow.storage_key == key).with_for_update())
            is_wanted = any(removed_at is None for removed_at in rows.scalars())
            if not is_wanted and not self._is_settled(key, settled_seconds):
                return False
            if not is_wanted:
                self._store.delete(key)
        self._marked.pop(key, None)
        return not is_wanted

    def _is_settled(self, key: str, settled_seconds: float) -> bool:
        try:
            age_seconds = time.time() - self._store.path(key).stat().st_ctime
        except (NotFound, FileNotFoundError):
            return True
        return age_seconds >= settled_seconds

    @contextmanager
    def _alone(self) -> Iterator[bool]:
        """True when no other process removes files and no backup reads them; held until the end."""
        with vendor_errors_translated(), self._engine.connect() as connection:
            is_alone: bool = connection.execute(select(func.pg_try_advisory_lock(REMOVAL_LOCK))).scalar_one()
            try:
                yield is_alone
            finally:
                if is_alone:
                    connection.execute(select(func.pg_advisory_unlock(REMOVAL_LOCK)))


def _mark_rows(connection: Connection, study_instance_uid: str) -> dict[str, int]:
    """Storage keys and sizes of the rows marked now."""
    marked = connection.execute(
        update(InstanceRow)
        .where(InstanceRow.study_instance_uid == study_instance_uid, InstanceRow.removed_at.is_(None))
        .values(removed_at=func.now())
        .returning(InstanceRow.storage_key, InstanceRow.size_bytes)
    )
    return {row.storage_key: row.size_bytes for row in marked}
