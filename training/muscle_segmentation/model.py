"""A small U-Net that reads a 2 x 2 block as four channels, works at half resolution and writes the blocks back.

After Ronneberger et al. 2015 (U-Net), with the sub-pixel stem and head of Shi et al. 2016. Half resolution keeps the cost
per frame below that of a 16-32-64-128 U-Net at full resolution, with more channels where the structures are.
"""

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

#: Order of the output channels; the same as model_repository/muscle_segmentation/labels.txt.
LABELS = ("aponeurosis", "fascicle", "muscle_belly")


@dataclass(frozen=True, slots=True)
class NetworkConfig:
    """Channels at 1/2, 1/4, 1/8 and 1/16 of the input."""

    widths: tuple[int, ...] = (24, 48, 80, 112)
    outputs: int = len(LABELS)


class MuscleSegmentation(nn.Module):  # type: ignore[misc, unused-ignore]
    """Grey frames (B, 1, 256, 256) float, 0 in the padding and 1 to 255 in the sector, to logits (B, 3, 256, 256)."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        widths = config.widths
        self.stem = _block(4, widths[0])
        self.down = nn.ModuleList(_block(a, b) for a, b in itertools.pairwise(widths))
        self.bottom = _Context(widths[-1])
        pairs = list(itertools.pairwise(widths))[::-1]
        self.narrow = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in pairs)
        self.up = nn.ModuleList(_block(2 * a, a) for a, _ in pairs)
        self.head = nn.Conv2d(widths[0], 4 * config.outputs, 3, padding=1)

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
            x = up(torch.cat([x, skip], 1))
        return functional.pixel_shuffle(self.head(x), 2)  # (B, 3, 256, 256)


class ServedSegmentation(nn.Module):  # type: ignore[misc, unused-ignore]
    """What Triton serves: uint8 frames in, uint8 probabilities x 255 out, 0 in the padding."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        """(B, 1, 256, 256) uint8 to (B, 3, 256, 256) uint8."""
        grey = image.to(torch.float32)
        probability = torch.sigmoid(self.network(grey))
        inside = (grey > 0.5).to(torch.float32)
        return (probability * inside * 255.0 + 0.5).to(torch.uint8)


def standardised(image: Tensor) -> Tensor:
    """Zero mean and unit spread over the sector of each frame; the padding stays 0."""
    inside = (image > 0.5).to(image.dtype)
    count = inside.sum(dim=(2, 3), keepdim=True).clamp(min=1.0)
    mean = (image * inside).sum(dim=(2, 3), keepdim=True) / count
    centred = (image - mean) * inside
    spread = ((centred * centred).sum(dim=(2, 3), keepdim=True) / count + 4.0).sqrt()
    return centred / spread


def number_of_parameters(network: nn.Module) -> int:
    """Trainable weights."""
    return sum(p.numel() for p in network.parameters() if p.requires_grad)


class _Context(nn.Module):  # type: ignore[misc, unused-ignore]
    """Dilated convolutions at the coarsest level, summed: fascicles and aponeuroses are longer than a plain kernel sees."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.near = nn.Conv2d(width, width // 2, 3, padding=2, dilation=2, bias=False)
        self.far = nn.Conv2d(width, width // 2, 3, padding=4, dilation=4, bias=False)
        self.norm = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        return x + functional.relu(self.norm(torch.cat([self.near(x), self.far(x)], 1)))


def _block(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
        nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )
