"""What the benchmarks measured of the served weights, as Markdown for the model card: errors, gate, intervals."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_NOT_YET = "Not measured with these weights yet: `python -m bench.accuracy`, `python -m bench.intervals`, then export again."
_FEW_GROUPS = 10
_GATES = (
    ("measured_without_muscle", "no muscle, measured all the same"),
    ("not_measured_with_muscle", "muscle, not measured"),
)

_KNOWN, _OTHERS = "simulated, known devices", "simulated, held-out devices"
#: By title of `bench.intervals`: the sets of `bench.accuracy` whose subjects are drawn alike.
_SAME_SUBJECTS = {"simulated, all": (_KNOWN, _OTHERS), "simulated, other devices": (_OTHERS,)}


def served_figures(digest: str, results: Path) -> str:
    """Four tables from bench/results, or the sentence that says how to get them when they are of other weights."""
    read = [_of_weights(results / name, digest) for name in ("accuracy.json", "intervals.json")]
    if None in read:
        return _NOT_YET
    accuracy, intervals = (one or {} for one in read)
    errors = accuracy["errors"]
    return "\n\n".join([_errors(errors), _by_group(errors), _gate(accuracy), _coverage(intervals, errors)])


def _of_weights(path: Path, digest: str) -> dict[str, Any] | None:
    if not path.exists():
        return None
    figures: dict[str, Any] = json.loads(path.read_text())
    return figures if figures.get("weights_sha256") == digest else None


def _errors(sets: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
    lines = [
        "|frames (groups)|measurement|answered|mean absolute error (95 %)|bias|constant|structure tensor|observers|",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, kinds in sets.items():
        for kind, row in kinds.items():
            cells = [
                f"{name}: {row['frames']} ({row['groups']})",
                kind.replace("_", " "),
                _answered(row),
                f"{_error(row)} {row['unit']}",
                *(_number(row[key]) for key in ("bias", "constant", "structure_tensor", "human")),
            ]
            lines.append("|" + "|".join(cells) + "|")
    return "\n".join(lines)


def _by_group(sets: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
    """Of the sets with few groups: what an average hides."""
    lines = [
        "|by group (95 %: its frames)|frames|answered|angle to superficial|constant|structure tensor|gap at insertion|constant|",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, kinds in sets.items():
        angle, gap = (kinds.get(kind, {}).get("by_group", {}) for kind in ("fascicle_to_superficial", "thickness_at_insertion"))
        for group, row in angle.items() if len(angle) <= _FEW_GROUPS else ():
            lines.append(
                f"|{name}: {group}|{row['frames']}|{row['answered']}|{_error(row)} deg|{_number(row['constant'])}"
                f"|{_number(row['structure_tensor'])}|{_error(gap[group])} %|{_number(gap[group]['constant'])}|"
            )
    return "\n".join(lines)


def _gate(accuracy: Mapping[str, Any]) -> str:
    lines = ["|gate|pictures|wrong|share (95 %)|", "|---|---|---|---|"]
    for key, said in _GATES:
        for source, row in accuracy[key].items():
            low, high = row["interval"]
            share = row["wrong"] / row["pictures"]
            lines.append(f"|{said}: {source}|{row['pictures']}|{row['wrong']}|{share:.1%} ({low:.1%} to {high:.1%})|")
    return "\n".join(lines)


def _coverage(intervals: Mapping[str, Any], sets: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
    lines = [
        (
            "|truth inside the interval (90 %; of contractions 95 %)|answers (groups)|share (95 %)"
            "|half-width, median|a constant's|a structure tensor's|"
        ),
        "|---|---|---|---|---|---|",
    ]
    for title, kinds in intervals["coverage"].items():
        for kind, row in kinds.items():
            low, high = row["interval"]
            lines.append(
                f"|{title}: {kind.replace('_', ' ')}|{row['answers']} ({row['groups']})"
                f"|{row['share_held']:.0%} ({low:.0%} to {high:.0%})|{row['median_half_width']:.2f}"
                f"|{_half_width(sets, title, kind, 'constant')}|{_half_width(sets, title, kind, 'structure_tensor')}|"
            )
    return "\n".join(lines)


def _half_width(sets: Mapping[str, Mapping[str, Mapping[str, Any]]], title: str, kind: str, baseline: str) -> str:
    """Around answers of a baseline: what holds 90 % of the groups of `bench.accuracy`, each by its mean error over frames."""
    measurement = "fascicle_to_superficial" if title.startswith("TimTrack") else kind.split(", ", maxsplit=1)[0]
    rows = [sets[name][measurement] for name in _SAME_SUBJECTS.get(title, (title,)) if measurement in sets.get(name, {})]
    errors = sorted(group[baseline] for row in rows for group in row["by_group"].values() if group[baseline] is not None)
    if len(errors) < _FEW_GROUPS:
        return ""
    return f"{errors[min(len(errors), math.ceil((len(errors) + 1) * 0.9)) - 1]:.2f} {rows[0]['unit']}"


def _answered(row: Mapping[str, Any]) -> str:
    low, high = row["answered_interval"]
    return f"{row['answered'] / row['frames']:.0%} ({low:.0%} to {high:.0%})"


def _error(row: Mapping[str, Any]) -> str:
    low, high = row["interval"]
    return f"{row['mean_absolute_error']:.2f} ({low:.2f} to {high:.2f})"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
