"""Two networks after Ali et al. 2020 (slow fusion of a sequence to maps, then a train for each unit); the layers are our own.

The paper's own sizes are not known to us.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from service.core.measure.motor_maps import CENTRE, CHANNELS
from service.core.measure.motor_trains import TRACES
from training.network_parts import convolutions

_FUSION = ((1, 8, 9), (8, 16, 7), (16, 32, 5))
_WIDTHS = (64, 96, 128)
_DILATIONS = (1, 2, 4, 8, 16, 32)
_RARE = -4.0


class MotorUnitMaps(nn.Module):
    """Velocity (B, 1, 512, 64, 64) mm/s to maps (B, 14, 64, 64): time is fused slowly (Karpathy et al. 2014), then a U-Net."""

    def __init__(self) -> None:
        super().__init__()
        self.fusion = nn.ModuleList(_fused(*sizes) for sizes in _FUSION)
        self.folded = nn.Conv2d(_FUSION[-1][1] * 8, _WIDTHS[0], 1)
        first, second, third = _WIDTHS
        self.down = nn.ModuleList((convolutions(first, first), convolutions(first, second), convolutions(second, third)))
        self.up = nn.ModuleList((convolutions(third + second, second), convolutions(second + first, first)))
        self.whole = convolutions(first, 32)
        self.maps = nn.Conv2d(32, CHANNELS, 1)
        _expect_little(self.maps, CENTRE.start)

    def forward(self, velocity: Tensor) -> Tensor:
        """Maps; the scale of the velocity does not matter."""
        x = velocity / (velocity.square().mean((2, 3, 4), keepdim=True).sqrt() + 1e-6)
        x = functional.avg_pool3d(self.fusion[0](x), (1, 2, 2))  # (B, 8, 128, 32, 32)
        x = self.fusion[2](self.fusion[1](x))  # (B, 32, 8, 32, 32)
        full = self.down[0](self.folded(x.flatten(1, 2)))  # (B, 64, 32, 32)
        half = self.down[1](functional.max_pool2d(full, 2))
        x = self.down[2](functional.max_pool2d(half, 2))  # (B, 128, 8, 8)
        x = self.up[0](torch.cat([_doubled(x), half], 1))
        x = self.up[1](torch.cat([_doubled(x), full], 1))
        maps: Tensor = self.maps(self.whole(_doubled(x))).float()
        return maps


class TwitchTrains(nn.Module):
    """Traces of a unit (B, 9, T) to its twitch train and the logits of its discharges, each (B, T): dilated convolutions."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.first = nn.Conv1d(TRACES, width, 3, padding=1)
        self.blocks = nn.ModuleList(_Dilated(width, dilation) for dilation in _DILATIONS)
        self.last = nn.Conv1d(width, 2, 1)
        _expect_little(self.last, 1)

    def forward(self, traces: Tensor) -> tuple[Tensor, Tensor]:
        """The scale of the traces does not matter."""
        x = self.first(traces / (traces.square().mean((1, 2), keepdim=True).sqrt() + 1e-6))
        for block in self.blocks:
            x = block(x)
        twitch, discharge = self.last(x).float().unbind(1)
        return twitch, discharge


class _Dilated(nn.Module):
    """Two convolutions over time, added to what came."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.change = nn.Sequential(
            nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation, bias=False),
            nn.BatchNorm1d(width),
            nn.ReLU(inplace=True),
            nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation, bias=False),
            nn.BatchNorm1d(width),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, T) to the same."""
        return functional.relu(x + self.change(x))


def _fused(inputs: int, outputs: int, frames: int) -> nn.Sequential:
    """Over `frames` frames and 3 x 3 pixels, a quarter as many frames after it."""
    return nn.Sequential(
        nn.Conv3d(inputs, outputs, (frames, 3, 3), stride=(4, 1, 1), padding=(frames // 2, 1, 1), bias=False),
        nn.BatchNorm3d(outputs),
        nn.ReLU(inplace=True),
    )


def _doubled(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


def _expect_little(layer: nn.Conv1d | nn.Conv2d, channel: int) -> None:
    """Begin with the rare thing unlikely everywhere, as focal losses want (Lin et al. 2017)."""
    with torch.no_grad():
        layer.bias[channel] = _RARE
