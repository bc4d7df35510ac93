"""What is served: one small trunk, and on it a head for the plane and one for the structures."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.network_parts import Residual, convolution, standardised

#: Channels at 1/2, 1/4, 1/8 and 1/16 of the picture's sides, and how many residual blocks follow each halving.
_WIDTHS = (28, 40, 72, 128)
_BLOCKS = (0, 1, 2, 3)
_DROPPED = 0.2


class SharedTrunk(nn.Module):
    """Grey pictures (B, 1, H, W) float, 0 in the padding, H and W multiples of 16: plane and structure logits."""

    def __init__(self, *, planes: int, structures: int) -> None:
        super().__init__()
        self.down = nn.ModuleList(
            nn.Sequential(convolution(inputs, width, stride=2), *(Residual(width) for _ in range(blocks)))
            for inputs, width, blocks in zip((1, *_WIDTHS), _WIDTHS, _BLOCKS, strict=False)
        )
        narrower = list(zip(_WIDTHS[:0:-1], _WIDTHS[-2::-1], strict=True))
        self.beside = nn.ModuleList(nn.Conv2d(below, width, 1) for below, width in narrower)
        self.up = nn.ModuleList(convolution(width, width) for _, width in narrower)
        self.plane = nn.Sequential(nn.Dropout(_DROPPED), nn.Linear(sum(_WIDTHS), planes))
        # Tendons look alike: which one it is depends on the plane, which only the whole picture tells.
        self.context = nn.Linear(sum(_WIDTHS), _WIDTHS[-1])
        self.structure = nn.Conv2d(_WIDTHS[0], structures, 1)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """(B, planes), and (B, structures, H, W) drawn at half of that; in training as drawn."""
        x, levels = standardised(image), []
        for down in self.down:
            x = down(x)
            levels.append(x)
        whole = torch.cat([level.mean((2, 3)) for level in levels], 1)
        plane: Tensor = self.plane(whole)
        x = x + self.context(whole)[:, :, None, None]
        for beside, up, level in zip(self.beside, self.up, levels[-2::-1], strict=True):
            x = up(level + functional.interpolate(beside(x), scale_factor=2.0, mode="nearest"))
        drawn: Tensor = self.structure(x)
        if self.training:
            return plane, drawn
        return plane, functional.interpolate(drawn, scale_factor=2.0, mode="bilinear", align_corners=False)
