"""The attributes of QIDO-RS (PS3.18 Tables 10.6.1-5 and 10.6.3-3 to -5), and where each is kept.

All of them can be matched, required or not, but for those that are counted or made up for the answer.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Literal


class Level(IntEnum):
    """What is searched for; what is said of a level holds for those above it as well."""

    STUDY = 1
    SERIES = 2
    INSTANCE = 3


#: `column` of `studies`, `attribute` of InstanceAttributes, `request` an item of its requests; `derived` from what is found.
Source = Literal["column", "attribute", "request", "derived"]


@dataclass(frozen=True, slots=True, kw_only=True)
class QidoAttribute:
    """One attribute; `name` is that of its column or field."""

    keyword: str
    tag: str
    vr: str
    level: Level
    name: str
    source: Source
    #: In every answer of its level (tables 10.6.3-3 to -5), known or not.
    is_returned: bool = False
    #: In every answer where it is known.
    is_returned_when_known: bool = False


#: Tag and keyword of the one sequence whose items can be matched.
REQUEST_SEQUENCE = ("00400275", "RequestAttributesSequence")


def _study(keyword: str, tag: str, vr: str, name: str, *, returned: bool = True) -> QidoAttribute:
    return QidoAttribute(keyword=keyword, tag=tag, vr=vr, level=Level.STUDY, name=name, source="column", is_returned=returned)


def _of(level: Level, keyword: str, tag: str, vr: str, name: str, *, returned: bool = False) -> QidoAttribute:
    return QidoAttribute(keyword=keyword, tag=tag, vr=vr, level=level, name=name, source="attribute", is_returned=returned)


def _derived(level: Level, keyword: str, tag: str, vr: str, *, returned: bool = True) -> QidoAttribute:
    return QidoAttribute(keyword=keyword, tag=tag, vr=vr, level=level, name=keyword, source="derived", is_returned=returned)


def _when_known(keyword: str, tag: str, vr: str, name: str) -> QidoAttribute:
    return QidoAttribute(
        keyword=keyword, tag=tag, vr=vr, level=Level.SERIES, name=name, source="attribute", is_returned_when_known=True
    )


def _request(keyword: str, tag: str, name: str) -> QidoAttribute:
    return QidoAttribute(keyword=keyword, tag=tag, vr="SH", level=Level.SERIES, name=name, source="request")


_S, _I = Level.SERIES, Level.INSTANCE
MODALITIES_IN_STUDY = _derived(Level.STUDY, "ModalitiesInStudy", "00080061", "CS")
ATTRIBUTES: tuple[QidoAttribute, ...] = (
    _derived(Level.STUDY, "SpecificCharacterSet", "00080005", "CS"),
    _study("StudyDate", "00080020", "DA", "study_date"),
    _study("StudyTime", "00080030", "TM", "study_time"),
    _study("AccessionNumber", "00080050", "SH", "accession_number"),
    _derived(Level.STUDY, "InstanceAvailability", "00080056", "CS"),
    MODALITIES_IN_STUDY,
    _derived(Level.STUDY, "SOPClassesInStudy", "00080062", "UI", returned=False),
    _study("ReferringPhysicianName", "00080090", "PN", "referring_physician_name"),
    _study("StudyDescription", "00081030", "LO", "study_description", returned=False),
    _derived(Level.STUDY, "RetrieveURL", "00081190", "UR"),
    _study("PatientName", "00100010", "PN", "patient_name"),
    _study("PatientID", "00100020", "LO", "patient_id"),
    _study("IssuerOfPatientID", "00100021", "LO", "issuer_of_patient_id", returned=False),
    _study("PatientBirthDate", "00100030", "DA", "patient_birth_date"),
    _study("PatientSex", "00100040", "CS", "patient_sex"),
    _study("StudyInstanceUID", "0020000D", "UI", "study_instance_uid"),
    _study("StudyID", "00200010", "SH", "study_id"),
    _derived(Level.STUDY, "NumberOfStudyRelatedSeries", "00201206", "IS"),
    _derived(Level.STUDY, "NumberOfStudyRelatedInstances", "00201208", "IS"),
    _of(_S, "SeriesDate", "00080021", "DA", "series_date"),
    _of(_S, "SeriesTime", "00080031", "TM", "series_time"),
    _of(_S, "Modality", "00080060", "CS", "modality", returned=True),
    _of(_S, "Manufacturer", "00080070", "LO", "manufacturer"),
    _when_known("TimezoneOffsetFromUTC", "00080201", "SH", "timezone_offset_from_utc"),
    _when_known("SeriesDescription", "0008103E", "LO", "series_description"),
    _of(_S, "ManufacturerModelName", "00081090", "LO", "manufacturer_model_name"),
    _of(_S, "BodyPartExamined", "00180015", "CS", "body_part_examined"),
    _of(_S, "ProtocolName", "00181030", "LO", "protocol_name"),
    _of(_S, "SeriesInstanceUID", "0020000E", "UI", "series_instance_uid", returned=True),
    _of(_S, "SeriesNumber", "00200011", "IS", "series_number", returned=True),
    _derived(_S, "NumberOfSeriesRelatedInstances", "00201209", "IS"),
    _when_known("PerformedProcedureStepStartDate", "00400244", "DA", "performed_procedure_step_start_date"),
    _when_known("PerformedProcedureStepStartTime", "00400245", "TM", "performed_procedure_step_start_time"),
    _request("ScheduledProcedureStepID", "00400009", "scheduled_procedure_step_id"),
    _request("RequestedProcedureID", "00401001", "requested_procedure_id"),
    _of(_I, "SOPClassUID", "00080016", "UI", "sop_class_uid", returned=True),
    _of(_I, "SOPInstanceUID", "00080018", "UI", "sop_instance_uid", returned=True),
    _of(_I, "ImageType", "00080008", "CS", "image_type"),
    _of(_I, "ContentDate", "00080023", "DA", "content_date"),
    _of(_I, "ContentTime", "00080033", "TM", "content_time"),
    _derived(_I, "AvailableTransferSyntaxUID", "00083002", "UI"),
    _of(_I, "InstanceNumber", "00200013", "IS", "instance_number", returned=True),
    _of(_I, "SamplesPerPixel", "00280002", "US", "samples_per_pixel"),
    _of(_I, "PhotometricInterpretation", "00280004", "CS", "photometric_interpretation"),
    _of(_I, "NumberOfFrames", "00280008", "IS", "number_of_frames", returned=True),
    _of(_I, "Rows", "00280010", "US", "rows", returned=True),
    _of(_I, "Columns", "00280011", "US", "columns", returned=True),
    _of(_I, "BitsAllocated", "00280100", "US", "bits_allocated", returned=True),
    _of(_I, "BitsStored", "00280101", "US", "bits_stored"),
)  # fmt: skip
BY_KEYWORD: Mapping[str, QidoAttribute] = {attribute.keyword: attribute for attribute in ATTRIBUTES}
BY_TAG: Mapping[str, QidoAttribute] = {attribute.tag: attribute for attribute in ATTRIBUTES}


def can_be_matched(attribute: QidoAttribute) -> bool:
    """What is counted or made up for an answer cannot; the modalities of a study are those of its instances."""
    return attribute.source != "derived" or attribute is MODALITIES_IN_STUDY
