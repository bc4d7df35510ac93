"""What the database keeps of associations, and what of them goes into the audit trail."""

from sqlalchemy import Engine, select, text

from service.adapters.association_rows import PostgresAssociationLog
from service.adapters.audit import PostgresAuditLog
from service.adapters.listener_record import AssociationArchive
from service.adapters.tables import AssociationRow, AuditRow
from service.core.association import AssociationRecord
from service.errors import Unavailable
from tests.integration.listener_parts import RecordingLog

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
    assert outcomes(engine) == {"here": "connection_lost", "here/1": "open"}


def test_listener_that_starts_closes_what_a_listener_of_another_name_left_long_ago(engine: Engine) -> None:
    PostgresAssociationLog(engine=engine, listener="former:104/3").opened(OPEN)
    age(engine, seconds=61)
    assert PostgresAssociationLog(engine=engine, listener="here").close_lost() == 1
    with engine.connect() as connection:
        row = connection.execute(select(AssociationRow)).one()
    assert (row.outcome, row.reason, row.closed_at) == ("connection_lost", "the listener stopped", row.alive_at)


def test_association_that_its_listener_renews_stays_open_however_long_it_lasts(engine: Engine) -> None:
    first, second = (PostgresAssociationLog(engine=engine, listener=name) for name in ("here", "there"))
    first.opened(OPEN)
    age(engine, seconds=600)
    first.renew()
    assert second.close_lost() == 0
    assert outcomes(engine) == {"here": "open"}


def test_listener_that_runs_closes_what_nobody_renews_and_keeps_its_own(engine: Engine) -> None:
    PostgresAssociationLog(engine=engine, listener="gone").opened(OPEN)
    log = PostgresAssociationLog(engine=engine, listener="here", lease_seconds=0)
    log.opened(OPEN)
    log.renew()
    assert outcomes(engine) == {"gone": "connection_lost", "here": "open"}


def test_row_of_the_same_listener_whose_id_it_never_learnt_is_not_kept_open(engine: Engine) -> None:
    PostgresAssociationLog(engine=engine, listener="here").opened(OPEN)
    log = PostgresAssociationLog(engine=engine, listener="here", lease_seconds=0)
    log.renew()
    assert outcomes(engine) == {"here": "connection_lost"}


def test_true_end_replaces_the_one_that_was_supposed_when_the_lease_ran_out(engine: Engine) -> None:
    first, second = (PostgresAssociationLog(engine=engine, listener=name) for name in ("here", "there"))
    opened = first.opened(OPEN)
    age(engine, seconds=61)
    assert second.close_lost() == 1
    first.renew()
    assert outcomes(engine) == {"here": "connection_lost"}
    first.closed(opened, OPEN.model_copy(update={"outcome": "released"}))
    assert outcomes(engine) == {"here": "released"}


def test_association_without_instances_lasted_as_long_as_it_did(engine: Engine) -> None:
    log = PostgresAssociationLog(engine=engine, listener="here")
    log.closed(None, OPEN.model_copy(update={"outcome": "released", "duration_seconds": 12.5}))
    assert lasted(engine) == (12.5, 0.0)


def test_association_began_before_its_first_instance_was_stored(engine: Engine) -> None:
    log = PostgresAssociationLog(engine=engine, listener="here")
    opened = log.opened(OPEN.model_copy(update={"duration_seconds": 30.0}))
    log.closed(opened, OPEN.model_copy(update={"outcome": "released", "duration_seconds": 31.0}))
    seconds, _ = lasted(engine)
    assert 30 < seconds < 31


def test_association_that_is_written_down_later_has_the_times_of_its_own(engine: Engine) -> None:
    log = PostgresAssociationLog(engine=engine, listener="here")
    log.closed(None, OPEN.model_copy(update={"outcome": "released", "duration_seconds": 2.0}), seconds_ago=100)
    assert lasted(engine) == (2.0, 100.0)


def test_record_that_waited_for_the_database_is_told_how_long() -> None:
    log = RecordingLog(failure=Unavailable("The database is away"))
    archive = AssociationArchive(log)
    archive.close(None, OPEN)
    archive.renew()
    archive.flush()
    assert log.closed_records == []
    log.failure = None
    archive.flush()
    assert log.closed_records == [(None, OPEN)]
    assert log.seconds_ago[0] > 0


def age(engine: Engine, *, seconds: int) -> None:
    """As if no listener had renewed anything since then."""
    with engine.begin() as connection:
        connection.execute(text("UPDATE associations SET alive_at = now() - make_interval(secs => :s)"), {"s": seconds})


def outcomes(engine: Engine) -> dict[str, str]:
    """By listener; each has one, and is open while it is called so."""
    with engine.connect() as connection:
        rows = connection.execute(select(AssociationRow.listener, AssociationRow.outcome, AssociationRow.closed_at)).all()
    assert all((row.outcome == "open") == (row.closed_at is None) for row in rows)
    return {row.listener: row.outcome for row in rows}


def lasted(engine: Engine) -> tuple[float, float]:
    """Seconds that the only association lasted, and whole seconds since its end."""
    seconds = "extract(epoch FROM closed_at - opened_at)::float8, floor(extract(epoch FROM now() - closed_at))::float8"
    with engine.connect() as connection:
        duration, ago = connection.execute(text(f"SELECT {seconds} FROM associations")).one()  # noqa: S608 - a constant
    return float(duration), float(ago)
