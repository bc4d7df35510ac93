"""Masked losses, a head at a time: what is not labelled on an image costs nothing."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

_FOCUS = 1.0


@dataclass(frozen=True, slots=True)
class LossWeights:
    """One number a head: aponeurosis, fascicle, muscle belly."""

    #: Of positive pixels in the cross-entropy.
    positive: tuple[float, float, float] = (2.0, 5.0, 1.0)
    #: Of false positives in Tversky's index; false negatives have the rest. Low: a thin structure is not missed.
    false_positive: tuple[float, float, float] = (0.4, 0.3, 0.5)


def segmentation_loss(logits: Tensor, targets: Tensor, weights: Tensor, balance: LossWeights) -> Tensor:
    """Mean over the heads of focal cross-entropy plus Tversky loss; all (B, 3, H, W)."""
    heads = range(logits.shape[1])
    losses = [
        _head_loss(logits[:, h], targets[:, h], weights[:, h], balance.positive[h], balance.false_positive[h]) for h in heads
    ]
    return torch.stack(losses).mean()


def _head_loss(logits: Tensor, targets: Tensor, weights: Tensor, positive: float, false_positive: float) -> Tensor:
    weight = torch.tensor(positive)
    entropy = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none", pos_weight=weight)
    probability = torch.sigmoid(logits)
    focus = (probability - targets).abs() ** _FOCUS
    focal = (entropy * focus * weights).sum() / (weights.sum() + 1.0)
    return 4.0 * focal + _tversky(probability * weights, targets * weights, false_positive)


def _tversky(probability: Tensor, targets: Tensor, false_positive: float) -> Tensor:
    overlap = (probability * targets).sum()
    extra = (probability * (1.0 - targets)).sum()
    missed = ((1.0 - probability) * targets).sum()
    # The constant keeps a batch of negatives from asking for an empty picture at any price.
    return 1.0 - (overlap + 50.0) / (overlap + false_positive * extra + (1.0 - false_positive) * missed + 50.0)
