"""A simulated cine as an Ultrasound Multi-frame Image (PS3.3 A.7), written frame by frame, so that memory stays flat."""

import struct
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from pydicom import uid
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence

from service.core.identifiers import derive_uid
from simulator.cine import AnyCine, Pixels
from simulator.console import COLUMNS, ROWS, Screen, draw_screen
from simulator.encode import Encoding, TransferSyntax, encoding

_US_MULTI_FRAME = "1.2.840.10008.5.1.4.1.1.3.1"
_FRAME_TIME_TAG = 0x00181063
_REGION_TISSUE_2D, _DATA_TISSUE, _UNITS_CM = 1, 1, 3
_DATE, _TIME = "20260102", "101500"


def write_cine(cine: AnyCine, path: Path, transfer_syntax: TransferSyntax = "explicit") -> str:
    """Write the file and give its SOP Instance UID. Equal cines give equal files. Raises ValueError for an unknown syntax."""
    how = encoding(transfer_syntax)
    with path.open("wb") as file:
        return _write(cine, file, transfer_syntax, how)


def screen_frames(cine: AnyCine) -> Iterator[Pixels]:
    """Whole frames (480, 640) uint8 as the scanner shows them, console included."""
    frames = cine.frames()
    first = next(frames)
    screen = draw_screen(first.sector.shape[:2], cine.mm_per_pixel, _burned_in(cine))
    yield screen.with_sector(first.sector)
    for frame in frames:
        yield screen.with_sector(frame.sector)


def _write(cine: AnyCine, file: BinaryIO, transfer_syntax: str, how: Encoding) -> str:
    frames = screen_frames(cine)
    first = next(frames)
    encoded = how.encode(first)
    screen = draw_screen(cine.make(0).sector.shape[:2], cine.mm_per_pixel, _burned_in(cine))
    dataset = _dataset(cine, screen, transfer_syntax, how, first.nbytes / len(encoded))
    header = BytesIO()
    dataset.save_as(header, enforce_file_format=True)
    file.write(header.getvalue())
    total = len(encoded) * cine.number_of_frames
    file.write(_pixel_data_start(how, total))
    file.writelines(_fragments(encoded, frames, how))
    if how.is_encapsulated:
        file.write(struct.pack("<HHL", 0xFFFE, 0xE0DD, 0))
    elif total % 2:
        file.write(b"\x00")
    return str(dataset.SOPInstanceUID)


def _fragments(first: bytes, rest: Iterator[Pixels], how: Encoding) -> Iterator[bytes]:
    yield _item(first) if how.is_encapsulated else first
    for frame in rest:
        encoded = how.encode(frame)
        yield _item(encoded) if how.is_encapsulated else encoded


def _item(fragment: bytes) -> bytes:
    """One frame in one fragment (PS3.5 A.4), of even length."""
    padded = fragment + b"\x00" * (len(fragment) % 2)
    return struct.pack("<HHL", 0xFFFE, 0xE000, len(padded)) + padded


def _pixel_data_start(how: Encoding, total: int) -> bytes:
    """Tag, VR and length of Pixel Data; where it is encapsulated, an empty basic offset table follows."""
    tag = struct.pack("<HH", 0x7FE0, 0x0010)
    if how.is_encapsulated:
        return tag + b"OB\x00\x00" + struct.pack("<L", 0xFFFFFFFF) + struct.pack("<HHL", 0xFFFE, 0xE000, 0)
    length = struct.pack("<L", total + total % 2)
    if how.transfer_syntax_uid == uid.ImplicitVRLittleEndian:
        return tag + length
    return tag + b"OB\x00\x00" + length


def _dataset(cine: AnyCine, screen: Screen, transfer_syntax: str, how: Encoding, ratio: float) -> FileDataset:
    """Everything but the pixels."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = uid.UID(_US_MULTI_FRAME)
    meta.MediaStorageSOPInstanceUID = uid.UID(_derived(cine, cine.seed, cine.number_of_frames, "instance", transfer_syntax))
    meta.TransferSyntaxUID = how.transfer_syntax_uid
    meta.ImplementationClassUID = uid.UID(derive_uid("simulator", "implementation"))
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\x00" * 128)
    dataset.SOPClassUID = meta.MediaStorageSOPClassUID
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    _patient_and_study(dataset, cine, transfer_syntax)
    _series_and_equipment(dataset, cine)
    _image(dataset, cine, how, ratio)
    dataset.SequenceOfUltrasoundRegions = Sequence([_region(cine, screen)])
    return dataset


def _patient_and_study(dataset: Dataset, cine: AnyCine, transfer_syntax: str) -> None:
    person = cine.scan.person
    dataset.PatientName = f"Simulated^{cine.kind.capitalize()}^{person}"
    dataset.PatientID = f"SIM-{cine.kind.upper()}-{person}"
    dataset.PatientBirthDate = "19800101"
    dataset.PatientSex = "O"
    dataset.StudyInstanceUID = _derived(cine, *cine.scan.study, "study")
    dataset.SeriesInstanceUID = _derived(cine, cine.seed, cine.number_of_frames, "series", transfer_syntax)
    dataset.StudyDate = dataset.SeriesDate = dataset.ContentDate = _DATE
    dataset.StudyTime = dataset.SeriesTime = dataset.ContentTime = _TIME
    dataset.AccessionNumber = f"SIM{person}"
    dataset.StudyID = "1"
    dataset.StudyDescription = f"Simulated {cine.kind}"
    dataset.ReferringPhysicianName = ""


def _series_and_equipment(dataset: Dataset, cine: AnyCine) -> None:
    dataset.Modality = "US"
    dataset.SeriesNumber = cine.scan.instance_number
    dataset.SeriesDescription = cine.scan.series_description
    dataset.BodyPartExamined = cine.scan.body_part
    dataset.Laterality = cine.scan.laterality
    if cine.scan.anatomic_region is not None:
        dataset.AnatomicRegionSequence = Sequence([_snomed(*cine.scan.anatomic_region)])
    dataset.Manufacturer = "Sonomyo"
    dataset.ManufacturerModelName = "Simulator"
    dataset.DeviceSerialNumber = str(cine.scan.person)
    dataset.SoftwareVersions = cine.truth.simulator_version


def _image(dataset: Dataset, cine: AnyCine, how: Encoding, ratio: float) -> None:
    dataset.InstanceNumber = cine.scan.instance_number
    dataset.PatientOrientation = ""
    dataset.ImageType = ["ORIGINAL", "PRIMARY"]
    dataset.BurnedInAnnotation = "YES"
    dataset.LossyImageCompression = "01" if how.lossy_method else "00"
    if how.lossy_method:
        dataset.LossyImageCompressionRatio = f"{ratio * how.samples_per_pixel:.2f}"
        dataset.LossyImageCompressionMethod = how.lossy_method
    dataset.NumberOfFrames = cine.number_of_frames
    dataset.FrameTime = f"{cine.frame_time_ms:g}"
    dataset.FrameIncrementPointer = _FRAME_TIME_TAG
    dataset.SamplesPerPixel = how.samples_per_pixel
    dataset.PhotometricInterpretation = how.photometric_interpretation
    if how.samples_per_pixel > 1:
        dataset.PlanarConfiguration = 0
    dataset.Rows, dataset.Columns = ROWS, COLUMNS
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation = 7, 0


def _region(cine: AnyCine, screen: Screen) -> Dataset:
    """The sector as one calibrated tissue region (PS3.3 C.8.5.5)."""
    region = Dataset()
    region.RegionSpatialFormat = _REGION_TISSUE_2D
    region.RegionDataType = _DATA_TISSUE
    region.RegionFlags = 0
    region.RegionLocationMinX0, region.RegionLocationMinY0 = screen.left, screen.top
    region.RegionLocationMaxX1 = screen.left + screen.width - 1
    region.RegionLocationMaxY1 = screen.top + screen.height - 1
    region.ReferencePixelX0, region.ReferencePixelY0 = 0, 0
    region.PhysicalUnitsXDirection = region.PhysicalUnitsYDirection = _UNITS_CM
    region.ReferencePixelPhysicalValueX = region.ReferencePixelPhysicalValueY = 0.0
    region.PhysicalDeltaX = region.PhysicalDeltaY = cine.mm_per_pixel / 10
    region.TransducerFrequency = 7500
    return region


def _burned_in(cine: AnyCine) -> tuple[str, ...]:
    settings = (f"FR {cine.scan.shown_frame_rate}", "D 4.6", "G 62", "DR 60", "MSK", cine.truth.device[:12])
    return (f"SIMULATED^{cine.kind.upper()}^{cine.scan.person}", "02/01/2026  10:15:00", *settings)


def _snomed(value: str, meaning: str) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, "SCT", meaning
    return code


def _derived(cine: AnyCine, *what: str | int) -> str:
    return derive_uid("simulator", cine.truth.simulator_version, cine.kind, *what)
