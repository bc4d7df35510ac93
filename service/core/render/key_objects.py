"""Report -> DICOM Key Object Selection (TID 2010): the best frame of each standard plane, for a PACS to show first."""

from collections.abc import Mapping, Sequence

import highdicom as hd
from pydicom.dataset import Dataset
from pydicom.uid import KeyObjectSelectionDocumentStorage

from service.core import codes
from service.core.findings import Finding
from service.core.instance import InstanceAttributes
from service.core.measure.wrist_study import examinations
from service.core.quality import grade_in
from service.core.render.document import (
    coded,
    complete,
    device_observer,
    document_head,
    instances_behind,
    reference,
)
from service.core.report import RESEARCH_USE, Report
from service.core.wrist_planes import PLANES

KIND = "ko"
KEY_OBJECT_SELECTION = str(KeyObjectSelectionDocumentStorage)

_SERIES_NUMBER = 9502


def render_key_objects(report: Report, instances: Sequence[InstanceAttributes]) -> bytes | None:
    """A DICOM file, its references in the order of the planes; None for a report without a standard plane.

    Raises InputRejected when an instance of the evidence is missing.
    """
    shown = [finding for one in examinations(report.findings) for finding in one.found]
    if not shown:
        return None
    known = {instance.sop_instance_uid: instance for instance in instances_behind(report, instances)}
    used = [known[uid] for uid in dict.fromkeys(finding.evidence.sop_instance_uid for finding in shown)]
    references = {instance.sop_instance_uid: _image(report, instance) for instance in used}
    document = hd.ko.KeyObjectSelectionDocument(
        evidence=list(references.values()),
        content=_content(report, shown, references, known),
        **document_head(report, KIND, series_number=_SERIES_NUMBER, title="key images"),
    )
    return complete(document, report, used)


def _content(
    report: Report, shown: Sequence[Finding], references: Mapping[str, Dataset], known: Mapping[str, InstanceAttributes]
) -> hd.ko.KeyObjectSelection:
    content = hd.ko.KeyObjectSelection(
        document_title=coded(codes.FOR_REPORT_ATTACHMENT),
        referenced_objects=[references[finding.evidence.sop_instance_uid] for finding in shown],
        observer_device_context=device_observer(report),
        description=_description(shown),
    )
    images = [item for item in content[0].ContentSequence if item.ValueType == "IMAGE"]
    for item, finding in zip(images, shown, strict=True):
        instance, (reference_item,) = known[finding.evidence.sop_instance_uid], item.ReferencedSOPSequence
        reference_item.ReferencedSOPClassUID = instance.sop_class_uid
        if (instance.number_of_frames or 1) > 1:
            # Of single-frame images the attribute must be absent (PS3.3 C.18.4).
            reference_item.ReferencedFrameNumber = finding.evidence.frames[0]
    return content


def _description(shown: Sequence[Finding]) -> str:
    """What each reference is, in their order; KO has no place for it beside the reference."""
    titles = {plane.name: plane.title for plane in PLANES}
    lines = (
        f"{finding.value} {titles[str(finding.value)]}{_side(finding)}: grade {grade_in(finding.flags)}" for finding in shown
    )
    return f"{RESEARCH_USE}. Best frame of each standard plane:\n" + "\n".join(lines)


def _side(finding: Finding) -> str:
    side = finding.site and finding.site.laterality
    return f", {side}" if side else ""


def _image(report: Report, instance: InstanceAttributes) -> Dataset:
    made = reference(report.study, instance)
    # By these highdicom tells an image from what is none.
    made.Rows, made.Columns = instance.rows or 0, instance.columns or 0
    return made
