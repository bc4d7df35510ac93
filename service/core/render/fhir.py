"""Report -> FHIR R4: a transaction Bundle of all that it says, and each resource by itself for who reads one by HTTP.

Ids are functions of the report (all its versions are one DiagnosticReport, and a finding of theirs one Observation, so that the
next version updates them) or of what they name; times are the version's. The same version gives the same bytes. What is
unsigned says so: status `preliminary`, label AIAST; no profile is claimed.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fhir.resources.R4B import get_fhir_model_class
from pydantic import ValidationError

from service.core import codes
from service.core.instance import InstanceAttributes
from service.core.render import fhir_context as around
from service.core.render import fhir_persons as persons
from service.core.render.fhir_alone import by_itself, versioned
from service.core.render.fhir_observation import Surroundings, gone_ids, observation, observation_ids, withdrawn_observation
from service.core.render.fhir_values import (
    UUID_SYSTEM,
    Element,
    attachment,
    clean,
    coded,
    concept,
    day,
    derived_uuid,
    hl7,
    instant,
    pruned,
    refer,
    resource_key,
    with_references,
)
from service.core.render.published import NOWHERE, Form, Published
from service.core.report import RESEARCH_USE, Report
from service.core.review_words import remarks
from service.errors import InputRejected, NotFound

#: AI Transparency on FHIR (HL7, 1.0.0-ballot) adds to v3-ObservationValue; both codes are of its value set ProvenanceVS.
_AI_ASSERTED = hl7("v3-ObservationValue", "AIAST", "Artificial Intelligence asserted")
_CLINICIAN_ASSERTED = {
    "system": "http://hl7.org/fhir/uv/aitransparency/CodeSystem/AddedProvenanceCS",
    "code": "CLINAST_AIRPT",
    "display": "Clinician Asserted from AI Reported",
}


def bundle(report: Report, instances: Sequence[InstanceAttributes], published: Published = NOWHERE) -> bytes:
    """A transaction. `instances` holds at least those that the findings rest on.

    Raises InputRejected when one of these is missing, or when the report holds what FHIR cannot.
    """
    made = _resources(report, published)
    study = _imaging_study(report, instances, made)
    everything = [*made.supporting, study, *made.observations, *made.gone, made.report, _provenance(report, made, study)]
    names = {resource_key(one): derived_uuid("fullUrl", report.report_id, resource_key(one)).urn for one in everything}
    return encode(
        {
            "resourceType": "Bundle",
            "id": str(derived_uuid("Bundle", report.report_id)),
            "type": "transaction",
            "timestamp": instant(report.created_at),
            "entry": [_entry(one, names) for one in everything],
        }
    )


def report_resource(report: Report, published: Published = NOWHERE) -> Element:
    """The DiagnosticReport by itself; this version of it."""
    made = _resources(report, published)
    return versioned(by_itself(made.report, made.supporting), report)


def observation_resources(report: Report) -> list[Element]:
    """The Observations by themselves, in the order of the report."""
    made = _resources(report, NOWHERE)
    return [versioned(by_itself(one, made.supporting), report) for one in made.observations]


def observation_resource(report: Report, name: str) -> Element:
    """The Observation with this id by itself, also one that the report has taken back. Raises NotFound."""
    made = _resources(report, NOWHERE)
    for one in (*made.observations, *made.gone):
        if one["id"] == name:
            return versioned(by_itself(one, made.supporting), report)
    raise NotFound("This report has no observation with that id.")


def imaging_study_resource(report: Report, instances: Sequence[InstanceAttributes], published: Published = NOWHERE) -> Element:
    """The ImagingStudy by itself, as far as the report rests on it. Raises InputRejected as `bundle` does."""
    made = _resources(report, published)
    return by_itself(_imaging_study(report, instances, made), made.supporting)


def encode(resource: Mapping[str, Any]) -> bytes:
    """JSON in UTF-8, checked against the model of its type. Raises InputRejected that tells where it does not fit, not what."""
    try:
        get_fhir_model_class(resource["resourceType"]).model_validate(resource)
    except ValidationError as error:
        places = sorted({".".join(map(str, one["loc"])) for one in error.errors(include_input=False, include_url=False)})
        raise InputRejected(f"The report cannot be written as FHIR: {', '.join(places)}.", reason="not_fhir") from None
    return json.dumps(resource, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Resources:
    """All resources of a report but its study, which needs the instances; references are relative."""

    patient: Element
    request: Element | None
    endpoint: Element | None
    software: Element
    makers: tuple[Element, ...]
    #: Whoever made this version of another one, and whoever's word stands in it.
    people: tuple[Element, ...] = ()
    observations: tuple[Element, ...] = ()
    #: What earlier versions had observed and this one has not.
    gone: tuple[Element, ...] = ()
    report: Element

    @property
    def supporting(self) -> list[Element]:
        """What the others refer to, in an order in which each is made before it is needed."""
        several = (self.patient, self.request, self.endpoint, self.software, *self.makers, *self.people)
        return [one for one in several if one is not None]


def _resources(report: Report, published: Published) -> _Resources:
    subject = around.patient(report.study)
    request = around.service_request(report.study, refer(subject))
    software = around.software_device(report)
    findings = (*report.findings, *(one.finding for one in report.gone))
    makers = {maker: around.maker_device(maker, software) for maker in dict.fromkeys(map(around.maker_of, findings))}
    made = _Resources(
        patient=subject,
        request=request,
        endpoint=around.endpoint(published.wado_root) if published.wado_root else None,
        software=software,
        makers=tuple(makers.values()),
        people=persons.practitioners(report),
        report={},
    )
    surroundings = _surroundings(report, made)
    observations = tuple(
        observation(report, finding, named, surroundings, refer(makers[around.maker_of(finding)]))
        for named, finding in zip(observation_ids(report), report.findings, strict=True)
    )
    gone = tuple(
        withdrawn_observation(report, one.finding, named, surroundings, refer(makers[around.maker_of(one.finding)]))
        for named, one in zip(gone_ids(report), report.gone, strict=True)
    )
    whole = _diagnostic_report(report, surroundings, published.forms)
    return replace(made, observations=observations, gone=gone, report=whole)


def _surroundings(report: Report, made: _Resources) -> Surroundings:
    return Surroundings(
        subject=refer(made.patient),
        based_on=refer(made.request) if made.request else None,
        imaging_study={"reference": f"ImagingStudy/{around.imaging_study_id(report.study)}"},
        meta={"lastUpdated": instant(report.created_at), "security": [_label(report)]},
        effective=day(report.study.study_date),
    )


def _label(report: Report) -> Element:
    """Only a report that names who signed it says that a clinician stands for it."""
    return _CLINICIAN_ASSERTED if persons.is_signed(report) else _AI_ASSERTED


def _imaging_study(report: Report, instances: Sequence[InstanceAttributes], made: _Resources) -> Element:
    return around.imaging_study(
        report,
        instances,
        subject=refer(made.patient),
        based_on=refer(made.request) if made.request else None,
        served_at=refer(made.endpoint) if made.endpoint else None,
    )


def _diagnostic_report(report: Report, surroundings: Surroundings, forms: Sequence[Form]) -> Element:
    return pruned(
        resourceType="DiagnosticReport",
        id=report.lineage,
        meta=surroundings.meta,
        identifier=_identifiers(report),
        basedOn=[surroundings.based_on] if surroundings.based_on else None,
        status=persons.status_of(report),
        category=[concept(hl7("v2-0074", "RUS", "Radiology Ultrasound"))],
        code=coded(codes.ULTRASOUND_REPORT),
        subject=surroundings.subject,
        effectiveDateTime=surroundings.effective,
        issued=instant(report.created_at),
        resultsInterpreter=persons.interpreters(report),
        result=[{"reference": f"Observation/{named}"} for named in observation_ids(report)],
        imagingStudy=[surroundings.imaging_study],
        conclusion=_conclusion(report),
        presentedForm=[_presented(form) for form in forms],
    )


def _identifiers(report: Report) -> list[Element]:
    """The report's, which all versions share, and the version's own; the study's and the order's, which searches go by, too."""
    own = [{"use": "official", "system": UUID_SYSTEM, "value": f"urn:uuid:{report.lineage}"}]
    if report.report_id != report.lineage:
        own.append({"use": "secondary", "system": UUID_SYSTEM, "value": f"urn:uuid:{report.report_id}"})
    study = {"use": "secondary", **around.study_identifier(report.study.study_instance_uid)}
    order = around.accession_identifier(report.study)
    return [*own, study, *([{"use": "secondary", **order}] if order else [])]


def _conclusion(report: Report) -> str:
    """R4's report has no notes, so what a reader must know stands around the impression."""
    told = [f"{RESEARCH_USE}.", report.impression, *remarks(report), *(one.text for one in report.comparisons)]
    if report.limitations:
        told.append("Limitations:")
    return clean("\n".join((*told, *report.limitations))) or RESEARCH_USE


def _presented(form: Form) -> Element:
    title = f"Report. {RESEARCH_USE}."
    if form.content is None:
        return pruned(contentType=form.media_type, url=form.address, title=title)
    return pruned(**attachment(form.media_type, form.content, title), language=form.language)


def _provenance(report: Report, made: _Resources, study: Element) -> Element:
    """Who made the report, of what, in place of which version; who signed it, once somebody has."""
    return pruned(
        resourceType="Provenance",
        id=f"{report.report_id}.provenance",
        target=[refer(one) for one in (made.report, *made.observations, *made.gone)],
        recorded=instant(report.created_at),
        reason=persons.reason(report),
        activity=concept(persons.activity(report)),
        agent=_agents(report, made),
        entity=[*_replaced(report), {"role": "source", "what": refer(study)}],
    )


def _agents(report: Report, made: _Resources) -> list[Element]:
    several = [persons.agent("assembler", "Assembler", refer(made.software))]
    several += [persons.agent("performer", "Performer", refer(maker)) for maker in made.makers]
    return several + persons.agents(report)


def _replaced(report: Report) -> list[Element]:
    """The version before, by its name: it need not be where this one goes."""
    if report.predecessor is None:
        return []
    name = {"system": UUID_SYSTEM, "value": f"urn:uuid:{report.predecessor}"}
    return [{"role": "revision", "what": {"type": "DiagnosticReport", "identifier": name}}]


def _entry(resource: Element, names: Mapping[str, str]) -> Element:
    """Ours by their ids, so that sending twice changes nothing; the study, which is the hospital's, only where it is missing."""
    resolved = with_references(resource, lambda reference: {"reference": names[reference]})
    return {"fullUrl": names[resource_key(resource)], "resource": resolved, "request": _request(resource)}


def _request(resource: Element) -> Element:
    if resource["resourceType"] != "ImagingStudy":
        return {"method": "PUT", "url": resource_key(resource)}
    identifier = resource["identifier"][0]
    return {
        "method": "POST",
        "url": "ImagingStudy",
        "ifNoneExist": f"identifier={identifier['system']}|{identifier['value']}",
    }
