"""Frames with a known answer: TimTrack with its observers, simulated calves, and pictures that show no muscle architecture.

Real frames come from a folder that is no part of the repository (SONOMYO_SHARED, or `shared` beside it); without it, none do.
"""

import os
import re
import tempfile
import zipfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

import av
import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

from service.adapters.cine_decoder import FileCineReader
from service.core.cine import Box, Calibration, Cine, Frame, Pixels, Region, TimeAxis
from simulator.calf import simulate_calf
from simulator.device import DeviceGroup
from simulator.nuisance import simulate_nuisance

#: Seeds that neither training nor the choice of thresholds has seen.
TEST_SEEDS = 2_000_000
NUISANCE_SEEDS = 4_000_000
GATE_SEEDS = TEST_SEEDS + 300_000
STRIPE_SEEDS = 7_000_000
#: Of the simulator, with the words that tables have for them.
DEVICE_GROUPS: tuple[tuple[DeviceGroup, str], ...] = (("common", "known devices"), ("held-out", "held-out devices"))
_FRAMES_A_SUBJECT = (0, 10, 20, 28, 35, 45)
#: Heights in the sheets of set 3 are in pixels of a picture that is larger than the clip.
_SET_3_ENLARGEMENT = 1.25
#: `python -m bench.overlap` found it: most of this set are pictures of DL_Track, mirrored; its errors are not those of new ones.
SET_4 = "set 4, gastrocnemius medialis, mirrored (not held out: 19 of 30 are pictures of DL_Track)"
_NAMESPACES = {
    "m": "http://schemas.openxmlformats.org/spreadsheetml/2006/main",
    "r": "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id",
}
#: Alpha and beta, degrees, and height, pixels, by one observer.
Reading = tuple[float, float, float]
Sheets = Mapping[str, Sequence[Mapping[str, str]]]


@dataclass(frozen=True)
class Labelled:
    """One cine and what is true of each frame, by the name of the measurement; `group` is what a bootstrap draws."""

    group: str
    cine: Cine
    truth: Mapping[str, tuple[float, ...]]
    #: The observers' own values, to learn how far people are apart.
    readings: tuple[Reading, ...] = ()


def shared_folder() -> Path | None:
    """Where the labelled data lie; None without them."""
    beside = Path(__file__).resolve().parents[2] / "shared"
    folder = Path(os.environ.get("SONOMYO_SHARED", beside)) / "data"
    return folder if folder.is_dir() else None


def timtrack(data: Path) -> Iterator[tuple[str, Labelled]]:
    """Set by set, frames with observers' readings; no threshold was chosen on them, and but for set 4 none was trained on."""
    root = data / "timtrack"
    for name, group, image, readings in (*_set_1(root), *_set_2(root), *_set_3(root, data / "gm_clips"), *_set_4(root)):
        if not readings:
            continue
        alpha, beta, height = np.mean(readings, axis=0)
        truth = {
            "fascicle_to_superficial": (alpha - beta,),
            "fascicle_angle": (alpha,),
            "thickness": (height,),
            "thickness_at_insertion": (height,),
        }
        yield name, Labelled(group, one_frame(image), {key: tuple(map(float, value)) for key, value in truth.items()}, readings)


def simulated(subjects: int, device_group: DeviceGroup, first_seed: int = TEST_SEEDS) -> Iterator[Labelled]:
    """Calves in contraction, a few frames of each, in mm."""
    first = first_seed + (0 if device_group == "common" else 500_000)
    for seed in range(first, first + subjects):
        calf = simulate_calf(seed, device_group=device_group)
        truth = calf.truth
        images = [calf.make(index).sector for index in _FRAMES_A_SUBJECT]
        values = {
            "thickness": truth.thickness_mm,
            "pennation_angle": truth.pennation_deg,
            "fascicle_length": truth.fascicle_length_mm,
        }
        known = {name: tuple(series[index] for index in _FRAMES_A_SUBJECT) for name, series in values.items()}
        yield Labelled(truth.subject, cine_of(images, Calibration(calf.mm_per_pixel, calf.mm_per_pixel, "simulated")), known)


def without_muscle(data: Path | None, nuisances: int) -> Iterator[tuple[str, Cine]]:
    """Pictures in which muscle architecture must not be measured; of usgra only those that training never saw."""
    for seed in range(NUISANCE_SEEDS, NUISANCE_SEEDS + nuisances):
        yield "simulated nuisance", one_frame(simulate_nuisance(seed))
    for seed in range(STRIPE_SEEDS, STRIPE_SEEDS + max(1, nuisances // 2)):
        yield "level stripes in speckle", one_frame(striped(seed))
    if data is not None:
        for path in sorted((data / "usgra" / "test" / "images").iterdir()):
            yield "nerve and vessel across (usgra, test)", one_frame(_grey(path))
        yield from _dicom_without_muscle(data / "dicom")


def _dicom_without_muscle(folder: Path) -> Iterator[tuple[str, Cine]]:
    """Each file while it is open: a probe in air, a shoulder, hearts and a fetus, Doppler among them."""
    with closing(FileCineReader()) as reader, tempfile.TemporaryDirectory() as unpacked:
        for archive in sorted(folder.glob("*.zip")):
            with zipfile.ZipFile(archive) as content:
                content.extractall(unpacked)
        for path in sorted([*Path(unpacked).rglob("*.dcm"), *folder.glob("*.dcm"), folder / "DIRW0007"]):
            with reader.open(path) as cine:
                yield "other anatomy, air, Doppler (DICOM files)", cine


def striped(seed: int) -> Pixels:
    """A phantom of level bright layers in speckle (480 x 400): it has aponeuroses' lines, and nothing that is a muscle."""
    random = np.random.default_rng(seed)
    distance, thickness = random.uniform(60, 180), random.uniform(5, 16)
    depth = np.arange(400)[:, None] + random.uniform(0, distance)
    speckle = gaussian_filter(random.rayleigh(1, (400, 480)), (1, random.uniform(1, 3)))
    layers = random.uniform(30, 70) + random.uniform(80, 150) * (depth % distance < thickness)
    return np.asarray((layers * speckle * 0.9).clip(0, 255), np.uint8)


def one_frame(image: Pixels) -> Cine:
    """A single picture without a scale."""
    return cine_of([image], Calibration(None, None, "none", "a picture without a scale"))


_NO_TIME = TimeAxis(None, "none", reason="frames for a benchmark")


def cine_of(images: Sequence[Pixels], calibration: Calibration, time_axis: TimeAxis = _NO_TIME) -> Cine:
    """A cine of pictures in memory."""
    rows, columns = images[0].shape
    return Cine(
        sop_instance_uid="2.25.1",
        number_of_frames=len(images),
        rows=rows,
        columns=columns,
        region=Region(None, Box(0, 0, columns, rows), calibration, "the whole picture"),
        time_axis=time_axis,
        frames=lambda: (Frame(number, image) for number, image in enumerate(images, start=1)),
        picture=lambda number: np.repeat(images[number - 1][:, :, None], 3, axis=2),
        pixel_sha256=lambda: "",
    )


Found = tuple[str, str, Pixels, tuple[Reading, ...]]


@dataclass(frozen=True, slots=True)
class StepPicture:
    """Of TimTrack's first set: a leg at a step of a contraction, which grows with the number."""

    subject: str
    leg: str
    step: int
    image: Pixels


def contraction_steps(data: Path) -> Iterator[StepPicture]:
    """All pictures of TimTrack's first set."""
    for path in sorted((data / "timtrack" / "dataset_1").glob("S*/*.png")):
        named = re.match(r"(S\d+)_([LR])\d+_step_(\d+)", path.stem)
        if named is None:
            raise ValueError(f"{path.name} is not named as TimTrack's first set names its pictures")
        subject, leg, step = named.groups()
        yield StepPicture(subject, leg, int(step), _grey(path))


def _set_1(root: Path) -> Iterator[Found]:
    readings: dict[tuple[str, str, int], list[Reading]] = defaultdict(list)
    for rows in _sheets(root / "dataset_1" / "dataset1_for_manual_estimation.xlsx").values():
        for row in rows:
            reading = _reading(row, "D", "E", "H")
            if reading and _number(row, "A") is not None:
                readings[f"S{int(float(row['A']))}", row["B"], int(float(row["C"]))].append(reading)
    for one in contraction_steps(root.parent):
        yield "set 1, vastus lateralis", one.subject, one.image, tuple(readings[one.subject, one.leg, one.step])


def _set_2(root: Path) -> Iterator[Found]:
    readings: dict[tuple[str, int], list[Reading]] = defaultdict(list)
    for observer in (1, 2, 3):
        for sheet, rows in _sheets(root / "dataset_2" / f"dataset2_for_manual_estimation_obs{observer}.xlsx").items():
            for row in rows:
                reading = _reading(row, "B", "C", "F")
                if reading and _number(row, "A") is not None:
                    readings[sheet, int(float(row["A"]))].append(reading)
    for path in sorted((root / "dataset_2").glob("*/*.png")):
        # As above.
        task, number = re.match(r"gastroc_(range_of_motion|jumping)_(\d+)", path.stem).groups()  # type: ignore[union-attr]  # the names of these files are known
        yield "set 2, gastrocnemius lateralis", task, _grey(path), tuple(readings[task, int(number)])


def _set_3(root: Path, clips: Path) -> Iterator[Found]:
    readings = set_3_readings(root)
    for path in sorted(clips.glob("*.mp4")):
        with av.open(str(path)) as clip:
            for number, frame in enumerate(clip.decode(video=0), start=1):
                if found := readings.get(f"{path.stem}_{number}"):
                    image = np.ascontiguousarray(frame.to_ndarray(format="gray")[:, ::-1], np.uint8)
                    yield "set 3, gastrocnemius medialis", path.stem, image, tuple(found)


def set_3_readings(root: Path) -> Mapping[str, Sequence[Reading]]:
    """Of the clips' labelled frames, by `CLIP_N` with N from 1; heights in pixels of the clip."""
    readings: dict[str, list[Reading]] = defaultdict(list)
    for observer in (1, 2, 3):
        for sheet, rows in _sheets(root / "dataset_3" / f"dataset3_for_manual_estimation_obs{observer}.xlsx").items():
            for row in rows:
                if reading := _reading(row, "B", "C", "D"):
                    alpha, beta, height = reading
                    readings[f"{sheet}_{row.get('A')}"].append((alpha, beta, height / _SET_3_ENLARGEMENT))
    return readings


def _set_4(root: Path) -> Iterator[Found]:
    readings: dict[str, list[Reading]] = defaultdict(list)
    for observer in (1, 2, 3):
        for sheet, rows in _sheets(root / "dataset_4" / f"dataset4_for_manual_estimation_obs{observer}.xlsx").items():
            for row in rows:
                if reading := _reading(row, "B", "C", "D"):
                    readings[f"{sheet}/{row.get('A')}"].append(reading)
    for path in sorted((root / "dataset_4").glob("*/*.png")):
        name = f"{path.parent.name}/{path.stem}"
        yield SET_4, name, _grey(path), tuple(readings[name])


def _grey(path: Path) -> Pixels:
    return np.asarray(Image.open(path).convert("L"), np.uint8)


def _reading(row: Mapping[str, str], *columns: str) -> Reading | None:
    numbers = [_number(row, column) for column in columns]
    alpha, beta, height = numbers
    return None if alpha is None or beta is None or height is None else (alpha, beta, height)


def _number(row: Mapping[str, str], column: str) -> float | None:
    try:
        return float(row[column])
    except (KeyError, ValueError):
        return None


def _sheets(path: Path) -> Sheets:
    """Rows of each sheet of an Office Open XML workbook (ECMA-376), cells by column letters."""
    with zipfile.ZipFile(path) as book:
        texts = ["".join(item.itertext()) for item in ET.fromstring(book.read("xl/sharedStrings.xml"))]  # noqa: S314 - our own data
        targets = {item.get("Id"): item.get("Target", "") for item in ET.fromstring(book.read("xl/_rels/workbook.xml.rels"))}  # noqa: S314 - a published workbook
        sheets = {}
        for sheet in ET.fromstring(book.read("xl/workbook.xml")).findall("m:sheets/m:sheet", _NAMESPACES):  # noqa: S314 - a published workbook
            target = targets[sheet.get(_NAMESPACES["r"])].lstrip("/").removeprefix("xl/")
            rows = ET.fromstring(book.read(f"xl/{target}")).findall(".//m:row", _NAMESPACES)  # noqa: S314 - a published workbook
            sheets[sheet.get("name", "")] = [dict(_cells(row, texts)) for row in rows]
        return sheets


def _cells(row: ET.Element, texts: Sequence[str]) -> Iterator[tuple[str, str]]:
    for cell in row.findall("m:c", _NAMESPACES):
        value = cell.findtext("m:v", namespaces=_NAMESPACES)
        if value is not None:
            yield re.sub(r"\d", "", cell.get("r", "")), texts[int(value)] if cell.get("t") == "s" else value
