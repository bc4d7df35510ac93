"""Accept (RFC 9110 12.5.1): what of that which exists a client likes best."""

from collections.abc import Sequence

from service.api.preferences import LONGEST, MediaRange, all_ranges
from service.api.problems import Problem


def read_accept(header: str | None) -> Sequence[MediaRange]:
    """The ranges of a header, best first; none asks for anything. Raises Problem (406) when it is unreadable."""
    if header is None or not header.strip():
        return [MediaRange("*/*")]
    if len(header) > LONGEST:
        raise Problem(406, "The Accept header is longer than any sensible one.")
    wanted = [entry for entry in all_ranges(header) if entry.quality > 0]
    return sorted(wanted, key=lambda entry: -entry.quality)


def choose(header: str | None, offered: Sequence[str]) -> str:
    """The offered type that is wanted most, the first of equals. Raises Problem (406) naming what there is."""
    refused = {entry.kind for entry in all_ranges(header) if entry.quality == 0}
    best: tuple[float, int, str] | None = None
    for position, media_type in enumerate(offered):
        quality = _quality(read_accept(header), media_type)
        if quality > 0 and media_type not in refused and (best is None or quality > best[0]):
            best = (quality, position, media_type)
    if best is None:
        there = ", ".join(offered)
        raise Problem(406, f"This exists as {there}.", extensions={"available": list(offered)})
    return best[2]


def _quality(ranges: Sequence[MediaRange], media_type: str) -> float:
    """The quality of the most specific range that covers the type."""
    covering = [entry for entry in ranges if entry.covers(media_type)]
    if not covering:
        return 0.0
    return max(covering, key=lambda entry: entry.kind.count("*") * -1).quality
