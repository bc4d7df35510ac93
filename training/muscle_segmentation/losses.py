"""Masked losses, a head at a time: what is not labelled on an image costs nothing."""

import torch
from torch import Tensor
from torch.nn import functional

#: Weight of positive pixels in the cross-entropy: aponeurosis, fascicle, muscle belly.
_POSITIVE_WEIGHT = (2.0, 5.0, 1.0)
#: Tversky's weights of false positives and false negatives: thin structures are missed rather than invented.
_FALSE_POSITIVE = (0.4, 0.3, 0.5)
_FOCUS = 1.0


def segmentation_loss(logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Mean over the heads of focal cross-entropy plus Tversky loss; all (B, 3, H, W)."""
    heads = range(logits.shape[1])
    return torch.stack([_head_loss(logits[:, h], targets[:, h], weights[:, h], h) for h in heads]).mean()


def _head_loss(logits: Tensor, targets: Tensor, weights: Tensor, head: int) -> Tensor:
    positive = torch.tensor(_POSITIVE_WEIGHT[head])
    entropy = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none", pos_weight=positive)
    probability = torch.sigmoid(logits)
    focus = (probability - targets).abs() ** _FOCUS
    focal = (entropy * focus * weights).sum() / (weights.sum() + 1.0)
    return 4.0 * focal + _tversky(probability * weights, targets * weights, _FALSE_POSITIVE[head])


def _tversky(probability: Tensor, targets: Tensor, false_positive: float) -> Tensor:
    overlap = (probability * targets).sum()
    extra = (probability * (1.0 - targets)).sum()
    missed = ((1.0 - probability) * targets).sum()
    # The constant keeps a batch of negatives from asking for an empty picture at any price.
    return 1.0 - (overlap + 50.0) / (overlap + false_positive * extra + (1.0 - false_positive) * missed + 50.0)
