"""What old means make of the planes: `python -m training.wrist_hand.baseline --data DIR`.

Histograms of oriented gradients (Dalal and Triggs 2005) and a logistic regression, trained on the same pictures as the networks
and shown the same others. Where it does well, a network's score means little.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
from skimage.feature import hog
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from training.wrist_hand.results import keep
from training.wrist_hand.volunteers import SPLITS, Bytes, load

_CELL = 16
_STRENGTHS = (1e-3, 1e-2, 1e-1)


def main() -> None:
    """Strength chosen on the validation volunteers; prints macro-F1 of each split."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="where training.wrist_hand.volunteers left its pictures")
    parser.add_argument("--splits", nargs="+", choices=sorted(SPLITS), default=["validation"], help="what is told")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    train, validation = (load(SPLITS[name], arguments.data) for name in ("train", "validation"))
    seen, tried = gradients(train.image), gradients(validation.image)
    fitted = {strength: _fit(seen, train.plane, strength) for strength in _STRENGTHS}
    scores = {strength: macro_f1(validation.plane, model.predict(tried)) for strength, model in fitted.items()}
    best = max(scores, key=lambda strength: scores[strength])
    told = {name: load(SPLITS[name], arguments.data) for name in arguments.splits}
    f1 = {name: round(macro_f1(one.plane, fitted[best].predict(gradients(one.image))), 4) for name, one in told.items()}
    print(json.dumps({"strength": best, "macro_f1": f1}, indent=1))
    if arguments.output:
        keep(arguments.output, baseline={"strength": best, "macro_f1": f1})


def gradients(images: Bytes) -> npt.NDArray[np.float32]:
    """(N, F) of pictures (N, S, S)."""
    found = [hog(image, orientations=9, pixels_per_cell=(_CELL, _CELL), cells_per_block=(2, 2)) for image in images]
    return np.asarray(found, np.float32)


def macro_f1(plane: npt.NDArray[np.integer], called: npt.NDArray[np.integer]) -> float:
    """Mean F1 over the fifteen planes and none."""
    return float(f1_score(plane, called, average="macro"))


def _fit(features: npt.NDArray[np.float32], plane: Bytes, strength: float) -> LogisticRegression:
    return make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=100)).fit(features, plane)


if __name__ == "__main__":
    main()
