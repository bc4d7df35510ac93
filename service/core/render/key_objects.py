"""Report -> DICOM Key Object Selection (TID 2010): the best frame of each standard plane, for a PACS to show first."""

from collections.abc import Mapping, Sequence

import highdicom as hd
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, KeyObjectSelectionDocumentStorage

from service.core import codes
from service.core.findings import Evidence
from service.core.instance import InstanceAttributes
from service.core.measure.wrist_study import Tick, checklist
from service.core.render.document import (
    MANUFACTURER,
    coded,
    complete,
    device_observer,
    instances_behind,
    reference,
    requests,
    series_uid,
)
from service.core.report import RESEARCH_USE, Report, object_uid

KIND = "ko"
KEY_OBJECT_SELECTION = str(KeyObjectSelectionDocumentStorage)

_SERIES_NUMBER = 9502


def render_key_objects(report: Report, instances: Sequence[InstanceAttributes]) -> bytes | None:
    """A DICOM file, its references in the order of the planes; None for a report without a standard plane.

    Raises InputRejected when an instance of the evidence is missing.
    """
    shown = [tick for tick in checklist(report.findings) if tick.best is not None]
    if not shown:
        return None
    known = {instance.sop_instance_uid: instance for instance in instances_behind(report, instances)}
    used = [known[uid] for uid in dict.fromkeys(_sop_instance_uid(tick) for tick in shown)]
    references = {instance.sop_instance_uid: _image(report, instance) for instance in used}
    document = hd.ko.KeyObjectSelectionDocument(
        evidence=list(references.values()),
        content=_content(report, shown, references, known),
        series_instance_uid=series_uid(report.report_id, KIND),
        series_number=_SERIES_NUMBER,
        series_description=f"Sonomyo key images, {RESEARCH_USE.lower()}",
        sop_instance_uid=object_uid(report.report_id, report.version, KIND),
        instance_number=report.version,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=MANUFACTURER,
        software_versions=report.provenance.service_version,
        requested_procedures=requests(report.study),
        specific_character_set="ISO_IR 192",
        transfer_syntax_uid=ExplicitVRLittleEndian,
    )
    return complete(document, report, used)


def _content(
    report: Report, shown: Sequence[Tick], references: Mapping[str, Dataset], known: Mapping[str, InstanceAttributes]
) -> hd.ko.KeyObjectSelection:
    content = hd.ko.KeyObjectSelection(
        document_title=coded(codes.FOR_REPORT_ATTACHMENT),
        referenced_objects=[references[_sop_instance_uid(tick)] for tick in shown],
        observer_device_context=device_observer(report),
        description=_description(shown),
    )
    images = [item for item in content[0].ContentSequence if item.ValueType == "IMAGE"]
    for item, tick in zip(images, shown, strict=True):
        instance, (reference_item,) = known[_sop_instance_uid(tick)], item.ReferencedSOPSequence
        reference_item.ReferencedSOPClassUID = instance.sop_class_uid
        if (instance.number_of_frames or 1) > 1:
            # Of single-frame images the attribute must be absent (PS3.3 C.18.4).
            reference_item.ReferencedFrameNumber = _frame(tick)
    return content


def _description(shown: Sequence[Tick]) -> str:
    """What each reference is, in their order; KO has no place for it beside the reference."""
    planes = "\n".join(f"{tick.plane.name} {tick.plane.title}: grade {tick.grade}" for tick in shown)
    return f"{RESEARCH_USE}. Best frame of each standard plane:\n{planes}"


def _image(report: Report, instance: InstanceAttributes) -> Dataset:
    made = reference(report.study, instance)
    # By these highdicom tells an image from what is none.
    made.Rows, made.Columns = instance.rows or 0, instance.columns or 0
    return made


def _sop_instance_uid(tick: Tick) -> str:
    return _best(tick).sop_instance_uid


def _frame(tick: Tick) -> int:
    return _best(tick).frames[0]


def _best(tick: Tick) -> Evidence:
    if tick.best is None:
        raise LookupError(f"{tick.plane.name} was not found")
    return tick.best.evidence
