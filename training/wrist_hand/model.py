"""The networks by name, and what is served of one."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from service.core.wrist_planes import STRUCTURES
from training.wrist_hand.networks.hrnet import HRNet
from training.wrist_hand.networks.resnet50 import ResNet50
from training.wrist_hand.networks.shared_trunk import NARROW, WIDE, Channels, SharedTrunk
from training.wrist_hand.volunteers import NAMES, SIZE

#: Structures, and 0 for what has no name.
CLASSES = 1 + len(STRUCTURES)


def shared_trunk(channels: Channels = NARROW) -> SharedTrunk:
    """Weights of chance, for the planes and structures of the wrist."""
    return SharedTrunk(planes=len(NAMES), structures=CLASSES, channels=channels)


#: The one that is served, the one that it was narrowed from, and the two of the paper.
NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "shared-trunk": shared_trunk,
    "wide-trunk": lambda: shared_trunk(WIDE),
    "resnet-50": lambda: ResNet50(planes=len(NAMES)),
    "hrnet-w18": lambda: HRNet(structures=CLASSES),
}
SERVED_NETWORK = "shared-trunk"
#: Those that draw structures only.
WITHOUT_PLANES = frozenset({"hrnet-w18"})


class ServedWristHand(nn.Module):
    """What Triton serves: uint8 pictures in; probabilities of planes, the structure at each pixel, and how sure it is."""

    def __init__(self, network: nn.Module, temperature: float = 1.0) -> None:
        super().__init__()
        self.network, self.temperature = network, temperature

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, 1, S, S) uint8 to (B, 16) float, (B, S, S) uint8 and (B, S, S) uint8, a probability x 255."""
        grey = image.to(torch.float32)
        plane, structures = self.network(grey)
        inside = (grey[:, 0] > 0.5).to(torch.float32)
        sure, number = torch.softmax(structures, 1).max(1)
        drawn = (number.to(torch.float32) * inside).to(torch.uint8)
        return torch.softmax(plane / self.temperature, 1), drawn, (sure * inside * 255.0 + 0.5).to(torch.uint8)


def giga_multiply_accumulates(network: nn.Module) -> float:
    """Of one picture."""
    counter = FlopCounterMode(display=False)
    with counter, torch.inference_mode():
        network(torch.full((1, 1, SIZE, SIZE), 60.0))
    return float(counter.get_total_flops() / 2e9)
