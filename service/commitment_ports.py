"""What Storage Commitment (PS3.4 J) needs of the outside world, in both roles."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from service.core.commitment import CommitmentRequest, CommitmentResult, Reference


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedCommitment:
    """One transaction that we opened: whether a destination holds what was delivered to it."""

    transaction_uid: str
    report_id: str
    destination: str
    kind: str
    reference: Reference
    #: asked, unanswered (the deadline passed), committed or failed.
    state: str
    failure_reason: int | None
    #: When the destination took the request; None before it did.
    accepted_at: datetime | None
    #: False for one before its delivery was given up, and sent again by an operator.
    counts: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedRequest:
    """One transaction that a peer opened with us."""

    request: CommitmentRequest
    calling_ae_title: str
    called_ae_title: str
    #: accepted, or reported when the peer has answered our report.
    state: str


@dataclass(frozen=True, slots=True)
class KeptRequest:
    """A request that is durable."""

    request_id: int
    #: True when we know no address of the peer: its association is the only way to it.
    is_reported_here: bool


@dataclass(frozen=True, slots=True)
class HeldCopy:
    """One thing under a SOP Instance UID: a stored file, or an object of ours when the storage key is None."""

    sop_instance_uid: str
    sop_class_uid: str
    storage_key: str | None
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitmentTerms:
    """What the settings say of one destination."""

    #: Who answers, and asks for the association of a late report.
    ae_title: str
    #: False: what was stored counts as delivered even when the destination takes no request or never reports.
    is_required: bool
    deadline_seconds: float
    #: Requests for one object, after which it is given up.
    maximum_requests: int


class CommittingDestination(Protocol):
    """A destination that is asked whether it holds what was delivered."""

    @property
    def terms(self) -> CommitmentTerms:
        """As configured."""

    def ask(
        self, request: CommitmentRequest, *, answered: Callable[[CommitmentResult], None], is_answered: Callable[[], bool]
    ) -> None:
        """N-ACTION; returns when it was taken, after waiting a little for reports on the same association.

        Each report is handed to `answered` before it is acknowledged; it raises NotFound for a transaction that is not ours.
        `is_answered` tells whether the report came by another way meanwhile.
        Raises Unavailable (retry) or InputRejected (the peer refuses for good).
        """


class ReportingPeer(Protocol):
    """A peer that may ask us, at its own address."""

    def report(self, result: CommitmentResult, *, calling_ae_title: str) -> None:
        """N-EVENT-REPORT on an association of its own. Raises Unavailable (retry) or InputRejected (refused for good)."""


class CommitmentRows(Protocol):
    """Rows of `commitments_asked` and `commitments_given`."""

    def open(self, report_id: str, destination: str, kind: str) -> AskedCommitment:
        """The next transaction of a delivery; its UID is a function of the delivery and of how many went before."""

    def of_delivery(self, report_id: str, destination: str, kind: str) -> Sequence[AskedCommitment]:
        """Its transactions, oldest first."""

    def find(self, transaction_uid: str) -> AskedCommitment | None:
        """One transaction, or None."""

    def accepted(self, transaction_uid: str) -> None:
        """The destination took the request now; its deadline begins."""

    def expire(self, transaction_uid: str) -> None:
        """Nobody answered until the deadline."""

    def answer(self, transaction_uid: str, failure_reason: int | None) -> bool:
        """The first answer holds: False when there is one already."""

    def discount(self, report_id: str, destination: str, kind: str) -> None:
        """It was given up: when an operator sends it again, it has all its requests anew."""

    def keep(self, request: CommitmentRequest, *, calling_ae_title: str, called_ae_title: str) -> int:
        """A peer's request, to be reported (again); gives its id. Raises InputRejected when its UID was for other instances."""

    def received(self, request_id: int) -> ReceivedRequest:
        """Raises NotFound."""

    def copies(self, sop_instance_uids: Sequence[str]) -> Mapping[str, Sequence[HeldCopy]]:
        """What is kept under these UIDs and was not removed."""

    def reported(self, request_id: int, result: CommitmentResult) -> None:
        """The peer has answered our report."""

    def not_reported(self, request_id: int, error: str) -> None:
        """Why the peer could not be told; the newest reason is kept."""
