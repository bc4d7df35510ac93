"""Masks of one cine -> DICOM Segmentation (PS3.3 A.51): every frame that was analysed, a segment a structure.

A cine of ultrasound has no Frame of Reference, and highdicom writes no segmentation of several frames without one, so the object
is made here: each frame names its source frame (Derivation Image), and has a nominal position and orientation, which viewers
want and which say nothing about where the probe was.
"""

from collections.abc import Iterable, Sequence

import highdicom as hd
import numpy as np
from highdicom.color import CIELabColor
from highdicom.seg import SegmentDescription
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import SegmentationStorage

from service.core import codes
from service.core.findings import Finding
from service.core.identifiers import derive_uid
from service.core.instance import InstanceAttributes
from service.core.masks import Bits, Masks
from service.core.render.document import MANUFACTURER, coded, finish, plain_object, private_scheme
from service.core.render.overlay import colour_of
from service.core.report import RESEARCH_USE, Report
from service.core.wording import label

SEGMENTATION = str(SegmentationStorage)

_SERIES_NUMBER = 9600
_SEGMENT_IDENTIFICATION, _REFERENCED_SEGMENT = Tag("SegmentIdentificationSequence"), Tag("ReferencedSegmentNumber")


def render_segmentation(
    report: Report, kind: str, number: int, instance: InstanceAttributes, analysis_name: str, masks: Masks
) -> bytes:
    """A DICOM file about one analysis of one cine; `number` counts those of the report from 1."""
    findings = report.findings_of(analysis_name, instance.sop_instance_uid)
    shown = sorted({segment for _, maps in masks for segment in _drawn(maps)})
    frames = [(segment, frame) for frame, maps in masks for segment in _drawn(maps)]
    made = plain_object(
        report, kind, SEGMENTATION, modality="SEG", series_number=_SERIES_NUMBER + number, title=f"segmentation {number}"
    )
    _describe(made, report, instance, findings)
    _lay_out(made, report, masks, findings)
    numbers = {segment: place for place, segment in enumerate(shown, start=1)}
    made.SegmentSequence = [_segment(numbers[segment], masks.layout.segments[segment], findings) for segment in shown]
    made.PerFrameFunctionalGroupsSequence = [_frame(numbers[segment], frame, instance) for segment, frame in frames]
    made.NumberOfFrames = len(frames)
    made.PixelData = _packed(masks.layout.in_frame(maps[segment]) for _, maps in masks for segment in _drawn(maps))
    made["PixelData"].VR = "OB"
    return finish(made, report)


def _describe(made: Dataset, report: Report, instance: InstanceAttributes, findings: Sequence[Finding]) -> None:
    """What it is, and of what."""
    made.ImageType = ["DERIVED", "PRIMARY"]
    made.ContentLabel = "SONOMYO"
    made.ContentDescription = f"{label(findings[0].analysis.name)}. {RESEARCH_USE}"[:64]
    made.ContentCreatorName = ""
    made.DeviceSerialNumber = (report.provenance.configuration_sha256 or "none")[:16]
    made.PatientOrientation = ""
    made.LossyImageCompression = "00"
    made.SegmentationType = "BINARY"
    made.CodingSchemeIdentificationSequence = [private_scheme()]
    source = Dataset()
    source.SeriesInstanceUID = instance.series_instance_uid
    source.ReferencedInstanceSequence = [_reference(instance)]
    made.ReferencedSeriesSequence = [source]


def _lay_out(made: Dataset, report: Report, masks: Masks, findings: Sequence[Finding]) -> None:
    """Pixels as in the source, one bit each; position and orientation are nominal, spacing is nominal without a calibration."""
    made.Rows, made.Columns = masks.layout.rows, masks.layout.columns
    made.SamplesPerPixel, made.PhotometricInterpretation, made.PixelRepresentation = 1, "MONOCHROME2", 0
    made.BitsAllocated, made.BitsStored, made.HighBit = 1, 1, 0
    made.FrameOfReferenceUID = derive_uid("frame of reference", report.study.study_instance_uid, made.SOPInstanceUID)
    made.PositionReferenceIndicator = ""
    organisation = Dataset()
    organisation.DimensionOrganizationUID = derive_uid("dimensions", made.SOPInstanceUID)
    made.DimensionOrganizationSequence = [organisation]
    index = Dataset()
    index.DimensionOrganizationUID = organisation.DimensionOrganizationUID
    index.DimensionIndexPointer, index.FunctionalGroupPointer = _REFERENCED_SEGMENT, _SEGMENT_IDENTIFICATION
    made.DimensionIndexSequence = [index]
    measures = Dataset()
    measures.PixelSpacing = _spacing(findings)
    measures.SliceThickness = 1
    orientation = Dataset()
    orientation.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    shared = Dataset()
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [orientation]
    made.SharedFunctionalGroupsSequence = [shared]


def _spacing(findings: Sequence[Finding]) -> list[float]:
    """Between rows, between columns; mm, or 1 where the source has no scale."""
    used = [finding.evidence.calibration for finding in findings if finding.evidence.calibration]
    known = [(one.mm_per_pixel_y, one.mm_per_pixel_x) for one in used if one.mm_per_pixel_x and one.mm_per_pixel_y]
    return [round(float(side or 1), 6) for side in known[0]] if known else [1.0, 1.0]


def _segment(number: int, name: str, findings: Sequence[Finding]) -> Dataset:
    analysis, model = findings[0].analysis, next((finding.model for finding in findings if finding.model), None)
    algorithm = hd.AlgorithmIdentificationSequence(
        name=analysis.name,
        version=analysis.version,
        family=coded(codes.ARTIFICIAL_INTELLIGENCE),
        parameters={"model": f"{model.name} version {model.version}", "sha256": model.sha256} if model else None,
        source=MANUFACTURER,
    )
    return SegmentDescription(
        segment_number=number,
        segment_label=label(name)[:64],
        segmented_property_category=coded(codes.ANATOMICAL_STRUCTURE),
        segmented_property_type=coded(codes.structure_code(name)),
        algorithm_type="AUTOMATIC",
        algorithm_identification=algorithm,
        display_color=CIELabColor.from_rgb(*colour_of(name)),
    )


def _frame(segment: int, frame: int, instance: InstanceAttributes) -> Dataset:
    content, identification, position, derivation, groups = (Dataset() for _ in range(5))
    content.DimensionIndexValues = [segment]
    identification.ReferencedSegmentNumber = segment
    position.ImagePositionPatient = [0, 0, 0]
    source = _reference(instance)
    if (instance.number_of_frames or 1) > 1:
        # Of single-frame images the attribute must be absent (PS3.3 10.3).
        source.ReferencedFrameNumber = frame
    source.PurposeOfReferenceCodeSequence = [coded(codes.SOURCE_IMAGE_FOR_PROCESSING)]
    derivation.DerivationCodeSequence = [coded(codes.SEGMENTATION_DERIVATION)]
    derivation.SourceImageSequence = [source]
    groups.FrameContentSequence = [content]
    groups.SegmentIdentificationSequence = [identification]
    groups.PlanePositionSequence = [position]
    groups.DerivationImageSequence = [derivation]
    return groups


def _reference(instance: InstanceAttributes) -> Dataset:
    reference = Dataset()
    reference.ReferencedSOPClassUID = instance.sop_class_uid
    reference.ReferencedSOPInstanceUID = instance.sop_instance_uid
    return reference


def _drawn(maps: Bits) -> list[int]:
    """Which segments (segments, height, width) shows."""
    found: list[int] = np.flatnonzero(maps.any((1, 2))).tolist()
    return found


def _packed(frames: Iterable[Bits]) -> bytes:
    """All bits one behind the other, frames too, the first in the lowest place (PS3.5 8.1.1); padded to an even length."""
    packed, rest = bytearray(), np.zeros(0, np.bool_)
    for frame in frames:
        bits = np.concatenate([rest, frame.ravel()])
        whole = len(bits) // 8 * 8
        packed += np.packbits(bits[:whole], bitorder="little").tobytes()
        rest = bits[whole:]
    packed += np.packbits(rest, bitorder="little").tobytes()
    return bytes(packed) + b"\0" * (len(packed) % 2)
