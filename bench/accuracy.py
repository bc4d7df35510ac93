"""How far the numbers are from the truth: the whole analysis on labelled frames, with baselines and the human floor beside it.

`python -m bench.accuracy` prints a table and writes JSON. A failure is an answer that is missing: it is counted, and takes part
in the error as if the constant had been answered. Intervals: 95 %, bootstrap over groups (subject, clip, or image).

Baselines: the median of the truth as a constant answer, and for angles the structure tensor of the picture's middle with one
offset from the other groups.

TimTrack's beta is the superficial aponeurosis, and its height was read at the edge of the image near which fascicles insert
(its own programme does so, 20 pixels from the edge): `thickness_at_insertion` is our gap there, from the lines that are evidence;
`thickness`, the mean of three gaps, differs from it wherever the aponeuroses are not parallel.
"""

import argparse
import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest

from bench.bare_loop import MODEL, TRITON_PACKAGES, Network, open_network
from bench.labelled_images import DEVICE_GROUPS, GATE_SEEDS, Labelled, Reading, shared_folder, simulated, timtrack, without_muscle
from bench.structure_tensor import shifted, tensor_angle_deg
from service.core.analyses.analysis import Infer, ModelSpec, Tensors
from service.core.analyses.muscle_architecture import MuscleArchitecture
from service.core.cine import Cine, Pixels
from service.core.findings import Finding, ModelUsed
from service.core.preprocess import find_sector
from service.errors import NotMeasurable

_DRAWS = 2000
_RELATIVE = ("thickness", "thickness_at_insertion", "fascicle_length")
_EDGE_PIXELS = 20.0
_PERCENT = 100.0
Floats = npt.NDArray[np.float64]


@dataclass
class Answers:
    """Of one set and one measurement: answers (nan where missing), truth, and the group of each."""

    answered: list[float] = field(default_factory=list)
    true: list[float] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    human: list[float] = field(default_factory=list)
    #: The structure tensor's angle in each frame.
    tensor: list[float] = field(default_factory=list)

    def add(self, answered: float | None, true: float, group: str, tensor: float) -> None:
        """One frame."""
        self.tensor.append(tensor)
        self.answered.append(np.nan if answered is None else answered)
        self.true.append(true)
        self.groups.append(group)


def main() -> None:
    """Run all sets that are there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("bench/results/accuracy.json"))
    parser.add_argument("--runtime-from", type=Path, default=TRITON_PACKAGES)
    parser.add_argument("--subjects", type=int, default=60, help="simulated subjects of each device group")
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    network, runtime = open_network(given.runtime_from)
    subjects = 6 if given.quick else given.subjects
    figures = {
        "weights_sha256": hashlib.sha256(MODEL.read_bytes()).hexdigest(),
        "runtime": runtime,
        "analysis": MuscleArchitecture().version,
        **measure(inferring(network), subjects),
    }
    given.output.parent.mkdir(parents=True, exist_ok=True)
    given.output.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    print(table(figures))


def inferring(network: Network) -> Infer:
    """The network in this process, as an analysis asks for it."""

    def infer(_: ModelSpec, batches: Iterable[Tensors]) -> Iterator[Tensors]:
        for batch in batches:
            yield {"masks": network(np.ascontiguousarray(batch["image"], np.uint8))}

    return infer


def measure(infer: Infer, subjects: int) -> dict[str, Any]:
    """Errors by set and measurement, and how often a picture without muscle was measured all the same."""
    data = shared_folder()
    if data is None:
        print("real frames are left out: no shared data folder (SONOMYO_SHARED)")
    sets: dict[str, dict[str, Answers]] = defaultdict(lambda: defaultdict(Answers))
    for name, labelled in timtrack(data) if data is not None else ():
        take(sets[f"TimTrack {name}"], labelled, infer)
    for device_group, said in DEVICE_GROUPS:
        for labelled in simulated(subjects, device_group):
            take(sets[f"simulated, {said}"], labelled, infer)
    return {
        "errors": {name: {kind: errors(answers, kind) for kind, answers in kinds.items()} for name, kinds in sets.items()},
        "measured_without_muscle": _gate(without_muscle(data, 4 * subjects), infer, wrong_when_measured=True),
        "not_measured_with_muscle": _gate(_with_muscle(data, subjects), infer, wrong_when_measured=False),
    }


def take(answers: Mapping[str, Answers], labelled: Labelled, infer: Infer) -> None:
    """Add what the analysis answers to each measurement of one cine."""
    found = {finding.name: finding for finding in analyse(labelled.cine, infer)}
    tensors = [_tensor(frame.pixels) for frame in labelled.cine.frames()]
    for kind, truth in labelled.truth.items():
        for index, true in enumerate(truth):
            answers[kind].add(_answer(found, kind, index), true, labelled.group, tensors[index])
        answers[kind].human.extend(human_errors(labelled.readings, kind))


def _tensor(frame: Pixels) -> float:
    box = find_sector([frame])
    return tensor_angle_deg(frame[box.y0 : box.y1, box.x0 : box.x1])


def analyse(cine: Cine, infer: Infer, weights_sha256: str = "") -> tuple[Finding, ...]:
    """The analysis by its public door; findings have intervals where the weights are said to be those of the calibration."""
    used = ModelUsed(name="muscle_segmentation", version="1", sha256=weights_sha256, evidence="real")
    return MuscleArchitecture().analyse(cine, infer, lambda _: used)


def _answer(found: Mapping[str, Finding], kind: str, index: int) -> float | None:
    """TimTrack's alpha has no sign: muscles are shown mirrored, too."""
    if kind == "thickness_at_insertion":
        return _gap_at_insertion(found)
    if kind == "fascicle_to_superficial":
        pair = [_value(found, name, index) for name in ("fascicle_angle", "superficial_aponeurosis_angle")]
        return None if pair[0] is None or pair[1] is None else abs(pair[0] - pair[1])
    value = _value(found, kind, index)
    return None if value is None else abs(value)


def _value(found: Mapping[str, Finding], name: str, index: int) -> float | None:
    finding = found.get(name)
    return None if finding is None or finding.series is None else finding.series.values[index]


def _gap_at_insertion(found: Mapping[str, Finding]) -> float | None:
    """Between the lines of the evidence, where fascicles that rise to the right insert: on the left."""
    thickness, angle = found.get("thickness"), _value(found, "fascicle_angle", 0)
    if thickness is None or angle is None:
        return None
    lines = {line.label: np.array(line.points) for line in thickness.evidence.lines}
    return gap_at_insertion(lines["superficial_aponeurosis"], lines["deep_aponeurosis"], angle)


def gap_at_insertion(superficial: Floats, deep: Floats, fascicle_angle: float) -> float:
    """Between two lines (P, 2) in pixels of the picture, `_EDGE_PIXELS` from where both begin or end."""
    place = max(superficial[0, 0], deep[0, 0]) + _EDGE_PIXELS
    if fascicle_angle <= 0:
        place = min(superficial[-1, 0], deep[-1, 0]) - _EDGE_PIXELS
    depths = [float(np.interp(place, line[:, 0], line[:, 1])) for line in (superficial, deep)]
    return depths[1] - depths[0]


def human_errors(readings: Sequence[Reading], kind: str) -> list[float]:
    """Each observer against the mean of the others."""
    values = np.array([_of_reading(reading, kind) for reading in readings])
    if len(values) < 2:
        return []
    others = (values.sum() - values) / (len(values) - 1)
    scale = _PERCENT / others if kind in _RELATIVE else 1.0
    return list(np.abs(values - others) * scale)


def _of_reading(reading: Reading, kind: str) -> float:
    alpha, beta, height = reading
    return {"fascicle_to_superficial": alpha - beta, "fascicle_angle": alpha}.get(kind, height)


def errors(answers: Answers, kind: str) -> dict[str, Any]:
    """Mean absolute error (degrees; per cent of the truth for lengths) with its interval, bias, and what to compare it with."""
    true, answered = np.array(answers.true), np.array(answers.answered)
    scale = _PERCENT / true if kind in _RELATIVE else np.ones_like(true)
    constant = np.abs(np.median(true) - true) * scale
    missing = np.isnan(answered)
    signed = (answered - true) * scale
    tensor = np.abs(shifted(answers.tensor, answers.true, answers.groups) - true)
    error = error_of_each(answers, kind)
    low, high = interval(error, answers.groups)
    return {
        "unit": "%" if kind in _RELATIVE else "deg",
        "frames": len(true),
        "groups": len(set(answers.groups)),
        "answered": int((~missing).sum()),
        "answered_interval": list(interval((~missing).astype(float), answers.groups)),
        "mean_absolute_error": float(error.mean()),
        "interval": [low, high],
        "of_answered": float(error[~missing].mean()) if not missing.all() else None,
        "median_of_answered": float(np.median(error[~missing])) if not missing.all() else None,
        "bias": float(signed[~missing].mean()) if not missing.all() else None,
        "constant": float(constant.mean()),
        "structure_tensor": None if kind in _RELATIVE else float(tensor.mean()),
        "human": float(np.mean(answers.human)) if answers.human else None,
        "by_group": _by_group(answers, error, constant, None if kind in _RELATIVE else tensor),
    }


def _by_group(answers: Answers, error: Floats, constant: Floats, tensor: Floats | None) -> dict[str, dict[str, Any]]:
    """Subject by subject, or clip by clip; the interval draws frames, which are alike within a group."""
    answered = ~np.isnan(answers.answered)
    rows = {group: np.array([one == group for one in answers.groups]) for group in dict.fromkeys(answers.groups)}
    return {
        group: {
            "frames": int(own.sum()),
            "answered": int((own & answered).sum()),
            "mean_absolute_error": float(error[own].mean()),
            "interval": list(interval(error[own], [str(frame) for frame in range(int(own.sum()))])),
            "constant": float(constant[own].mean()),
            "structure_tensor": None if tensor is None else float(tensor[own].mean()),
        }
        for group, own in rows.items()
    }


def error_of_each(answers: Answers, kind: str) -> Floats:
    """Absolute error of each frame (N,), in the unit of `errors`; a missing answer counts as if the constant had been given."""
    true, answered = np.array(answers.true), np.array(answers.answered)
    given = np.where(np.isnan(answered), np.median(true), answered)
    return np.asarray(np.abs(given - true) * (_PERCENT / true if kind in _RELATIVE else 1.0))


def interval(values: Floats, groups: Sequence[str]) -> tuple[float, float]:
    """95 % interval of the mean when groups are drawn anew."""
    names = sorted(set(groups))
    member = np.array([names.index(group) for group in groups])
    sums, counts = np.bincount(member, weights=values), np.bincount(member)
    drawn = np.random.default_rng(20261121).integers(0, len(names), (_DRAWS, len(names)))
    means = sums[drawn].sum(1) / counts[drawn].sum(1)
    return float(np.quantile(means, 0.025)), float(np.quantile(means, 0.975))


def _with_muscle(data: Path | None, subjects: int) -> Iterator[tuple[str, Cine]]:
    """Every labelled frame by itself, as the gate sees a still picture."""
    for name, labelled in timtrack(data) if data is not None else ():
        yield f"TimTrack {name}", labelled.cine
    for device_group, said in DEVICE_GROUPS:
        for labelled in simulated(subjects, device_group, GATE_SEEDS):
            yield f"simulated, {said}", labelled.cine


def _gate(pictures: Iterable[tuple[str, Cine]], infer: Infer, *, wrong_when_measured: bool) -> dict[str, dict[str, Any]]:
    """Of each source how many are judged wrongly, and the 95 % interval of that share (Clopper and Pearson 1934)."""
    judged: dict[str, list[bool]] = defaultdict(list)
    for source, cine in pictures:
        judged[source].append(_is_measured(cine, infer) is wrong_when_measured)
    return {source: {"pictures": len(wrong), "wrong": sum(wrong), "interval": _share(wrong)} for source, wrong in judged.items()}


def _is_measured(cine: Cine, infer: Infer) -> bool:
    try:
        return any(finding.name == "thickness" for finding in analyse(cine, infer))
    except NotMeasurable:
        return False


def _share(wrong: Sequence[bool]) -> list[float]:
    interval = binomtest(sum(wrong), len(wrong)).proportion_ci()
    return [float(interval.low), float(interval.high)]


def table(figures: Mapping[str, Any]) -> str:
    """For people."""
    lines = [f"{'':52s}{'answered':>10s}{'error':>8s}{'95 %':>15s}{'bias':>8s}{'constant':>10s}{'tensor':>8s}{'human':>8s}"]
    for name, kinds in figures["errors"].items():
        for kind, row in kinds.items():
            low, high = row["interval"]
            human = f"{row['human']:8.2f}" if row["human"] is not None else f"{'':8s}"
            tensor = f"{row['structure_tensor']:8.2f}" if row["structure_tensor"] is not None else f"{'':8s}"
            bias = f"{row['bias']:+8.2f}" if row["bias"] is not None else f"{'':8s}"
            lines.append(
                f"{name[:26] + ': ' + kind:52s}{row['answered']:5d}/{row['frames']:<4d}{row['mean_absolute_error']:8.2f}"
                f"{low:8.2f}-{high:<6.2f}{bias}{row['constant']:10.2f}{tensor}{human} {row['unit']}"
            )
    for kind in ("measured_without_muscle", "not_measured_with_muscle"):
        for source, counts in figures[kind].items():
            low, high = counts["interval"]
            said = kind.replace("_", " ")
            lines.append(f"{said}, {source}: {counts['wrong']} of {counts['pictures']} ({low:.1%} to {high:.1%})")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
