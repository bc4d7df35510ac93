"""What all DICOM documents that are made from a report have in common: identity, evidence, times, and the bytes.

highdicom writes the templates; what it leaves out (identity in Unicode, order, coding scheme, times that come from the report
and not from the clock) is added here, so that the same report always gives the same bytes.
"""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol

import highdicom.sr as hd
from pydicom import config
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, UltrasoundMultiFrameImageStorage

from service.core import codes
from service.core.dicom_file import encode_file
from service.core.findings import Code
from service.core.identifiers import derive_uid
from service.core.instance import InstanceAttributes
from service.core.report import RESEARCH_USE, Report, StudyHeader, object_uid
from service.errors import InputRejected

MANUFACTURER = "Sonomyo"
_DATE = re.compile(r"\d{8}")
_TIME = re.compile(r"\d{2,6}(\.\d{1,6})?")


class Referable(Protocol):
    """What a document needs to know of an instance that it refers to."""

    @property
    def sop_class_uid(self) -> str:
        """Its class."""

    @property
    def sop_instance_uid(self) -> str:
        """Itself."""

    @property
    def series_instance_uid(self) -> str:
        """Its series, in the study of the report."""


def coded(code: Code) -> hd.CodedConcept:
    """Our code as highdicom's."""
    return hd.CodedConcept(value=code.value, scheme_designator=code.scheme, meaning=code.meaning)


def series_uid(report_id: str, kind: str) -> str:
    """Each version has a series of its own, for another installation must never write into ours (PS3.3 C.7.3.1)."""
    return derive_uid("series", report_id, kind)


def document_head(report: Report, kind: str, *, series_number: int, title: str) -> dict[str, Any]:
    """What highdicom is told of every document: names, series, maker, order."""
    return {
        "series_instance_uid": series_uid(report.report_id, kind),
        "series_number": series_number,
        "series_description": f"Sonomyo {title}, {RESEARCH_USE.lower()}",
        "sop_instance_uid": object_uid(report.report_id, report.version, kind),
        "instance_number": report.version,
        "manufacturer": MANUFACTURER,
        "manufacturer_model_name": MANUFACTURER,
        "software_versions": report.provenance.service_version,
        "requested_procedures": requests(report.study),
        "specific_character_set": "ISO_IR 192",
        "transfer_syntax_uid": ExplicitVRLittleEndian,
    }


def plain_object(report: Report, kind: str, sop_class_uid: str, *, modality: str, series_number: int, title: str) -> Dataset:
    """The modules that every object has, for what highdicom has no class for; `finish` adds whose it is and when it was made."""
    head = document_head(report, kind, series_number=series_number, title=title)
    made = Dataset()
    made.SpecificCharacterSet = head["specific_character_set"]
    made.SOPClassUID, made.SOPInstanceUID = sop_class_uid, head["sop_instance_uid"]
    made.StudyInstanceUID, made.SeriesInstanceUID = report.study.study_instance_uid, head["series_instance_uid"]
    made.Modality, made.SeriesNumber, made.SeriesDescription = modality, head["series_number"], head["series_description"]
    made.InstanceNumber = head["instance_number"]
    made.Manufacturer, made.ManufacturerModelName = head["manufacturer"], head["manufacturer_model_name"]
    made.SoftwareVersions = head["software_versions"]
    return made


def complete(document: Dataset, report: Report, used: Sequence[Referable]) -> bytes:
    """The identity as received, the classes of the evidence, the report's own times; then the file."""
    _name_classes(document, used)
    del document.ContributingEquipmentSequence  # highdicom names itself there, with the time of day
    document.ObservationDateTime = f"{report.created_at.astimezone():%Y%m%d%H%M%S.%f%z}"
    return finish(document, report)


def finish(made: Dataset, report: Report, *, transfer_syntax_uid: str = ExplicitVRLittleEndian) -> bytes:
    """The identity as received and the report's own times; then the file.

    Another transfer syntax is one of encapsulated pixels, whose data set is Explicit VR Little Endian, too (PS3.5 A.4): it is
    named in the head, and the caller puts Pixel Data behind.
    """
    _identify(made, report.study)
    _date(made, report.created_at)
    return encode_file(made, transfer_syntax_uid=transfer_syntax_uid)


def instances_behind(report: Report, instances: Sequence[InstanceAttributes]) -> list[InstanceAttributes]:
    """Instances that the findings rest on, in their order."""
    known = {instance.sop_instance_uid: instance for instance in instances}
    used = list(dict.fromkeys(finding.evidence.sop_instance_uid for finding in report.findings))
    if not known or not known.keys() >= set(used):
        raise InputRejected("An instance that the report rests on is not at hand; no document can refer to it.")
    return [known[uid] for uid in used or list(known)[:1]]


def reference(study: StudyHeader, instance: Referable) -> Dataset:
    """An instance as highdicom wants it; its class, which may be a retired one, and the identity are written afterwards."""
    reference = Dataset()
    reference.SOPClassUID = UltrasoundMultiFrameImageStorage
    reference.SOPInstanceUID = instance.sop_instance_uid
    reference.SeriesInstanceUID = instance.series_instance_uid
    reference.StudyInstanceUID = study.study_instance_uid
    reference.PatientName = reference.PatientID = reference.PatientSex = reference.AccessionNumber = reference.StudyID = ""
    reference.PatientBirthDate = reference.StudyDate = reference.StudyTime = None
    return reference


def device_observer(report: Report) -> hd.ObserverContext:
    """TID 1001 and 1004: this software observed, no person did."""
    return hd.ObserverContext(
        observer_type=coded(codes.DEVICE),
        observer_identifying_attributes=hd.DeviceObserverIdentifyingAttributes(
            uid=derive_uid("device", report.provenance.service_version),
            name=MANUFACTURER,
            manufacturer_name=MANUFACTURER,
            model_name=f"{MANUFACTURER} {report.provenance.service_version}",
        ),
    )


def requests(study: StudyHeader) -> list[Dataset] | None:
    """ReferencedRequestSequence (PS3.3 C.17.2): known when the modality wrote an accession number."""
    if not study.accession_number:
        return None
    request = Dataset()
    request.StudyInstanceUID = study.study_instance_uid
    request.ReferencedStudySequence = []
    _put(request, "AccessionNumber", study.accession_number)
    request.PlacerOrderNumberImagingServiceRequest = ""
    request.FillerOrderNumberImagingServiceRequest = ""
    request.RequestedProcedureID = ""
    request.RequestedProcedureDescription = ""
    request.RequestedProcedureCodeSequence = []
    return [request]


def private_scheme() -> Dataset:
    """PS3.3 C.12.1.1.17."""
    scheme = Dataset()
    scheme.CodingSchemeDesignator = codes.PRIVATE_SCHEME
    scheme.CodingSchemeName = codes.PRIVATE_SCHEME_NAME
    scheme.CodingSchemeVersion = codes.PRIVATE_SCHEME_VERSION
    scheme.CodingSchemeUID = codes.PRIVATE_SCHEME_UID
    scheme.CodingSchemeResponsibleOrganization = MANUFACTURER
    return scheme


def _name_classes(document: Dataset, used: Sequence[Referable]) -> None:
    classes = {instance.sop_instance_uid: instance.sop_class_uid for instance in used}
    for study in document.CurrentRequestedProcedureEvidenceSequence:
        for series in study.ReferencedSeriesSequence:
            for item in series.ReferencedSOPSequence:
                item.ReferencedSOPClassUID = classes[item.ReferencedSOPInstanceUID]


def _identify(document: Dataset, study: StudyHeader) -> None:
    """The identity as received, even where it breaks a rule of its VR: a PACS matches on it."""
    _put(document, "PatientName", study.patient_name)
    _put(document, "PatientID", study.patient_id)
    _put(document, "PatientBirthDate", _matching(_DATE, study.patient_birth_date))
    _put(document, "PatientSex", study.patient_sex if study.patient_sex in {"M", "F", "O"} else None)
    _put(document, "AccessionNumber", study.accession_number)
    _put(document, "StudyID", study.study_id)
    _put(document, "StudyDate", _matching(_DATE, study.study_date))
    _put(document, "StudyTime", _matching(_TIME, study.study_time))
    _put(document, "ReferringPhysicianName", study.referring_physician_name)
    if study.issuer_of_patient_id:
        _put(document, "IssuerOfPatientID", study.issuer_of_patient_id)
    if study.description:
        _put(document, "StudyDescription", study.description)


def _matching(pattern: re.Pattern[str], value: str | None) -> str | None:
    return value if value and pattern.fullmatch(value) else None


def _put(dataset: Dataset, keyword: str, value: str | None) -> None:
    """Set one element without pydicom's checks of the value."""
    tag = tag_for_keyword(keyword)
    if tag is None:
        raise KeyError(keyword)
    dataset.add(DataElement(tag, dictionary_VR(tag), value or "", validation_mode=config.IGNORE))


def _date(document: Dataset, created_at: datetime) -> None:
    """Times of the report: those of highdicom come from the clock, but a report rendered again must give the same bytes.

    In the local time of the service, as the modality's beside them are; TimezoneOffsetFromUTC would claim to hold for those too.
    """
    created_at = created_at.astimezone()
    date, time = f"{created_at:%Y%m%d}", f"{created_at:%H%M%S.%f}"
    document.ContentDate = document.InstanceCreationDate = date
    document.ContentTime = document.InstanceCreationTime = time
