"""What a cross-validation leaves: a table for people (Markdown) and programs (JSON), ROC curves and a map of latents (SVG)."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import stats
from sklearn.metrics import roc_curve

_STATISTICS = ("auc", "accuracy", "sensitivity", "specificity")
_INKS = {
    "vde": "#0b5fa5",
    "simclr": "#c8553d",
    "videomae": "#588157",
    "jepa": "#8d6a9f",
    "transfer": "#b8860b",
    "texture": "#6b7280",
}


def write_report(result: dict[str, Any], folder: Path, title: str) -> None:
    """TITLE.json, TITLE.md, TITLE-roc.svg and TITLE-map.svg."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{title}.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    text = table(result)
    (folder / f"{title}.md").write_text(text, encoding="utf-8")
    _draw(folder / f"{title}-roc.svg", lambda axes: _curves(axes, result))
    if any("map" in cohort for cohort in result["cohorts"].values()):
        _draw(folder / f"{title}-map.svg", lambda axes: _map(axes, result))
    print(text)


def table(result: dict[str, Any]) -> str:
    """One row a way of making features, for each analysis; then the comparisons."""
    cohorts = list(result["cohorts"].values())
    people = sum(cohort["people"] for cohort in cohorts)
    spread = "95 % over people" if len(cohorts) == 1 else f"mean, SD over {len(cohorts)} cohorts (95 % of the mean, Student's t)"
    lines = [f"Simulated unless the cohort is yours: {len(cohorts)} cohort(s), {people} people; {spread}.", ""]
    for analysis in cohorts[0]["analyses"]:
        lines += [f"|{analysis}|" + "|".join(_STATISTICS) + "|", "|---" * (len(_STATISTICS) + 1) + "|"]
        for method in cohorts[0]["analyses"][analysis]:
            cells = [_cell([cohort["analyses"][analysis][method][name] for cohort in cohorts]) for name in _STATISTICS]
            lines.append(f"|{method}|" + "|".join(cells) + "|")
        trivial = np.mean([max(c["in_pain"], c["people"] - c["in_pain"]) / c["people"] for c in cohorts])
        lines += [f"|always the more frequent label|0.50|{trivial:.2f}|1 or 0|0 or 1|", ""]
    return "\n".join([*lines, *_comparisons(cohorts)]) + "\n"


def _comparisons(cohorts: list[dict[str, Any]]) -> list[str]:
    lines = [f"|difference of AUC, {'90 %, paired over people' if len(cohorts) == 1 else 'paired over cohorts'}|", "|---|---|"]
    if "vde_minus" in cohorts[0]:
        lines += [
            f"|vde - {rival}|" + _cell([c["vde_minus"][rival] for c in cohorts], signed=True) + "|"
            for rival in cohorts[0]["vde_minus"]
        ]
    lines += [
        f"|{method}: with active sites - without|" + _cell([c["between_analyses"][method] for c in cohorts], signed=True) + "|"
        for method in cohorts[0]["between_analyses"]
    ]
    if permuted := [auc for cohort in cohorts for auc in cohort.get("permuted_auc", ())]:
        lines += ["", f"Labels shuffled, {len(permuted)} times: AUC {np.mean(permuted):.3f} (SD {np.std(permuted, ddof=1):.3f})."]
    return lines


def _cell(found: list[dict[str, float]], *, signed: bool = False) -> str:
    shape = "+.3f" if signed else ".3f"
    if len(found) == 1:
        return f"{found[0]['value']:{shape}} ({found[0]['low']:{shape}} to {found[0]['high']:{shape}})"
    values = np.array([one["value"] for one in found])
    half = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return f"{values.mean():{shape}}, {values.std(ddof=1):.3f} ({values.mean() - half:{shape}} to {values.mean() + half:{shape}})"


def _curves(axes: Axes, result: dict[str, Any]) -> None:
    """Mean sensitivity over cohorts at each rate of false alarms."""
    grid = np.linspace(0, 1, 101)
    cohorts = list(result["cohorts"].values())
    analysis = next(iter(cohorts[0]["analyses"]))
    axes.plot([0, 1], [0, 1], color="#c9ced6", linewidth=1)
    for method in cohorts[0]["analyses"][analysis]:
        curves = [_curve(c["labels"], c["analyses"][analysis][method]["scores"]) for c in cohorts]
        mean = np.mean([np.interp(grid, alarms, hits) for alarms, hits in curves], axis=0)
        auc = np.mean([c["analyses"][analysis][method]["auc"]["value"] for c in cohorts])
        axes.plot(np.r_[0, grid], np.r_[0, mean], color=_INKS.get(method), linewidth=1.8, label=f"{method} {auc:.2f}")
    axes.set(xlabel="1 - specificity", ylabel="sensitivity", title=f"{analysis} sites; AUC", xlim=(0, 1), ylim=(0, 1))
    axes.set_aspect("equal")
    axes.legend(frameon=False, loc="lower right")


def _curve(labels: list[int], scores: list[float | None]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """False alarms and hits, of those who have a score."""
    known = [(label, score) for label, score in zip(labels, scores, strict=True) if score is not None]
    alarms, hits, _ = roc_curve(*zip(*known, strict=True))
    return alarms, hits


def _map(axes: Axes, result: dict[str, Any]) -> None:
    """People of the last cohort on the two main axes of their latents."""
    cohort = [c for c in result["cohorts"].values() if "map" in c][-1]
    points, labels = np.array(cohort["map"]["points"]), np.array(cohort["labels"])
    held_out = np.isin(np.arange(len(labels)), cohort["map"]["held_out"])
    for label, name, ink in ((0, "control", "#588157"), (1, "myofascial pain", "#c8553d")):
        for unseen, face in ((False, ink), (True, "none")):
            chosen = points[(labels == label) & (held_out == unseen)]
            said = f"{name}, {'held out' if unseen else 'seen without label'}"
            axes.scatter(chosen[:, 0], chosen[:, 1], s=26, edgecolors=ink, facecolors=face, label=said)
    axes.set(xlabel="first main axis of the latents, one point a person", ylabel="second")
    axes.legend(frameon=False, fontsize=8, ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1.0))


def _draw(path: Path, draw: Callable[[Axes], None]) -> None:
    with mpl.rc_context({"svg.hashsalt": "sonomyo", "font.size": 10, "axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(figsize=(5.2, 5.0), layout="constrained")
        draw(figure.subplots())
        figure.savefig(path, metadata={"Date": None})
