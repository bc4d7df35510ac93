"""Published cine loops of a calf as Ultrasound Multi-frame Images (PS3.3 A.7), lossless, with their scale and frame rate.

The clips are of Baxter and others (github.com/joshrbaxter/ultrasound_tracking, Zenodo 2598553, CC BY 4.0). They show the
scanner's whole screen; where the picture lies in it and how large a pixel is, say the data's own `p6_params.mat`.

The containers say 61 frames a second, the screen 21, and 61 is right: no two frames in a row are alike, and 133 frames of a
foot that turns at 30 degrees a second are 65 degrees at 61, and at 21 more than any ankle has.
"""

from pathlib import Path

import av
import numpy as np
from pydicom import uid
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence

from service.core.cine import Box, Pixels
from service.core.identifiers import derive_uid
from simulator.encode import encoding

#: `px2mmX` and `px2mmY`.
MM_PER_PIXEL = 0.08830022
#: `imCropRect`, which counts pixels from 1.
PICTURE = Box(214, 44, 934, 618)
_US_MULTI_FRAME = uid.UID("1.2.840.10008.5.1.4.1.1.3.1")
_FRAME_TIME_TAG = 0x00181063
_TISSUE_2D, _TISSUE, _CENTIMETRES = 1, 1, 3


def write_clip(clip: Path, path: Path) -> None:
    """The luminance of each frame, as it is."""
    how = encoding("jpeg-ls")
    frames, frames_per_second = _read(clip)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = _US_MULTI_FRAME
    meta.MediaStorageSOPInstanceUID = uid.UID(derive_uid("bench", "clip", clip.stem))
    meta.TransferSyntaxUID = how.transfer_syntax_uid
    meta.ImplementationClassUID = uid.UID(derive_uid("bench", "implementation"))
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\x00" * 128)
    dataset.SOPClassUID, dataset.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    _describe(dataset, clip.stem)
    dataset.NumberOfFrames = len(frames)
    dataset.FrameTime = f"{1000 / frames_per_second:.6f}"
    dataset.FrameIncrementPointer = _FRAME_TIME_TAG
    dataset.Rows, dataset.Columns = frames[0].shape
    dataset.SamplesPerPixel = how.samples_per_pixel
    dataset.PhotometricInterpretation = how.photometric_interpretation
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation = 7, 0
    dataset.SequenceOfUltrasoundRegions = Sequence([_region()])
    dataset.PixelData = encapsulate([how.encode(frame) for frame in frames])
    dataset["PixelData"].VR = "OB"
    dataset.save_as(path, enforce_file_format=True)


def _read(clip: Path) -> tuple[list[Pixels], float]:
    with av.open(str(clip)) as container:
        rate = container.streams.video[0].average_rate
        if rate is None:
            raise ValueError(f"{clip.name} says no frame rate")
        frames = [np.ascontiguousarray(frame.to_ndarray(format="gray"), np.uint8) for frame in container.decode(video=0)]
        return frames, float(rate)


def _describe(dataset: Dataset, name: str) -> None:
    dataset.PatientName = dataset.PatientID = dataset.PatientBirthDate = dataset.PatientSex = ""
    dataset.StudyInstanceUID = derive_uid("bench", "clips")
    dataset.SeriesInstanceUID = derive_uid("bench", "clip", name, "series")
    dataset.StudyDate = dataset.StudyTime = dataset.AccessionNumber = dataset.StudyID = dataset.ReferringPhysicianName = ""
    dataset.Modality, dataset.SeriesDescription = "US", name
    dataset.SeriesNumber = dataset.InstanceNumber = 1
    dataset.ImageType = ["ORIGINAL", "PRIMARY"]
    dataset.LossyImageCompression = "01"  # the clip was, before it came here


def _region() -> Dataset:
    """The picture as one calibrated tissue region (PS3.3 C.8.5.5)."""
    region = Dataset()
    region.RegionSpatialFormat, region.RegionDataType, region.RegionFlags = _TISSUE_2D, _TISSUE, 0
    region.RegionLocationMinX0, region.RegionLocationMinY0 = PICTURE.x0, PICTURE.y0
    region.RegionLocationMaxX1, region.RegionLocationMaxY1 = PICTURE.x1 - 1, PICTURE.y1 - 1
    region.PhysicalUnitsXDirection = region.PhysicalUnitsYDirection = _CENTIMETRES
    region.PhysicalDeltaX = region.PhysicalDeltaY = MM_PER_PIXEL / 10
    return region
