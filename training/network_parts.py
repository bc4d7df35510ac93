"""What several networks are made of."""

import torch
from torch import Tensor, nn
from torch.nn import functional

_SHIFTS = (-2, -1, 0, 1, 2)


def standardised(image: Tensor) -> Tensor:
    """Zero mean and unit spread over the sector of each frame; the padding stays 0."""
    inside = (image > 0.5).to(image.dtype)
    count = inside.sum(dim=(2, 3), keepdim=True).clamp(min=1.0)
    mean = (image * inside).sum(dim=(2, 3), keepdim=True) / count
    centred = (image - mean) * inside
    spread = ((centred * centred).sum(dim=(2, 3), keepdim=True) / count + 4.0).sqrt()
    return centred / spread


def convolution(inputs: int, outputs: int, *, size: int = 3, stride: int = 1, is_activated: bool = True) -> nn.Sequential:
    """A convolution of `size` x `size` with batch norm and, unless it is to be added to something, ReLU."""
    layers: list[nn.Module] = [
        nn.Conv2d(inputs, outputs, size, stride=stride, padding=size // 2, bias=False),
        nn.BatchNorm2d(outputs),
    ]
    return nn.Sequential(*layers, nn.ReLU(inplace=True)) if is_activated else nn.Sequential(*layers)


def convolutions(inputs: int, outputs: int) -> nn.Sequential:
    """Two of them."""
    return nn.Sequential(*convolution(inputs, outputs), *convolution(outputs, outputs))


class Residual(nn.Module):
    """Two convolutions of 3 x 3, added to what came (He et al. 2016); between them `inside` channels, as many where not said."""

    def __init__(self, width: int, inside: int | None = None) -> None:
        super().__init__()
        inside = width if inside is None else inside
        self.change = nn.Sequential(*convolution(width, inside), *convolution(inside, width, is_activated=False))

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, H, W) to the same."""
        return functional.relu(x + self.change(x))


class Bottleneck(nn.Module):
    """1 x 1, 3 x 3 and 1 x 1, added to what came; GROWTH times as many channels come out as are inside (He et al. 2016)."""

    GROWTH = 4

    def __init__(self, inputs: int, width: int, *, stride: int = 1) -> None:
        super().__init__()
        outputs = self.GROWTH * width
        self.change = nn.Sequential(
            *convolution(inputs, width, size=1),
            *convolution(width, width, stride=stride),
            *convolution(width, outputs, size=1, is_activated=False),
        )
        is_same = inputs == outputs and stride == 1
        self.beside = nn.Identity() if is_same else convolution(inputs, outputs, size=1, stride=stride, is_activated=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, GROWTH * width, H / stride, W / stride)."""
        return functional.relu(self.beside(x) + self.change(x))


class PatchEmbedding(nn.Module):
    """Overlapping patches of 3 x 3, half as many along each axis (Valanarasu and Patel 2022)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.project = nn.Conv2d(inputs, outputs, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, outputs, H/2, W/2)."""
        embedded: Tensor = self.norm(self.project(x))
        return embedded


class ShiftedMlp(nn.Module):
    """Tokenised MLP of UNeXt: channels shifted along W, a layer, a depthwise convolution, shifted along H, a layer; added."""

    def __init__(self, width: int) -> None:
        super().__init__()
        # Numbers, not `tensor_split`: of that the exporter writes a wrong shape, at which ONNX Runtime warns in every frame.
        least, more = divmod(width, len(_SHIFTS))
        self.groups = [least + (number < more) for number in range(len(_SHIFTS))]
        self.norm = nn.GroupNorm(1, width)
        self.across = nn.Conv2d(width, width, 1)
        self.depthwise = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.down = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, H, W) to the same."""
        y = self.across(_shifted(self.norm(x), 3, self.groups))
        y = functional.gelu(self.depthwise(y))
        moved: Tensor = x + self.down(_shifted(y, 2, self.groups))
        return moved


def _shifted(x: Tensor, axis: int, sizes: list[int]) -> Tensor:
    """Groups of channels moved by -2 to 2 along an axis, zeros moving in; pads and slices, which every runtime knows."""
    reach = max(_SHIFTS)
    size = x.shape[axis]
    padded = functional.pad(x, (reach, reach, 0, 0) if axis == 3 else (0, 0, reach, reach))
    groups = torch.split(padded, sizes, 1)
    return torch.cat([group.narrow(axis, reach + by, size) for group, by in zip(groups, _SHIFTS, strict=True)], 1)
