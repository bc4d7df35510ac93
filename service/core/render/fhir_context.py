"""What FHIR R4 resources stand around the findings of a report: patient, order, study, where it lies, and what measured it."""

from collections.abc import Sequence
from itertools import groupby

from service.core import codes
from service.core.findings import AnalysisUsed, Code, Finding, ModelUsed
from service.core.instance import InstanceAttributes
from service.core.render.fhir_values import (
    DICOM_UID_SYSTEM,
    UUID_SYSTEM,
    Element,
    clean,
    coded,
    coding,
    concept,
    day,
    derived_uuid,
    hl7,
    human_names,
    pruned,
    refer,
)
from service.core.report import Report, StudyHeader
from service.core.wording import label, model_trace
from service.errors import InputRejected

MANUFACTURER = "Sonomyo"
_GENDERS = {"M": "male", "F": "female", "O": "other"}
_ULTRASOUND = Code(scheme="DCM", value="US", meaning="Ultrasound")

#: What made a finding: an analysis, and the model that it used.
Maker = tuple[AnalysisUsed, ModelUsed | None]


def patient(study: StudyHeader) -> Element:
    """The patient as the study names them. One of the same identifier, issuer and birth date has the same id."""
    who = (study.patient_id, study.issuer_of_patient_id, study.patient_birth_date) if study.patient_id else ()
    return pruned(
        resourceType="Patient",
        id=str(derived_uuid("Patient", *map(str, who or (study.study_instance_uid,)))),
        identifier=_patient_identifiers(study),
        name=human_names(study.patient_name),
        gender=_GENDERS.get(study.patient_sex or ""),
        birthDate=day(study.patient_birth_date),
    )


def _patient_identifiers(study: StudyHeader) -> list[Element]:
    """IssuerOfPatientID (0010,0021) is a local name and no URI, so it is the assigner and not the system."""
    value, issuer = clean(study.patient_id), clean(study.issuer_of_patient_id)
    return [pruned(value=value, assigner=pruned(display=issuer))] if value else []


def service_request(study: StudyHeader, subject: Element) -> Element | None:
    """The order; None without an accession number. How far it is, DICOM does not tell."""
    number = accession_identifier(study)
    if number is None:
        return None
    return pruned(
        resourceType="ServiceRequest",
        id=str(derived_uuid("ServiceRequest", study.study_instance_uid, number["value"])),
        identifier=[number],
        status="unknown",
        intent="order",
        subject=subject,
    )


def accession_identifier(study: StudyHeader) -> Element | None:
    """Of type ACSN (HL7 table 0203)."""
    number = clean(study.accession_number)
    return {"type": concept(hl7("v2-0203", "ACSN", "Accession ID")), "value": number} if number else None


def study_identifier(study_instance_uid: str) -> Element:
    """As R4 wants a Study Instance UID (ImagingStudy.identifier)."""
    return {"system": DICOM_UID_SYSTEM, "value": f"urn:oid:{study_instance_uid}"}


def endpoint(wado_root: str) -> Element:
    """Where the instances can be had by WADO-RS (PS3.18 10.4)."""
    return {
        "resourceType": "Endpoint",
        "id": str(derived_uuid("Endpoint", wado_root)),
        "status": "active",
        "connectionType": hl7("endpoint-connection-type", "dicom-wado-rs", "DICOM WADO-RS"),
        "name": f"{MANUFACTURER} WADO-RS",
        "payloadType": [{"text": "DICOM instances"}],
        "payloadMimeType": ["application/dicom"],
        "address": wado_root,
    }


def imaging_study_id(study: StudyHeader) -> str:
    """The Study Instance UID itself: 64 characters of digits and dots are an id in FHIR too."""
    return study.study_instance_uid


def imaging_study(
    report: Report,
    instances: Sequence[InstanceAttributes],
    *,
    subject: Element,
    based_on: Element | None = None,
    served_at: Element | None = None,
) -> Element:
    """The study with the series and instances that the report rests on. Raises InputRejected when one of these is missing."""
    series = [_series(list(members)) for _, members in groupby(_used(report, instances), key=_of_series)]
    modalities = {one["modality"]["code"]: one["modality"] for one in series}
    return pruned(
        resourceType="ImagingStudy",
        id=imaging_study_id(report.study),
        identifier=[study_identifier(report.study.study_instance_uid)],
        status="available",
        modality=list(modalities.values()),
        subject=subject,
        started=day(report.study.study_date),
        basedOn=[based_on] if based_on else None,
        endpoint=[served_at] if served_at else None,
        description=clean(report.study.description),
        series=series,
    )


def _used(report: Report, instances: Sequence[InstanceAttributes]) -> list[InstanceAttributes]:
    """By series, each in the order in which the report first names one of it."""
    known = {instance.sop_instance_uid: instance for instance in instances}
    wanted = list(dict.fromkeys(finding.evidence.sop_instance_uid for finding in report.findings))
    if not known.keys() >= set(wanted):
        raise InputRejected("An instance that the report rests on is not at hand; the study cannot be described.")
    used = [known[uid] for uid in wanted]
    order = list(dict.fromkeys(map(_of_series, used)))
    return sorted(used, key=lambda instance: order.index(_of_series(instance)))


def _of_series(instance: InstanceAttributes) -> str:
    return instance.series_instance_uid


def _series(members: Sequence[InstanceAttributes]) -> Element:
    first = members[0]
    modality = first.modality or _ULTRASOUND.value
    is_ultrasound = modality == _ULTRASOUND.value
    return pruned(
        uid=first.series_instance_uid,
        number=_unsigned(first.series_number),
        modality=coding(_ULTRASOUND) if is_ultrasound else coding(Code(scheme="DCM", value=modality, meaning=modality)),
        description=clean(first.series_description),
        laterality=coding(codes.LATERALITIES[first.laterality]) if first.laterality else None,
        instance=[
            pruned(
                uid=instance.sop_instance_uid,
                sopClass={"system": UUID_SYSTEM, "code": f"urn:oid:{instance.sop_class_uid}"},
                number=_unsigned(instance.instance_number),
            )
            for instance in members
        ],
    )


def _unsigned(number: int | None) -> int | None:
    return number if number is not None and number >= 0 else None


def software_device(report: Report) -> Element:
    """This software. Another configuration is another device, as its serial number in the SR is."""
    made_by = report.provenance
    return pruned(
        resourceType="Device",
        id=str(derived_uuid("Device", made_by.service_version, made_by.configuration_sha256 or "none")),
        status="active",
        manufacturer=MANUFACTURER,
        serialNumber=(made_by.configuration_sha256 or "")[:16],
        deviceName=[{"name": MANUFACTURER, "type": "manufacturer-name"}],
        version=[{"value": made_by.service_version}],
    )


def maker_of(finding: Finding) -> Maker:
    """What made the finding."""
    return finding.analysis, finding.model


def maker_device(maker: Maker, software: Element) -> Element:
    """An analysis with its model (TID 4019), a part of this software."""
    analysis, model = maker
    parts = [analysis.name, analysis.version, *((model.model_dump_json(),) if model else ())]
    versions = [{"type": {"text": "analysis"}, "value": analysis.version}]
    names = [{"name": label(analysis.name), "type": "user-friendly-name"}]
    if model is not None:
        versions.append({"type": {"text": "model"}, "value": model.version})
        names.append({"name": model.name, "type": "model-name"})
    return pruned(
        resourceType="Device",
        id=str(derived_uuid("Device", software["id"], *parts)),
        status="active",
        manufacturer=MANUFACTURER,
        deviceName=names,
        type=coded(codes.ARTIFICIAL_INTELLIGENCE),
        version=versions,
        note=[{"text": model_trace(model)}] if model else None,
        parent=refer(software),
    )
