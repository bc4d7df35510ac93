"""What the benchmarks measured of the served weights, as Markdown for the model card: errors, gate, intervals."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_NOT_YET = "Not measured with these weights yet: `python -m bench.accuracy`, `python -m bench.intervals`, then export again."
_FEW_GROUPS = 10
_GATES = (
    ("measured_without_muscle", "no muscle, measured all the same"),
    ("not_measured_with_muscle", "muscle, not measured"),
)


def served_figures(digest: str, results: Path) -> str:
    """Three tables from bench/results, or the sentence that says how to get them when they are of other weights."""
    read = [_of_weights(results / name, digest) for name in ("accuracy.json", "intervals.json")]
    if None in read:
        return _NOT_YET
    accuracy, intervals = (one or {} for one in read)
    return "\n\n".join([_errors(accuracy["errors"]), _by_group(accuracy["errors"]), _gate(accuracy), _coverage(intervals)])


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


def _coverage(intervals: Mapping[str, Any]) -> str:
    lines = [
        "|truth inside the interval (90 %; of contractions 95 %)|answers (groups)|share (95 %)|half-width, median|",
        "|---|---|---|---|",
    ]
    for title, kinds in intervals["coverage"].items():
        for kind, row in kinds.items():
            low, high = row["interval"]
            lines.append(
                f"|{title}: {kind.replace('_', ' ')}|{row['answers']} ({row['groups']})"
                f"|{row['share_held']:.0%} ({low:.0%} to {high:.0%})|{row['median_half_width']:.2f}|"
            )
    return "\n".join(lines)


def _answered(row: Mapping[str, Any]) -> str:
    low, high = row["answered_interval"]
    return f"{row['answered'] / row['frames']:.0%} ({low:.0%} to {high:.0%})"


def _error(row: Mapping[str, Any]) -> str:
    low, high = row["interval"]
    return f"{row['mean_absolute_error']:.2f} ({low:.2f} to {high:.2f})"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
