"""U-Net at full resolution (Ronneberger et al. 2015), of any width: 64 channels at the top are 31 M parameters."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.network_parts import convolutions, standardised

_LEVELS = 5


class UNet(nn.Module):
    """Grey frames (B, 1, H, W) float, 0 in the padding, to logits (B, outputs, H, W); H and W are multiples of 16."""

    def __init__(self, *, width: int, outputs: int) -> None:
        super().__init__()
        widths = [width << level for level in range(_LEVELS)]
        self.down = nn.ModuleList(convolutions(a, b) for a, b in zip([1, *widths], widths, strict=False))
        self.enlarge = nn.ModuleList(nn.ConvTranspose2d(2 * a, a, 2, stride=2) for a in widths[-2::-1])
        self.up = nn.ModuleList(convolutions(2 * a, a) for a in widths[-2::-1])
        self.head = nn.Conv2d(width, outputs, 1)

    def forward(self, image: Tensor) -> Tensor:
        """Logits; those of the padding mean nothing."""
        x = self.down[0](standardised(image))
        skips = []
        for down in self.down[1:]:
            skips.append(x)
            x = down(functional.max_pool2d(x, 2))
        for enlarge, up, skip in zip(self.enlarge, self.up, reversed(skips), strict=True):
            x = up(torch.cat([enlarge(x), skip], 1))
        logits: Tensor = self.head(x)
        return logits
