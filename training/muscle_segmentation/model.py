"""The networks by name, and what is served of one."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from training.muscle_segmentation.networks.cmscnet import CMSCNet
from training.muscle_segmentation.networks.subpixel_unet import SLIM_WIDTHS, SubPixelUNet
from training.muscle_segmentation.networks.unet import UNet
from training.muscle_segmentation.networks.unext import UNeXt

_SIZE = 256
#: Order of the output channels; the same as model_repository/muscle_segmentation/labels.txt.
LABELS = ("aponeurosis", "fascicle", "muscle_belly")
#: The reference, a narrow one like it, the one after the paper, and two that could be served: ADR 0018 says how one was chosen.
NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "unet-64": lambda: UNet(width=64, outputs=len(LABELS)),
    "unet-16": lambda: UNet(width=16, outputs=len(LABELS)),
    "cmscnet": lambda: CMSCNet(outputs=len(LABELS)),
    "unext": lambda: UNeXt(outputs=len(LABELS)),
    "subpixel-unet": lambda: SubPixelUNet(outputs=len(LABELS)),
    "subpixel-unet-slim": lambda: SubPixelUNet(outputs=len(LABELS), widths=SLIM_WIDTHS, adds_skips=True),
}
SERVED_NETWORK = "subpixel-unet-slim"
#: Of checkpoints from before several networks were compared, whose stages name none.
UNNAMED_NETWORK = "subpixel-unet"


class ServedSegmentation(nn.Module):
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


def number_of_parameters(network: nn.Module) -> int:
    """Trainable weights."""
    return sum(p.numel() for p in network.parameters() if p.requires_grad)


def giga_multiply_accumulates(network: nn.Module) -> float:
    """Of one 256 x 256 frame."""
    counter = FlopCounterMode(display=False)
    with counter, torch.inference_mode():
        network(torch.full((1, 1, _SIZE, _SIZE), 60, dtype=torch.uint8))
    return float(counter.get_total_flops() / 2e9)
