"""What a FHIR R4 server's answer says of the transaction that it was sent (R4 http.html#transaction-response).

Taken is only what the answer says was taken: a proxy's page also comes with a 200. Of an OperationOutcome only coded values
and names of elements are told: its words may repeat a patient's.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from service.core.delivery_status import is_http_success, is_passing, refusal
from service.errors import InputRejected, Unavailable

#: Value set issue-type (R4): those under `transient` may go away by themselves.
_TRANSIENT = frozenset({"transient", "lock-error", "no-store", "exception", "timeout", "incomplete", "throttled"})
_ISSUES = _TRANSIENT | {
    "invalid", "structure", "required", "value", "invariant", "security", "login", "unknown", "expired", "forbidden",
    "suppressed", "processing", "not-supported", "duplicate", "multiple-matches", "not-found", "deleted", "too-long",
    "code-invalid", "extension", "too-costly", "business-rule", "conflict", "informational",
}  # fmt: skip
_ERRORS = frozenset({"fatal", "error"})
_NOT_MODIFIED, _CONFLICT = 304, 409
_MOST_TOLD = 3
_STEP = re.compile(r"(?:ofType\()?(?P<name>[A-Za-z]+)\)?(?:\[\d{1,5}\])?")
_MEND = {
    401: "The server does not know us (401): check token, username and password, or tls of the destination.",
    403: "The server does not let us write (403): give the credentials of the destination that right.",
    404: "The server has no FHIR there (404): the url of the destination is the server's base, to which transactions are posted.",
    405: "The server takes no transaction there (405): the url of the destination is the server's base.",
    412: "The server has more than one match for the patient or the study (412): merge them there, or mend patient_systems.",
    413: "The report is larger than the server takes (413): raise its limit, or the limit of the proxy before it.",
    415: "The server takes no application/fhir+json there (415): check the url of the destination.",
}


def addressed(bundle: bytes, patient_systems: Mapping[str, str]) -> bytes:
    """The transaction for one server: a patient whose issuer it has a URI for is made only where it has none (ifNoneExist).

    `patient_systems` maps the issuer, empty for none, to that URI.
    """
    if not patient_systems:
        return bundle
    whole = json.loads(bundle)
    for entry in whole["entry"]:
        if entry["resource"]["resourceType"] == "Patient":
            _look_for_patient(entry, patient_systems)
    return json.dumps(whole, ensure_ascii=False, separators=(",", ":")).encode()


def judge_transaction(status: int, body: bytes, sent: bytes) -> None:
    """Nothing for a transaction that was taken. Raises Unavailable (send again) or InputRejected.

    Again: 5xx, 408, 425, 429; 409, for two reports may touch one patient at a time; what the server itself calls transient; a
    success that does not say what was done.
    """
    answer = _resource(body)
    if is_http_success(status):
        _check_taken(status, answer, len(json.loads(sent)["entry"]))
        return
    issues = [issue for issue in _items(answer, "issue") if issue.get("severity") in _ERRORS]
    said = _said(issues, sent)
    is_transient = bool(issues) and all(issue.get("code") in _TRANSIENT for issue in issues)
    if is_passing(status) or status == _CONFLICT or is_transient:
        raise Unavailable(f"The server could not take the report now ({status}).{said}", reason="not_stored")
    refused = refusal(status, _MEND)
    raise InputRejected(f"{refused}{said}", reason=refused.reason)


def lacking(capability: bytes) -> str | None:
    """What a server says it lacks for our transactions, by its CapabilityStatement; None where it says no such thing."""
    found = _resource(capability)
    if found.get("resourceType") != "CapabilityStatement":
        return "it has no CapabilityStatement at /metadata, so the url may not be the base of a FHIR server"
    version = found.get("fhirVersion")
    if not (isinstance(version, str) and version.startswith("4.")):
        return "it does not speak FHIR R4"
    rest = _items(found, "rest")
    interactions = [one.get("code") for part in rest for one in _items(part, "interaction")]
    if interactions and "transaction" not in interactions:
        return "it takes no transactions"
    if any(kind.get("updateCreate") is False for part in rest for kind in _items(part, "resource") if kind.get("type") in _PUT):
        return "it lets no client name resources (updateCreate is false), which keeps a repeated report from being a second one"
    return None


_PUT = ("DiagnosticReport", "Observation", "Patient", "Device", "ServiceRequest", "Provenance")


def _look_for_patient(entry: dict[str, Any], systems: Mapping[str, str]) -> None:
    for identifier in entry["resource"].get("identifier", []):
        system = systems.get(identifier.get("assigner", {}).get("display", ""))
        if system is not None:
            identifier["system"] = system
            wanted = "identifier=" + quote(f"{system}|{_escaped(identifier['value'])}", safe=":/|")
            entry["request"] = {"method": "POST", "url": "Patient", "ifNoneExist": wanted}
            del entry["resource"]["id"]
            return


def _escaped(value: str) -> str:
    """As a search wants a value that holds its separators (R4 search.html#escaping)."""
    return re.sub(r"([\\,$|])", r"\\\1", value)


def _check_taken(status: int, answer: Mapping[str, Any], expected: int) -> None:
    entries = _items(answer, "entry") if answer.get("type") == "transaction-response" else []
    if len(entries) != expected:
        raise Unavailable(
            f"The server answered {status} and did not say that it took the report: check the url of the destination.",
            reason="not_confirmed",
        )
    statuses = [_leading_number(entry.get("response")) for entry in entries]
    failed = [one for one in statuses if not is_http_success(one) and one != _NOT_MODIFIED]
    if any(map(is_passing, failed)):
        raise Unavailable(f"The server answered {status} and did not take a part of the report.", reason="not_confirmed")
    if failed:
        raise InputRejected(
            f"The server took a part of the report only: another part was answered {failed[0]}.", reason="refused"
        )


def _leading_number(response: object) -> int:
    """Of `201 Created`; 0 for what is none."""
    found = re.match(r"\d{3}", str(response.get("status", ""))) if isinstance(response, dict) else None
    return int(found[0]) if found else 0


def _said(issues: Sequence[Mapping[str, Any]], sent: bytes) -> str:
    """The coded part of what is wrong, as a sentence; nothing where there is none."""
    names = frozenset(_names(json.loads(sent))) if issues else frozenset[str]()
    told = list(dict.fromkeys(text for issue in issues if (text := _told(issue, names))))
    more = f" and {len(told) - _MOST_TOLD} more" if len(told) > _MOST_TOLD else ""
    return f" It says: {'; '.join(told[:_MOST_TOLD])}{more}." if told else ""


def _told(issue: Mapping[str, Any], names: frozenset[str]) -> str:
    code = issue.get("code")
    if code not in _ISSUES:
        return ""
    places = [place for one in _texts(issue, "expression") if (place := _place(one, names))]
    return f"{code} at {places[0]}" if places else str(code)


def _place(expression: str, names: frozenset[str]) -> str:
    """As much of a FHIRPath as is made of names that we sent, which no value of a patient is."""
    kept: list[str] = []
    for step in expression.split("."):
        found = _STEP.fullmatch(step)
        if found is None or found["name"] not in names:
            break
        kept.append(step)
    return ".".join(kept)


def _names(node: object) -> Iterator[str]:
    """Names of elements and types of resources."""
    if isinstance(node, dict):
        for name, value in node.items():
            yield name
            if name == "resourceType":
                yield str(value)
            yield from _names(value)
    elif isinstance(node, list):
        for one in node:
            yield from _names(one)


def _resource(body: bytes) -> Mapping[str, Any]:
    """JSON of one resource; empty for anything else."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _items(node: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    several = node.get(name)
    return [one for one in several if isinstance(one, dict)] if isinstance(several, list) else []


def _texts(node: Mapping[str, Any], name: str) -> list[str]:
    several = node.get(name)
    return [one for one in several if isinstance(one, str)] if isinstance(several, list) else []
