"""The model cards of encoder and classifier, from what training, protocol and held-out people gave."""

from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import Any

_ROWS = ("auc", "accuracy", "sensitivity", "specificity")


def model_card(
    model_name: str, digests: Mapping[int, str], facts: Mapping[str, Any], figures: Mapping[str, Any], table: str
) -> str:
    """`table` is what the protocol wrote, in Markdown; a card says what a model is not for before it says how good it is."""
    template = Template((Path(__file__).parent / f"{model_name}.md.template").read_text(encoding="utf-8"))
    return template.substitute(
        {name: str(value) for name, value in facts.items()},
        versions="\n".join(f"- version {number}: SHA-256 `{digest}`" for number, digest in digests.items()),
        table=table or "The protocol has not run.",
        held_out=_held_out(figures["held_out"]),
        without="\n".join(
            f"- {name}: {f['measured']} of {f['cines']} cines measured" for name, f in figures["without_trapezius"].items()
        )
        or "- not measured",
        changes="\n".join(f"- {name}: {change:.3f}" for name, change in figures["largest_change_of_probability"].items())
        or "- not measured",
    )


def _held_out(cohorts: Mapping[str, Any]) -> str:
    if not cohorts:
        return "No held-out cohort was given."
    lines = ["| |" + "|".join(cohorts) + "|", "|---" * (len(cohorts) + 1) + "|"]
    cells = {
        "people answered": [f"{c['people_answered']} of {c['people']}" for c in cohorts.values()],
        "cines refused": [f"{c['cines_refused']} of {c['cines']}" for c in cohorts.values()],
        **{f"{name} (95 %)": [_interval(c[name]) for c in cohorts.values()] for name in _ROWS},
        "Brier score": [f"{c['brier']:.3f}" for c in cohorts.values()],
        "Brier score of the base rate": [f"{c['brier_of_the_base_rate']:.3f}" for c in cohorts.values()],
    }
    lines.extend(f"|{name}|" + "|".join(row) + "|" for name, row in cells.items())
    return "\n".join(lines)


def _interval(found: Mapping[str, float]) -> str:
    return f"{found['value']:.2f} ({found['low']:.2f} to {found['high']:.2f})"
