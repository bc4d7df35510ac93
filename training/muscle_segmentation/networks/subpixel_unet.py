"""A small U-Net that reads a 2 x 2 block as four channels, works at half resolution and writes the blocks back.

After Ronneberger et al. 2015 (U-Net), with the sub-pixel stem and head of Shi et al. 2016. Half resolution keeps the cost
per frame below that of a 16-32-64-128 U-Net at full resolution, with more channels where the structures are.
"""

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.network_parts import convolutions, standardised

#: Channels at 1/2, 1/4, 1/8 and 1/16 of the input.
_WIDTHS = (24, 48, 80, 112)
#: Of the slim form, which adds what it skips instead of putting it beside: two fifths of the arithmetic.
SLIM_WIDTHS = (16, 32, 64, 96)


class SubPixelUNet(nn.Module):
    """Grey frames (B, 1, H, W) float, 0 in the padding, to logits (B, outputs, H, W); H and W are multiples of 16."""

    def __init__(self, *, outputs: int, widths: tuple[int, ...] = _WIDTHS, adds_skips: bool = False) -> None:
        super().__init__()
        self.adds_skips = adds_skips
        self.stem = convolutions(4, widths[0])
        self.down = nn.ModuleList(convolutions(a, b) for a, b in itertools.pairwise(widths))
        self.bottom = _Context(widths[-1])
        pairs = list(itertools.pairwise(widths))[::-1]
        self.narrow = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in pairs)
        self.up = nn.ModuleList(convolutions(a if adds_skips else 2 * a, a) for a, _ in pairs)
        self.head = nn.Conv2d(widths[0], 4 * outputs, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        """Logits; those of the padding mean nothing."""
        x = functional.pixel_unshuffle(standardised(image), 2)  # (B, 4, 128, 128)
        x = self.stem(x)  # (B, w0, 128, 128)
        skips = []
        for down in self.down:
            skips.append(x)
            x = down(functional.max_pool2d(x, 2))  # (B, w1, 64, 64) ... (B, w3, 16, 16)
        x = self.bottom(x)
        for narrow, up, skip in zip(self.narrow, self.up, reversed(skips), strict=True):
            x = functional.interpolate(narrow(x), scale_factor=2.0, mode="nearest")
            x = up(x + skip if self.adds_skips else torch.cat([x, skip], 1))
        return functional.pixel_shuffle(self.head(x), 2)  # (B, 3, 256, 256)


class _Context(nn.Module):
    """Dilated convolutions at the coarsest level, summed: fascicles and aponeuroses are longer than a plain kernel sees."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.near = nn.Conv2d(width, width // 2, 3, padding=2, dilation=2, bias=False)
        self.far = nn.Conv2d(width, width // 2, 3, padding=4, dilation=4, bias=False)
        self.norm = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        return x + functional.relu(self.norm(torch.cat([self.near(x), self.far(x)], 1)))
