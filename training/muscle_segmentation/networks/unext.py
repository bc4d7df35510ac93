"""UNeXt (Valanarasu and Patel, MICCAI 2022), its small form: convolutions above, shifted MLPs below, sums for skips."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.network_parts import PatchEmbedding, ShiftedMlp, convolution, standardised

_WIDTHS = (16, 24, 48, 64, 96)
_HALVES = torch.tensor([[0.25, 0.75, 0.0], [0.0, 0.75, 0.25]])
#: Weights (4, 3, 3) of a pixel's neighbourhood in each of the four that bilinear interpolation makes of it.
_DOUBLING = (_HALVES[:, None, :, None] * _HALVES[None, :, None, :]).reshape(4, 3, 3)


class UNeXt(nn.Module):
    """Grey frames (B, 1, H, W) float, 0 in the padding, to logits (B, outputs, H, W); H and W are multiples of 32."""

    def __init__(self, *, outputs: int, widths: tuple[int, ...] = _WIDTHS) -> None:
        super().__init__()
        a, b, c, d, e = widths
        self.encode = nn.ModuleList([convolution(1, a), convolution(a, b), convolution(b, c)])
        self.embed = nn.ModuleList([PatchEmbedding(c, d), PatchEmbedding(d, e)])
        self.mix = nn.ModuleList([ShiftedMlp(d), ShiftedMlp(e)])
        self.decode = nn.ModuleList([convolution(e, d), convolution(d, c), convolution(c, b), convolution(b, a)])
        self.unmix = nn.ModuleList([ShiftedMlp(d), ShiftedMlp(c)])
        self.last = convolution(a, a)
        self.head = nn.Conv2d(a, outputs, 1)

    def forward(self, image: Tensor) -> Tensor:
        """Logits; those of the padding mean nothing."""
        x, skips = standardised(image), []
        for encode in self.encode:
            x = functional.max_pool2d(encode(x), 2)
            skips.append(x)  # 1/2, 1/4, 1/8
        for embed, mix in zip(self.embed, self.mix, strict=True):
            x = mix(embed(x))
            skips.append(x)  # 1/16, 1/32
        skips.pop()
        for level, decode in enumerate(self.decode):
            x = _doubled(decode(x)) + skips.pop()
            if level < len(self.unmix):
                x = self.unmix[level](x)
        return self.maps(self.last(x))

    def maps(self, x: Tensor) -> Tensor:
        """Features (B, C, H, W) to logits (B, outputs, 2H, 2W): the head, then bilinear, as one convolution and a shuffle.

        The numbers are those of one after the other; runtimes double three planes, or many, several times as slowly.
        """
        weight = self.head.weight[:, None] * _DOUBLING.to(x)[None, :, None]  # (outputs, 4, C, 3, 3)
        around = functional.pad(x, (1, 1, 1, 1), mode="replicate")
        bias = None if self.head.bias is None else self.head.bias.repeat_interleave(4)
        return functional.pixel_shuffle(functional.conv2d(around, weight.flatten(0, 1), bias), 2)


def _doubled(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
