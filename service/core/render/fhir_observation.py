"""Findings as FHIR R4 Observations: one a finding, its interval, probability and extremes as components.

Series over the frames stay in the JSON, as they do of the SR.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from service.core import codes
from service.core.finding_identity import identities
from service.core.findings import Code, Finding, FindingKind, FindingSite
from service.core.identifiers import derive_uid
from service.core.render.fhir_persons import performers, status_of, withdrawn_status
from service.core.render.fhir_values import Element, clean, coded, coding, concept, hl7, instant, pruned, quantity
from service.core.report import RESEARCH_USE, Report
from service.core.wording import label, site_text, title_of

#: Names of findings within the service; UIDs as text.
FINDING_SYSTEM = f"urn:oid:{derive_uid('identifier system', 'finding')}"

_WRONG = concept(hl7("data-absent-reason", "error", "Error"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """References to what every observation of a report is about, and what it shares with the report."""

    subject: Element
    based_on: Element | None
    imaging_study: Element
    meta: Element
    effective: str | None


def observation_ids(report: Report) -> list[str]:
    """Of each finding, in order: the same finding has the same one in every version of the report."""
    return [_observation_id(report, identity) for identity in identities(report.findings)]


def gone_ids(report: Report) -> list[str]:
    """Of each finding that earlier versions had and this one has not."""
    return [_observation_id(report, one.identity) for one in report.gone]


def _observation_id(report: Report, identity: str) -> str:
    return f"{report.lineage}.{identity}"


def observation(report: Report, finding: Finding, named: str, surroundings: Surroundings, device: Element) -> Element:
    """One finding, named by its id."""
    is_kept = named.rpartition(".")[2] in report.kept
    said = {"status": status_of(report, finding, is_kept=is_kept), **_value(finding)}
    return _observation(report, finding, named, surroundings, device, said)


def withdrawn_observation(report: Report, gone: Finding, named: str, surroundings: Surroundings, device: Element) -> Element:
    """What an earlier version had and this one has not, so that nobody goes on reading it."""
    said = {"status": withdrawn_status(report), "dataAbsentReason": _WRONG}
    return _observation(report, gone, named, surroundings, device, said)


def _observation(
    report: Report, finding: Finding, named: str, surroundings: Surroundings, device: Element, said: Element
) -> Element:
    """`said` is the status, and the value or why there is none."""
    return pruned(
        resourceType="Observation",
        id=named,
        meta=surroundings.meta,
        identifier=[{"system": FINDING_SYSTEM, "value": finding.finding_id}],
        basedOn=[surroundings.based_on] if surroundings.based_on else None,
        status=said["status"],
        category=[concept(hl7("observation-category", "imaging", "Imaging"))],
        code=_code(finding),
        subject=surroundings.subject,
        effectiveDateTime=surroundings.effective,
        issued=instant(report.created_at),
        performer=performers(finding),
        **{name: value for name, value in said.items() if name != "status"},
        note=[{"text": text} for text in _notes(finding)],
        bodySite=_body_site(finding.site),
        method=concept(text=f"{label(finding.analysis.name)} {finding.analysis.version}"),
        device=device,
        referenceRange=[pruned(text=clean(finding.reference_range))] if clean(finding.reference_range) else None,
        derivedFrom=[surroundings.imaging_study],
        component=list(_components(finding)),
    )


def _code(finding: Finding) -> Element:
    """Our concept, and beside a private one the standard concept that it is a kind of."""
    known = codes.concept_of(finding)
    parent = _parent(known)
    return concept(coding(known), *([coding(parent)] if parent else []), text=title_of(finding))


def _parent(code: Code) -> Code | None:
    return codes.STANDARD_PARENTS.get(code.value) if codes.is_private(code) else None


def _value(finding: Finding) -> Element:
    """A number, a word, or why there is none; what is only a statement says it."""
    if isinstance(finding.value, float) and math.isfinite(finding.value):
        return {"valueQuantity": quantity(finding.value, finding.unit)}
    if isinstance(finding.value, float):
        return {"dataAbsentReason": concept(hl7("data-absent-reason", "not-a-number", "Not a Number (NaN)"))}
    if finding.is_rejected:
        return {"dataAbsentReason": _WRONG}
    if finding.kind is FindingKind.NOT_MEASURED:
        return {"dataAbsentReason": concept(hl7("data-absent-reason", "not-performed", "Not Performed"))}
    text = clean(finding.value) or clean(finding.text)
    return pruned(valueString=text)


def _notes(finding: Finding) -> Iterator[str]:
    yield RESEARCH_USE
    if text := clean(finding.text):
        yield text
    if finding.flags:
        yield f"Flags: {', '.join(finding.flags)}"
    frames = ", ".join(map(str, finding.evidence.frames))
    yield f"Read from instance {finding.evidence.sop_instance_uid}" + (f", frames {frames}" if frames else "")
    if finding.amended_by and finding.amended is None:
        yield f"Amended by {clean(finding.amended_by)}"


def _body_site(site: FindingSite | None) -> Element:
    """The site and, of a SNOMED CT one with a side, the post-coordinated expression too; MDC's have no such form."""
    if site is None:
        return {}
    sided = _sided(site)
    several = [coding(code) for code in (site.code, sided) if code]
    return concept(*several, text=site_text(site))


def _sided(site: FindingSite) -> Code | None:
    if site.code is None or site.code.scheme != "SCT" or site.laterality is None:
        return None
    side = codes.LATERALITIES[site.laterality]
    expression = f"{site.code.value}:{codes.LATERALITY.value}={side.value}"
    return Code(scheme="SCT", value=expression, meaning=site_text(site))


def _components(finding: Finding) -> Iterator[Element]:
    if finding.statistic:
        known = codes.STATISTICS.get(finding.statistic)
        yield _component(codes.DERIVATION, valueCodeableConcept=coded(known) if known else concept(text=finding.statistic))
    if finding.site and finding.site.laterality:
        yield _component(codes.LATERALITY, valueCodeableConcept=coded(codes.LATERALITIES[finding.site.laterality]))
    for code, value, unit in (*_limits(finding), *_extremes(finding), *_probability(finding)):
        if math.isfinite(value):
            yield _component(code, valueQuantity=quantity(value, unit))


def _limits(finding: Finding) -> list[tuple[Code, float, str | None]]:
    if finding.interval is None:
        return []
    lower, upper = codes.interval_limits(finding.interval.level)
    return [(lower, finding.interval.low, finding.unit), (upper, finding.interval.high, finding.unit)]


def _extremes(finding: Finding) -> list[tuple[Code, float, str | None]]:
    if finding.range is None:
        return []
    low, high = finding.range
    return [(codes.STATISTICS["minimum"], low, finding.unit), (codes.STATISTICS["maximum"], high, finding.unit)]


def _probability(finding: Finding) -> list[tuple[Code, float, str | None]]:
    """Nothing where the value is the probability: no component may have a code of the whole (R4 Observation, obs-7)."""
    if finding.probability is None or codes.PROBABILITY in (known := codes.concept_of(finding), _parent(known)):
        return []
    return [(codes.PROBABILITY, finding.probability, "1")]


def _component(code: Code, **value: Element) -> Element:
    return {"code": coded(code), **value}
