"""Changes of a batch that another probe, another hand or another scanner would make (torch, on the whole batch)."""

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torch.nn import functional

#: Sides of the boxes, pixels, that a beam much wider than deep smears a picture with, and of the grain of speckle.
_SMEAR = (1, 7)
_GRAINS = ((1, 2), (1, 4), (2, 6))


@dataclass(frozen=True, slots=True)
class Moves:
    """How far from the first another hand holds the probe: degrees, factors, log of the change of aspect, share of a side."""

    rotation_deg: float = 18.0
    scale: tuple[float, float] = (0.7, 1.4)
    #: Sectors are stored with other pixels across than down.
    aspect: float = 0.25
    shift: float = 0.18


def draw_grid(image: Tensor, moves: Moves, generator: Generator) -> Tensor:
    """Where each picture of (B, 1, H, W) is looked at: (B, H, W, 2)."""
    return functional.affine_grid(_affine(image.shape[0], moves, generator), list(image.shape), align_corners=False)


def moved(values: Tensor, grid: Tensor, mode: str = "bilinear") -> Tensor:
    """(B, C, H, W) as seen there; 0 comes in from outside."""
    return functional.grid_sample(values, grid, mode=mode, align_corners=False)


def seen_by_another_scanner(image: Tensor, grid: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
    """Pictures (B, 1, H, W) of 0 to 255 moved and changed in grey, 0 in the padding; and where there is picture, 0 or 1."""
    inside = moved((image > 0.5).to(image.dtype), grid, "nearest")
    grey = _intensity(moved(image, grid) / 255.0, generator) * 255.0
    return _framed(grey, inside, generator), inside


def _affine(count: int, moves: Moves, generator: Generator) -> Tensor:
    """Rotation, log-uniform scale, slight change of aspect, shift and mirror as (B, 2, 3)."""
    angle = _uniform(count, -moves.rotation_deg, moves.rotation_deg, generator) * math.pi / 180.0
    scale = torch.exp(_uniform(count, math.log(moves.scale[0]), math.log(moves.scale[1]), generator))
    aspect = torch.exp(_uniform(count, -moves.aspect, moves.aspect, generator))
    mirror = torch.where(torch.rand(count, generator=generator) < 0.5, -1.0, 1.0)
    shift_x, shift_y = (_uniform(count, -moves.shift, moves.shift, generator) for _ in range(2))
    across, down = 1.0 / (scale * aspect), aspect / scale
    first = torch.stack([torch.cos(angle) * across * mirror, -torch.sin(angle) * across, shift_x], 1)
    second = torch.stack([torch.sin(angle) * down * mirror, torch.cos(angle) * down, shift_y], 1)
    return torch.stack([first, second], 1)


def _intensity(grey: Tensor, generator: Generator) -> Tensor:
    """Gamma, gain, a slope with depth, shadowed columns, speckle and blur, on grey of 0 to 1."""
    count, _, height, width = grey.shape
    gamma = torch.exp(_uniform(count, -0.55, 0.55, generator)).view(-1, 1, 1, 1)
    grey = grey.clamp(min=1e-4) ** gamma
    gain = torch.exp(_uniform(count, -0.5, 0.4, generator)).view(-1, 1, 1, 1)
    slope = _uniform(count, -0.6, 0.6, generator).view(-1, 1, 1, 1) * torch.linspace(-1, 1, height).view(1, 1, -1, 1)
    coarse = torch.randn(count, 1, 1, 8, generator=generator) * _uniform(count, 0.0, 0.35, generator).view(-1, 1, 1, 1)
    shadow = functional.interpolate(coarse, size=(1, width), mode="bilinear", align_corners=False)
    grey = grey * gain * torch.exp(slope + shadow)
    return _speckle(_blurred(grey, generator), generator).clamp(0.0, 1.0)


def _speckle(grey: Tensor, generator: Generator) -> Tensor:
    count, _, height, width = grey.shape
    down, across = _GRAINS[int(torch.randint(len(_GRAINS), (1,), generator=generator))]
    noise = torch.randn(count, 1, height // down, width // across, generator=generator)
    noise = functional.interpolate(noise, size=(height, width), mode="bilinear", align_corners=False)
    amount = (_uniform(count, -0.15, 0.35, generator).clamp(min=0.0)).view(-1, 1, 1, 1)
    floor = (_uniform(count, -0.08, 0.08, generator).clamp(min=0.0)).view(-1, 1, 1, 1)
    return grey * (1.0 + amount * noise) + floor * noise.abs()


def _blurred(grey: Tensor, generator: Generator) -> Tensor:
    """A mix with the blurred picture, softer or (negative share) sharper."""
    blurred = functional.avg_pool2d(functional.pad(grey, (2, 2, 1, 1), mode="replicate"), (3, 5), stride=1)
    share = _uniform(grey.shape[0], -0.4, 0.9, generator).view(-1, 1, 1, 1)
    grey = (grey + share * (blurred - grey)).clamp(min=0.0)
    down, across = _SMEAR
    padded = functional.pad(grey, (across // 2, across // 2, down // 2, down // 2), mode="replicate")
    smeared = functional.avg_pool2d(padded, _SMEAR, stride=1)
    share = _uniform(grey.shape[0], -0.6, 1.0, generator).clamp(min=0.0).view(-1, 1, 1, 1)
    return grey + share * (smeared - grey)


def _framed(grey: Tensor, inside: Tensor, generator: Generator) -> Tensor:
    """Padding is 0, or the darkest tissue as where a sector does not fill its box."""
    slanted = (torch.rand(grey.shape[0], generator=generator) < 0.3).to(grey.dtype).view(-1, 1, 1, 1)
    return grey.clamp(min=1.0) * inside + slanted * (1.0 - inside)


def _uniform(count: int, low: float, high: float, generator: Generator) -> Tensor:
    return torch.rand(count, generator=generator) * (high - low) + low
