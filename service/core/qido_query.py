"""A query string of QIDO-RS (PS3.18 8.3.4, 10.6.1) as what is searched for: matching as PS3.4 C.2.2.2 says.

Nothing that a query holds is repeated in a message but the name of a parameter: values name patients.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pydicom.datadict import tag_for_keyword

from service.core.qido_attributes import BY_KEYWORD, BY_TAG, REQUEST_SEQUENCE, Level, QidoAttribute, can_be_matched
from service.errors import InputRejected

MAXIMUM_RESULTS = 1000
MAXIMUM_OFFSET = 10_000_000
_MOST_PARAMETERS = 64
_MOST_UIDS = 1000
_LONGEST_VALUE = 1024
_LONGEST_LIST = 65 * _MOST_UIDS
_UID = re.compile(r"[0-9.]{1,64}")
_DATE = re.compile(r"\d{8}")
_TIME = re.compile(r"(\d{2})(\d{2})?(\d{2})?(?:(?<=\d{6})\.(\d{1,6}))?")
_INTEGER = re.compile(r"[+-]?\d{1,11}")
_TAG = re.compile(r"[0-9A-Fa-f]{8}")
_EARLIEST, _LATEST = "000000.000000", "235959.999999"


@dataclass(frozen=True, slots=True)
class Equal:
    """Any of these values, as they are written."""

    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Number:
    """This number."""

    value: int


@dataclass(frozen=True, slots=True)
class Wildcard:
    """`*` stands for any characters, `?` for one."""

    pattern: str


@dataclass(frozen=True, slots=True)
class Name:
    """A component group of a person's name, or all of it, whatever the case; wildcards count."""

    pattern: str


@dataclass(frozen=True, slots=True)
class Between:
    """From the first to the last, both included; None is open. Times are HHMMSS.FFFFFF."""

    first: str | None
    last: str | None


Matcher = Equal | Number | Wildcard | Name | Between


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What is searched for, of which level, and what is told of it beyond what every answer has."""

    level: Level
    matches: tuple[tuple[QidoAttribute, Matcher], ...] = ()
    included: frozenset[QidoAttribute] = frozenset()
    limit: int = MAXIMUM_RESULTS
    offset: int = 0
    #: Fuzzy matching was asked for; it is not done, and the answer says so.
    is_fuzzy_wanted: bool = False


def read_search(level: Level, parameters: Sequence[tuple[str, str]]) -> Search:
    """Raises InputRejected (`query`), naming the parameter that is wrong."""
    if len(parameters) > _MOST_PARAMETERS:
        raise _wrong(f"A search has {_MOST_PARAMETERS} parameters at most")
    included: set[QidoAttribute] = set()
    matches: dict[QidoAttribute, Matcher | None] = {}
    plain: dict[str, str] = {}
    for name, value in parameters:
        if name == "includefield":
            included.update(_read_included(level, value))
        elif name in ("limit", "offset", "fuzzymatching"):
            if name in plain:
                raise _wrong(f"{name} stands there twice")
            plain[name] = value
        else:
            attribute = _key(level, name)
            if attribute in matches:
                raise _wrong(f"{attribute.keyword} stands there twice; a list of UIDs has commas")
            matches[attribute] = _read_matcher(attribute, value)
    return Search(
        level=level,
        matches=tuple((attribute, matcher) for attribute, matcher in matches.items() if matcher is not None),
        included=frozenset(included | matches.keys()),
        limit=min(_count("limit", plain.get("limit"), MAXIMUM_RESULTS), MAXIMUM_RESULTS),
        offset=_count("offset", plain.get("offset"), 0),
        is_fuzzy_wanted=_flag("fuzzymatching", plain.get("fuzzymatching")),
    )


def _key(level: Level, name: str) -> QidoAttribute:
    """The attribute that a parameter names, by keyword or tag, through the sequence where it is in one."""
    attribute = _find(name)
    if attribute is None or not can_be_matched(attribute):
        raise _wrong(f"{_shown(name)} is no attribute that can be searched for; the conformance statement lists those that can")
    if attribute.level > level:
        raise _wrong(f"{attribute.keyword} is said of a lower level; search for series or instances by it")
    return attribute


def _find(name: str) -> QidoAttribute | None:
    *outer, last = name.split(".")
    attribute = BY_KEYWORD.get(last) or BY_TAG.get(last.upper())
    if attribute is None or (attribute.source == "request") != bool(outer):
        return None
    if outer and (len(outer) != 1 or outer[0].upper() not in [known.upper() for known in REQUEST_SEQUENCE]):
        return None
    return attribute


def _read_included(level: Level, value: str) -> Iterable[QidoAttribute]:
    """What is known of the names in a list; what is not known to anybody is wrong, what is not kept here is left out."""
    for name in value.split(","):
        if name == "all":
            yield from (attribute for attribute in BY_TAG.values() if attribute.level <= level)
        elif name.split(".")[0].upper() in [known.upper() for known in REQUEST_SEQUENCE]:
            yield from (attribute for attribute in BY_TAG.values() if attribute.source == "request" and attribute.level <= level)
        elif (attribute := _find(name)) is not None:
            if attribute.level <= level:
                yield attribute
        elif not all(_TAG.fullmatch(part) or tag_for_keyword(part) is not None for part in name.split(".")):
            raise _wrong(f"includefield: {_shown(name)} is neither a keyword nor a tag of eight hexadecimal digits, nor `all`")


def _read_matcher(attribute: QidoAttribute, value: str) -> Matcher | None:
    """None matches everything (PS3.4 C.2.2.2.3)."""
    text = value.strip()
    if "\0" in text or len(text) > (_LONGEST_LIST if attribute.vr == "UI" else _LONGEST_VALUE):
        raise _wrong(f"the value of {attribute.keyword} is longer than any, or holds a NUL")
    if not text.strip("*"):
        return None
    if attribute.vr == "UI":
        return _read_uids(attribute, text)
    if attribute.vr in ("IS", "US"):
        if not _INTEGER.fullmatch(text):
            raise _wrong(f"the value of {attribute.keyword} is no number")
        return Number(int(text))
    if attribute.vr in ("DA", "TM"):
        return _read_range(attribute, text)
    return _read_text(attribute, text)


def _read_text(attribute: QidoAttribute, text: str) -> Matcher:
    if attribute.vr == "PN":
        return Name(text)
    if "*" in text or "?" in text:
        return Wildcard(text)
    if attribute.vr == "CS":
        # Viewers ask for several modalities so; neither character may stand in a value (PS3.5 6.2).
        return Equal(tuple(value.strip() for value in re.split(r"[,\\]", text)))
    return Equal((text,))


def _read_uids(attribute: QidoAttribute, text: str) -> Equal:
    """One UID or several (PS3.4 C.2.2.2.2)."""
    uids = tuple(uid for uid in re.split(r"[,\\]", text) if uid)
    if not uids or len(uids) > _MOST_UIDS or not all(_UID.fullmatch(uid) for uid in uids):
        raise _wrong(f"the value of {attribute.keyword} is no list of at most {_MOST_UIDS} UIDs, with commas")
    return Equal(uids)


def _read_range(attribute: QidoAttribute, text: str) -> Between:
    """A day or time, or two with a hyphen, of which one may be missing (PS3.4 C.2.2.2.5)."""
    first, hyphen, last = text.partition("-")
    bounds = (first, last) if hyphen else (first, first)
    read = _read_day if attribute.vr == "DA" else _read_time
    try:
        between = Between(*(read(bound.strip(), is_last=position == 1) for position, bound in enumerate(bounds)))
    except ValueError:
        said = "YYYYMMDD" if attribute.vr == "DA" else "HHMMSS.FFFFFF, from the left as much of it as is known"
        raise _wrong(f"the value of {attribute.keyword} is neither {said} nor a range of two with a hyphen") from None
    if between == Between(None, None):
        raise _wrong(f"the range of {attribute.keyword} has neither a beginning nor an end")
    return between


def _read_day(text: str, *, is_last: bool) -> str | None:
    del is_last
    if text and not _DATE.fullmatch(text):
        raise ValueError(text)
    return text or None


def _read_time(text: str, *, is_last: bool) -> str | None:
    """The first or last moment of what is said: of `10`, the hour."""
    if not text:
        return None
    if not _TIME.fullmatch(text):
        raise ValueError(text)
    return text + (_LATEST if is_last else _EARLIEST)[len(text) :]


def _count(name: str, value: str | None, default: int) -> int:
    if value is None:
        return default
    if not re.fullmatch(r"\d{1,8}", value) or int(value) > MAXIMUM_OFFSET:
        raise _wrong(f"{name} is no number from 0 to {MAXIMUM_OFFSET}")
    return int(value)


def _flag(name: str, value: str | None) -> bool:
    if value not in (None, "true", "false"):
        raise _wrong(f"{name} is neither true nor false")
    return value == "true"


def _shown(name: str) -> str:
    """A name as a message may show it: one that is no name may be anything."""
    return name if re.fullmatch(r"[A-Za-z0-9.]{1,64}", name) else "a parameter"


def _wrong(said: str) -> InputRejected:
    return InputRejected(f"This is no search: {said}.", reason="query")
