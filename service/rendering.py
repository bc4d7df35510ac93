"""What is made of a report, each form by the file of `core/render` that knows it.

Those are imported when they are first needed: who sends nothing as PDF never carries what sets one.
"""

import tempfile
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from service.core.cine import Cine
from service.core.instance import InstanceAttributes
from service.core.languages import LanguageTag
from service.core.report import Report, SentObject, object_uid
from service.errors import Unavailable
from service.publication import RejectionNotes, Renderer
from service.records import RenderedObject, StoredAnalysis, StoredInstance

if TYPE_CHECKING:
    from service.api.dependencies import FhirRendering
    from service.core.masks import Masks

Rendered = Sequence[RenderedObject]


class Rendering:
    """Reports as pages, files and objects; those that are delivered by `renderers`, in the given language."""

    def __init__(self, *, language: LanguageTag = "en") -> None:
        self.language = language

    def renderers(self, wanted: Collection[str]) -> Mapping[str, Renderer]:
        """SR and key images are kept of every report; of the others those that are wanted."""
        known: Mapping[str, Renderer] = {
            "sr": self._render_sr,
            "comprehensive_sr": self._render_comprehensive_sr,
            "ko": self._render_key_objects,
            "pdf": self._render_pdf,
            "seg": self._render_segmentations,
            "oru": self._render_message,
            "notice": self._render_notice,
            "fhir": self._render_transaction,
        }
        return {kind: render for kind, render in known.items() if kind in {"sr", "ko", *wanted}}

    def html(self, report: Report, pictures: Mapping[str, bytes], language: LanguageTag | None = None) -> str:
        """The report page, in another language if one is given; `pictures` are PNGs by SOP Instance UID."""
        from service.core.render.html import render_html
        from service.core.render.language import language_of

        return render_html(report, pictures, language_of(language or self.language))

    def pdf(self, report: Report, pictures: Mapping[str, bytes], language: LanguageTag | None = None) -> bytes:
        """The same as PDF."""
        from service.core.render.language import language_of
        from service.core.render.pdf import render_pdf

        return render_pdf(report, pictures, language_of(language or self.language))

    def encapsulated_pdf(
        self, report: Report, instances: Sequence[InstanceAttributes], pictures: Mapping[str, bytes]
    ) -> RenderedObject:
        """The PDF in DICOM."""
        from service.core.render.encapsulated_pdf import ENCAPSULATED_PDF, render_encapsulated_pdf
        from service.core.render.language import language_of

        content = render_encapsulated_pdf(report, instances, pictures, language_of(self.language))
        return _dicom_object(report, "pdf", ENCAPSULATED_PDF, content)

    def segmentations(
        self, report: Report, instances: Sequence[InstanceAttributes], masks: Sequence[tuple[str, str, bytes]]
    ) -> Rendered:
        """A DICOM SEG of each analysis of each cine that drew something; `masks` are (SOP Instance UID, analysis, masks)."""
        from service.core.render.seg import SEGMENTATION, render_segmentation

        known = {instance.sop_instance_uid: instance for instance in instances}
        rendered = []
        for number, (uid, analysis, packed) in enumerate(masks, start=1):
            kind, drawn = f"seg.{number}", _standing(report, uid, analysis, packed)
            if drawn is None:
                continue
            content = render_segmentation(report, kind, number, known[uid], analysis, drawn)
            rendered.append(_dicom_object(report, kind, SEGMENTATION, content))
        return rendered

    def capture(
        self, report: Report, kind: str, instance: InstanceAttributes, analysis: str, masks: bytes | None, cine: Cine
    ) -> RenderedObject:
        """A Secondary Capture of one cine, `sc.1` for example; encoded frames lie in a temporary file meanwhile.

        Raises InputRejected, Unavailable.
        """
        from service.core.render.capture import SECONDARY_CAPTURE, render_capture

        drawn = None if masks is None else _standing(report, instance.sop_instance_uid, analysis, masks)
        try:
            with tempfile.TemporaryFile() as scratch:
                number = int(kind.partition(".")[2])
                content = render_capture(report, kind, number, instance, analysis, drawn, cine, scratch)
        except OSError as error:
            raise Unavailable(f"No temporary file can be written: {error.strerror}.", reason="temporary_file") from error
        return _dicom_object(report, kind, SECONDARY_CAPTURE, content)

    @cached_property
    def fhir(self) -> "FhirRendering":
        """Renders reports as FHIR R4; its models are imported for who asks for it only."""
        from service.core.render import fhir

        return fhir

    def structured_report(self, report: Report, instances: Sequence[InstanceAttributes]) -> RenderedObject:
        """The report as Comprehensive 3D SR (TID 1500)."""
        from service.core.render.sr import COMPREHENSIVE_3D_SR, render_sr

        return _dicom_object(report, "sr", COMPREHENSIVE_3D_SR, render_sr(report, instances))

    def key_objects(self, report: Report, instances: Sequence[InstanceAttributes]) -> RenderedObject | None:
        """The best frames of the report as Key Object Selection; None where it has none."""
        from service.core.render.key_objects import KEY_OBJECT_SELECTION, render_key_objects

        content = render_key_objects(report, instances)
        return None if content is None else _dicom_object(report, "ko", KEY_OBJECT_SELECTION, content)

    def _render_message(self, report: Report, _: Sequence[StoredInstance], __: Sequence[StoredAnalysis]) -> Rendered:
        from service.core.render.hl7 import render_oru

        return [_object(report, "oru", "", "x-application/hl7-v2+er7", render_oru(report))]

    def _render_notice(self, report: Report, _: Sequence[StoredInstance], __: Sequence[StoredAnalysis]) -> Rendered:
        from service.core.render.notice import render_notice

        return [_object(report, "notice", "", "application/json", render_notice(report))]

    def _render_transaction(
        self, report: Report, instances: Sequence[StoredInstance], analyses: Sequence[StoredAnalysis]
    ) -> Rendered:
        from service.core.render.published import Form, Published

        pictures = _pictures(analyses)
        page = Form(media_type="text/html", content=self.html(report, pictures).encode(), language=self.language)
        paper = Form(media_type="application/pdf", content=self.pdf(report, pictures), language=self.language)
        content = self.fhir.bundle(report, _attributes(instances), Published(forms=(page, paper)))
        return [_object(report, "fhir", "", "application/fhir+json", content)]

    def _render_sr(self, report: Report, instances: Sequence[StoredInstance], _: Sequence[StoredAnalysis]) -> Rendered:
        return [self.structured_report(report, _attributes(instances))]

    def _render_comprehensive_sr(
        self, report: Report, instances: Sequence[StoredInstance], _: Sequence[StoredAnalysis]
    ) -> Rendered:
        from service.core.render.sr import COMPREHENSIVE_SR, render_sr

        content = render_sr(report, _attributes(instances), sop_class_uid=COMPREHENSIVE_SR)
        return [_dicom_object(report, "comprehensive_sr", COMPREHENSIVE_SR, content)]

    def _render_key_objects(self, report: Report, instances: Sequence[StoredInstance], _: Sequence[StoredAnalysis]) -> Rendered:
        made = self.key_objects(report, _attributes(instances))
        return [] if made is None else [made]

    def _render_pdf(self, report: Report, instances: Sequence[StoredInstance], analyses: Sequence[StoredAnalysis]) -> Rendered:
        return [self.encapsulated_pdf(report, _attributes(instances), _pictures(analyses))]

    def rejection_notes(self) -> RejectionNotes:
        """What tells destinations of objects that a withdrawn report leaves."""
        return RejectionNotes(render=self._render_rejection, names=self._rejected_by)

    def _render_rejection(self, report: Report, kind: str, sent: Sequence[SentObject]) -> RenderedObject:
        from service.core.render.key_objects import KEY_OBJECT_SELECTION
        from service.core.render.rejection_note import render_rejection_note

        return _dicom_object(report, kind, KEY_OBJECT_SELECTION, render_rejection_note(report, kind, sent))

    def _rejected_by(self, note: RenderedObject) -> Collection[str]:
        from service.core.render.rejection_note import rejected_by

        return rejected_by(note.content)

    def capture_stored(
        self, report: Report, kind: str, instance: StoredInstance, analysis: StoredAnalysis, cine: Cine
    ) -> RenderedObject:
        """The same of what is stored. Raises as `capture`."""
        return self.capture(report, kind, instance.attributes, analysis.analysis_name, analysis.masks, cine)

    def _render_segmentations(
        self, report: Report, instances: Sequence[StoredInstance], analyses: Sequence[StoredAnalysis]
    ) -> Rendered:
        masks = [(one.sop_instance_uid, one.analysis_name, one.masks) for one in analyses if one.masks is not None]
        return self.segmentations(report, _attributes(instances), masks)


def _standing(report: Report, uid: str, analysis: str, packed: bytes) -> "Masks | None":
    """What was drawn, without what a person has rejected; None where nothing is left."""
    from service.core.masks import Masks
    from service.core.render.overlay import rejected_segments

    drawn = Masks.from_bytes(packed).without(rejected_segments(report.findings_of(analysis, uid)))
    return drawn if drawn.frames else None


def _attributes(instances: Sequence[StoredInstance]) -> list[InstanceAttributes]:
    return [instance.attributes for instance in instances]


def _pictures(analyses: Sequence[StoredAnalysis]) -> Mapping[str, bytes]:
    return {analysis.sop_instance_uid: analysis.picture for analysis in analyses if analysis.picture is not None}


def _dicom_object(report: Report, kind: str, sop_class_uid: str, content: bytes) -> RenderedObject:
    return _object(report, kind, sop_class_uid, "application/dicom", content)


def _object(report: Report, kind: str, sop_class_uid: str, media_type: str, content: bytes) -> RenderedObject:
    return RenderedObject(
        sop_instance_uid=object_uid(report.report_id, report.version, kind),
        sop_class_uid=sop_class_uid,
        kind=kind,
        report_id=report.report_id,
        media_type=media_type,
        content=content,
    )
