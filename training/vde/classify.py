"""From clips' features to a person's score: one classifier for every way of making features.

Features are standardised on the training clips; an L2 logistic regression scores clips, each person having equal weight; clips'
logits are averaged over a video, videos' over a person. Strength and threshold come from inner folds of the training people; how
sure it may be is for calibration to say, so the strength is chosen by how well people are ranked.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score, roc_curve
from sklearn.model_selection import StratifiedKFold

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_STRENGTHS = (0.1, 1.0, 10.0)
_INNER_FOLDS = 4


@dataclass(frozen=True, slots=True)
class Clips:
    """Features (N, F) of clips, and of each its video, person and label."""

    features: npt.NDArray[np.floating]
    video: npt.NDArray[np.int64]
    subject: npt.NDArray[np.str_]
    label: npt.NDArray[np.int64]

    def only(self, chosen: Mask) -> "Clips":
        """Those that are chosen."""
        return Clips(self.features[chosen], self.video[chosen], self.subject[chosen], self.label[chosen])

    def people(self) -> tuple[npt.NDArray[np.str_], npt.NDArray[np.int64]]:
        """Each person once, in order of name, and their labels."""
        names, first = np.unique(self.subject, return_index=True)
        return names, self.label[first]


@dataclass(frozen=True, slots=True)
class Classifier:
    """Logit of a clip: (features - mean) / spread @ weights + bias. A person's mean logit above `threshold` is called pain."""

    mean: Floats
    spread: Floats
    weights: Floats
    bias: float
    strength: float
    threshold: float

    def logits(self, features: npt.NDArray[np.floating]) -> Floats:
        """(N,) of features (N, F)."""
        return np.asarray((features - self.mean) / self.spread @ self.weights + self.bias, np.float64)

    def of_people(self, clips: Clips) -> Floats:
        """Mean logits in order of `clips.people()`."""
        return mean_over_people(self.logits(clips.features), clips)


def fit(clips: Clips, seed: int = 0) -> Classifier:
    """Strength and threshold from inner folds, then all training people."""
    names, labels = clips.people()
    folds = min(_INNER_FOLDS, int(np.bincount(labels).min()))
    inner = list(StratifiedKFold(folds, shuffle=True, random_state=seed).split(names, labels))
    scores = {strength: _out_of_fold(clips, names, inner, strength) for strength in _STRENGTHS}
    best = max(_STRENGTHS, key=lambda strength: roc_auc_score(labels, scores[strength]))
    return fit_with(clips, best, threshold=_youden(labels, scores[best]))


def mean_over_people(logits: Floats, clips: Clips) -> Floats:
    """Clips to videos, videos to people."""
    videos, place = np.unique(clips.video, return_inverse=True)
    of_video = np.bincount(place, logits) / np.bincount(place)
    owner = clips.subject[np.unique(clips.video, return_index=True)[1]]
    _, person = np.unique(owner, return_inverse=True)
    assert len(of_video) == len(videos)  # noqa: S101 - one mean a video
    return np.asarray(np.bincount(person, of_video) / np.bincount(person), np.float64)


def _out_of_fold(clips: Clips, names: npt.NDArray[np.str_], inner: list[tuple[Floats, Floats]], strength: float) -> Floats:
    scores = np.zeros(len(names))
    for train, test in inner:
        fitted = fit_with(clips.only(np.isin(clips.subject, names[train])), strength)
        scores[test] = fitted.of_people(clips.only(np.isin(clips.subject, names[test])))
    return scores


def fit_with(clips: Clips, strength: float, times: npt.NDArray[np.int64] | None = None, *, threshold: float = 0.0) -> Classifier:
    """With a strength that is known already; `times` (N,) says how often each clip's person counts."""
    features = clips.features.astype(np.float64)
    mean, spread = features.mean(0), features.std(0) + 1e-6
    _, person, counts = np.unique(clips.subject, return_inverse=True, return_counts=True)
    # Newton: with more clips than features it needs a few steps where the default takes a thousand.
    model = LogisticRegression(C=strength, class_weight="balanced", solver="newton-cholesky")
    weight = len(clips.label) / len(counts) / counts[person] * (1 if times is None else times)
    model.fit((features - mean) / spread, clips.label, sample_weight=weight)
    return Classifier(mean, spread, np.asarray(model.coef_[0], np.float64), float(model.intercept_[0]), strength, threshold)


def _youden(labels: npt.NDArray[np.int64], scores: Floats) -> float:
    """The threshold of the best sum of sensitivity and specificity, half way to the next score below."""
    false_alarms, hits, thresholds = roc_curve(labels, scores, drop_intermediate=False)
    best = float(thresholds[np.argmax(hits - false_alarms)])
    below = scores[scores < best]
    return (best + float(below.max())) / 2 if len(below) and np.isfinite(best) else best
