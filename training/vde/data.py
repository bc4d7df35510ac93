"""A cohort as arrays: every clip of every cine, made by the service's own function, with who and where it came from."""

import csv
import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from service.adapters.cine_decoder import FileCineReader
from service.core.clips import CLIPS_VERSION, ClipShape, clips_of
from service.errors import SonomyoError
from simulator.write import COHORT_FILE

Indices = npt.NDArray[np.int64]
Names = npt.NDArray[np.str_]

_COLUMNS = ("file", "subject", "label", "site_type", "side")
_LABELS = {"control": 0, "mps": 1}
_SITE_TYPES = ("control", "latent", "active")


@dataclass(frozen=True, slots=True)
class Cohort:
    """Clips (N, T, S, S) uint8 in order of videos; everything else has one entry a clip."""

    clips: npt.NDArray[np.uint8]
    #: Which video; a video is one cine of one site.
    video: Indices
    subject: Names
    #: 1 with myofascial pain.
    label: Indices
    site_type: Names

    def subjects(self) -> tuple[Names, Indices]:
        """Each subject once, and their labels."""
        names, first = np.unique(self.subject, return_index=True)
        return names, self.label[first]


@dataclass(frozen=True, slots=True)
class _Row:
    """One line of the cohort's table."""

    path: Path
    subject: str
    label: int
    site_type: str


def load_cohort(folder: Path, shape: ClipShape, processes: int = 2) -> Cohort:
    """Cines and `cohort.csv` (file, subject, label, site_type, side) as clips; kept beside them for the next time.

    `label` is `mps` or `control`, `site_type` is `active`, `latent` or `control`. Raises SystemExit naming the line that is
    wrong, or the cine that gives no clip.
    """
    rows = _read_table(folder / COHORT_FILE)
    kept = folder / f"clips-{_fingerprint(folder / COHORT_FILE, shape)}.npz"
    if not kept.exists():
        _keep(_make(rows, shape, processes), kept)
    with np.load(kept, allow_pickle=False) as stored:
        return Cohort(*(stored[field.name] for field in fields(Cohort)))


def runs_of(folder: Path, shape: ClipShape, runs: Path) -> Path:
    """Where what is trained on a cohort lies: other cines, another table or other clips have a folder of their own."""
    return runs / f"{folder.name}-{_fingerprint(folder / COHORT_FILE, shape)[:8]}"


def _make(rows: list[_Row], shape: ClipShape, processes: int) -> Cohort:
    reader = FileCineReader(spares=processes)
    try:
        with ThreadPoolExecutor(processes) as pool:
            made = list(pool.map(partial(_clips_of_row, reader, shape), rows))
    finally:
        reader.close()
    counts = [len(clips) for clips in made]
    return Cohort(
        clips=np.concatenate(made),
        video=np.repeat(np.arange(len(rows)), counts),
        subject=np.repeat([row.subject for row in rows], counts),
        label=np.repeat([row.label for row in rows], counts),
        site_type=np.repeat([row.site_type for row in rows], counts),
    )


def _clips_of_row(reader: FileCineReader, shape: ClipShape, row: _Row) -> npt.NDArray[np.uint8]:
    try:
        with reader.open(row.path) as cine:
            clips = [clip.pixels for clip in clips_of(cine, shape)]
    except SonomyoError as error:
        raise SystemExit(f"{row.path.name}: {error}") from error
    if not clips:
        raise SystemExit(f"{row.path.name}: no muscle between two fasciae was found in any part of the cine; leave it out")
    return np.stack(clips)


def _keep(cohort: Cohort, path: Path) -> None:
    """Written aside and renamed, so that a reader never sees half a file."""
    aside = path.with_suffix(".writing.npz")
    np.savez(aside, **{field.name: getattr(cohort, field.name) for field in fields(Cohort)})
    aside.replace(path)


def _read_table(path: Path) -> list[_Row]:
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(_checked(path, csv.DictReader(file)))
    if {row.label for row in rows} != {0, 1}:
        raise SystemExit(f"{path}: subjects of both labels are needed, mps and control")
    return rows


def _checked(path: Path, table: "csv.DictReader[str]") -> Iterator[_Row]:
    if missing := [column for column in _COLUMNS if column not in (table.fieldnames or ())]:
        raise SystemExit(f"{path}: the columns {', '.join(missing)} are missing")
    labels: dict[str, str] = {}
    for line, row in enumerate(table, start=2):
        if row["label"] not in _LABELS or row["site_type"] not in _SITE_TYPES:
            raise SystemExit(f"{path}, line {line}: label is mps or control, and site_type control, latent or active")
        if (row["label"] == "control") != (row["site_type"] == "control"):
            raise SystemExit(f"{path}, line {line}: sites of a control are control, those of mps active or latent")
        if labels.setdefault(row["subject"], row["label"]) != row["label"]:
            raise SystemExit(f"{path}, line {line}: the subject has another label above")
        if not (path.parent / row["file"]).is_file():
            raise SystemExit(f"{path}, line {line}: there is no file {row['file']}")
        yield _Row(path.parent / row["file"], row["subject"], _LABELS[row["label"]], row["site_type"])


def _fingerprint(table: Path, shape: ClipShape) -> str:
    """Of the table, the sizes of the cines that it names, and how clips are made."""
    with table.open(newline="", encoding="utf-8") as file:
        cines = [table.parent / row["file"] for row in csv.DictReader(file)]
    sizes = [cine.stat().st_size for cine in cines if cine.exists()]
    return hashlib.sha256(table.read_bytes() + f"{CLIPS_VERSION} {shape} {sizes}".encode()).hexdigest()[:16]
