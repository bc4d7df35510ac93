"""What can be known at best: `python -m training.vde.oracle` fits a logistic regression to the simulator's own parameters.

It prints the AUC. No picture is made: the features are what `draw_site` hides in the tissue, averaged over a person's sites.
"""

import argparse

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from simulator.trapezius import SITES_A_PERSON, TRAPEZIUS_VERSION, Site, draw_site
from training.vde.cohorts import ORACLE
from training.vde.statistics import auc, with_interval

Floats = npt.NDArray[np.float64]


def main() -> None:
    """Print AUC and interval, with all sites and without the active ones."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first-person", type=int, default=ORACLE.first_person)
    parser.add_argument("--people", type=int, default=ORACLE.people)
    arguments = parser.parse_args()
    people = range(arguments.first_person, arguments.first_person + arguments.people)
    for title, with_active in (("latent and active sites", True), ("latent sites only", False)):
        labels, scores = oracle(people, with_active=with_active)
        found = with_interval(auc, labels, scores)
        print(
            f"simulator {TRAPEZIUS_VERSION}, {len(people)} people, {title}: "
            f"AUC {found['value']:.3f} (95 % {found['low']:.3f} to {found['high']:.3f})"
        )


def oracle(people: range, *, with_active: bool = True) -> tuple[npt.NDArray[np.int64], Floats]:
    """Labels (N,), 1 for pain, and scores (N,) of people that the regression was not fitted to (ten folds)."""
    features = np.array([_features(person, with_active=with_active) for person in people])
    labels = np.array([int(draw_site(person, 0).label == "mps") for person in people])
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    folds = StratifiedKFold(10, shuffle=True, random_state=0)
    return labels, cross_val_predict(model, features, labels, cv=folds, method="decision_function")


def _features(person: int, *, with_active: bool) -> Floats:
    sites = [draw_site(person, number) for number in range(SITES_A_PERSON)]
    kept = [site for site in sites if with_active or site.site_type != "active"]
    return np.asarray(np.mean([_of_site(site) for site in kept], axis=0))


def _of_site(site: Site) -> tuple[float, ...]:
    areas = [nodule.area_cm2 for nodule in site.nodules]
    darkness = sum(n.area_cm2 * n.hypoechoic_db for n in site.nodules)
    stiffness = sum(n.area_cm2 * n.strain_reduction for n in site.nodules)
    return site.disorder, float(len(areas)), float(sum(areas)), darkness, stiffness


if __name__ == "__main__":
    main()
