"""What the listener needs of the rest of the service: three hooks, given to its constructor."""

from typing import Protocol

from service.core.association import AssociationRecord
from service.ports import ReceivedInstance


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
