"""What is served: one small trunk, and on it a head for the plane and one for the structures."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.network_parts import Residual, convolution, standardised

#: Residual blocks at 1/2, 1/4, 1/8 and 1/16 of the picture's sides, after each halving.
_BLOCKS = (0, 1, 2, 3)
_DROPPED = 0.2


@dataclass(frozen=True, slots=True)
class Channels:
    """At 1/2, 1/4, 1/8 and 1/16 of the picture's sides: of the trunk, and between convolutions of its blocks (0: no block)."""

    trunk: tuple[int, int, int, int]
    inside: tuple[int, int, int, int]


#: That of the wide trunk whose channels matter most (`training.wrist_hand.narrow`): under a tenth of each reference's arithmetic.
NARROW = Channels(trunk=(20, 32, 60, 108), inside=(0, 24, 42, 64))
WIDE = Channels(trunk=(28, 40, 72, 128), inside=(0, 40, 72, 128))


class SharedTrunk(nn.Module):
    """Grey pictures (B, 1, H, W) float, 0 in the padding, H and W multiples of 16: plane and structure logits."""

    def __init__(self, *, planes: int, structures: int, channels: Channels = NARROW) -> None:
        super().__init__()
        widths = channels.trunk
        self.down = nn.ModuleList(
            nn.Sequential(convolution(inputs, width, stride=2), *(Residual(width, inside) for _ in range(blocks)))
            for inputs, width, inside, blocks in zip((1, *widths[:-1]), widths, channels.inside, _BLOCKS, strict=True)
        )
        narrower = list(zip(widths[:0:-1], widths[-2::-1], strict=True))
        self.beside = nn.ModuleList(nn.Conv2d(below, width, 1) for below, width in narrower)
        self.up = nn.ModuleList(convolution(width, width) for _, width in narrower)
        self.plane = nn.Sequential(nn.Dropout(_DROPPED), nn.Linear(sum(widths), planes))
        # Tendons look alike: which one it is depends on the plane, which only the whole picture tells.
        self.context = nn.Linear(sum(widths), widths[-1])
        self.structure = nn.Conv2d(widths[0], structures, 1)

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
