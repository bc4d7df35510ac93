"""What the database keeps of associations, and what of them goes into the audit trail."""

from sqlalchemy import Engine, select

from service.adapters.association_rows import PostgresAssociationLog
from service.adapters.audit import PostgresAuditLog
from service.adapters.tables import AssociationRow, AuditRow
from service.core.association import AssociationRecord

OPEN = AssociationRecord(peer_address="192.0.2.7", peer_port=40000, calling_ae_title="SONOGRAPH", called_ae_title="SONOMYO")


def audited(engine: Engine) -> list[tuple[str, str, dict[str, object]]]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(select(AuditRow.actor, AuditRow.action, AuditRow.detail))]


def test_association_that_stored_instances_leaves_one_audit_entry_and_the_chain_holds(engine: Engine) -> None:
    log = PostgresAssociationLog(engine=engine, listener="here")
    log.closed(log.opened(OPEN), OPEN.model_copy(update={"outcome": "released", "instances_stored": 3}))
    assert audited(engine) == [("ae:SONOGRAPH", "instances_stored", {"instances": 3, "peer_address": "192.0.2.7"})]
    assert PostgresAuditLog(engine=engine).first_broken() is None


def test_association_that_stored_nothing_leaves_no_audit_entry(engine: Engine) -> None:
    log = PostgresAssociationLog(engine=engine, listener="here")
    log.closed(None, OPEN.model_copy(update={"outcome": "rejected"}))
    assert audited(engine) == []


def test_listener_that_starts_again_closes_only_what_it_left_open(engine: Engine) -> None:
    first, second = (PostgresAssociationLog(engine=engine, listener=name) for name in ("here", "here/1"))
    for log in (first, second):
        log.opened(OPEN)
    assert first.close_lost() == 1
    with engine.connect() as connection:
        rows = connection.execute(select(AssociationRow.listener, AssociationRow.outcome))
        outcomes = {row.listener: row.outcome for row in rows}
    assert outcomes == {"here": "connection_lost", "here/1": "open"}
