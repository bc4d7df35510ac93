"""What the FHIR interface tells of itself: read and search of three types, nothing else, no profile."""

from collections.abc import Mapping
from typing import Any

from service.core.report import RESEARCH_USE

_OF_BOTH = {"identifier": "token", "identifier:of-type": "token", "patient": "reference", "patient.identifier": "token"}
REPORT_SEARCH: Mapping[str, str] = {**_OF_BOTH, "status": "token", "date": "date"}
STUDY_SEARCH: Mapping[str, str] = {**_OF_BOTH, "started": "date"}
OBSERVATION_SEARCH: Mapping[str, str] = {"derived-from": "reference"}
_PATIENT = "The value of the patient's identifier; no Patient is served here, so there is no id to ask for."
#: Changes when the statement does.
_DATE = "2026-11-22"
_SEARCHES = {"DiagnosticReport": REPORT_SEARCH, "Observation": OBSERVATION_SEARCH, "ImagingStudy": STUDY_SEARCH}


def capability_statement(*, version: str, address: str) -> dict[str, Any]:
    """A CapabilityStatement of the instance at `address`."""
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": _DATE,
        "kind": "instance",
        "software": {"name": "Sonomyo", "version": version},
        "implementation": {"description": f"Reports on musculoskeletal ultrasound. {RESEARCH_USE}.", "url": address},
        "fhirVersion": "4.0.1",
        "format": ["json", "application/fhir+json"],
        "rest": [
            {
                "mode": "server",
                "security": {"description": "A bearer token (an API key), or the session of the viewer."},
                "resource": [_resource(kind, searches) for kind, searches in _SEARCHES.items()],
            }
        ],
    }


def _resource(kind: str, searches: Mapping[str, str]) -> dict[str, Any]:
    """Modifiers and chains are no parameters of their own (R4 CapabilityStatement.rest.resource.searchParam)."""
    history = [{"code": "vread"}] if kind == "DiagnosticReport" else []
    included = {"searchInclude": ["DiagnosticReport:result"]} if kind == "DiagnosticReport" else {}
    return {
        "type": kind,
        "interaction": [{"code": "read"}, *history, {"code": "search-type"}],
        "versioning": "versioned" if history else "no-version",
        **included,
        "searchParam": [
            {"name": name, "type": sort, **({"documentation": _PATIENT} if name == "patient" else {})}
            for name, sort in searches.items()
            if not set(name) & {":", "."}
        ],
    }
