"""What a client prefers, of Accept and Accept-Language (RFC 9110 12.4.2, 12.5.4)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from service.core.languages import LANGUAGES, LanguageTag

#: Of a header that is read.
LONGEST = 2048


@dataclass(frozen=True, slots=True)
class MediaRange:
    """One entry of an Accept header, names in lower case, parameters unquoted."""

    kind: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    quality: float = 1.0

    def covers(self, media_type: str) -> bool:
        """True when the range's type takes in `media_type`; parameters are the caller's concern."""
        if self.kind in ("*/*", media_type):
            return True
        return self.kind.endswith("/*") and media_type.startswith(self.kind[:-1])


def choose_language(header: str, default: LanguageTag) -> LanguageTag:
    """The language that is wanted most, the first of equals, by lookup (RFC 4647 3.4): `de-AT` finds `de`.

    Who wants none that there is gets the default: a report that can be read in part is better than a refusal.
    """
    ranges = all_ranges(header) if len(header) <= LONGEST else []
    refused = {entry.kind for entry in ranges if entry.quality == 0}
    offered = [tag for tag in (default, *LANGUAGES) if tag not in refused]
    for entry in sorted(ranges, key=lambda entry: -entry.quality):
        found = next((tag for tag in offered if entry.kind in ("*", tag) or entry.kind.startswith(f"{tag}-")), None)
        if entry.quality > 0 and found is not None:
            return found
    return default


def all_ranges(header: str | None) -> Sequence[MediaRange]:
    """The entries of a header in their order, refused ones too."""
    return [_read_range(entry) for entry in _split(header or "", ",") if entry.strip()]


def _read_range(entry: str) -> MediaRange:
    kind, *rest = _split(entry, ";")
    parameters: dict[str, str] = {}
    for part in rest:
        name, _, value = part.partition("=")
        parameters[name.strip().lower()] = value.strip().strip('"')
    quality = _read_quality(parameters.pop("q", "1"))
    return MediaRange(kind.strip().lower(), parameters, quality)


def _read_quality(text: str) -> float:
    try:
        quality = float(text)
    except ValueError:
        return 0.0
    return min(quality, 1.0) if quality >= 0 else 0.0


def _split(text: str, separator: str) -> list[str]:
    """Split outside of quotes."""
    parts, quoted = [""], False
    for character in text:
        if character == '"':
            quoted = not quoted
        if character == separator and not quoted:
            parts.append("")
        else:
            parts[-1] += character
    return parts
