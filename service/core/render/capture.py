"""A cine with its results burned in -> DICOM Multi-frame True Color Secondary Capture (PS3.3 A.8.5), JPEG Baseline.

For a PACS that shows nothing else. Frames are painted and encoded one at a time; what has been encoded lies in a file of the
caller's until the object is put together.
"""

import io
import shutil
import struct
from collections.abc import Sequence
from itertools import pairwise
from typing import BinaryIO

import simplejpeg
from pydicom.dataset import Dataset
from pydicom.uid import JPEGBaseline8Bit, MultiFrameTrueColorSecondaryCaptureImageStorage

from service.core import codes
from service.core.cine import Cine, Compression, TimeAxis
from service.core.instance import InstanceAttributes
from service.core.masks import Masks
from service.core.render.document import coded, finish, plain_object
from service.core.render.drawn_frame import FramePainter
from service.core.report import RESEARCH_USE, Report
from service.errors import InputRejected

SECONDARY_CAPTURE = str(MultiFrameTrueColorSecondaryCaptureImageStorage)
#: Of the encoded frames together: PostgreSQL keeps no value of a gigabyte, and few PACS take one.
MAXIMUM_BYTES = 384 << 20

_SERIES_NUMBER = 9700
_QUALITY = 90
_METHOD = "ISO_10918_1"
_FRAME_TIME, _FRAME_TIME_VECTOR, _PAGE_NUMBER_VECTOR = 0x00181063, 0x00181065, 0x00182001
_ITEM, _SEQUENCE_END = 0xE000, struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
_PIXEL_DATA = struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OB", 0, 0xFFFFFFFF)


def render_capture(
    report: Report,
    kind: str,
    number: int,
    instance: InstanceAttributes,
    analysis_name: str,
    masks: Masks | None,
    cine: Cine,
    scratch: BinaryIO,
) -> bytes:
    """A DICOM file about one analysis of one cine; `number` counts those of the report from 1, `scratch` is empty.

    Raises InputRejected: what decoding raises, and `capture_too_large`.
    """
    findings = report.findings_of(analysis_name, instance.sop_instance_uid)
    painter = FramePainter(
        rows=cine.rows, columns=cine.columns, number_of_frames=cine.number_of_frames, masks=masks, findings=findings
    )
    starts = _encode(cine, painter, scratch)
    made = plain_object(
        report, kind, SECONDARY_CAPTURE, modality="US", series_number=_SERIES_NUMBER + number, title=f"overlay {number}"
    )
    _describe(made, instance, analysis_name, cine)
    _time(made, cine.time_axis, cine.number_of_frames)
    _lay_out(made, painter.shape, cine, encoded_bytes=starts[-1])
    return _whole(finish(made, report, transfer_syntax_uid=JPEGBaseline8Bit), starts[:-1], scratch)


def _encode(cine: Cine, painter: FramePainter, scratch: BinaryIO) -> list[int]:
    """Every frame as one item into `scratch`; where each begins, and where the last ends."""
    starts = [0]
    for number, picture in enumerate(cine.pictures(), start=1):
        encoded = simplejpeg.encode_jpeg(
            painter.paint(number, picture), quality=_QUALITY, colorspace="RGB", colorsubsampling="422", fastdct=False
        )
        starts.append(starts[-1] + scratch.write(_item(encoded)))
        if starts[-1] > MAXIMUM_BYTES:
            said = f"Of {cine.number_of_frames} frames {number} fill {MAXIMUM_BYTES >> 20} MiB: too many for one object."
            raise InputRejected(said, reason="capture_too_large")
    return starts


def _describe(made: Dataset, instance: InstanceAttributes, analysis_name: str, cine: Cine) -> None:
    """What it is, and of what."""
    made.ConversionType = "WSD"  # made at a workstation, PS3.3 C.8.6.1
    made.ImageType = ["DERIVED", "SECONDARY"]
    made.PatientOrientation = ""
    made.Laterality = {"left": "L", "right": "R"}.get(instance.laterality or "", "")
    made.BurnedInAnnotation = "NO" if cine.is_anonymous else "YES"
    made.DerivationDescription = f"What {analysis_name} found, drawn over the source. {RESEARCH_USE}"
    made.DerivationCodeSequence = [coded(codes.LOSSY_COMPRESSION)]
    source = Dataset()
    source.ReferencedSOPClassUID = instance.sop_class_uid
    source.ReferencedSOPInstanceUID = instance.sop_instance_uid
    source.PurposeOfReferenceCodeSequence = [coded(codes.SOURCE_IMAGE_FOR_PROCESSING)]
    made.SourceImageSequence = [source]


def _time(made: Dataset, axis: TimeAxis, number_of_frames: int) -> None:
    """As the source's; of one that has no time, or only a rate for display, the frames are pages (PS3.3 C.8.6.5)."""
    made.NumberOfFrames = number_of_frames
    if number_of_frames == 1:
        return
    if axis.seconds is None or axis.is_nominal:
        made.FrameIncrementPointer = _PAGE_NUMBER_VECTOR
        made.PageNumberVector = list(range(1, number_of_frames + 1))
        if axis.seconds is not None:
            made.RecommendedDisplayFrameRate = max(1, round(1 / axis.seconds[1]))
        return
    steps = [round(1000 * (later - earlier), 6) for earlier, later in pairwise(axis.seconds)]
    if axis.source == "FrameTime":
        made.FrameIncrementPointer, made.FrameTime = _FRAME_TIME, steps[0]
    else:
        made.FrameIncrementPointer, made.FrameTimeVector = _FRAME_TIME_VECTOR, [0.0, *steps]


def _lay_out(made: Dataset, shape: tuple[int, int], cine: Cine, *, encoded_bytes: int) -> None:
    """Colour of 8 bits, and how much was lost, here and before."""
    made.Rows, made.Columns = shape
    made.SamplesPerPixel, made.PhotometricInterpretation, made.PlanarConfiguration = 3, "YBR_FULL_422", 0
    made.BitsAllocated = made.BitsStored = 8
    made.HighBit, made.PixelRepresentation = 7, 0
    ratio = 3 * made.Rows * made.Columns * cine.number_of_frames / encoded_bytes
    compressions = (*cine.compressions, Compression(_METHOD, ratio))
    made.LossyImageCompression = "01"
    made.LossyImageCompressionRatio = [round(one.ratio, 2) for one in compressions]
    made.LossyImageCompressionMethod = [one.method for one in compressions]


def _whole(head: bytes, starts: Sequence[int], scratch: BinaryIO) -> bytes:
    """Head, Pixel Data with its Basic Offset Table (PS3.5 A.4), and all items."""
    whole = io.BytesIO()
    whole.write(head + _PIXEL_DATA + _item(struct.pack(f"<{len(starts)}I", *starts)))
    scratch.seek(0)
    shutil.copyfileobj(scratch, whole)
    whole.write(_SEQUENCE_END)
    return whole.getvalue()


def _item(value: bytes) -> bytes:
    """Of even length."""
    padded = value + b"\0" * (len(value) % 2)
    return struct.pack("<HHI", 0xFFFE, _ITEM, len(padded)) + padded
