"""The DICOM JSON Model (PS3.18 F): an element from plain values."""

from collections.abc import Mapping, Sequence
from typing import Any

Element = dict[str, Any]
_NAME_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")
_NUMBERS = frozenset({"IS", "US", "UL", "SS", "SL"})


def element(vr: str, values: Sequence[Any]) -> Element:
    """Values that are None are left out; without any, the element is there and empty (PS3.18 F.2.5)."""
    known = [_value(vr, value) for value in values if value is not None]
    return {"vr": vr, "Value": known} if known else {"vr": vr}


def sequence(items: Sequence[Mapping[str, Element]]) -> Element:
    """An element of VR SQ."""
    return element("SQ", [dict(item) for item in items])


def person_name(text: str) -> dict[str, str]:
    """The component groups that there are (PS3.5 6.2.1, PS3.18 F.2.2)."""
    groups = zip(_NAME_GROUPS, text.split("="), strict=False)
    return {name: group for name, group in groups if group} or {_NAME_GROUPS[0]: text}


def _value(vr: str, value: Any) -> Any:  # noqa: ANN401 - JSON
    if vr == "PN":
        return person_name(str(value))
    if vr in _NUMBERS:
        return int(value)
    return value if vr == "SQ" else str(value)
