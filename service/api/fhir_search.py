"""FHIR R4 search parameters (R4 3.1.1) as what reports are narrowed to."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Annotated

from fastapi import Depends, Query, Request

from service.api import fhir_answers
from service.api.dependencies import Accept
from service.api.problems import Problem
from service.core.report import ReportStatus
from service.views import ReportFilter

_NO_NUL = r"^[^\x00]*$"
Token = Annotated[str | None, Query(max_length=200, pattern=_NO_NUL)]
Count = Annotated[int, Query(alias="_count", ge=1, le=100, description="How many matches a page.")]
After = Annotated[str | None, Query(alias="_cursor", max_length=512, description="From the `next` link of the page before.")]
Format = Annotated[str | None, Query(alias="_format", max_length=64, description="`json` or application/fhir+json.")]
DayRange = Annotated[
    list[Annotated[str, Query(pattern=r"^(eq|ge|gt|sa|le|lt|eb)?[0-9]{4}-[0-9]{2}-[0-9]{2}$")]] | None,
    Query(max_length=4, description="A day, with a prefix or none; several narrow together."),
]
ACSN = "http://terminology.hl7.org/CodeSystem/v2-0203|ACSN|"
_UID, _UUID = "urn:oid:", "urn:uuid:"
_DICOM_SYSTEM, _URI_SYSTEM = "urn:dicom:uid", "urn:ietf:rfc:3986"
_OF_EVERY_SEARCH = ("_count", "_cursor", "_format")
_REPEATABLE = frozenset({"date", "started"})


@dataclass(frozen=True, slots=True)
class Paging:
    """How much of what is found, from where, and as which media type."""

    count: int
    cursor: str | None
    kind: str


def read_kind(accept: Accept, wanted: Format = None) -> str:
    """The media type of the answer. Raises Problem (406)."""
    return fhir_answers.media_type(accept, wanted)


Kind = Annotated[str, Depends(read_kind)]


def read_paging(kind: Kind, count: Count = 20, cursor: After = None) -> Paging:
    """The paging of a search."""
    return Paging(count, cursor, kind)


Page = Annotated[Paging, Depends(read_paging)]


def check_known(request: Request, known: Sequence[str]) -> None:
    """A parameter that is not known, or given twice, would be left out and widen the search; so it is refused (422)."""
    names = (*known, *_OF_EVERY_SEARCH)
    given = [name for name, _ in request.query_params.multi_items()]
    twice = any(given.count(name) > 1 for name in set(given) - _REPEATABLE)
    if twice or not set(given) <= set(names):
        raise Problem(422, f"Search by {', '.join(names)}, each once.", reason="search_parameter")


def read_reports(
    identifier: Token = None,
    of_type: Annotated[Token, Query(alias="identifier:of-type")] = None,
    patient: Token = None,
    patient_identifier: Annotated[Token, Query(alias="patient.identifier")] = None,
    status: ReportStatus | None = None,
    day: Annotated[DayRange, Query(alias="date")] = None,
) -> ReportFilter:
    """The filters of DiagnosticReport: `patient` too is the patient's identifier, for no Patient is served here."""
    first, last = _days(day or ())
    who = _agreed(_value(patient), _value(patient_identifier))
    narrowed = {"patient_id": who, "status": status, "from_date": first, "to_date": last}
    return ReportFilter.model_validate({**narrowed, **_names(identifier, of_type)})


def read_studies(
    identifier: Token = None,
    of_type: Annotated[Token, Query(alias="identifier:of-type")] = None,
    patient: Token = None,
    patient_identifier: Annotated[Token, Query(alias="patient.identifier")] = None,
    started: DayRange = None,
) -> ReportFilter:
    """The filters of ImagingStudy."""
    return read_reports(identifier, of_type, patient, patient_identifier, None, started)


def _names(identifier: str | None, of_type: str | None) -> dict[str, str]:
    """A study by its UID, one version of a report by its UUID, or an order by its accession number."""
    if of_type is not None and not of_type.startswith(ACSN):
        raise Problem(422, f"identifier:of-type is for {ACSN}NUMBER only.", reason="search_parameter")
    number = None if of_type is None else of_type.removeprefix(ACSN)
    named = {} if identifier is None else _named(identifier)
    if number is not None:
        named["accession_number"] = _agreed(named.get("accession_number"), number) or ""
    return named


def _named(identifier: str) -> dict[str, str]:
    system, _, value = identifier.rpartition("|")
    if value.startswith(_UID) and system in ("", _DICOM_SYSTEM):
        return {"study_instance_uid": value.removeprefix(_UID)}
    if value.startswith(_UUID) and system in ("", _URI_SYSTEM):
        return {"report_id": value.removeprefix(_UUID).lower()}
    if system:
        raise Problem(422, f"Identifiers with a system are {_DICOM_SYSTEM}|{_UID}… and {_URI_SYSTEM}|{_UUID}….", reason="system")
    return {"accession_number": value}


def _value(token: str | None) -> str | None:
    """The value of a token without a system: IssuerOfPatientID is no URI, so patients' identifiers have none."""
    if token is None:
        return None
    system, _, value = token.rpartition("|")
    if system:
        raise Problem(422, "Patients' identifiers have no system here.", reason="system")
    return value


def _agreed(one: str | None, other: str | None) -> str | None:
    """Both, where two parameters say the same thing in two ways."""
    if one is not None and other is not None and one != other:
        raise Problem(422, "Two parameters ask for two different things.", reason="search_parameter")
    return other if one is None else one


def _days(asked: Sequence[str]) -> tuple[date | None, date | None]:
    """First and last day that fit all. Raises Problem (422) for a day that no calendar has."""
    try:
        spans = [_span(one) for one in asked]
    except (ValueError, OverflowError) as error:
        raise Problem(422, "There is no such day.", reason="date") from error
    firsts, lasts = [first for first, _ in spans if first], [last for _, last in spans if last]
    return max(firsts, default=None), min(lasts, default=None)


def _span(asked: str) -> tuple[date | None, date | None]:
    prefix, day = asked[:-10], date.fromisoformat(asked[-10:])
    after, before = timedelta(days=1), timedelta(days=-1)
    spans = {"ge": (day, None), "le": (None, day)}
    if prefix in ("gt", "sa"):
        return day + after, None
    if prefix in ("lt", "eb"):
        return None, day + before
    return spans.get(prefix, (day, day))
