"""What two looks at one muscle may differ in: gain, depth gain, gamma, speckle, side, and where the sector's edge was found."""

import torch
from torch import Tensor
from torch.nn import functional

_FARTHEST = 0.06
_ZOOM = 0.1


def jitter(clips: Tensor, generator: torch.Generator) -> Tensor:
    """(B, 1, T, S, S) uint8 to float of the same shape, each clip changed in its own way; padding stays 0."""
    moved = _moved(clips, generator)
    inside = (moved > 0.5).float()
    draw = _Draw(len(clips), generator, clips.device)
    depth = torch.linspace(-1, 1, clips.shape[-2], device=clips.device)[None, None, None, :, None]
    values = (moved / 255).clamp(1e-3, 1) ** torch.exp(draw.between(-0.4, 0.4))
    values = values * torch.exp(draw.between(-0.3, 0.3) + draw.between(-0.3, 0.3) * depth) + draw.between(-0.05, 0.05)
    speckle = torch.randn(moved.shape, generator=generator).to(clips.device) * draw.between(0, 0.15)
    return (255 * (values * (1 + speckle))).clamp(1, 255) * inside


class _Draw:
    """Numbers of one batch, one a clip."""

    def __init__(self, count: int, generator: torch.Generator, device: torch.device) -> None:
        self._count, self._generator, self._device = count, generator, device

    def between(self, low: float, high: float) -> Tensor:
        """(B, 1, 1, 1, 1)."""
        drawn = low + (high - low) * torch.rand(self._count, generator=self._generator)
        return drawn.to(self._device)[:, None, None, None, None]


def _moved(clips: Tensor, generator: torch.Generator) -> Tensor:
    """Mirrored on half, shifted and zoomed a little: (B, 1, T, S, S) float."""
    batch, _, frames, side, _ = clips.shape
    shift = _FARTHEST * (2 * torch.rand(batch, 2, generator=generator) - 1)
    zoom = 1 + _ZOOM * (2 * torch.rand(batch, generator=generator) - 1)
    mirrored = torch.where(torch.rand(batch, generator=generator) < 0.5, -1.0, 1.0)
    turn = torch.zeros(batch, 2, 3)
    turn[:, 0, 0], turn[:, 1, 1], turn[:, :, 2] = zoom * mirrored, zoom, shift
    grid = functional.affine_grid(turn, [batch, 1, side, side], align_corners=False).to(clips.device)
    flat = clips.reshape(batch, frames, side, side).float()
    return functional.grid_sample(flat, grid, align_corners=False).reshape(clips.shape)
