"""The rivals of the Video Diffusion Encoder: other ways to train the same encoder without labels.

Each has `encoder` and `loss(source, target, generator)` of two windows of one video, (B, 1, T, S, S) each, like the VDE itself.
"""

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.vde.model import Bottleneck, Encoder, VdeConfig, standardise

#: Side of the square that is masked in all frames at once, and the share of squares that is.
_TUBE = 8
_MASKED = 0.9
_JEPA_MASKED = 0.75


class SimClr(nn.Module):
    """Two windows of one video attract, windows of other videos repel (Chen 2020)."""

    def __init__(self, config: VdeConfig, temperature: float = 0.2) -> None:
        super().__init__()
        self.encoder = Encoder(config)
        width = config.bottleneck
        self.head = nn.Sequential(
            Bottleneck(self.encoder.latent, config), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, 64)
        )
        self.temperature = temperature

    def loss(self, source: Tensor, target: Tensor, generator: torch.Generator) -> Tensor:
        """Normalised temperature-scaled cross-entropy."""
        del generator
        both = functional.normalize(self.head(self.encoder(torch.cat([source, target]))), dim=1)
        alike = both @ both.T / self.temperature
        alike = alike.masked_fill(torch.eye(len(alike), dtype=torch.bool, device=alike.device), float("-inf"))
        count = len(source)
        partner = torch.cat([torch.arange(count, 2 * count), torch.arange(count)]).to(alike.device)
        return functional.cross_entropy(alike, partner)


class VideoMae(nn.Module):
    """Nine tenths of the picture are hidden in all frames, and what was hidden is to be drawn (after Tong 2022)."""

    def __init__(self, config: VdeConfig) -> None:
        super().__init__()
        self.encoder = Encoder(config)
        wide, narrow = config.widths[-1], config.widths[-2]
        self.told = nn.Sequential(Bottleneck(self.encoder.latent, config), nn.Linear(config.bottleneck, wide))
        # From (T / 8, S / 16, S / 16) to one vector a tube of 2 frames x 8 x 8 pixels.
        self.decoder = nn.Sequential(
            nn.ConvTranspose3d(wide, narrow, (4, 2, 2), (4, 2, 2)),
            nn.SiLU(),
            nn.Conv3d(narrow, 2 * _TUBE**2, (3, 3, 3), padding=1),
        )

    def loss(self, source: Tensor, target: Tensor, generator: torch.Generator) -> Tensor:
        """Mean squared error of the hidden tubes, each standardised on its own."""
        del target
        clip = standardise(source)
        hidden = tubes_hidden(clip, _MASKED, generator)  # (B, S / 8, S / 8)
        levels = self.encoder.levels(clip * (1 - _spread_out(hidden, clip)))
        told = self.told(self.encoder.pool(levels))[:, :, None, None, None]
        drawn = self.decoder(levels[-1] + told)
        patches = _patches(clip)
        patches = (patches - patches.mean(1, keepdim=True)) / (patches.var(1, keepdim=True) + 1e-4).sqrt()
        wrong = (drawn - patches).square().mean(1)  # (B, T / 2, S / 8, S / 8)
        weight = hidden[:, None].expand_as(wrong)
        return (wrong * weight).sum() / weight.sum().clamp(min=1)


class Jepa(nn.Module):
    """What a slow copy of the encoder makes of hidden places is predicted from the rest (after V-JEPA, Bardes 2024)."""

    def __init__(self, config: VdeConfig, keep: float = 0.996) -> None:
        super().__init__()
        self.encoder = Encoder(config)
        self.slow = copy.deepcopy(self.encoder).requires_grad_(requires_grad=False)
        wide = config.widths[-1]
        self.predictor = nn.Sequential(
            nn.Conv3d(wide + 1, wide, 3, padding=1), nn.GroupNorm(8, wide), nn.SiLU(), nn.Conv3d(wide, wide, 3, padding=1)
        )
        latent = self.encoder.latent
        self.to_other = nn.Sequential(Bottleneck(latent, config), nn.SiLU(), nn.Linear(config.bottleneck, latent))
        self.keep = keep

    def loss(self, source: Tensor, target: Tensor, generator: torch.Generator) -> Tensor:
        """Smooth L1 at hidden places of the feature map, and of the latent of the other window."""
        self._follow()
        clip = standardise(source)
        hidden = tubes_hidden(clip, _JEPA_MASKED, generator, tube=2 * _TUBE)
        levels = self.encoder.levels(clip * (1 - _spread_out(hidden, clip)))
        found = levels[-1]
        where = hidden[:, None, None].expand(-1, 1, found.shape[2], -1, -1)
        predicted = self.predictor(torch.cat([found, where], 1))
        with torch.no_grad():
            wanted = functional.layer_norm(self.slow.levels(clip)[-1].movedim(1, -1), (found.shape[1],)).movedim(-1, 1)
            other = self.slow(target)
            other = functional.layer_norm(other, other.shape[1:])
        wrong = functional.smooth_l1_loss(predicted, wanted, reduction="none").mean(1)
        local = (wrong * where[:, 0]).sum() / where.sum().clamp(min=1)
        return local + functional.smooth_l1_loss(self.to_other(self.encoder.pool(levels)), other)

    def _follow(self) -> None:
        with torch.no_grad():
            for slow, fast in zip(self.slow.parameters(), self.encoder.parameters(), strict=True):
                slow.lerp_(fast, 1 - self.keep)


def tubes_hidden(clip: Tensor, share: float, generator: torch.Generator, tube: int = _TUBE) -> Tensor:
    """(B, S / tube, S / tube), 1 where hidden; the same in all frames, so that movement gives nothing away."""
    side = clip.shape[-1] // tube
    order = torch.rand(len(clip), side * side, generator=generator).argsort(1).argsort(1)
    return (order < share * side * side).float().reshape(-1, side, side).to(clip.device)


def _spread_out(hidden: Tensor, clip: Tensor) -> Tensor:
    """To the clip's pixels: (B, 1, 1, S, S)."""
    times = clip.shape[-1] // hidden.shape[-1]
    return hidden.repeat_interleave(times, 1).repeat_interleave(times, 2)[:, None, None]


def _patches(clip: Tensor) -> Tensor:
    """(B, 1, T, S, S) to (B, 2 * 8 * 8, T / 2, S / 8, S / 8)."""
    batch, _, frames, side, _ = clip.shape
    cut = clip.reshape(batch, frames // 2, 2, side // _TUBE, _TUBE, side // _TUBE, _TUBE)
    return cut.permute(0, 2, 4, 6, 1, 3, 5).reshape(batch, 2 * _TUBE**2, frames // 2, side // _TUBE, side // _TUBE)
