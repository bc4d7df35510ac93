"""Report -> DICOM Encapsulated PDF (PS3.3 A.45.1): the report as people file it, for a PACS that shows documents."""

from collections.abc import Mapping, Sequence

from pydicom.dataset import Dataset
from pydicom.uid import EncapsulatedPDFStorage

from service.core.instance import InstanceAttributes
from service.core.render.document import finish, instances_behind, plain_object
from service.core.render.language import ENGLISH, Language
from service.core.render.pdf import TITLE, render_pdf
from service.core.render.verification import is_verified
from service.core.report import Report

KIND = "pdf"
ENCAPSULATED_PDF = str(EncapsulatedPDFStorage)
MEDIA_TYPE = "application/pdf"

_SERIES_NUMBER = 9503


def render_encapsulated_pdf(
    report: Report,
    instances: Sequence[InstanceAttributes],
    pictures: Mapping[str, bytes],
    language: Language = ENGLISH,
) -> bytes:
    """A DICOM file. `pictures` as for `render_pdf`. Raises InputRejected when an instance of the evidence is missing."""
    used = instances_behind(report, instances)
    document = render_pdf(report, pictures, language)
    made = plain_object(report, KIND, ENCAPSULATED_PDF, modality="DOC", series_number=_SERIES_NUMBER, title="report, PDF")
    made.ConversionType = "SYN"  # made by software, PS3.3 C.8.6.1
    made.BurnedInAnnotation = "YES"  # name and number of the patient stand on it
    made.RecognizableVisualFeatures = "NO"
    made.AcquisitionDateTime = ""
    made.DocumentTitle = language.text(TITLE)
    made.ConceptNameCodeSequence = []
    made.VerificationFlag = "VERIFIED" if is_verified(report) else "UNVERIFIED"
    made.SourceInstanceSequence = [_source(instance) for instance in used]
    made.MIMETypeOfEncapsulatedDocument = MEDIA_TYPE
    made.EncapsulatedDocumentLength = len(document)
    made.EncapsulatedDocument = document + b"\0" * (len(document) % 2)
    return finish(made, report)


def _source(instance: InstanceAttributes) -> Dataset:
    source = Dataset()
    source.ReferencedSOPClassUID = instance.sop_class_uid
    source.ReferencedSOPInstanceUID = instance.sop_instance_uid
    return source
