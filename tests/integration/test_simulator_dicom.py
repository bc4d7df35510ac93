"""Simulated cines as DICOM files: each transfer syntax, calibration, private text outside the region, the validator."""

import tracemalloc
from pathlib import Path

import numpy as np
import pydicom
import pytest

from simulator.calf import CalfTruth, simulate_calf
from simulator.dicom import screen_frames, write_cine
from simulator.encode import TRANSFER_SYNTAXES, TransferSyntax
from simulator.write import simulate
from tests.dciodvfy import complaints

_LARGEST_LOSS = {"jpeg": 20, "jpeg-colour": 20}


@pytest.mark.parametrize("transfer_syntax", TRANSFER_SYNTAXES)
def test_write_cine_every_syntax_decodes_to_the_frames(tmp_path: Path, transfer_syntax: TransferSyntax) -> None:
    cine = simulate_calf(3, 2)
    write_cine(cine, tmp_path / "a.dcm", transfer_syntax)
    read = pydicom.dcmread(tmp_path / "a.dcm")
    pixels = read.pixel_array.reshape(2, 480, 640, -1).astype(np.int16)
    wanted = np.stack(list(screen_frames(cine))).astype(np.int16)[..., None]
    assert np.abs(pixels[..., :1] - wanted).max() <= _LARGEST_LOSS.get(transfer_syntax, 0)
    assert read.FrameTime == 40
    assert read.FrameIncrementPointer == 0x00181063


@pytest.mark.parametrize("transfer_syntax", ["implicit", "jpeg-colour"])
def test_write_cine_passes_the_validator(tmp_path: Path, transfer_syntax: TransferSyntax) -> None:
    write_cine(simulate_calf(3, 2), tmp_path / "a.dcm", transfer_syntax)
    assert complaints(tmp_path / "a.dcm") == []


def test_write_cine_region_holds_the_sector_and_no_text(tmp_path: Path) -> None:
    cine = simulate_calf(3, 2)
    write_cine(cine, tmp_path / "a.dcm")
    read = pydicom.dcmread(tmp_path / "a.dcm")
    region = read.SequenceOfUltrasoundRegions[0]
    x0, y0 = region.RegionLocationMinX0, region.RegionLocationMinY0
    x1, y1 = region.RegionLocationMaxX1 + 1, region.RegionLocationMaxY1 + 1
    assert np.array_equal(read.pixel_array[1, y0:y1, x0:x1], cine.make(1).sector)
    assert region.PhysicalDeltaX * 10 == pytest.approx(cine.mm_per_pixel)
    outside = read.pixel_array[0].copy()
    outside[y0:y1, x0:x1] = 0
    assert (outside > 150).sum() > 200  # there is burned-in text, and it lies outside


def test_simulate_equal_seeds_give_equal_files(tmp_path: Path) -> None:
    first = list(simulate("calf", tmp_path / "a", 2, 7, "jpeg", number_of_frames=2))
    second = list(simulate("calf", tmp_path / "b", 2, 7, "jpeg", number_of_frames=2))
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]
    assert first[0].read_bytes() != first[1].read_bytes()
    truth = CalfTruth.model_validate_json((tmp_path / "a" / "calf_000007.truth.json").read_text())
    assert truth.seed == 7
    assert len(truth.pennation_deg) == 2


def test_simulate_unknown_kind_or_syntax_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="trapezoid"):
        list(simulate("trapezoid", tmp_path))
    with pytest.raises(ValueError, match="morse"):
        list(simulate("calf", tmp_path, transfer_syntax="morse"))  # type: ignore[arg-type]  # a wrong word on purpose


def test_write_cine_long_cine_keeps_memory_flat(tmp_path: Path) -> None:
    cine = simulate_calf(3, 14)
    tracemalloc.start()
    write_cine(cine, tmp_path / "a.dcm")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    six_frames = 6 * 480 * 640
    short = simulate_calf(3, 2)
    tracemalloc.start()
    write_cine(short, tmp_path / "b.dcm")
    _, short_peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak - short_peak < six_frames
