"""A simulated cine in the transfer syntaxes that the simulator does not write: by DCMTK, imagecodecs or FFmpeg."""

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import imagecodecs
import numpy as np
import pydicom

from tests.cine_files import BIG_ENDIAN, HTJ2K, Bytes, encode, encode_video, write_encapsulated
from tests.peers import peer

PATH = {"PATH": "/usr/bin"}


@dataclass(frozen=True, slots=True)
class Transcoding:
    """One transfer syntax and how a native cine gets into it."""

    transfer_syntax_uid: str
    write: Callable[[Path, Path, str], None]


def transcode(source: Path, target: Path, name: str) -> Path:
    """Write the native cine `source` (frames, rows, columns) uint8 as `target` in the syntax of that name, UIDs kept."""
    wanted = TRANSCODINGS[name]
    wanted.write(source, target, wanted.transfer_syntax_uid)
    assert pydicom.dcmread(target, stop_before_pixels=True).file_meta.TransferSyntaxUID == wanted.transfer_syntax_uid
    return target


def _by_dcmtk(program: str, *options: str) -> Callable[[Path, Path, str], None]:
    def write(source: Path, target: Path, _: str) -> None:
        command = [peer(f"/usr/bin/{program}"), *options, str(source), str(target)]
        done = subprocess.run(command, check=False, capture_output=True, text=True, env=PATH)
        assert done.returncode == 0, done.stderr

    return write


def _by_frames(encode_frame: Callable[[Bytes], bytes], source: Path, target: Path, syntax: str) -> None:
    dataset = pydicom.dcmread(source)
    pixels = dataset.pixel_array
    del dataset.PixelData
    write_encapsulated(target, dataset, [encode_frame(frame) for frame in pixels], syntax=syntax)


def _by_ffmpeg(codec: str, container: str, source: Path, target: Path, syntax: str) -> None:
    dataset = pydicom.dcmread(source)
    stream = encode_video(np.asarray(dataset.pixel_array), container, codec)
    del dataset.PixelData
    dataset.SamplesPerPixel, dataset.PlanarConfiguration, dataset.PhotometricInterpretation = 3, 0, "YBR_PARTIAL_420"
    write_encapsulated(target, dataset, [stream], syntax=syntax)


def _jpeg_2000_lossy(frame: Bytes) -> bytes:
    return bytes(imagecodecs.jpeg2k_encode(frame, codecformat="J2K", level=40))


_UID = "1.2.840.10008.1.2.4"
TRANSCODINGS = {
    "big-endian": Transcoding(BIG_ENDIAN, _by_dcmtk("dcmconv", "+tb")),
    "jpeg-extended": Transcoding(f"{_UID}.51", _by_dcmtk("dcmcjpeg", "+ee", "+un")),
    "jpeg-lossless-any-predictor": Transcoding(f"{_UID}.57", _by_dcmtk("dcmcjpeg", "+el", "+sv", "6", "+un")),
    "jpeg-ls-near-lossless": Transcoding(f"{_UID}.81", _by_dcmtk("dcmcjpls", "+en", "+un")),
    "jpeg2000-lossy": Transcoding(f"{_UID}.91", partial(_by_frames, _jpeg_2000_lossy)),
    "htj2k": Transcoding(HTJ2K, partial(_by_frames, partial(encode, syntax=HTJ2K))),
    "mpeg2": Transcoding(f"{_UID}.100", partial(_by_ffmpeg, "mpeg2video", "mpegts")),
    "h264": Transcoding(f"{_UID}.102", partial(_by_ffmpeg, "libx264", "mpegts")),
    "h264-mp4": Transcoding(f"{_UID}.103", partial(_by_ffmpeg, "libx264", "mp4")),
    "hevc": Transcoding(f"{_UID}.107", partial(_by_ffmpeg, "libx265", "mpegts")),
}
