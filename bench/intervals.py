"""Half-widths of the intervals around measurements, and how often they hold the truth: `python -m bench.intervals`.

Calibrated on simulated subjects that no training saw, one half on devices of training and one on others; the share of intervals
that hold the truth is then measured on other subjects of both, and on TimTrack's observed frames. A cine counts once, by the
median over its frames as a report gives it; a still is one frame of a subject, another of each. Writes
service/core/measure/intervals.json and bench/results/intervals.json.
"""

import argparse
import hashlib
import json
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench import contractions
from bench.accuracy import inferring, interval
from bench.bare_loop import MODEL, TRITON_PACKAGES, open_network
from bench.labelled_images import TEST_SEEDS, Labelled, shared_folder, simulated, timtrack
from service.core.analyses.analysis import Infer
from service.core.analyses.muscle_architecture import MODEL as ASKED
from service.core.analyses.muscle_architecture import MuscleArchitecture
from service.core.analyses.prepared import prepare
from service.core.measure import intervals
from service.core.measure.architecture import FrameArchitecture
from service.core.measure.intervals import Calibration

#: Subjects apart from those of training, of `bench.accuracy` and of the coverage measured here.
CALIBRATION_SEEDS = TEST_SEEDS + 100_000
COVERAGE_SEEDS = TEST_SEEDS + 200_000
LEVEL = 0.9
#: Fewer measured frames than this count as a still.
CINE_FROM = 5
_KINDS = {"thickness": "relative", "pennation_angle": "absolute", "fascicle_length": "relative"}
TABLE = Path(intervals.__file__).with_name(intervals.TABLE)


@dataclass(frozen=True)
class Answer:
    """One measurement of one still or cine; `frames` measured it."""

    name: str
    value: float
    true: float
    frames: int
    group: str

    @property
    def error(self) -> float:
        """Absolute, or a share of the value that was given: the interval is made from it."""
        return abs(self.value - self.true) / (abs(self.value) if _KINDS[self.name] == "relative" else 1.0)


def main() -> None:
    """Calibrate, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--subjects", type=int, default=150, help="simulated subjects of each group of devices")
    parser.add_argument("--contractions", type=int, default=24, help="simulated contractions to calibrate with, and to test with")
    parser.add_argument("--keep-table", action="store_true", help="only measure what the table that is there holds")
    parser.add_argument("--output", type=Path, default=Path("bench/results/intervals.json"))
    parser.add_argument("--runtime-from", type=Path, default=TRITON_PACKAGES)
    given = parser.parse_args()
    infer = inferring(open_network(given.runtime_from)[0])
    if not given.keep_table:
        made = [*_known(given.subjects, CALIBRATION_SEEDS, infer), *_others(given.subjects, CALIBRATION_SEEDS, infer)]
        moved = contractions.excursions(given.contractions, CALIBRATION_SEEDS, infer)
        shares = contractions.shares(moved, dict(intervals.load_calibration().excursions))
        TABLE.write_text(json.dumps(calibrate(made) | {"excursions": shares}, indent=1) + "\n")
        intervals.load_calibration.cache_clear()
    calibration = intervals.load_calibration()
    known = _known(given.subjects, COVERAGE_SEEDS, infer)
    others = _others(given.subjects, COVERAGE_SEEDS, infer)
    tested = {"simulated, all": known + others, "simulated, known devices": known, "simulated, other devices": others}
    for name, labelled in _sets(shared_folder()).items():
        tested[f"TimTrack {name}"] = list(answers(labelled, infer))
    figures = {title: coverage(found, calibration) for title, found in tested.items()}
    figures["simulated contractions"] = contractions.coverage(contractions.excursions(given.contractions, COVERAGE_SEEDS, infer))
    given.output.parent.mkdir(parents=True, exist_ok=True)
    measured = {"weights_sha256": calibration.weights_sha256, "level": LEVEL, "coverage": figures}
    given.output.write_text(json.dumps(measured, indent=1) + "\n")
    print(table(figures))


def answers(cines: Iterable[Labelled], infer: Infer) -> Iterator[Answer]:
    """What the analysis says of each cine, and of one of its frames alone, beside the truth."""
    analysis = MuscleArchitecture()
    for number, labelled in enumerate(cines):
        prepared = prepare(labelled.cine)
        frames = tuple(analysis.measure(prepared, infer(ASKED, analysis.inputs(prepared))))
        yield from _answers(labelled, frames, range(len(frames)))
        if len(frames) > 1:
            yield from _answers(labelled, frames, [number % len(frames)])


def _answers(labelled: Labelled, frames: Sequence[FrameArchitecture], chosen: Sequence[int]) -> Iterator[Answer]:
    for name, truth in _truths(labelled).items():
        values = [_read(name, frames[index], labelled) for index in chosen]
        measured = [value for value in values if value is not None]
        if measured:
            true = float(np.median([truth[index] for index in chosen]))
            yield Answer(name, float(np.median(measured)), true, len(measured), labelled.group)


def _truths(labelled: Labelled) -> dict[str, Sequence[float]]:
    """TimTrack's observers read the angle to the superficial aponeurosis, and a height that no measurement of ours is."""
    if "fascicle_to_superficial" in labelled.truth:
        return {"pennation_angle": labelled.truth["fascicle_to_superficial"]}
    return {name: truth for name, truth in labelled.truth.items() if name in _KINDS}


def _read(name: str, frame: FrameArchitecture, labelled: Labelled) -> float | None:
    if "fascicle_to_superficial" in labelled.truth:
        pair = frame.fascicle_angle_deg, frame.superficial_angle_deg
        return None if pair[0] is None or pair[1] is None else abs(pair[0] - pair[1])
    return {
        "thickness": frame.thickness,
        "pennation_angle": frame.pennation_deg,
        "fascicle_length": frame.fascicle_length,
    }[name]


def calibrate(made: Sequence[Answer]) -> dict[str, Any]:
    """The table: for each measurement the quantile of the errors of stills, and of cines."""
    measurements = {}
    for name, kind in _KINDS.items():
        stills = [answer.error for answer in made if answer.name == name and answer.frames < CINE_FROM]
        cines = [answer.error for answer in made if answer.name == name and answer.frames >= CINE_FROM]
        steps = [
            {"frames_from": first, "half_width": round(conformal_quantile(errors, LEVEL), 4), "subjects": len(errors)}
            for first, errors in ((1, stills), (CINE_FROM, cines))
            if errors
        ]
        if steps:
            measurements[name] = {"kind": kind, "steps": steps}
    digest = hashlib.sha256(MODEL.read_bytes()).hexdigest()
    return {"weights_sha256": digest, "level": LEVEL, "measurements": measurements}


def conformal_quantile(errors: Sequence[float], level: float) -> float:
    """The ceil((n + 1) level)-th smallest error; the largest when there are too few."""
    ordered = sorted(errors)
    return ordered[min(len(ordered), math.ceil((len(ordered) + 1) * level)) - 1]


def coverage(found: Sequence[Answer], calibration: Calibration) -> dict[str, Any]:
    """Of each measurement: the share of stills and of cines whose interval holds the truth, with 95 % intervals over groups."""
    kinds: dict[str, list[Answer]] = defaultdict(list)
    for answer in found:
        kinds[f"{answer.name}, {'cines' if answer.frames >= CINE_FROM else 'stills'}"].append(answer)
    return {title: _coverage(own, calibration) for title, own in sorted(kinds.items())}


def _coverage(own: Sequence[Answer], calibration: Calibration) -> dict[str, Any]:
    widths = calibration.measurements[own[0].name]
    around = [widths.around(answer.value, answer.frames, calibration.level) for answer in own]
    held = np.array([one.low <= answer.true <= one.high for one, answer in zip(around, own, strict=True)], np.float64)
    low, high = interval(held, [answer.group for answer in own])
    return {
        "answers": len(own),
        "groups": len({answer.group for answer in own}),
        "share_held": round(float(held.mean()), 3),
        "interval": [round(low, 3), round(high, 3)],
        "median_half_width": round(float(np.median([(one.high - one.low) / 2 for one in around])), 3),
    }


def table(figures: dict[str, dict[str, Any]]) -> str:
    """For people."""
    lines = [f"{'':68s}{'held':>8s}{'95 %':>16s}{'answers':>9s}{'half-width':>12s}"]
    for title, kinds in figures.items():
        for kind, row in kinds.items():
            low, high = row["interval"]
            lines.append(
                f"{title[:38] + ': ' + kind:68s}{row['share_held']:8.3f}{low:8.3f}-{high:<7.3f}{row['answers']:9d}"
                f"{row['median_half_width']:12.3f}"
            )
    return "\n".join(lines)


def _known(subjects: int, seeds: int, infer: Infer) -> list[Answer]:
    return list(answers(simulated(subjects, "common", seeds), infer))


def _others(subjects: int, seeds: int, infer: Infer) -> list[Answer]:
    return list(answers(simulated(subjects, "held-out", seeds), infer))


def _sets(data: Path | None) -> dict[str, list[Labelled]]:
    sets: dict[str, list[Labelled]] = defaultdict(list)
    for name, labelled in timtrack(data) if data is not None else ():
        sets[name].append(labelled)
    return sets


if __name__ == "__main__":
    main()
