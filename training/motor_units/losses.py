"""What the networks are punished for."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from service.core.measure.motor_maps import CENTRE, EMBEDDING, EXTENT, OFFSET, TERRITORY
from training.motor_units.targets import MapTargets

_WITHIN, _APART = 0.5, 1.5


def map_loss(maps: Tensor, wanted: list[MapTargets]) -> dict[str, Tensor]:
    """Parts of the loss of maps (B, 14, H, W); their sum is what is made small."""
    heat = torch.from_numpy(np.stack([one.heat for one in wanted]))
    territory = torch.from_numpy(np.stack([one.territory for one in wanted]))
    at_centres = [(maps[n][:, one.pixels[:, 0], one.pixels[:, 1]].T, one) for n, one in enumerate(wanted)]
    extent = [functional.l1_loss(said[:, EXTENT], torch.from_numpy(one.extent)) for said, one in at_centres]
    offset = [functional.l1_loss(said[:, OFFSET], torch.from_numpy(one.offset)) for said, one in at_centres]
    logits = maps[:, TERRITORY.start]
    return {
        "centre": focal(maps[:, CENTRE.start], heat),
        "extent": torch.stack(extent).mean(),
        "offset": torch.stack(offset).mean(),
        "territory": functional.binary_cross_entropy_with_logits(logits, territory) + _dice_loss(logits, territory),
        "embedding": torch.stack([embedding_loss(maps[n, EMBEDDING], one) for n, one in enumerate(wanted)]).mean(),
    }


def focal(logits: Tensor, heat: Tensor) -> Tensor:
    """Focal loss of a map of centres (Law and Deng 2018), over the number of centres; what is near a centre counts less."""
    probability = torch.sigmoid(logits).clamp(1e-5, 1 - 1e-5)
    is_centre = heat == 1
    hit = -((1 - probability) ** 2) * probability.log() * is_centre
    miss = -((1 - heat) ** 4) * probability**2 * (1 - probability).log() * ~is_centre
    return (hit.sum() + miss.sum()) / is_centre.sum().clamp(min=1)


def embedding_loss(embedding: Tensor, wanted: MapTargets) -> Tensor:
    """Pixels of a unit near its mean, means of units apart (De Brabandere et al. 2017); pixels of several units are left out."""
    owner = torch.from_numpy(wanted.owner)
    inside = [embedding[:, owner == number].T for number in range(len(wanted.pixels)) if bool((owner == number).any())]
    means = torch.stack([pixels.mean(0) for pixels in inside])
    pull = [functional.relu(_length(pixels - mean) - _WITHIN).square().mean() for pixels, mean in zip(inside, means, strict=True)]
    between = _length(means[:, None] - means)
    others = ~torch.eye(len(means), dtype=torch.bool)
    push = functional.relu(_APART - between[others]).square()
    return torch.stack(pull).mean() + (push.mean() if len(push) else push.sum())


def train_loss(twitch: Tensor, discharge: Tensor, wanted: Tensor, spikes: Tensor) -> dict[str, Tensor]:
    """Parts of the loss of trains (B, T): 1 less Pearson's r, half the squared error, focal loss of discharges."""
    scaled = (wanted - wanted.mean(1, keepdim=True)) / (wanted.std(1, keepdim=True) + 1e-6)
    centred = twitch - twitch.mean(1, keepdim=True)
    r = functional.cosine_similarity(centred, scaled, dim=1, eps=1e-6)
    probability = torch.sigmoid(discharge).clamp(1e-5, 1 - 1e-5)
    hit = -((1 - probability) ** 2) * probability.log() * spikes
    miss = -(probability**2) * (1 - probability).log() * (1 - spikes)
    return {
        "twitch": (1 - r).mean() + 0.5 * functional.mse_loss(twitch, scaled),
        "discharge": (hit.sum() + miss.sum()) / spikes.sum().clamp(min=1),
    }


def _dice_loss(logits: Tensor, wanted: Tensor) -> Tensor:
    probability = torch.sigmoid(logits)
    return 1 - (2 * (probability * wanted).sum() + 1) / (probability.sum() + wanted.sum() + 1)


def _length(vectors: Tensor) -> Tensor:
    """Over the last axis; never exactly 0, where its slope is not defined."""
    return (vectors.square().sum(-1) + 1e-8).sqrt()
