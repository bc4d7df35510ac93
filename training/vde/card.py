"""The model cards of encoder and classifier, from what training, protocol and held-out people gave."""

from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import Any

#: By what the cohort is.
_SAID = {
    "simulated": "No person was ever examined to make it: simulation-trained, not validated in people.",
    "real": "Trained on people's cines, not validated in others.",
}
_BEST = "What can be known at best is the AUC of the simulator's own parameters, 0.88\n(`python -m training.vde.oracle`)."
_REBUILD_COHORT = "python -m training.vde.cohorts --out COHORTS --names {data} held-out\n"
_ROWS = ("auc", "accuracy", "sensitivity", "specificity")


def model_card(
    model_name: str, digests: Mapping[int, str], facts: Mapping[str, Any], figures: Mapping[str, Any], table: str
) -> str:
    """`table` is what the protocol wrote, in Markdown; a card says what a model is not for before it says how good it is."""
    template = Template((Path(__file__).parent / f"{model_name}.md.template").read_text(encoding="utf-8"))
    return template.substitute(
        {name: str(value) for name, value in facts.items()},
        said=_SAID[str(facts["evidence"])],
        best=_BEST if facts["evidence"] == "simulated" else "",
        rebuild=_REBUILD_COHORT.format(data=facts["data"]) if facts["evidence"] == "simulated" else "",
        held_out_option="--held-out COHORTS/held-out" if facts["evidence"] == "simulated" else "--held-out OTHER_PEOPLE",
        versions="\n".join(f"- version {number}: SHA-256 `{digest}`" for number, digest in digests.items()),
        table=table or "The protocol has not run.",
        held_out=_held_out(figures["held_out"]),
        without="\n".join(
            f"- {name}: " + ", ".join(f"{count} {_why(reason)}" for reason, count in outcomes.items())
            for name, outcomes in figures["without_trapezius"].items()
        )
        or "- not measured",
        changes="\n".join(
            f"- {name}: at most {found['largest']:.3f}, 95 % within {found['95 % within']:.3f}, {found['cines']} cines,"
            f" {found['answered once only']} answered one way only"
            for name, found in figures["change_of_probability"].items()
        )
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


def _why(reason: str) -> str:
    return reason if reason == "measured" else f"not ({reason.replace('_', ' ')})"


def _interval(found: Mapping[str, float]) -> str:
    return f"{found['value']:.2f} ({found['low']:.2f} to {found['high']:.2f})"
