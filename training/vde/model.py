"""The Video Diffusion Encoder: a spatiotemporal encoder whose latent conditions a diffusion denoiser of another clip's frames.

After the paper that the project is named after, whose layers are not public; the design follows DiffAE (Preechakul 2022: a
semantic latent conditions a denoiser through adaptive group norms) and SODA (Hudson 2023: a tight latent of one view, another
view as the target). Only the encoder is served.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

#: Standardised intensities beyond this are speckle's rare peaks.
_LARGEST = 3.0
#: Side of the square that a pixel is compared with, about a quarter of the muscle's thickness; and grey levels that are flat.
_SQUARE = 17
_LEAST_SPREAD = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class VdeConfig:
    """Sizes of encoder and denoiser. The default is for processors; `full()` is for a GPU."""

    frames: int = 16
    size: int = 64
    widths: tuple[int, int, int, int] = (16, 32, 64, 128)
    #: So many numbers, made of the latent, are all that the denoiser is told.
    bottleneck: int = 128
    denoiser_widths: tuple[int, int] = (32, 64)
    #: So many frames of the target clip are denoised, and of each a square with sides of this share.
    denoised_frames: int = 4
    denoised_share: float = 0.5
    #: Mean of the logit of the noise level: above 0, more than half of the power is noise in most draws.
    noise_logit: float = 0.5
    #: A denoiser pixel is a square of so many, moved into the channels.
    unshuffle: int = 4
    min_snr_gamma: float = 1.0

    @classmethod
    def full(cls) -> "VdeConfig":
        """96 x 96, twice as wide, all frames denoised."""
        return cls(size=96, widths=(24, 48, 96, 192), bottleneck=256, denoiser_widths=(96, 192), denoised_frames=16)


class Encoder(nn.Module):
    """Clips (B, 1, T, S, S), uint8 or float in 0 to 255, 0 in the padding, to latents (B, `latent`); rivals have it too.

    The latent is what the levels hold before training's narrow head, whose output suits its own task (Chen 2020).
    """

    def __init__(self, config: VdeConfig) -> None:
        super().__init__()
        first = config.widths[0]
        self.stem = nn.Sequential(nn.Conv3d(1, first, 5, (4, 1, 1), 2, bias=False), nn.GroupNorm(8, first), nn.SiLU())
        self.stages = nn.ModuleList(
            nn.Sequential(_Shrink(times), ResidualStage(inner, outer))
            for inner, outer, times in zip((first, *config.widths), config.widths, (1, 2, 1, 1), strict=False)
        )
        self.latent = 2 * (first + sum(config.widths))

    def forward(self, clip: Tensor) -> Tensor:
        """Latents (B, `latent`)."""
        return self.pool(self.levels(standardise(clip)))

    def levels(self, standardised: Tensor) -> list[Tensor]:
        """What the stem and each stage make of clips; the last is (B, widths[-1], T / 8, S / 16, S / 16)."""
        found = [self.stem(standardised)]
        for stage in self.stages:
            found.append(stage(found[-1]))
        return found

    @staticmethod
    def pool(levels: list[Tensor]) -> Tensor:
        """Mean and spread of every level over time and place: the course of fibres shows in the fine ones."""
        pooled = []
        for level in levels:
            variance, mean = torch.var_mean(level.flatten(2), 2, correction=0)
            pooled += [mean, (variance + 1e-5).sqrt()]
        return torch.cat(pooled, 1)


class Bottleneck(nn.Sequential):
    """Latents (B, latent) to the few numbers (B, bottleneck) that the rest of a training network is told."""

    def __init__(self, latent: int, config: VdeConfig) -> None:
        super().__init__(nn.Linear(latent, config.bottleneck), nn.LayerNorm(config.bottleneck))


class _Shrink(nn.Module):
    """Half the rows and columns, and one frame in `times`, each a mean wide enough that nothing finer folds back (Zhang 2019).

    With strides instead, the probability of a cine moved by up to 0.13 when the muscle lay one pixel further.
    """

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T / times, H / 2, W / 2)."""
        fewer = x.unflatten(2, (-1, self.times)).mean(3) if self.times > 1 else x
        return _windowed_mean(fewer, width=4, step=2)


class ResidualStage(nn.Module):
    """A factored 3-D convolution (space, then time) beside a shortcut."""

    def __init__(self, inner: int, outer: int) -> None:
        super().__init__()
        self.space = nn.Conv3d(inner, outer, (1, 3, 3), padding=(0, 1, 1), bias=False)
        self.first_norm = nn.GroupNorm(8, outer)
        self.time = nn.Conv3d(outer, outer, (3, 1, 1), padding=(1, 0, 0), bias=False)
        self.second_norm = nn.GroupNorm(8, outer)
        self.shortcut = nn.Identity() if inner == outer else nn.Conv3d(inner, outer, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, outer, T, H, W)."""
        inside = functional.silu(self.first_norm(self.space(x)))
        return functional.silu(self.second_norm(self.time(inside)) + self.shortcut(x))


class Denoiser(nn.Module):
    """A two-level U-Net over single frames, unshuffled, that gives the clean ones; level and bottleneck enter every block."""

    def __init__(self, config: VdeConfig) -> None:
        super().__init__()
        channels = config.unshuffle**2
        narrow, wide = config.denoiser_widths
        told = 128
        self.time = nn.Sequential(nn.Linear(64, told), nn.SiLU(), nn.Linear(told, told))
        self.from_bottleneck = nn.Linear(config.bottleneck, told)
        self.enter = nn.Conv2d(channels, narrow, 3, padding=1)
        self.down = ConditionedBlock(narrow, narrow, told)
        self.shrink = nn.Conv2d(narrow, wide, 3, 2, 1)
        self.middle = ConditionedBlock(wide, wide, told)
        self.grow = nn.Conv2d(wide, narrow, 3, padding=1)
        self.up = ConditionedBlock(2 * narrow, narrow, told)
        self.leave = nn.Conv2d(narrow, channels, 3, padding=1)
        self.unshuffle = config.unshuffle

    def forward(self, noisy: Tensor, noise_level: Tensor, bottleneck: Tensor) -> Tensor:
        """Noisy frames (B, F, S, S), their levels in 0 to 1 (B,), what is told (B, bottleneck): clean frames (B, F, S, S)."""
        batch, frames = noisy.shape[:2]
        told = self.time(_waves(noise_level)) + self.from_bottleneck(bottleneck)
        told = told.repeat_interleave(frames, 0)
        x = self.enter(functional.pixel_unshuffle(noisy.reshape(batch * frames, 1, *noisy.shape[2:]), self.unshuffle))
        high = self.down(x, told)
        low = self.middle(self.shrink(high), told)
        grown = self.grow(functional.interpolate(low, scale_factor=2.0, mode="nearest"))
        clean = functional.pixel_shuffle(self.leave(self.up(torch.cat([grown, high], 1), told)), self.unshuffle)
        return clean.reshape(noisy.shape)


class ConditionedBlock(nn.Module):
    """Two convolutions; what is told scales and shifts the normalised channels between them (adaptive group norm)."""

    def __init__(self, inner: int, outer: int, told: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inner, outer, 3, padding=1)
        self.norm = nn.GroupNorm(8, outer)
        self.scale_and_shift = nn.Linear(told, 2 * outer)
        self.second = nn.Conv2d(outer, outer, 3, padding=1)
        self.shortcut = nn.Identity() if inner == outer else nn.Conv2d(inner, outer, 1)

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        """(B, outer, H, W)."""
        scale, shift = self.scale_and_shift(told)[..., None, None].chunk(2, 1)
        inside = functional.silu(self.norm(self.first(x)) * (1 + scale) + shift)
        changed: Tensor = self.second(inside) + self.shortcut(x)
        return changed


class VideoDiffusionEncoder(nn.Module):
    """Encoder and denoiser together, for training."""

    def __init__(self, config: VdeConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.bottleneck = Bottleneck(self.encoder.latent, config)
        self.denoiser = Denoiser(config)

    def loss(self, source: Tensor, target: Tensor, generator: torch.Generator) -> Tensor:
        """How well a piece of some frames of `target` is found under noise when the latent of `source`, another window, is told.

        Both (B, 1, T, S, S). A piece hardly says what tissue it is from, so the latent has to. The clean frames are predicted;
        their squared error is weighted by min-SNR (Hang 2023); noise levels are logit-normal (Esser 2024).
        """
        config = self.config
        clean = self._piece(standardise(target)[:, 0], generator)
        level = torch.sigmoid(config.noise_logit + torch.randn(len(clean), generator=generator)).to(clean.device)
        noise = torch.randn(clean.shape, generator=generator).to(clean.device)
        kept = cosine_schedule(level)  # share of the signal's power
        noisy = kept.sqrt()[:, None, None, None] * clean + (1 - kept).sqrt()[:, None, None, None] * noise
        found = self.denoiser(noisy, level, self.bottleneck(self.encoder(source)))
        # For clean-frame prediction min-SNR weighting is min(SNR, gamma); divided by gamma it stays below 1.
        weight = (kept / (1 - kept)).clamp(max=config.min_snr_gamma) / config.min_snr_gamma
        return (weight * (found - clean).square().mean((1, 2, 3))).mean()

    def _piece(self, frames: Tensor, generator: torch.Generator) -> Tensor:
        """(B, T, S, S) to (B, F, P, P), at one place in all clips."""
        config = self.config
        picked = torch.randperm(config.frames, generator=generator)[: config.denoised_frames]
        side = round(config.denoised_share * config.size)
        top, left = torch.randint(config.size - side + 1, (2,), generator=generator).tolist()
        return frames[:, picked, top : top + side, left : left + side]


def standardise(clip: Tensor) -> Tensor:
    """(B, 1, T, S, S) in 0 to 255, 0 outside, to mean 0 and spread 1 in a square round each pixel, clipped at 3; outside stays 0.

    Gain, its change with depth, and contrast go; the course of fibres and what is darker than its surroundings stay (local
    contrast normalisation, Jarrett 2009).
    """
    values = clip.float()
    inside = (values > 0).float()
    share = _windowed_mean(inside, _SQUARE).clamp(min=1e-3)
    away = (values - _windowed_mean(values * inside, _SQUARE) / share) * inside
    spread = (_windowed_mean(away.square(), _SQUARE) / share).sqrt()
    return (away / (spread + _LEAST_SPREAD)).clamp(-_LARGEST, _LARGEST)


def _windowed_mean(values: Tensor, width: int, step: int = 1) -> Tensor:
    """Mean over squares in each picture (..., S, S), `step` pixels apart; what lies beyond the picture does not count.

    As two products with a band matrix: quicker than pooling, forwards and backwards.
    """
    size = values.shape[-1]
    place = torch.arange(size, device=values.device)
    centre = torch.arange(0, size, step, device=values.device) + (step - 1) / 2
    near = ((centre[:, None] - place).abs() <= (width - 1) / 2).to(values.dtype)
    weights = near / near.sum(1, keepdim=True)
    return weights @ values @ weights.T


def cosine_schedule(level: Tensor) -> Tensor:
    """Share of the signal's power at noise levels from 0 to 1 (Nichol 2021), never quite 0 or 1."""
    return torch.cos((level + 0.008) / 1.008 * math.pi / 2).square().clamp(1e-4, 1 - 1e-4)


def _waves(level: Tensor) -> Tensor:
    """Sines and cosines of a noise level (B,) to (B, 64)."""
    rates = torch.exp(torch.linspace(0, math.log(1000.0), 32, device=level.device))
    angles = level[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], 1)
