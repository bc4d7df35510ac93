"""Ultrasound cines in every transfer syntax, whole or broken, written byte by byte behind a header by pydicom."""

import struct
from collections.abc import Sequence
from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.pixels.encoders.base import RLELosslessEncoder
from pydicom.sequence import Sequence as Items
from pydicom.uid import UID

Bytes = npt.NDArray[np.uint8]

IMPLICIT, EXPLICIT, BIG_ENDIAN = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
RLE, JPEG, EXTENDED, LOSSLESS = (f"1.2.840.10008.1.2.{suffix}" for suffix in ("5", "4.50", "4.51", "4.70"))
JPEG_LS, JPEG_2000, HTJ2K = (f"1.2.840.10008.1.2.4.{number}" for number in (80, 90, 201))
MPEG_2, H264, HEVC = (f"1.2.840.10008.1.2.4.{number}" for number in (100, 102, 107))
UNDEFINED = 0xFFFFFFFF
#: What else an encoder is told; MPEG-2 has a bit rate where the others have a quality.
_ENCODER_OPTIONS = {"libx265": {"x265-params": "log-level=none"}, "mpeg2video": {"b": "15M"}}
SEQUENCE_END = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)


def speckle(frames: int, rows: int, columns: int, *, colours: int = 1, seed: int = 0) -> Bytes:
    """(frames, rows, columns[, 3]) uint8, smooth enough for lossy codecs, different in every frame."""
    coarse = np.random.default_rng(seed).integers(0, 256, (frames, rows // 8 + 1, columns // 8 + 1, colours), dtype=np.uint8)
    fine = np.repeat(np.repeat(coarse, 8, axis=1), 8, axis=2)[:, :rows, :columns]
    return np.ascontiguousarray(fine if colours > 1 else fine[..., 0])


def region(x0: int, y0: int, x1: int, y1: int, **changes: Any) -> Dataset:
    """One item of SequenceOfUltrasoundRegions: tissue, 2D, 0.1 mm a pixel."""
    item = Dataset()
    item.RegionSpatialFormat, item.RegionDataType, item.RegionFlags = 1, 1, 0
    item.RegionLocationMinX0, item.RegionLocationMinY0 = x0, y0
    item.RegionLocationMaxX1, item.RegionLocationMaxY1 = x1, y1
    item.PhysicalUnitsXDirection = item.PhysicalUnitsYDirection = 3
    item.PhysicalDeltaX = item.PhysicalDeltaY = 0.01
    return changed(item, changes)


def changed(dataset: Dataset, changes: dict[str, Any]) -> Dataset:
    """Set attributes; None removes one."""
    for keyword, value in changes.items():
        if value is None:
            if keyword in dataset:
                delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    return dataset


def header_of(pixels: npt.NDArray[Any], **changes: Any) -> Dataset:
    """A multi-frame ultrasound header for (frames, rows, columns[, 3]) pixels."""
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.3.1", "1.2.826.0.1.3680043.10.1"
    dataset.NumberOfFrames, dataset.Rows, dataset.Columns = pixels.shape[:3]
    is_colour = pixels.ndim == 4
    dataset.SamplesPerPixel = 3 if is_colour else 1
    dataset.PhotometricInterpretation = "RGB" if is_colour else "MONOCHROME2"
    if is_colour:
        dataset.PlanarConfiguration = 0
    dataset.BitsAllocated = dataset.BitsStored = 8 * pixels.dtype.itemsize
    dataset.HighBit, dataset.PixelRepresentation = dataset.BitsStored - 1, 0
    dataset.FrameIncrementPointer, dataset.FrameTime = 0x00181063, "40"
    dataset.SequenceOfUltrasoundRegions = Items([region(0, 0, pixels.shape[2] - 1, pixels.shape[1] - 1)])
    return changed(dataset, changes)


def write_native(
    path: Path, dataset: Dataset, value: bytes, *, syntax: str = EXPLICIT, vr: bytes = b"OW", length: int | None = None
) -> Path:
    """The value as it is; `length` may lie."""
    _write_header(path, dataset, syntax)
    length = len(value) if length is None else length
    order = ">" if syntax == BIG_ENDIAN else "<"
    tag = struct.pack(order + "HH", 0x7FE0, 0x0010)
    head = struct.pack("<I", length) if syntax == IMPLICIT else vr + b"\0\0" + struct.pack(order + "I", length)
    with path.open("ab") as file:
        file.write(tag + head + value)
    return path


def write_encapsulated(
    path: Path, dataset: Dataset, fragments: Sequence[bytes], *, syntax: str, table: Sequence[int] = (), end: bytes = SEQUENCE_END
) -> Path:
    """Items after a Basic Offset Table; nothing is checked."""
    _write_header(path, dataset, syntax)
    items = [item(struct.pack(f"<{len(table)}I", *table)), *(item(fragment) for fragment in fragments)]
    with path.open("ab") as file:
        file.write(struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OB", 0, UNDEFINED) + b"".join(items) + end)
    return path


def item(value: bytes) -> bytes:
    """One fragment, padded to even length."""
    padded = value + b"\0" * (len(value) % 2)
    return struct.pack("<HHI", 0xFFFE, 0xE000, len(padded)) + padded


def encode(frame: npt.NDArray[Any], syntax: str) -> bytes:
    """One frame by imagecodecs or pydicom."""
    if syntax == RLE:
        return _encode_rle(frame)
    encoders = {
        JPEG: lambda: imagecodecs.jpeg8_encode(frame, level=95),
        EXTENDED: lambda: imagecodecs.jpeg8_encode(frame, level=100, bitspersample=12),
        LOSSLESS: lambda: imagecodecs.jpeg8_encode(frame, lossless=True),
        JPEG_LS: lambda: imagecodecs.jpegls_encode(frame),
        JPEG_2000: lambda: imagecodecs.jpeg2k_encode(frame, codecformat="j2k", reversible=True),
        HTJ2K: lambda: imagecodecs.htj2k_encode(frame, reversible=True),
    }
    return bytes(encoders[syntax]())


def encode_video(pixels: Bytes, container: str, codec: str = "libx264", **options: str) -> bytes:
    """(frames, rows, columns) uint8 by the FFmpeg of PyAV, which only the tests use."""
    av: Any = import_module("av")  # here, for it is slow to load; its stubs do not know which kind of stream a codec makes
    target = BytesIO()
    with av.open(target, "w", format=container) as output:
        stream = output.add_stream(codec, rate=25, options={"crf": "5", "bf": "2"} | _ENCODER_OPTIONS.get(codec, {}) | options)
        stream.height, stream.width, stream.pix_fmt = *pixels.shape[1:3], "yuv420p"
        for image in pixels:
            frame = av.VideoFrame.from_ndarray(np.repeat(image[..., np.newaxis], 3, axis=2), "rgb24")
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
    return target.getvalue()


def _encode_rle(frame: npt.NDArray[Any]) -> bytes:
    return bytes(
        RLELosslessEncoder.encode(
            frame.tobytes(),
            rows=frame.shape[0],
            columns=frame.shape[1],
            samples_per_pixel=1 if frame.ndim == 2 else 3,
            bits_allocated=8 * frame.itemsize,
            bits_stored=8 * frame.itemsize,
            pixel_representation=0,
            number_of_frames=1,
            photometric_interpretation="MONOCHROME2" if frame.ndim == 2 else "RGB",
            planar_configuration=0,
            encoding_plugin="pydicom",
        )
    )


def _write_header(path: Path, dataset: Dataset, syntax: str) -> None:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = UID(syntax)
    meta.MediaStorageSOPClassUID = dataset.get("SOPClassUID", "1.2")
    meta.MediaStorageSOPInstanceUID = dataset.get("SOPInstanceUID", "1.2.3")
    dataset.file_meta = meta
    pydicom.dcmwrite(path, dataset, implicit_vr=syntax == IMPLICIT, little_endian=syntax != BIG_ENDIAN, enforce_file_format=True)
