"""Withdrawn report -> Rejection Note (IHE RAD TF-3 4.66.4.1.3): a Key Object Selection of what must not be used any more.

SR and PDF of a withdrawn report are replaced by ones that say so; key images, segmentations and captures of it are not, so an
archive that knows the profile (Imaging Object Change Management) is told which they are, and shows them no more.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import highdicom as hd
from pydicom import dcmread
from pydicom.dataset import Dataset

from service.core import codes
from service.core.render.document import coded, complete, device_observer, document_head, reference, series_uid
from service.core.render.key_objects import KEY_OBJECT_SELECTION
from service.core.report import RESEARCH_USE, Report, SentObject

_SERIES_NUMBER = 9505


@dataclass(frozen=True, slots=True)
class _Rejected:
    """A sent object, as `document.Referable` has it."""

    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str


def render_rejection_note(report: Report, kind: str, sent: Sequence[SentObject]) -> bytes:
    """A DICOM file about what was sent of a study's report before `report` withdrew it; `kind` is `rejection.1` or so.

    The title is Rejected for Patient Safety Reasons: an archive offers such objects to nobody, while those that are rejected
    for their quality may still be shown, and the other two titles speak of orders and of retention.
    """
    rejected = [_Rejected(one.sop_class_uid, one.sop_instance_uid, series_uid(one.report_id, one.kind)) for one in sent]
    references = [_reference(report, one) for one in rejected]
    content = hd.ko.KeyObjectSelection(
        document_title=coded(codes.REJECTED_FOR_PATIENT_SAFETY_REASONS),
        referenced_objects=references,
        observer_device_context=device_observer(report),
        description=f"{RESEARCH_USE}. {report.impression}",
    )
    items = [item for item in content[0].ContentSequence if "ReferencedSOPSequence" in item]
    for item, one in zip(items, rejected, strict=True):
        item.ReferencedSOPSequence[0].ReferencedSOPClassUID = one.sop_class_uid
    document = hd.ko.KeyObjectSelectionDocument(
        evidence=references,
        content=content,
        **document_head(report, kind, series_number=_SERIES_NUMBER, title="rejection note"),
    )
    return complete(document, report, rejected)


def rejected_by(content: bytes) -> frozenset[str]:
    """SOP Instance UIDs that a note of ours names."""
    note = dcmread(io.BytesIO(content))
    return frozenset(
        str(item.ReferencedSOPInstanceUID)
        for study in note.CurrentRequestedProcedureEvidenceSequence
        for series in study.ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    )


def _reference(report: Report, one: _Rejected) -> Dataset:
    made = reference(report.study, one)
    if one.sop_class_uid != KEY_OBJECT_SELECTION:
        # By these highdicom tells an image, which segmentations and captures are, from what is none.
        made.Rows, made.Columns = 0, 0
    return made
