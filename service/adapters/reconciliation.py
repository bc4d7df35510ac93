"""At start, files and rows are made to agree: an orphan file is adopted, a row without its file is reported."""

import logging
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Literal

from sqlalchemy import Engine, select, text

from service.adapters.instance_store import storage_key
from service.adapters.postgres import vendor_errors_translated
from service.adapters.retention import SETTLED_SECONDS
from service.adapters.tables import InstanceRow
from service.core.instance import ContentDigest, InstanceAttributes
from service.errors import InputRejected, NotFound, Unavailable
from service.ports import InstanceStore
from service.records import ReceivedInstance

#: Pause before another attempt when the database is away or something unexpected came up.
RETRY_SECONDS = 15.0
#: Storage keys of missing files that are logged; they are hashes and name nobody.
_LOGGED_KEYS = 20

ReadInstance = Callable[[Path], tuple[InstanceAttributes, ContentDigest]]
SaveReceived = Callable[[ReceivedInstance], object]

_log = logging.getLogger("sonomyo.reconciliation")


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What was found: counts, and the keys that rows name but the store does not hold."""

    files: int
    adopted: int
    unreadable: int
    missing: tuple[str, ...]
    #: Orphans whose name is so young that their row may be on its way; to be looked at again.
    unsettled: tuple[str, ...] = ()


def reconcile(
    *,
    engine: Engine,
    store: InstanceStore,
    read: ReadInstance,
    save: SaveReceived,
    settled_seconds: float = 0.0,
    among: Collection[str] | None = None,
) -> Reconciled:
    """Adopt every stored file that no row names (the commit after its rename never came); never delete one.

    A file that got its name less than `settled_seconds` ago is left unsettled. With `among` only these keys are looked at, and
    no row is asked for its file. Files that retention marked as removed are left to retention. Raises Unavailable.
    """
    # Names first: a row that is committed meanwhile is then seen, and its file is no orphan.
    keys = set(store.keys() if among is None else among)
    rows = _rows(engine, among)
    missing = _missing(store, rows, keys) if among is None else ()
    outcomes = {key: _settle(store, key, read, save, settled_seconds) for key in sorted(keys - rows.keys())}
    counted = list(outcomes.values())
    return Reconciled(
        files=len(keys),
        adopted=counted.count("adopted"),
        unreadable=counted.count("unreadable"),
        missing=missing,
        unsettled=tuple(key for key, outcome in outcomes.items() if outcome == "unsettled"),
    )


def reconcile_until_settled(
    *,
    engine: Engine,
    store: InstanceStore,
    read: ReadInstance,
    save: SaveReceived,
    stop: threading.Event,
    settled_seconds: float = SETTLED_SECONDS,
    retry_seconds: float = RETRY_SECONDS,
) -> Reconciled | None:
    """The reconciliation of a start, beside what arrives: again until it succeeds, then what was unsettled until nothing is.

    Gives all that was found, or None when `stop` came before the first success. Raises nothing.
    """
    found: Reconciled | None = None
    while not stop.is_set():
        again = None if found is None else found.unsettled
        try:
            step = reconcile(engine=engine, store=store, read=read, save=save, settled_seconds=settled_seconds, among=again)
        except Unavailable:
            _log.warning("reconciliation_postponed")
        except Exception:  # noqa: BLE001 - logged; the next attempt may do better, and the listener serves meanwhile
            _log.exception("reconciliation_failed")
        else:
            found = step if found is None else _together(found, step)
            _tell(found)
            if not found.unsettled:
                break
            stop.wait(settled_seconds)
            continue
        stop.wait(retry_seconds)
    return found


def _together(first: Reconciled, later: Reconciled) -> Reconciled:
    adopted, unreadable = first.adopted + later.adopted, first.unreadable + later.unreadable
    return replace(first, adopted=adopted, unreadable=unreadable, unsettled=later.unsettled)


def _tell(found: Reconciled) -> None:
    counts = {"files": found.files, "adopted": found.adopted, "unreadable": found.unreadable}
    _log.info("reconciled", extra={**counts, "missing": len(found.missing), "unsettled": len(found.unsettled)})


def _rows(engine: Engine, among: Collection[str] | None) -> dict[str, datetime | None]:
    """When the bytes of each key were given up, None while they are wanted."""
    statement = select(InstanceRow.storage_key, InstanceRow.removed_at)
    if among is not None:
        statement = statement.where(text("storage_key = ANY(:keys)")).params(keys=list(among))
    with vendor_errors_translated(), engine.connect() as connection:
        return {row.storage_key: row.removed_at for row in connection.execute(statement)}


def _missing(store: InstanceStore, rows: dict[str, datetime | None], keys: set[str]) -> tuple[str, ...]:
    """The file of a row that came after the names were read is looked for once more."""
    unseen = sorted(key for key, removed in rows.items() if removed is None and key not in keys)
    missing = tuple(key for key in unseen if not _holds(store, key))
    if missing:
        _log.error("stored_files_missing", extra={"count": len(missing), "storage_keys": missing[:_LOGGED_KEYS]})
    return missing


def _holds(store: InstanceStore, key: str) -> bool:
    try:
        store.path(key)
    except NotFound:
        return False
    return True


def _settle(
    store: InstanceStore, key: str, read: ReadInstance, save: SaveReceived, settled_seconds: float
) -> Literal["adopted", "unreadable", "unsettled", "gone"]:
    """What became of a file without a row. Raises Unavailable when the row cannot be saved."""
    try:
        return _adopt(store, key, read, save, settled_seconds)
    except (NotFound, FileNotFoundError):
        return "gone"
    except InputRejected as refused:
        _log.warning("orphan_unreadable", extra={"reason": refused.reason})
        return "unreadable"
    except Unavailable:
        raise
    except Exception:  # noqa: BLE001 - logged; one such file must not keep the others from being adopted
        _log.exception("orphan_not_adopted")
        return "unreadable"


def _adopt(
    store: InstanceStore, key: str, read: ReadInstance, save: SaveReceived, settled_seconds: float
) -> Literal["adopted", "unsettled"]:
    path = store.path(key)
    status = path.stat()
    if time.time() - status.st_ctime < settled_seconds:  # the change time is when it got its name
        return "unsettled"
    try:
        attributes, digest = read(path)
    except Unavailable as error:
        # One file that the disk does not give must not keep the others from being adopted.
        raise InputRejected(str(error), reason=error.reason) from error
    if storage_key(digest) != key:
        raise InputRejected("A stored file is not what its name says", reason="content_is_not_what_its_name_says")
    if path.stat().st_ctime_ns != status.st_ctime_ns:
        return "unsettled"  # the same content has just arrived again, and its row will say more than we know
    save(ReceivedInstance(attributes=attributes, digest=digest, storage_key=key, size_bytes=status.st_size))
    return "adopted"
