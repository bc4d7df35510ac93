"""Store Instances Responses (PS3.18 10.5.3, Annex I.2): what a server's answer says of the one object that it was sent, and ours.

Stored is only what an answer names as stored: a proxy's page also comes with a 200.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from xml.parsers import expat

from service.core.delivery_status import is_http_success, judge_status, raise_if_passing, refusal
from service.core.dicom_json import Element, element, sequence
from service.errors import Unavailable

_FAILED_SOP_SEQUENCE = "00081198"
_OTHER_FAILURES_SEQUENCE = "0008119A"
_REFERENCED_SOP_SEQUENCE = "00081199"
_REFERENCED_SOP_CLASS_UID = "00081150"
_REFERENCED_SOP_INSTANCE_UID = "00081155"
_RETRIEVE_URL = "00081190"
_FAILURE_REASON = "00081197"
_WARNING_REASON = "00081196"

_OK, _ACCEPTED = 200, 202
_MEND = {
    401: "The server does not know us (401): check token, or username and password, of the destination.",
    403: "The server does not let us store (403): give the credentials of the destination that right.",
    404: "The server has no STOW-RS there (404): the url of the destination is what /studies is added to.",
    405: "The server takes no STOW-RS there (405): the url of the destination is what /studies is added to.",
    413: "The object is larger than the server takes (413): raise its limit, or the limit of the proxy before it.",
    415: "The server takes no application/dicom there (415): check the url of the destination.",
}


@dataclass(frozen=True, slots=True)
class StoreResponse:
    """A Store Instances Response Module: what was stored, by UID, with its warning (0 for none), and why others were not."""

    stored: Mapping[str, int]
    failures: tuple[int, ...]


def read_store_response(body: bytes) -> StoreResponse | None:
    """From DICOM JSON (PS3.18 F) or the Native DICOM Model (PS3.19 A.1); None for anything else."""
    try:
        module = _from_xml(body) if body.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<") else json.loads(body)
    except (ValueError, RecursionError, expat.ExpatError):
        return None
    if isinstance(module, list):
        module = module[0] if len(module) == 1 else None
    if not isinstance(module, dict):
        return None
    failed = [*_items(module, _FAILED_SOP_SEQUENCE), *_items(module, _OTHER_FAILURES_SEQUENCE)]
    return StoreResponse(
        stored={
            str(uid).strip("\0 "): _number(item, _WARNING_REASON)
            for item in _items(module, _REFERENCED_SOP_SEQUENCE)
            for uid in _values(item, _REFERENCED_SOP_INSTANCE_UID)
        },
        failures=tuple(_number(item, _FAILURE_REASON) for item in failed),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreOutcome:
    """One object of a request to us: its names, where they could be read, and where it is or why it was refused."""

    sop_class_uid: str | None
    sop_instance_uid: str | None
    retrieve_url: str | None = None
    failure_reason: int | None = None


def write_store_response(outcomes: Sequence[StoreOutcome], *, study_url: str | None) -> dict[str, Element]:
    """As DICOM JSON; what could not even be named is in OtherFailuresSequence (PS3.18 Annex I.2)."""
    stored = [{**_names(one), _RETRIEVE_URL: element("UR", [one.retrieve_url])} for one in outcomes if one.failure_reason is None]
    refused = [one for one in outcomes if one.failure_reason is not None]
    failed = [{**_names(one), **_reason(one)} for one in refused if one.sop_instance_uid is not None]
    others = [_reason(one) for one in refused if one.sop_instance_uid is None]
    module = {_RETRIEVE_URL: element("UR", [study_url])} if study_url is not None else {}
    sequences = ((_FAILED_SOP_SEQUENCE, failed), (_REFERENCED_SOP_SEQUENCE, stored), (_OTHER_FAILURES_SEQUENCE, others))
    return dict(sorted({**module, **{tag: sequence(items) for tag, items in sequences if items}}.items()))


def _names(one: StoreOutcome) -> dict[str, Element]:
    return {
        _REFERENCED_SOP_CLASS_UID: element("UI", [one.sop_class_uid]),
        _REFERENCED_SOP_INSTANCE_UID: element("UI", [one.sop_instance_uid]),
    }


def _reason(one: StoreOutcome) -> dict[str, Element]:
    return {_FAILURE_REASON: element("US", [one.failure_reason])}


def judge_store_response(status: int, response: StoreResponse | None, sop_instance_uid: str) -> str:
    """A warning, or nothing, for an object that the server has. Raises Unavailable (send again) or InputRejected.

    A FailureReason decides wherever the server gives one, but for statuses that pass (5xx, 408, 425, 429).
    """
    raise_if_passing(status)
    if response is not None and response.failures and response.failures[0]:
        return judge_status(response.failures[0])
    if status in (_OK, _ACCEPTED) and response is not None and not response.failures and sop_instance_uid in response.stored:
        return judge_status(response.stored[sop_instance_uid])
    if is_http_success(status):
        raise Unavailable(
            f"The server answered {status} and did not say that it stored the object: check the url of the destination.",
            reason="not_confirmed",
        )
    raise refusal(status, _MEND)


def _items(item: Mapping[str, Any], tag: str) -> list[Mapping[str, Any]]:
    return [value for value in _values(item, tag) if isinstance(value, dict)]


def _values(item: Mapping[str, Any], tag: str) -> list[Any]:
    element = item.get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    return values if isinstance(values, list) else []


def _number(item: Mapping[str, Any], tag: str) -> int:
    """0 where there is none."""
    try:
        return int(_values(item, tag)[0])
    except (IndexError, TypeError, ValueError, OverflowError):
        return 0


def _from_xml(body: bytes) -> dict[str, Any]:
    """The same shape as DICOM JSON has. Raises ValueError or ExpatError; a document type, which could define entities, is one."""
    model = _NativeModel()
    parser = expat.ParserCreate()
    parser.StartElementHandler = model.start
    parser.EndElementHandler = model.end
    parser.CharacterDataHandler = model.text
    parser.StartDoctypeDeclHandler = model.refuse
    parser.Parse(body, True)  # noqa: FBT003 - expat takes it by position only
    return model.module


class _NativeModel:
    def __init__(self) -> None:
        self.module: dict[str, Any] = {}
        self._items = [self.module]
        self._values: list[list[Any]] = []
        self._text = ""

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._text = ""
        match name.rpartition(":")[2]:
            case "DicomAttribute":
                self._values.append([])
                self._items[-1][attributes.get("tag", "").upper()] = {"Value": self._values[-1]}
            case "Item" if self._values:
                item: dict[str, Any] = {}
                self._values[-1].append(item)
                self._items.append(item)

    def end(self, name: str) -> None:
        match name.rpartition(":")[2]:
            case "DicomAttribute":
                self._values.pop()
            case "Item" if self._values:
                self._items.pop()
            case "Value" if self._values:
                self._values[-1].append(self._text)

    def text(self, characters: str) -> None:
        self._text += characters

    def refuse(self, *_: object) -> None:
        raise ValueError("a document type")
