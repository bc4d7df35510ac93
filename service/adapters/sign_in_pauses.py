"""Failed attempts on passwords, and the pauses that follow; the same for logins of which there is no account."""

from datetime import timedelta

from sqlalchemy import Connection, Engine, delete, func, update
from sqlalchemy.dialects.postgresql import insert

from service.access import TryLater
from service.adapters.access import hashed
from service.adapters.account_tables import SignInPauseRow
from service.adapters.postgres import vendor_errors_translated
from service.core.passwords import FAILURES_FORGOTTEN_AFTER, pause_after


class SignInPauses:
    """Counts by subject: whatever text attempts have in common; only its hash is kept."""

    def __init__(self, *, engine: Engine) -> None:
        self._engine = engine

    def begin(self, subject: str) -> TryLater | None:
        """Count an attempt as failed before it is judged, so that many at once are counted, too; or say how long to wait.

        A success calls `forgive`. Raises Unavailable.
        """
        row = SignInPauseRow
        # Not now(): that is the start of the transaction, and another attempt may have been waited for since.
        now = func.clock_timestamp()
        first = insert(row).values(subject_sha256=hashed(subject), failures=0, failed_at=now, retry_at=now)
        # Changes nothing of a row that is there, but locks it.
        locked = first.on_conflict_do_update(index_elements=["subject_sha256"], set_={"failures": row.failures})
        wanted = locked.returning(row.failures, (now - row.failed_at).label("since"), (row.retry_at - now).label("wait"))
        with vendor_errors_translated(), self._engine.begin() as connection:
            found = connection.execute(wanted).one()
            if found.wait > timedelta():
                return TryLater(seconds=found.wait.total_seconds())
            failures = 1 if found.since > FAILURES_FORGOTTEN_AFTER else found.failures + 1
            values = {"failures": failures, "failed_at": now, "retry_at": now + pause_after(failures)}
            connection.execute(update(row).where(row.subject_sha256 == hashed(subject)).values(values))
        return None


def forgive(connection: Connection, subject: str) -> int:
    """Begin the count of a subject again, and give how many attempts failed before; old counts of others go, too."""
    row = SignInPauseRow
    gone = delete(row).where(row.subject_sha256 == hashed(subject)).returning(row.failures)
    failures: int = connection.execute(gone).scalar_one_or_none() or 0
    connection.execute(delete(row).where(row.failed_at < func.now() - FAILURES_FORGOTTEN_AFTER))
    return failures


def of_login(login: str) -> str:
    """The subject of all attempts on a login from browsers that are not known."""
    return f"login {login}"
