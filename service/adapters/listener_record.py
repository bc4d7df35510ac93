"""Keeps the book of one association while it runs, and sees that it is written down in the end."""

import threading
import time
from collections import deque
from contextlib import suppress

import structlog

from service.adapters.listener_hooks import AssociationLog
from service.adapters.listener_negotiation import AssociationRequest
from service.core.association import MAXIMUM_FAILURES, AssociationRecord, ContextRecord, Outcome, Rejection, StoreFailure
from service.core.attributes import is_uid
from service.core.dimse import Command
from service.core.store_status import comment_of
from service.errors import SonomyoError, Unavailable

#: Records kept while the database is away; beyond it the oldest are only in the log.
_BACKLOG = 1000


class AssociationLedger:
    """Mutable; used by the association's own thread."""

    def __init__(self, *, peer: tuple[str, int], tls: bool) -> None:
        self._peer = peer
        self._tls = tls
        self._begun = time.monotonic()
        self._contexts: tuple[ContextRecord, ...] = ()
        self._failures: list[StoreFailure] = []
        self._stored = self._refused = self._echoes = self._bytes = 0
        self.request: AssociationRequest | None = None
        self.outcome: Outcome = "open"
        self.why = ""
        self.rejection: Rejection | None = None

    def accept(self, contexts: tuple[ContextRecord, ...]) -> None:
        """The offer was answered."""
        self._contexts = contexts

    def end(self, outcome: Outcome, why: str = "") -> None:
        """The first end is the true one."""
        if self.outcome == "open":
            self.outcome, self.why = outcome, why

    def count_echo(self) -> None:
        """A C-ECHO was answered."""
        self._echoes += 1

    def count_stored(self, size_bytes: int) -> None:
        """An instance was stored."""
        self._stored += 1
        self._bytes += size_bytes

    def count_refused(self, command: Command, *, status: int, error: Exception, size_bytes: int) -> None:
        """An instance, or a message about commitment, was refused."""
        self._refused += 1
        self._bytes += size_bytes
        if len(self._failures) < MAXIMUM_FAILURES:
            uid = command.sop_instance_uid or ""
            reason = error.reason if isinstance(error, SonomyoError) else type(error).__name__
            self._failures.append(
                StoreFailure(
                    sop_instance_uid=uid if is_uid(uid) else None,
                    status=int(status),
                    error_comment=comment_of(error),
                    reason=reason,
                )
            )

    def record(self) -> AssociationRecord:
        """What is known now."""
        request = self.request
        return AssociationRecord(
            peer_address=self._peer[0],
            peer_port=self._peer[1],
            tls=self._tls,
            calling_ae_title=request and request.calling_ae_title,
            called_ae_title=request and request.called_ae_title,
            implementation_class_uid=request and request.implementation_class_uid,
            implementation_version_name=request and request.implementation_version_name,
            contexts=self._contexts,
            outcome=self.outcome,
            rejection=self.rejection,
            why=self.why,
            instances_stored=self._stored,
            instances_refused=self._refused,
            bytes_received=self._bytes,
            echoes=self._echoes,
            duration_seconds=time.monotonic() - self._begun,
            failures=tuple(self._failures),
        )


class AssociationArchive:
    """Writes records; what cannot be written while the database is away is written later."""

    def __init__(self, log: AssociationLog) -> None:
        self._log = log
        #: With the monotonic time of each end.
        self._backlog: deque[tuple[int | None, AssociationRecord, float]] = deque(maxlen=_BACKLOG)
        self._lock = threading.Lock()

    def open(self, record: AssociationRecord) -> int:
        """Raises Unavailable."""
        return self._log.opened(record)

    def close(self, association_id: int | None, record: AssociationRecord) -> None:
        """Never raises."""
        structlog.get_logger().info(
            "association_closed",
            association_id=association_id,
            **record.model_dump(include={"peer_address", "calling_ae_title", "called_ae_title", "outcome", "why"}),
            **record.model_dump(include={"instances_stored", "instances_refused", "bytes_received", "duration_seconds"}),
        )
        ended = time.monotonic()
        try:
            self._log.closed(association_id, record)
        except Unavailable:
            self._backlog.append((association_id, record, ended))
        except Exception:  # noqa: BLE001 - logged; a record must not break the association
            structlog.get_logger().exception("association_not_recorded", association_id=association_id)

    def flush(self) -> None:
        """Try again what is still to be written."""
        with self._lock, suppress(Unavailable):
            while self._backlog:
                association_id, record, ended = self._backlog[0]
                self._log.closed(association_id, record, seconds_ago=time.monotonic() - ended)
                self._backlog.popleft()

    def renew(self) -> None:
        """Say that what is open lives; while the database is away, the next call says it."""
        with suppress(Unavailable):
            self._log.renew()
