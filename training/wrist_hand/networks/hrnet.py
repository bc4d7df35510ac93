"""HRNet-W18 (Wang et al. 2020), the reference for structures: four resolutions side by side, exchanged again and again."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.network_parts import Bottleneck, Residual, convolution, standardised

_WIDTHS = (18, 36, 72, 144)
#: How often two, three and four resolutions are exchanged, and the residual blocks before each exchange.
_MODULES = (1, 4, 3)
_BLOCKS = 4
_STEM, _FIRST = 64, 4


class HRNet(nn.Module):
    """Grey pictures (B, 1, H, W) float, 0 in the padding, H and W multiples of 32: structure logits, and no plane."""

    def __init__(self, *, structures: int) -> None:
        super().__init__()
        wide = Bottleneck.GROWTH * _STEM
        stem = (convolution(1, _STEM, stride=2), convolution(_STEM, _STEM, stride=2))
        self.stem = nn.Sequential(*stem, *(Bottleneck(wide if number else _STEM, _STEM) for number in range(_FIRST)))
        self.first = convolution(wide, _WIDTHS[0])
        self.lower = nn.ModuleList(
            convolution(wide if level == 1 else _WIDTHS[level - 1], _WIDTHS[level], stride=2) for level in (1, 2, 3)
        )
        self.stages = nn.ModuleList(
            nn.Sequential(*(_Module(_WIDTHS[: stage + 2]) for _ in range(count))) for stage, count in enumerate(_MODULES)
        )
        total = sum(_WIDTHS)
        self.structure = nn.Sequential(convolution(total, total, size=1), nn.Conv2d(total, structures, 1))

    def forward(self, image: Tensor) -> tuple[None, Tensor]:
        """(B, structures, H, W), drawn at a quarter of that; in training half of H and W."""
        wide = self.stem(standardised(image))
        levels = [self.first(wide)]
        for stage, (lower, modules) in enumerate(zip(self.lower, self.stages, strict=True)):
            levels = modules([*levels, lower(levels[-1] if stage else wide)])
        same = [level if number == 0 else _enlarged(level, 2**number, "bilinear") for number, level in enumerate(levels)]
        return None, _enlarged(self.structure(torch.cat(same, 1)), 2 if self.training else 4, "bilinear")


class _Module(nn.Module):
    """Blocks at each resolution, then every resolution gets the sum of all."""

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(nn.Sequential(*(Residual(width) for _ in range(_BLOCKS))) for width in widths)
        self.exchange = nn.ModuleList(
            nn.ModuleList(_way(widths, source, target) for source in range(len(widths))) for target in range(len(widths))
        )

    def forward(self, levels: list[Tensor]) -> list[Tensor]:
        """As many as came."""
        found = [branch(level) for branch, level in zip(self.branches, levels, strict=True)]
        return [functional.relu(_sum(ways, found, target)) for target, ways in enumerate(self.exchange)]


def _sum(ways: nn.Module, levels: list[Tensor], target: int) -> Tensor:
    parts = [way(level) for way, level in zip(ways.children(), levels, strict=True)]
    total = parts[target]
    for source, part in enumerate(parts):
        if source != target:
            total = total + (_enlarged(part, 2 ** (source - target), "nearest") if source > target else part)
    return total


def _way(widths: tuple[int, ...], source: int, target: int) -> nn.Module:
    """From one resolution towards another; enlarging is left to the sum."""
    if source == target:
        return nn.Identity()
    if source > target:
        return convolution(widths[source], widths[target], size=1, is_activated=False)
    steps = [convolution(widths[source], widths[source], stride=2) for _ in range(target - source - 1)]
    return nn.Sequential(*steps, convolution(widths[source], widths[target], stride=2, is_activated=False))


def _enlarged(x: Tensor, times: int, mode: str) -> Tensor:
    aligned = None if mode == "nearest" else False
    return functional.interpolate(x, scale_factor=float(times), mode=mode, align_corners=aligned)
