"""Persons in FHIR R4: who signed, amended or withdrew a report, and the statuses that follow from it."""

from collections.abc import Iterator

from service.core.findings import Finding
from service.core.identifiers import derive_uid
from service.core.render.fhir_values import Element, clean, concept, derived_uuid, hl7, pruned, refer
from service.core.report import SIGNED, Report, ReportStatus

#: Names of accounts within the service; UIDs as text.
USER_SYSTEM = f"urn:oid:{derive_uid('identifier system', 'user')}"
_ENTERED_IN_ERROR, _CANCELLED = "entered-in-error", "cancelled"
#: Provenance.agent.type, by what the person did.
_AGENTS = {"signed": ("verifier", "Verifier"), "amended": ("author", "Author"), "cancelled": ("author", "Author")}
#: Provenance.agent.role (v3-ParticipationType).
_ROLES = {"verifier": ("LA", "legal authenticator"), "author": ("AUT", "author (originator)")}


def is_signed(report: Report) -> bool:
    """Whether a person is named who stands for it."""
    return report.is_signed and bool(report.signed_by)


def status_of(report: Report, finding: Finding | None = None, *, is_kept: bool = False) -> str:
    """Of the report, or of one of its findings, which may be as it was first signed; both value sets have these words.

    What was withdrawn after a signature is `entered-in-error`, before it `cancelled`; so is what a person has rejected.
    """
    is_withdrawn = report.status is ReportStatus.CANCELLED or (finding is not None and finding.is_rejected)
    if is_withdrawn:
        return withdrawn_status(report)
    return ReportStatus.FINAL.value if is_kept and report.is_signed else report.status.value


def withdrawn_status(report: Report) -> str:
    """Of what this version takes back."""
    return _ENTERED_IN_ERROR if report.is_signed or report.withdrawn in SIGNED else _CANCELLED


def practitioners(report: Report) -> tuple[Element, ...]:
    """A Practitioner for each person whose deed or word the version holds."""
    people = dict(_people(report))
    return tuple(_practitioner(user_id, name) for user_id, name in people.items())


def interpreters(report: Report) -> list[Element]:
    """DiagnosticReport.resultsInterpreter: who signed."""
    if not is_signed(report):
        return []
    return [_refer(report.act.user_id if report.act else "", report.signed_by or "")]


def performers(finding: Finding) -> list[Element]:
    """Observation.performer: whose word the finding is."""
    return [] if finding.amended is None else [_refer(finding.amended.user_id, finding.amended.by)]


def agents(report: Report) -> list[Element]:
    """Provenance.agent of the person who made this version of another one."""
    if report.act is not None:
        kind, display = _AGENTS[report.act.kind]
        return [_person(kind, display, _refer(report.act.user_id, report.act.by))]
    return [_person("verifier", "Verifier", who) for who in interpreters(report)]


def agent(kind: str, display: str, who: Element) -> Element:
    """One that took part."""
    return {"type": concept(hl7("provenance-participant-type", kind, display)), "who": who}


def _person(kind: str, display: str, who: Element) -> Element:
    role = concept(hl7("v3-ParticipationType", *_ROLES[kind]))
    return {**agent(kind, display, who), "role": [role]}


def reason(report: Report) -> list[Element]:
    """Provenance.reason: why the person did so."""
    return [concept(text=report.act.why)] if report.act is not None and report.act.why else []


def activity(report: Report) -> Element:
    """Provenance.activity (v3-DataOperation)."""
    if report.status is ReportStatus.CANCELLED:
        return hl7("v3-DataOperation", "NULLIFY", "nullify")
    return hl7("v3-DataOperation", *(("UPDATE", "revise") if report.predecessor else ("CREATE", "create")))


def _people(report: Report) -> Iterator[tuple[str, str]]:
    """By account; one of whom only the name is known has none."""
    if report.act is not None:
        yield report.act.user_id, report.act.by
    elif is_signed(report):
        yield "", report.signed_by or ""
    for finding in report.findings:
        if finding.amended is not None:
            yield finding.amended.user_id, finding.amended.by


def _practitioner(user_id: str, name: str) -> Element:
    return pruned(
        resourceType="Practitioner",
        id=str(derived_uuid("Practitioner", user_id or name)),
        identifier=[{"system": USER_SYSTEM, "value": user_id}] if user_id else None,
        name=[pruned(text=clean(name))],
    )


def _refer(user_id: str, name: str) -> Element:
    return refer(_practitioner(user_id, name))
