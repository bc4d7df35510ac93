"""Problems as FHIR R4 OperationOutcomes, for those who ask where FHIR is spoken."""

from collections.abc import Mapping
from typing import Any

MEDIA_TYPE = "application/fhir+json"
_PATH = "/fhir"
_SERVER_ERROR = 500
#: http://hl7.org/fhir/issue-type
_CODES = {
    401: "login",
    403: "forbidden",
    404: "not-found",
    405: "not-supported",
    406: "not-supported",
    408: "timeout",
    409: "conflict",
    413: "too-long",
    415: "not-supported",
    422: "invalid",
    429: "throttled",
    503: "transient",
    507: "no-store",
}


def is_fhir_path(path: str) -> bool:
    """True where FHIR is spoken."""
    return path == _PATH or path.startswith(f"{_PATH}/")


def outcome(status: int, detail: str, *, reason: str, extensions: Mapping[str, Any], request_id: str | None) -> dict[str, Any]:
    """One issue for the problem, and one for each field that is wrong; nothing of what was sent."""
    code = _CODES.get(status, "exception" if status >= _SERVER_ERROR else "processing")
    severity = "fatal" if status >= _SERVER_ERROR else "error"
    first: dict[str, Any] = {
        "severity": severity,
        "code": code,
        "details": {"coding": [{"system": "urn:sonomyo:problem", "code": reason}], "text": detail},
    }
    if request_id:
        first["diagnostics"] = f"request_id {request_id}"
    fields = [
        {"severity": severity, "code": code, "details": {"text": f"{'.'.join(wrong['location'])}: {wrong['message']}"}}
        for wrong in extensions.get("errors", ())
    ]
    return {"resourceType": "OperationOutcome", "issue": [first, *fields]}
