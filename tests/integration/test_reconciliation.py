"""Files and rows after a crash: what a start makes of those that do not agree."""

from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from service.adapters.instance_store import FileInstanceStore, read_instance, storage_key
from service.adapters.reconciliation import Reconciled, reconcile
from service.core.instance import ContentDigest
from service.ports import ReceivedInstance, StoredInstance, UnitOfWorkFactory
from tests.integration.stored_studies import store_instance

STUDY = "1.2.3.5"


@pytest.fixture
def store(tmp_path: Path) -> FileInstanceStore:
    return FileInstanceStore(root=tmp_path / "store")


def restart(units: UnitOfWorkFactory, engine: Engine, store: FileInstanceStore) -> Reconciled:
    def save(received: ReceivedInstance) -> StoredInstance:
        with units() as unit:
            return unit.instances.save(received)

    return reconcile(engine=engine, store=store, read=read_instance, save=save)


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
