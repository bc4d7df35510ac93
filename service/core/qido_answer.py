"""What QIDO-RS answers of one match, as DICOM JSON (PS3.18 10.6.3.3, F)."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from service.core.dicom_json import Element, element, sequence
from service.core.qido_attributes import ATTRIBUTES, REQUEST_SEQUENCE, Level, QidoAttribute
from service.core.qido_query import Search

_ALWAYS: Mapping[str, Sequence[Any]] = {"SpecificCharacterSet": ["ISO_IR 192"], "InstanceAvailability": ["ONLINE"]}
#: They name what was found, whatever was asked for.
_NAMES = frozenset({"StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "RetrieveURL", *_ALWAYS})


def answer(
    wanted: Search,
    study: Mapping[str, Any],
    attributes: Mapping[str, Any],
    derived: Mapping[str, Sequence[Any]],
    *,
    given: Level | None,
    url: Callable[[str, str | None, str | None], str],
) -> dict[str, Element]:
    """Elements by tag, in order; `given` is the level whose UID the path of the search names: what is above is known then.

    `url` makes RetrieveURL of study, series and instance.
    """
    uids = _uids(wanted.level, study, attributes)
    known = {**_ALWAYS, **derived, "RetrieveURL": [url(*uids)]}
    told: dict[str, Element] = {}
    for attribute in ATTRIBUTES:
        if attribute.level > wanted.level or attribute.source == "request":
            continue
        values = _values(attribute, study, attributes, known)
        if _is_told(attribute, wanted, given, is_known=bool(values)):
            told[attribute.tag] = element(attribute.vr, values)
    if wanted.level >= Level.SERIES:
        told.update(_requests(wanted, attributes, given))
    return dict(sorted(told.items()))


def _is_told(attribute: QidoAttribute, wanted: Search, given: Level | None, *, is_known: bool) -> bool:
    if attribute.keyword in _NAMES:
        return True
    # Counts of a level that is not searched for are not counted.
    if attribute.source == "derived" and attribute.level != wanted.level:
        return False
    if attribute in wanted.included:
        return True
    if given is not None and attribute.level <= given:
        return False
    return attribute.is_returned or (attribute.is_returned_when_known and is_known)


def _values(
    attribute: QidoAttribute, study: Mapping[str, Any], attributes: Mapping[str, Any], known: Mapping[str, Sequence[Any]]
) -> Sequence[Any]:
    if attribute.source == "derived":
        return known.get(attribute.keyword, ())
    value = study.get(attribute.name) if attribute.source == "column" else attributes.get(attribute.name)
    if isinstance(value, list):
        return value
    return () if value in (None, "") else (value,)


def _requests(wanted: Search, attributes: Mapping[str, Any], given: Level | None) -> dict[str, Element]:
    """RequestAttributesSequence: of a series where it is known, else where it was asked for."""
    parts = [attribute for attribute in ATTRIBUTES if attribute.source == "request"]
    items = [
        {part.tag: element(part.vr, [item.get(part.name)]) for part in parts}
        for item in attributes.get("request_attributes") or ()
    ]
    is_asked = any(part in wanted.included for part in parts)
    is_usual = bool(items) and (given is None or given < Level.SERIES)
    return {REQUEST_SEQUENCE[0]: sequence(items)} if is_asked or is_usual else {}


def _uids(level: Level, study: Mapping[str, Any], attributes: Mapping[str, Any]) -> tuple[str, str | None, str | None]:
    series = attributes["series_instance_uid"] if level >= Level.SERIES else None
    instance = attributes["sop_instance_uid"] if level >= Level.INSTANCE else None
    return study["study_instance_uid"], series, instance
