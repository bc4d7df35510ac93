"""ResNet-50 (He et al. 2016), the reference for planes; torchvision's needs another build of torch than this processor has."""

from torch import Tensor, nn

from training.network_parts import Bottleneck, convolution, standardised

#: Channels inside the blocks of a stage, and how many blocks.
_STAGES = ((64, 3), (128, 4), (256, 6), (512, 3))


class ResNet50(nn.Module):
    """Grey pictures (B, 1, H, W) float, 0 in the padding: plane logits, and no structures."""

    def __init__(self, *, planes: int) -> None:
        super().__init__()
        blocks: list[nn.Module] = []
        inputs = 64
        for stage, (width, count) in enumerate(_STAGES):
            for number in range(count):
                blocks.append(Bottleneck(inputs, width, stride=2 if stage and not number else 1))
                inputs = Bottleneck.GROWTH * width
        stem = convolution(1, 64, size=7, stride=2)
        self.trunk = nn.Sequential(stem, nn.MaxPool2d(3, stride=2, padding=1), *blocks)
        self.plane = nn.Linear(inputs, planes)

    def forward(self, image: Tensor) -> tuple[Tensor, None]:
        """(B, planes)."""
        plane: Tensor = self.plane(self.trunk(standardised(image)).mean((2, 3)))
        return plane, None
