"""At start, files and rows are made to agree: an orphan file is adopted, a row without its file is reported."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine, select

from service.adapters.instance_store import storage_key
from service.adapters.postgres import vendor_errors_translated
from service.adapters.tables import InstanceRow
from service.core.instance import ContentDigest, InstanceAttributes
from service.errors import InputRejected
from service.ports import InstanceStore, ReceivedInstance

_log = logging.getLogger("sonomyo.reconciliation")


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What was found: counts, and the keys that rows name but the store does not hold."""

    files: int
    adopted: int
    unreadable: int
    missing: tuple[str, ...]


def reconcile(
    *,
    engine: Engine,
    store: InstanceStore,
    read: Callable[[Path], tuple[InstanceAttributes, ContentDigest]],
    save: Callable[[ReceivedInstance], object],
) -> Reconciled:
    """Adopt every stored file that no row names (the commit after its rename never came); never delete one.

    Files that retention marked as removed are left to retention. Raises Unavailable.
    """
    with vendor_errors_translated(), engine.connect() as connection:
        found = connection.execute(select(InstanceRow.storage_key, InstanceRow.removed_at))
        rows = {row.storage_key: row.removed_at for row in found}
    files = adopted = unreadable = 0
    seen: set[str] = set()
    for key in store.keys():  # noqa: SIM118 - a port, not a dict
        files += 1
        seen.add(key)
        if key in rows:
            continue
        if _adopt(store, key, read, save):
            adopted += 1
        else:
            unreadable += 1
    missing = tuple(sorted(key for key, removed in rows.items() if removed is None and key not in seen))
    if missing:
        _log.error("stored_files_missing", extra={"count": len(missing)})
    return Reconciled(files=files, adopted=adopted, unreadable=unreadable, missing=missing)


def _adopt(
    store: InstanceStore,
    key: str,
    read: Callable[[Path], tuple[InstanceAttributes, ContentDigest]],
    save: Callable[[ReceivedInstance], object],
) -> bool:
    path = store.path(key)
    try:
        attributes, digest = read(path)
    except InputRejected as refused:
        _log.warning("orphan_unreadable", extra={"reason": refused.reason})
        return False
    if storage_key(digest) != key:
        _log.warning("orphan_unreadable", extra={"reason": "content_is_not_what_its_name_says"})
        return False
    save(ReceivedInstance(attributes=attributes, digest=digest, storage_key=key, size_bytes=path.stat().st_size))
    return True
