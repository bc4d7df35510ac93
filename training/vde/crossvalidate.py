"""The protocol: `python -m training.vde.crossvalidate --data COHORT [COHORT ...] --runs DIR`.

A cohort is a folder of DICOM cines and `cohort.csv`. People are split into four folds, stratified by label; every encoder is
trained without labels inside each fold, on the training people alone; one classifier for all turns features into a person's
score. With one cohort intervals are over people, with several the spread is over cohorts. What is trained is not trained again.
"""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import StratifiedKFold

from service.core.clips import ClipShape
from training.vde.classify import Clips, fit
from training.vde.data import Cohort, load_cohort, runs_of
from training.vde.model import VdeConfig
from training.vde.pretrain import METHODS, Schedule, describe, encode, pretrain
from training.vde.report import write_report
from training.vde.statistics import Floats, Labels, auc, difference, figures, once
from training.vde.texture import texture_features
from training.vde.transfer import transfer_features, transferred

ALL_METHODS = (*METHODS, "transfer", "texture")
#: Which sites of people in pain take part; people without pain take part with all theirs.
ANALYSES = {"latent and active": ("control", "latent", "active"), "latent only": ("control", "latent")}
FOLDS = 4


def main() -> None:
    """Train what is missing, then write table, curves and map."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="a folder a cohort")
    parser.add_argument("--runs", type=Path, required=True, help="folder of all runs")
    parser.add_argument("--methods", nargs="+", choices=ALL_METHODS, default=list(ALL_METHODS))
    parser.add_argument("--steps", type=int, default=Schedule().steps)
    parser.add_argument("--permutations", type=int, default=20, help="of the labels, on the VDE's latents")
    parser.add_argument("--full", action="store_true", help="the large configuration; wants a GPU")
    parser.add_argument("--title", default="crossvalidation", help="name of the files that are written")
    arguments = parser.parse_args()
    config = VdeConfig.full() if arguments.full else VdeConfig()
    schedule = Schedule(steps=arguments.steps)
    cohorts = {
        folder.name: _of_cohort(folder, config, schedule, arguments.methods, arguments.runs, arguments.permutations)
        for folder in arguments.data
    }
    result = {"protocol": describe(config, schedule) | {"folds": FOLDS}, "cohorts": cohorts}
    write_report(result, arguments.runs, arguments.title)


def _of_cohort(
    folder: Path, config: VdeConfig, schedule: Schedule, methods: list[str], runs: Path, permutations: int
) -> dict[str, Any]:
    shape = ClipShape(frames=config.frames, size=config.size)
    cohort, own_runs = load_cohort(folder, shape), runs_of(folder, shape, runs)
    names, labels = cohort.subjects()
    folds = [test for _, test in StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(names, labels)]
    features = {m: fold_features(m, cohort, folds, config, schedule, own_runs) for m in methods}
    analyses = {title: {m: person_scores(features[m], cohort, folds, kept) for m in methods} for title, kept in ANALYSES.items()}
    found: dict[str, Any] = {
        "people": len(names),
        "in_pain": int(labels.sum()),
        "clips": len(cohort.clips),
        "labels": labels.tolist(),
        "analyses": {title: {m: _summary(labels, s) for m, s in by_method.items()} for title, by_method in analyses.items()},
        "between_analyses": {m: _paired(labels, analyses, m) for m in methods},
    }
    combined = {m: s["scores"] for m, s in analyses["latent and active"].items()}
    if "vde" in methods:
        found["vde_minus"] = {m: difference(auc, labels, combined["vde"], combined[m]) for m in methods if m != "vde"}
        found["permuted_auc"] = _permuted(features["vde"], cohort, folds, permutations)
        found["map"] = _map(features["vde"], cohort, folds)
    return found


def fold_features(
    method: str, cohort: Cohort, folds: list[npt.NDArray[np.int64]], config: VdeConfig, schedule: Schedule, runs: Path
) -> list[npt.NDArray[np.floating]]:
    """For each fold the features (N, F) of all clips, by an encoder that saw the training people's alone; kept in `runs`."""
    if method in METHODS:
        return [_pretrained(method, cohort, test, number, config, schedule, runs) for number, test in enumerate(folds)]
    kept = runs / f"{method}-{config.size}.npy"
    if not kept.exists():
        runs.mkdir(parents=True, exist_ok=True)
        same = texture_features(cohort.clips) if method == "texture" else _transfer(config, cohort, runs.parent)
        np.save(kept, same)
    return [np.load(kept)] * len(folds)


def _transfer(config: VdeConfig, cohort: Cohort, runs: Path) -> npt.NDArray[np.floating]:
    return transfer_features(transferred(config, runs), cohort.clips)


def _pretrained(
    method: str,
    cohort: Cohort,
    test: npt.NDArray[np.int64],
    number: int,
    config: VdeConfig,
    schedule: Schedule,
    runs: Path,
) -> npt.NDArray[np.floating]:
    out = runs / f"{method}-{config.size}-{schedule.steps}-fold-{number}"
    kept = out / "latents.npy"
    if not kept.exists():
        names, _ = cohort.subjects()
        encoder = pretrain(method, config, cohort, ~np.isin(cohort.subject, names[test]), schedule, out)
        np.save(kept, encode(encoder, cohort.clips))
    return np.asarray(np.load(kept))


def person_scores(
    features: list[npt.NDArray[np.floating]], cohort: Cohort, folds: list[npt.NDArray[np.int64]], site_types: tuple[str, ...]
) -> dict[str, Floats]:
    """Each person's score and call, by the fold that did not train on them; NaN for one without a clip of these sites."""
    names, _ = cohort.subjects()
    scores, called = np.full(len(names), np.nan), np.full(len(names), np.nan)
    taking_part = np.isin(cohort.site_type, site_types)
    for number, test in enumerate(folds):
        clips = Clips(features[number], cohort.video, cohort.subject, cohort.label)
        is_test = np.isin(cohort.subject, names[test])
        classifier = fit(clips.only(taking_part & ~is_test))
        tested = clips.only(taking_part & is_test)
        place = np.searchsorted(names, tested.people()[0])
        scores[place] = classifier.of_people(tested)
        called[place] = scores[place] > classifier.threshold
    return {"scores": scores, "called": called}


def _summary(labels: Labels, outcome: dict[str, Floats]) -> dict[str, Any]:
    takes_part = ~np.isnan(outcome["scores"])
    scores, called = outcome["scores"][takes_part], outcome["called"][takes_part]
    return {
        "people": int(takes_part.sum()),
        "scores": [None if np.isnan(score) else round(score, 4) for score in outcome["scores"].tolist()],
        **figures(labels[takes_part], scores, called),
    }


def _paired(labels: Labels, analyses: dict[str, dict[str, dict[str, Floats]]], method: str) -> dict[str, float]:
    """AUC with active sites less AUC without, of those who take part in both, the same people in each draw."""
    both, latent = (analyses[title][method]["scores"] for title in ANALYSES)
    in_both = ~np.isnan(both) & ~np.isnan(latent)
    return difference(auc, labels[in_both], both[in_both], latent[in_both])


def _permuted(
    features: list[npt.NDArray[np.floating]], cohort: Cohort, folds: list[npt.NDArray[np.int64]], permutations: int
) -> list[float]:
    """AUC with the people's labels shuffled: about 0.5, or something leaks."""
    names, labels = cohort.subjects()
    found = []
    for seed in range(permutations):
        shuffled = np.random.default_rng([seed, 7]).permutation(labels)
        label_of = dict(zip(names.tolist(), shuffled.tolist(), strict=True))
        told = replace(cohort, label=np.array([label_of[name] for name in cohort.subject.tolist()]))
        if all(len(np.unique(shuffled[np.setdiff1d(np.arange(len(names)), test)])) > 1 for test in folds):
            scores = person_scores(features, told, folds, ANALYSES["latent and active"])["scores"]
            found.append(once(auc, shuffled, scores))
    return found


def _map(features: list[npt.NDArray[np.floating]], cohort: Cohort, folds: list[npt.NDArray[np.int64]]) -> dict[str, Any]:
    """The first fold's mean latent of each person on the two main axes of its training people."""
    names, _ = cohort.subjects()
    mean = np.array([features[0][cohort.subject == name].mean(0) for name in names])
    train = np.setdiff1d(np.arange(len(names)), folds[0])
    centre = mean[train].mean(0)
    _, _, axes = np.linalg.svd(mean[train] - centre, full_matrices=False)
    return {"points": np.round((mean - centre) @ axes[:2].T, 4).tolist(), "held_out": folds[0].tolist()}


if __name__ == "__main__":
    main()
