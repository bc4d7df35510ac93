"""What is served: the encoder, and one small graph with classifier, bootstrap copies, distance and nearest training cases."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from sklearn.covariance import LedoitWolf
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, StratifiedKFold
from torch import Tensor, nn
from torch.nn import functional

from service.core.analyses.myofascial_pain import CASES, LOGITS
from training.vde.classify import Classifier, Clips, fit, fit_with
from training.vde.model import Encoder
from training.vde.statistics import resamples

Floats = npt.NDArray[np.float64]

#: Share of unseen training people's windows that the gate lets pass.
_PASSES = 0.99
_GATE_FOLDS = 5


@dataclass(frozen=True, slots=True)
class Calibration:
    """A video's logit to a calibrated one: `slope` * logit + `offset` (Platt)."""

    slope: float
    offset: float


class ServedEncoder(nn.Module):
    """Clips (B, T, S, S) uint8 to latents (B, latent)."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, clip: Tensor) -> Tensor:
        """The normalisation is inside."""
        latent: Tensor = self.encoder(clip[:, None])
        return latent


class ServedClassifier(nn.Module):
    """Latents (B, latent) to logits (B, 101), distance (B, 1), similarity and label of the nearest cases (B, 5) each."""

    def __init__(self, training: Clips, seed: int = 0, calibration: Calibration | None = None) -> None:
        super().__init__()
        classifier, calibration = fit(training, seed), calibration or Calibration(1.0, 0.0)
        copies = [classifier, *_copies(training, classifier.strength)]
        gate = _Gate.fitted(training)
        for name, values in {
            "mean": np.stack([copy.mean for copy in copies]),
            "spread": np.stack([copy.spread for copy in copies]),
            "weights": np.stack([copy.weights for copy in copies]),
            "bias": np.array([copy.bias for copy in copies]),
            "centre": gate.mean,
            "whitening": gate.whitening,
            "limit": np.array([gate.limit]),
            **_cases(training, gate.mean),
        }.items():
            self.register_buffer(name, torch.from_numpy(np.asarray(values, np.float32)))
        # Standardisation and calibration are folded in: logits = latent @ slope + intercept.
        scaled = calibration.slope * self.weights / self.spread
        self.register_buffer("slope", scaled.T.contiguous())
        self.register_buffer("intercept", calibration.slope * self.bias + calibration.offset - (scaled * self.mean).sum(1))

    def forward(self, latent: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Logits, distance (1 is the limit), similarity, case_label."""
        logits = latent @ self.slope + self.intercept
        away = latent - self.centre
        distance = (away @ self.whitening).square().sum(1, keepdim=True).sqrt() / self.limit
        similarity, nearest = torch.topk(functional.normalize(away, dim=1) @ self.cases.T, CASES, dim=1)
        return logits, distance, similarity, self.case_labels[nearest]


@dataclass(frozen=True, slots=True)
class _Gate:
    """Mahalanobis distance of a window's latent from the training windows, and the limit."""

    mean: Floats
    whitening: Floats
    limit: float

    @classmethod
    def fitted(cls, training: Clips) -> "_Gate":
        """The limit comes from people that mean and covariance were not estimated on."""
        unseen = np.zeros(len(training.label))
        for train, test in GroupKFold(_GATE_FOLDS).split(training.features, groups=training.subject):
            mean, whitening = _whitened(training.features[train])
            unseen[test] = np.linalg.norm((training.features[test] - mean) @ whitening, axis=1)
        return cls(*_whitened(training.features), float(np.quantile(unseen, _PASSES)))


def calibrate(features: list[npt.NDArray[np.floating]], clips: Clips, folds: list[npt.NDArray[np.int64]]) -> Calibration:
    """From logits of videos whose people neither encoder nor classifier of their fold was trained on."""
    names, _ = clips.people()
    logits, labels, weights = [], [], []
    for found, test in zip(features, folds, strict=True):
        of_fold = Clips(found, clips.video, clips.subject, clips.label)
        is_test = np.isin(clips.subject, names[test])
        tested = of_fold.only(is_test)
        videos, place = np.unique(tested.video, return_inverse=True)
        classifier = fit(of_fold.only(~is_test))
        logits.append(np.bincount(place, classifier.logits(tested.features)) / np.bincount(place))
        first = np.unique(tested.video, return_index=True)[1]
        labels.append(tested.label[first])
        _, person, counts = np.unique(tested.subject[first], return_inverse=True, return_counts=True)
        weights.append(1 / counts[person])
        assert len(videos) == len(first)  # noqa: S101 - one entry a video
    platt = LogisticRegression(C=1e6, max_iter=1000)
    platt.fit(np.concatenate(logits)[:, None], np.concatenate(labels), sample_weight=np.concatenate(weights))
    return Calibration(float(platt.coef_[0, 0]), float(platt.intercept_[0]))


def people_folds(clips: Clips, folds: int) -> list[npt.NDArray[np.int64]]:
    """Test people of each fold, as in the protocol."""
    names, labels = clips.people()
    return [test for _, test in StratifiedKFold(folds, shuffle=True, random_state=0).split(names, labels)]


def _copies(training: Clips, strength: float) -> list[Classifier]:
    """The same regression on people drawn with replacement; one drawn twice counts twice."""
    names, labels = training.people()
    copies = []
    for times in resamples(labels, LOGITS - 1):
        weight = times[np.searchsorted(names, training.subject)]
        copies.append(fit_with(training.only(weight > 0), strength, weight[weight > 0]))
    return copies


def _whitened(features: npt.NDArray[np.floating]) -> tuple[Floats, Floats]:
    covariance = LedoitWolf().fit(features)
    values, axes = np.linalg.eigh(covariance.covariance_)
    return np.asarray(covariance.location_, np.float64), np.asarray(axes / np.sqrt(values), np.float64)


def _cases(training: Clips, centre: Floats) -> dict[str, npt.NDArray[np.floating]]:
    """One case a video: the direction of its mean latent from the centre, and its label."""
    videos, first = np.unique(training.video, return_index=True)
    mean = np.array([training.features[training.video == video].mean(0) for video in videos]) - centre
    return {"cases": mean / np.linalg.norm(mean, axis=1, keepdims=True), "case_labels": training.label[first].astype(np.float64)}
