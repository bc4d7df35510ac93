"""A network after CMSCNet (Chen, Zhou and Liang, QIMS 2025; 15:7046), of which only the abstract was read.

U-Net with shifted MLPs below, dense atrous convolution at the bottom, spatial and channel reconstruction on the skips. No layer
table is published: the widths are ours, chosen for a tenth of the parameters of U-Net with 64 channels.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.network_parts import PatchEmbedding, ShiftedMlp, convolution, convolutions, standardised

_WIDTHS = (32, 64, 128, 160, 200)
_GROUPS = 4
_GATE = 0.5


class CMSCNet(nn.Module):
    """Grey frames (B, 1, H, W) float, 0 in the padding, to logits (B, outputs, H, W); H and W are multiples of 16."""

    def __init__(self, *, outputs: int, widths: tuple[int, ...] = _WIDTHS) -> None:
        super().__init__()
        a, b, c, d, e = widths
        self.encode = nn.ModuleList([convolutions(1, a), convolutions(a, b), convolutions(b, c)])
        self.embed = nn.ModuleList([PatchEmbedding(c, d), PatchEmbedding(d, e)])
        self.mix = nn.ModuleList([ShiftedMlp(d), ShiftedMlp(e)])
        self.bottom = DenseAtrous(e)
        self.reconstruct = nn.ModuleList(Reconstruction(width) for width in (d, c, b, a))
        pairs = ((e, d), (d, c), (c, b), (b, a))
        self.narrow = nn.ModuleList(nn.Conv2d(wide, slim, 1) for wide, slim in pairs)
        self.decode = nn.ModuleList(convolution(2 * slim, slim) for _, slim in pairs)
        self.unmix = nn.ModuleList([ShiftedMlp(d), ShiftedMlp(c), nn.Identity(), nn.Identity()])
        self.head = nn.Conv2d(a, outputs, 1)

    def forward(self, image: Tensor) -> Tensor:
        """Logits; those of the padding mean nothing."""
        x, skips = standardised(image), []
        for level, encode in enumerate(self.encode):
            x = encode(functional.max_pool2d(x, 2) if level else x)
            skips.append(x)  # 1, 1/2, 1/4
        for embed, mix in zip(self.embed, self.mix, strict=True):
            x = mix(embed(x))
            skips.append(x)  # 1/8, 1/16
        x = self.bottom(skips.pop())
        stages = zip(self.narrow, self.reconstruct, self.decode, self.unmix, strict=True)
        for narrow, reconstruct, decode, unmix in stages:
            x = functional.interpolate(narrow(x), scale_factor=2.0, mode="bilinear", align_corners=False)
            x = unmix(decode(torch.cat([x, reconstruct(skips.pop())], 1)))
        logits: Tensor = self.head(x)
        return logits


class DenseAtrous(nn.Module):
    """Four chains of dilated convolutions that share their kernels, added to what came in (Gu et al. 2019, CE-Net)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.one, self.three, self.five = (nn.Conv2d(width, width, 3, padding=d, dilation=d) for d in (1, 3, 5))
        self.point = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, H, W) to the same."""
        first = self.one(x)
        both = self.three(first)
        branches = (first, self.point(self.three(x)), self.point(both), self.point(self.five(both)))
        return x + torch.stack([functional.relu(branch) for branch in branches]).sum(0)


class Reconstruction(nn.Module):
    """Spatial, then channel reconstruction (Li, Wen and He 2023, SCConv): what says little is traded between halves."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(_GROUPS, width)
        half, slim = width // 2, width // 4
        self.squeeze_rich, self.squeeze_poor = nn.Conv2d(half, slim, 1, bias=False), nn.Conv2d(half, slim, 1, bias=False)
        self.grouped = nn.Conv2d(slim, width, 3, padding=1, groups=2)
        self.point_rich = nn.Conv2d(slim, width, 1, bias=False)
        self.point_poor = nn.Conv2d(slim, width - slim, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, H, W) to the same."""
        return self._by_channel(self._in_space(x))

    def _in_space(self, x: Tensor) -> Tensor:
        normed = self.norm(x)
        share = self.norm.weight / self.norm.weight.sum()
        gate = torch.sigmoid(normed * share.view(1, -1, 1, 1))
        telling = (gate >= _GATE).to(x.dtype)
        upper, lower = (telling * x).chunk(2, 1), ((1.0 - telling) * x).chunk(2, 1)
        return torch.cat([upper[0] + lower[1], upper[1] + lower[0]], 1)

    def _by_channel(self, x: Tensor) -> Tensor:
        rich, poor = x.chunk(2, 1)
        rich, poor = self.squeeze_rich(rich), self.squeeze_poor(poor)
        parts = torch.stack([self.grouped(rich) + self.point_rich(rich), torch.cat([self.point_poor(poor), poor], 1)])
        weight = torch.softmax(parts.mean(dim=(3, 4), keepdim=True), 0)
        return (weight * parts).sum(0)
