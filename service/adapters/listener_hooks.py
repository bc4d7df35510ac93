"""What the listener needs of the rest of the service: hooks, given to its constructor."""

from typing import Protocol

from service.commitment_ports import KeptRequest
from service.core.association import AssociationRecord
from service.core.commitment import CommitmentRequest, CommitmentResult
from service.records import ReceivedInstance


class SaveInstance(Protocol):
    """Row and jobs of a durable file, in one transaction."""

    def __call__(self, received: ReceivedInstance) -> object:
        """Returns after the commit. Raises Unavailable (answered 0xA700) or InputRejected (answered by its reason)."""


class AssociationLog(Protocol):
    """Every association leaves a row."""

    def opened(self, record: AssociationRecord) -> int:
        """Called before the first instance is saved; gives the id that its ReceivedInstance carries. Raises Unavailable."""

    def closed(self, association_id: int | None, record: AssociationRecord, *, seconds_ago: float = 0.0) -> None:
        """Called once at the end, with None when `opened` was not called: then the row is made whole. Raises Unavailable.

        After an Unavailable it is called again later, with the seconds since the end.
        """

    def renew(self) -> None:
        """Called every few seconds: what was opened and not closed is still alive. Raises Unavailable."""


class Gate(Protocol):
    """Whether there is room to take another instance."""

    def __call__(self) -> str | None:
        """Why there is none (disk watermark, queue over its cap, database away), as a sentence; asked once a second at most."""


class CommitmentHooks(Protocol):
    """Storage Commitment in both roles."""

    def keep(self, request: CommitmentRequest, *, calling_ae_title: str, called_ae_title: str) -> KeptRequest:
        """Returns after the commit. Raises Unavailable, and InputRejected when the transaction UID was used otherwise."""

    def judge(self, request_id: int) -> CommitmentResult:
        """What we hold of a request. Raises Unavailable."""

    def reported(self, request_id: int, result: CommitmentResult) -> None:
        """The peer has answered our report. Raises Unavailable."""

    def answer(self, result: CommitmentResult, *, ae_title: str) -> None:
        """A peer reports on a request of ours; returns after the commit.

        Raises NotFound when we opened no such transaction with it, InputRejected when the report misses its object, Unavailable.
        """
