"""What the exported files do on people and pictures that no training saw, through the service's own analysis."""

import csv
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from sklearn.metrics import brier_score_loss

from service.adapters.cine_decoder import FileCineReader
from service.core.analyses.myofascial_pain import CLASSIFIER, ENCODER, MyofascialPain
from service.core.cine import Box, Cine, Frame, Pixels
from service.core.findings import Finding
from service.core.measure.pain_findings import NAME, study_finding
from service.errors import SonomyoError
from simulator.write import COHORT_FILE
from training.onnx_networks import OnnxNetworks
from training.vde.statistics import figures

_THREADS = 2
_MARGIN = 0.03


def evaluate(encoder: Path, classifier: Path, cohorts: list[Path], without: list[Path]) -> dict[str, Any]:
    """Of each cohort discrimination, calibration and false refusals; of cines without a trapezius, how many are measured."""
    networks = OnnxNetworks.opened({ENCODER.model_name: encoder, CLASSIFIER.model_name: classifier})
    reader = FileCineReader(spares=_THREADS)
    try:
        found = {folder.name: _cohort(networks, reader, folder) for folder in cohorts}
        measured = {folder.name: _measured(networks, reader, sorted(folder.glob("*.dcm"))) for folder in without}
        changes = _changes(networks, reader, sorted(cohorts[0].glob("*.dcm"))) if cohorts else {}
    finally:
        reader.close()
    return {"held_out": found, "without_trapezius": measured, "change_of_probability": changes}


def _answer(networks: OnnxNetworks, cine: Cine) -> tuple[Finding | None, str]:
    """The finding and `measured`, or None and the reason."""
    try:
        findings = MyofascialPain().analyse(cine, networks.infer, networks.describe)
    except SonomyoError as error:
        return None, error.reason
    measured = next((finding for finding in findings if finding.name == NAME), None)
    return measured, "measured" if measured is not None else findings[0].flags[0]


def _cohort(networks: OnnxNetworks, reader: FileCineReader, folder: Path) -> dict[str, Any]:
    with (folder / COHORT_FILE).open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    findings: dict[str, list[Finding]] = {row["subject"]: [] for row in rows}

    def probability(row: dict[str, str]) -> Finding | None:
        with reader.open(folder / row["file"]) as cine:
            return _answer(networks, cine)[0]

    with ThreadPoolExecutor(_THREADS) as pool:
        for row, finding in zip(rows, pool.map(probability, rows), strict=True):
            if finding is not None:
                findings[row["subject"]].append(finding)
    label_of = {row["subject"]: int(row["label"] == "mps") for row in rows}
    answered = [subject for subject, found in findings.items() if found]
    labels = np.array([label_of[subject] for subject in answered])
    return {
        "people": len(label_of),
        "people_answered": len(answered),
        "cines": len(rows),
        "cines_refused": len(rows) - sum(map(len, findings.values())),
        **_figures(labels, np.array([_of_study(findings[subject]) for subject in answered])),
    }


def _of_study(findings: list[Finding]) -> float:
    together = study_finding(findings) or findings[0]
    return float(str(together.value))


def _figures(labels: npt.NDArray[np.int64], probability: npt.NDArray[np.float64]) -> dict[str, Any]:
    called = (probability >= 0.5).astype(np.float64)
    found: dict[str, Any] = dict(figures(labels, probability, called))
    base = np.full(len(labels), labels.mean())
    found["brier"] = float(brier_score_loss(labels, probability))
    found["brier_of_the_base_rate"] = float(brier_score_loss(labels, base))
    return found


def _measured(networks: OnnxNetworks, reader: FileCineReader, paths: list[Path]) -> dict[str, int]:
    """Files by what became of them: `measured`, or why not."""
    return dict(Counter(_outcome(networks, reader, path) for path in paths))


def _outcome(networks: OnnxNetworks, reader: FileCineReader, path: Path) -> str:
    try:
        with reader.open(path) as cine:
            return _answer(networks, cine)[1]
    except SonomyoError as error:
        return error.reason


def _changes(networks: OnnxNetworks, reader: FileCineReader, paths: list[Path]) -> dict[str, dict[str, float]]:
    """How much the probability of a cine moves when nothing about the muscle changes, over these cines."""
    alterations: dict[str, Callable[[Cine], Cine]] = {
        "same file again": lambda cine: cine,
        "brightness x 1.15 + 8": partial(_altered, change=_brighter),
        "JPEG again, quality 70": partial(_altered, change=_encoded),
        "3 % of the sector cut off": _cropped,
    }

    def values(path: Path) -> list[float | None]:
        with reader.open(path) as cine:
            found = [_answer(networks, one)[0] for one in (cine, *(alter(cine) for alter in alterations.values()))]
        return [None if finding is None else float(str(finding.value)) for finding in found]

    with ThreadPoolExecutor(_THREADS) as pool:
        answers = list(pool.map(values, paths))
    return {name: _moved([(row[0], row[place]) for row in answers]) for place, name in enumerate(alterations, start=1)}


def _moved(pairs: list[tuple[float | None, float | None]]) -> dict[str, float]:
    moved = [abs(one - other) for one, other in pairs if one is not None and other is not None]
    flips = sum((one is None) != (other is None) for one, other in pairs)
    return {
        "cines": len(pairs),
        "largest": max(moved),
        "95 % within": float(np.quantile(moved, 0.95)),
        "answered once only": flips,
    }


def _altered(cine: Cine, change: Callable[[Pixels], Pixels]) -> Cine:
    return replace(cine, frames=lambda: (Frame(frame.number, change(frame.pixels)) for frame in cine.frames()))


def _brighter(pixels: Pixels) -> Pixels:
    return np.asarray(np.clip(pixels.astype(np.float32) * 1.15 + 8, 0, 255), np.uint8)


def _encoded(pixels: Pixels) -> Pixels:
    written = BytesIO()
    Image.fromarray(pixels).save(written, "JPEG", quality=70)
    return np.asarray(Image.open(written))


def _cropped(cine: Cine) -> Cine:
    box = cine.region.box
    x, y = round(_MARGIN * box.width), round(_MARGIN * box.height)
    region = replace(cine.region, box=Box(box.x0 + x, box.y0 + y, box.x1 - x, box.y1 - y))
    frames = partial(_inner, cine, x, y)
    return replace(cine, region=region, frames=frames)


def _inner(cine: Cine, x: int, y: int) -> Iterator[Frame]:
    for frame in cine.frames():
        yield Frame(
            frame.number, np.ascontiguousarray(frame.pixels[y : frame.pixels.shape[0] - y, x : frame.pixels.shape[1] - x])
        )
