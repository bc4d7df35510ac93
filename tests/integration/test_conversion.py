"""Objects that are sent to peers which take one transfer syntax only: what arrives says the same, and shows the same."""

import io
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import Dataset, dcmread
from pydicom.datadict import tag_for_keyword
from pydicom.encaps import generate_frames
from pydicom.uid import (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    RLELossless,
)

from service.core.cine import Cine, Pixels
from service.core.render.capture import SECONDARY_CAPTURE, render_capture
from service.errors import InputRejected
from service.records import RenderedObject
from tests.calf_report import calf_report, instance
from tests.dciodvfy import complaints
from tests.fakes import make_cine
from tests.integration.store_parts import (
    PYNETDICOM_LEAVES_A_SOCKET,
    Scp,
    dcmtk_storescp,
    destination,
    rendered,
    running,
)

#: Quality 90 with chroma for two pixels each, on smooth grey.
JPEG_ERROR = 6
#: Two decoders of the same frame: rounding, and how chroma is spread.
DECODERS_DIFFER = 3
#: What storescp is told of the only syntax that it takes.
ONLY_EXPLICIT = f"""
[[TransferSyntaxes]]
[Only]
TransferSyntax1 = {ExplicitVRLittleEndian}
[Usual]
TransferSyntax1 = {ImplicitVRLittleEndian}
[[PresentationContexts]]
[Contexts]
PresentationContext1 = {SECONDARY_CAPTURE}\\Only
PresentationContext2 = 1.2.840.10008.1.1\\Usual
[[Profiles]]
[Profile]
PresentationContexts = Contexts
"""


def moving(*, rows: int = 48, columns: int = 256, frames: int = 3) -> Cine:
    """A grey wedge that grows brighter."""
    wedge = np.add.outer(np.arange(rows), np.arange(columns)) * 150 // (rows + columns)

    def picture(number: int) -> Pixels:
        grey = (wedge + 20 * (number % 5)).astype(np.uint8)
        return np.stack([grey] * 3, axis=-1)

    return replace(make_cine("2.25.1", frames=frames), rows=rows, columns=columns, picture=picture)


def capture(cine: Cine | None = None) -> RenderedObject:
    shown = cine or moving()
    content = render_capture(calf_report(), "sc.1", 1, instance(), "muscle_architecture", None, shown, io.BytesIO())
    return replace(rendered(), kind="sc.1", sop_class_uid=SECONDARY_CAPTURE, content=content)


@contextmanager
def storescp_of_one(syntax: str, folder: Path) -> Iterator[int]:
    """DCMTK's storescp, which takes `syntax` alone for captures."""
    received = folder / "received"
    received.mkdir()
    options = ["+xi"]
    if syntax == ExplicitVRLittleEndian:
        profile = folder / "profile.cfg"
        profile.write_text(ONLY_EXPLICIT)
        options = ["--config-file", str(profile), "Profile"]
    with dcmtk_storescp(received, *options) as port:
        yield port


def arrived(folder: Path) -> Dataset:
    (path,) = (folder / "received").iterdir()
    return dcmread(path)


def decoded(sent: Dataset) -> list[Pixels]:
    """The frames as another decoder than ours shows them."""
    frames = generate_frames(sent.PixelData, number_of_frames=sent.NumberOfFrames)
    return [np.asarray(Image.open(io.BytesIO(frame)).convert("RGB")) for frame in frames]


def described(dataset: Dataset) -> dict[str, object]:
    """All but the pixels and how they are encoded."""
    of_pixels = {
        f"{tag_for_keyword(keyword):08X}" for keyword in ("PixelData", "PhotometricInterpretation", "PlanarConfiguration")
    }
    return {tag: value for tag, value in dataset.to_json_dict().items() if tag not in of_pixels}


@pytest.mark.parametrize(("syntax", "vr"), [(ExplicitVRLittleEndian, "OB"), (ImplicitVRLittleEndian, "OW")])
@PYNETDICOM_LEAVES_A_SOCKET
def test_capture_to_a_peer_of_one_uncompressed_syntax_arrives_in_it(tmp_path: Path, syntax: str, vr: str) -> None:
    cine = moving()
    with storescp_of_one(syntax, tmp_path) as port:
        destination(port).send(capture(cine))
    (path,) = (tmp_path / "received").iterdir()
    assert complaints(path) == []
    got, sent = dcmread(path), dcmread(io.BytesIO(capture(cine).content))
    assert (got.file_meta.TransferSyntaxUID, got["PixelData"].VR) == (syntax, vr)
    assert (got.PhotometricInterpretation, got.PlanarConfiguration) == ("RGB", 0)
    assert (got.LossyImageCompression, got.LossyImageCompressionMethod) == ("01", "ISO_10918_1")
    assert got.LossyImageCompressionRatio == sent.LossyImageCompressionRatio
    assert described(got) == described(sent)
    shown = got.pixel_array.astype(int)
    assert np.abs(shown - np.stack(decoded(sent))).max() <= DECODERS_DIFFER
    painted = np.stack(list(cine.pictures()))
    assert np.abs(shown[:, : cine.rows] - painted).max() <= JPEG_ERROR


@PYNETDICOM_LEAVES_A_SOCKET
def test_capture_of_an_odd_number_of_samples_is_padded(tmp_path: Path) -> None:
    cine = moving(rows=47, columns=257, frames=1)
    with storescp_of_one(ImplicitVRLittleEndian, tmp_path) as port:
        destination(port).send(capture(cine))
    got = arrived(tmp_path)
    assert got.pixel_array.shape == (got.Rows, got.Columns, 3)
    assert len(got.PixelData) == got.pixel_array.size + got.pixel_array.size % 2


@PYNETDICOM_LEAVES_A_SOCKET
def test_capture_is_never_whole_in_memory_uncompressed(tmp_path: Path) -> None:
    cine = moving(rows=480, columns=640, frames=60)
    made = capture(cine)
    with storescp_of_one(ExplicitVRLittleEndian, tmp_path) as port:
        tracemalloc.start()
        try:
            destination(port).send(made)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    uncompressed = len(arrived(tmp_path).PixelData)
    assert uncompressed > 50 << 20
    assert peak < uncompressed / 4


def test_capture_to_a_peer_that_takes_all_goes_out_as_it_was_made() -> None:
    syntaxes = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, JPEGBaseline8Bit)
    with running(Scp(), *((SECONDARY_CAPTURE, one) for one in syntaxes)) as scp:
        destination(scp.port).send(capture())
    assert [capture().content.endswith(got) for got in scp.received] == [True]


def test_capture_to_a_peer_of_other_syntaxes_is_refused_for_good() -> None:
    with running(Scp(), (SECONDARY_CAPTURE, RLELossless)) as scp, pytest.raises(InputRejected) as refused:
        destination(scp.port).send(capture())
    assert (refused.value.reason, scp.received) == ("no_accepted_context", [])


def test_capture_whose_frames_were_damaged_is_refused_and_nothing_arrives() -> None:
    made = capture()
    start_of_scan = made.content.rindex(b"\xff\xda")
    damaged = replace(made, content=made.content[: start_of_scan + 20] + bytes(len(made.content) - start_of_scan - 20))
    with (
        running(Scp(), (SECONDARY_CAPTURE, ExplicitVRLittleEndian)) as scp,
        pytest.raises(InputRejected, match=r"Frame 3 .* cannot be decoded"),
    ):
        destination(scp.port).send(damaged)
    assert scp.received == []
