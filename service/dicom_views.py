"""What DICOMweb asks of what is held: searches, and objects by their UIDs."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from service.core.instance import InstanceAttributes
from service.core.qido_query import Search


@dataclass(frozen=True, slots=True)
class Found:
    """One match: columns of its study, attributes of its (first) instance, and by keyword what was counted."""

    study: Mapping[str, Any]
    attributes: Mapping[str, Any]
    derived: Mapping[str, Sequence[Any]]


@dataclass(frozen=True, slots=True)
class FoundPage:
    """Matches in a steady order, and whether there are more behind them."""

    results: Sequence[Found]
    is_more: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldObject:
    """An object whose bytes are held: one that came, or one that we made."""

    attributes: InstanceAttributes
    size_bytes: int
    #: Another one for other bytes under the same UIDs.
    version: str
    #: Where the instance store has it; None for what we made, which is in the database.
    storage_key: str | None


class DicomViews(Protocol):
    """What came and was not removed, and what we made."""

    def search(self, wanted: Search, *, study: str | None = None, series: str | None = None) -> FoundPage:
        """Within a study or series, or everywhere. Raises Unavailable, also when it takes too long."""

    def objects(self, study: str, series: str | None = None, instance: str | None = None) -> Sequence[HeldObject]:
        """All of a study, a series, or the one instance; of what we made the newest version, unless it is named.

        Raises NotFound, and Removed for what retention has given up.
        """

    def open(self, held: HeldObject) -> AbstractContextManager[Path]:
        """A local file with its bytes, for reading. Raises NotFound, Unavailable."""
