"""Report -> DICOM Comprehensive 3D SR after TID 1500, or Comprehensive SR for a PACS that refuses it."""

from collections.abc import Mapping, Sequence

import highdicom.sr as hd
from pydicom.dataset import Dataset
from pydicom.uid import Comprehensive3DSRStorage, ComprehensiveSRStorage

from service.core import codes
from service.core.instance import InstanceAttributes
from service.core.render.document import (
    coded,
    complete,
    device_observer,
    document_head,
    instances_behind,
    private_scheme,
    reference,
    series_uid,
)
from service.core.render.sr_content import image_library, measurement_groups, text_item
from service.core.render.verification import is_verified, person_context, verify
from service.core.report import RESEARCH_USE, Report, object_uid
from service.core.review_words import remarks
from service.errors import InputRejected

COMPREHENSIVE_3D_SR = str(Comprehensive3DSRStorage)
COMPREHENSIVE_SR = str(ComprehensiveSRStorage)

#: What each is called among the kinds of objects, how highdicom writes it, and the number of its series.
_FORMS: Mapping[str, tuple[str, type[hd.Comprehensive3DSR | hd.ComprehensiveSR], int]] = {
    COMPREHENSIVE_3D_SR: ("sr", hd.Comprehensive3DSR, 9501),
    COMPREHENSIVE_SR: ("comprehensive_sr", hd.ComprehensiveSR, 9504),
}


def render_sr(report: Report, instances: Sequence[InstanceAttributes], *, sop_class_uid: str = COMPREHENSIVE_3D_SR) -> bytes:
    """A DICOM file. `instances` holds at least those that the findings rest on; the first also stands for an empty report.

    Raises InputRejected when an instance of the evidence is missing or the SOP class is not one of the two.
    """
    if sop_class_uid not in _FORMS:
        raise InputRejected(f"No structured report is written as SOP class {sop_class_uid}.")
    kind, document_class, series_number = _FORMS[sop_class_uid]
    used = instances_behind(report, instances)
    document = document_class(
        evidence=[reference(report.study, instance) for instance in used],
        content=_content(report, used)[0],
        device_serial_number=(report.provenance.configuration_sha256 or "none")[:16],
        is_complete=True,
        is_final=is_verified(report),
        performed_procedure_codes=[coded(codes.DIAGNOSTIC_ULTRASONOGRAPHY)],
        previous_versions=_predecessors(report, sop_class_uid, kind),
        **document_head(report, kind, series_number=series_number, title="report"),
    )
    verify(document, report)
    document.CodingSchemeIdentificationSequence = [private_scheme()]
    return complete(document, report, used)


def _content(report: Report, instances: Sequence[InstanceAttributes]) -> hd.MeasurementReport:
    content = hd.MeasurementReport(
        observation_context=hd.ObservationContext(
            observer_person_context=person_context(report), observer_device_context=device_observer(report)
        ),
        procedure_reported=coded(codes.DIAGNOSTIC_ULTRASONOGRAPHY),
        imaging_measurements=measurement_groups(report, instances),
    )
    root = content[0].ContentSequence
    statements = [
        text_item(codes.COMMENT, RESEARCH_USE),
        text_item(codes.IMPRESSION, report.impression),
        *(text_item(codes.COMMENT, remark) for remark in remarks(report)),
        *(text_item(codes.COMMENT, limitation) for limitation in report.limitations),
    ]
    measurements = root.pop()
    root.extend([*statements, image_library(instances), measurements])
    _separate(content[0])
    return content


def _separate(container: Dataset) -> None:
    """Items stand for themselves (PS3.3 C.18.8), so that viewers print each with its name and not as one running text."""
    container.ContinuityOfContent = "SEPARATE"
    for item in container.ContentSequence:
        if item.ValueType == "CONTAINER":
            _separate(item)


def _predecessors(report: Report, sop_class_uid: str, kind: str) -> list[Dataset] | None:
    """PredecessorDocumentsSequence (PS3.3 C.17.2): the SR of the version that this one replaces."""
    if report.predecessor is None:
        return None
    previous = Dataset()
    previous.SOPClassUID = sop_class_uid
    version = report.predecessor_version or report.version - 1
    previous.SOPInstanceUID = object_uid(report.predecessor, version, kind)
    previous.SeriesInstanceUID = series_uid(report.predecessor, kind)
    previous.StudyInstanceUID = report.study.study_instance_uid
    return [previous]
