"""A frame that was kept while somebody examined, as a DICOM Ultrasound Image (PS3.3 A.6)."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pydicom.dataset import Dataset
from pydicom.uid import UltrasoundImageStorage

from service.core import codes
from service.core.cine import Pixels
from service.core.dicom_file import encode_file
from service.core.findings import Code
from service.core.identifiers import derive_uid
from service.core.instance import LIVE_MANUFACTURER

_TISSUE_2D, _TISSUE, _CENTIMETRES = 1, 1, 3


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveStudy:
    """What all stills of one examination have in common. `name` is its own, random one."""

    name: str
    patient_id: str | None = None
    accession_number: str | None = None
    laterality: Literal["L", "R"] | None = None
    mm_per_pixel: float | None = None
    #: The first moment of the examination.
    began_at: datetime
    #: The frames came as JPEG: what that lost stays lost.
    is_lossy: bool = False

    @property
    def study_instance_uid(self) -> str:
        """Of the study that the stills belong to."""
        return derive_uid("live", self.name, "study")


def render_still(study: LiveStudy, pixels: Pixels, *, number: int, plane: str, taken_at: datetime) -> bytes:
    """A DICOM file of the sector (rows, columns) uint8 alone; `number` counts the stills of the examination from 1."""
    made = Dataset()
    made.SOPClassUID, made.SOPInstanceUID = UltrasoundImageStorage, derive_uid("live", study.name, number)
    _identify(made, study)
    local = taken_at.astimezone()
    made.ContentDate, made.ContentTime = f"{local:%Y%m%d}", f"{local:%H%M%S}"
    made.Modality, made.SeriesInstanceUID, made.SeriesNumber = "US", derive_uid("live", study.name, "series"), 1
    made.SeriesDescription = "Live, kept by the service"
    made.BodyPartExamined = "WRIST"
    made.AnatomicRegionSequence = [_coded(codes.WRIST_JOINT)]
    made.Laterality = study.laterality or ""
    made.Manufacturer, made.ManufacturerModelName = LIVE_MANUFACTURER, "Live guidance"
    made.InstanceNumber, made.ImageComments = number, f"Standard plane {plane}"
    made.ImageType = ["DERIVED", "PRIMARY"]
    made.PatientOrientation = ""
    made.LossyImageCompression = "01" if study.is_lossy else "00"
    _put_pixels(made, pixels)
    if study.mm_per_pixel is not None:
        made.SequenceOfUltrasoundRegions = [_region(pixels, study.mm_per_pixel)]
    return encode_file(made)


def _identify(made: Dataset, study: LiveStudy) -> None:
    made.SpecificCharacterSet = "ISO_IR 192"
    made.PatientName = made.PatientBirthDate = made.PatientSex = made.ReferringPhysicianName = made.StudyID = ""
    made.PatientID = study.patient_id or ""
    made.AccessionNumber = study.accession_number or ""
    made.StudyInstanceUID = study.study_instance_uid
    made.StudyDescription = "Live examination of wrist and hand"
    local = study.began_at.astimezone()
    made.StudyDate, made.StudyTime = f"{local:%Y%m%d}", f"{local:%H%M%S}"


def _put_pixels(made: Dataset, pixels: Pixels) -> None:
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.Rows, made.Columns = pixels.shape
    made.BitsAllocated = made.BitsStored = 8
    made.HighBit, made.PixelRepresentation = 7, 0
    content = pixels.tobytes()
    made.PixelData = content + b"\0" * (len(content) % 2)
    made["PixelData"].VR = "OB"


def _region(pixels: Pixels, mm_per_pixel: float) -> Dataset:
    """The whole picture as one calibrated tissue region (PS3.3 C.8.5.5)."""
    region = Dataset()
    region.RegionSpatialFormat, region.RegionDataType, region.RegionFlags = _TISSUE_2D, _TISSUE, 0
    region.RegionLocationMinX0 = region.RegionLocationMinY0 = 0
    region.RegionLocationMaxY1, region.RegionLocationMaxX1 = (side - 1 for side in pixels.shape)
    region.PhysicalUnitsXDirection = region.PhysicalUnitsYDirection = _CENTIMETRES
    region.PhysicalDeltaX = region.PhysicalDeltaY = mm_per_pixel / 10
    return region


def _coded(code: Code) -> Dataset:
    made = Dataset()
    made.CodeValue, made.CodingSchemeDesignator, made.CodeMeaning = code.value, code.scheme, code.meaning
    return made
