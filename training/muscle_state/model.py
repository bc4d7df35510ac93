"""The networks by name: patches of two muscles and five lengths in, of each state a mean and how far off it may be."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from service.core.calf_patches import COLUMNS, ROWS, SCALARS
from training.muscle_state.people import STATES
from training.network_parts import convolution

#: Channels of each halving of the picture's sides; the first has one convolution, for it costs most, the others two.
_WIDTHS = (24, 32, 48, 64, 96)
_GROUPS, _HIDDEN, _DROPPED = 8, 128, 0.3
#: Log variances are kept within these, in squares of a state's standard deviation.
_LOG_VARIANCE = (-6.0, 3.0)


class StateHead(nn.Module):
    """From what was seen (B, W) and the lengths (B, 5) to means (B, S) and log variances (B, S), states standardised.

    What standardises lengths and states is kept with the weights.
    """

    scalar_mean: Tensor
    scalar_deviation: Tensor
    state_mean: Tensor
    state_deviation: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        for name, size in (("scalar", len(SCALARS)), ("state", len(STATES))):
            self.register_buffer(f"{name}_mean", torch.zeros(size))
            self.register_buffer(f"{name}_deviation", torch.ones(size))
        self.hidden = nn.Linear(width + len(SCALARS), _HIDDEN)
        self.drop = nn.Dropout(_DROPPED)
        self.answer = nn.Linear(_HIDDEN, 2 * len(STATES))

    def fit(self, scalars: Tensor, states: Tensor) -> None:
        """Standardise by what is trained on: (N, 5) and (N, S)."""
        for name, values in (("scalar", scalars), ("state", states)):
            getattr(self, f"{name}_mean").copy_(values.mean(0))
            getattr(self, f"{name}_deviation").copy_(values.std(0) + 1e-6)

    def forward(self, seen: Tensor, scalars: Tensor) -> tuple[Tensor, Tensor]:
        """See the class."""
        lengths = (scalars - self.scalar_mean) / self.scalar_deviation
        hidden = self.drop(functional.silu(self.hidden(torch.cat([seen, lengths.to(seen.dtype)], 1))))
        mean, log_variance = self.answer(hidden).float().chunk(2, 1)
        return mean, log_variance.clamp(*_LOG_VARIANCE)

    def standardised(self, states: Tensor) -> Tensor:
        """Of states (B, S) in their units."""
        return (states - self.state_mean) / self.state_deviation

    def in_units(self, mean: Tensor, log_variance: Tensor) -> tuple[Tensor, Tensor]:
        """Means and standard deviations (B, S) in the states' units."""
        return mean * self.state_deviation + self.state_mean, (0.5 * log_variance).exp() * self.state_deviation


class StateNetwork(nn.Module):
    """What is to be served: five halvings, and the place of each pixel beside its value (Liu et al. 2018)."""

    places: Tensor

    def __init__(self) -> None:
        super().__init__()
        down, along = torch.linspace(-1, 1, ROWS), torch.linspace(-1, 1, COLUMNS)
        self.register_buffer("places", torch.stack(torch.meshgrid(down, along, indexing="ij"))[None])
        layers: list[nn.Module] = []
        for number, (inputs, width) in enumerate(zip((4, *_WIDTHS), _WIDTHS, strict=False)):
            layers += _block(inputs, width, stride=2)
            layers += _block(width, width) if number else []
        self.trunk, self.head = nn.Sequential(*layers), StateHead(_WIDTHS[-1])

    def forward(self, patches: Tensor, scalars: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 2, 64, 128) float, 0 to 255, and (B, 5): means and log variances, standardised."""
        grey = standardised_patches(patches)
        where = self.places.to(grey.dtype).expand(grey.shape[0], -1, -1, -1)
        answer: tuple[Tensor, Tensor] = self.head(self.trunk(torch.cat([grey, where], 1)).mean((2, 3)), scalars)
        return answer


class ResNet18(nn.Module):
    """The baseline of many papers (He et al. 2016), with the same head."""

    def __init__(self) -> None:
        super().__init__()
        blocks: list[nn.Module] = [convolution(2, 64, size=7, stride=2), nn.MaxPool2d(3, stride=2, padding=1)]
        inputs = 64
        for width in (64, 128, 256, 512):
            blocks += [_BasicBlock(inputs, width), _BasicBlock(width, width)]
            inputs = width
        self.trunk, self.head = nn.Sequential(*blocks), StateHead(inputs)

    def forward(self, patches: Tensor, scalars: Tensor) -> tuple[Tensor, Tensor]:
        """As `StateNetwork`."""
        answer: tuple[Tensor, Tensor] = self.head(self.trunk(standardised_patches(patches)).mean((2, 3)), scalars)
        return answer


class _BasicBlock(nn.Module):
    """Two convolutions of 3 x 3, added to what came, which is halved where the width grows."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        stride = 1 if inputs == width else 2
        self.change = nn.Sequential(*convolution(inputs, width, stride=stride), *convolution(width, width, is_activated=False))
        is_same = inputs == width
        self.beside = nn.Identity() if is_same else convolution(inputs, width, size=1, stride=stride, is_activated=False)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.beside(x) + self.change(x))


def standardised_patches(patches: Tensor) -> Tensor:
    """Each muscle of each frame (B, 2, H, W) with zero mean and unit spread: gain says nothing of a state."""
    mean = patches.mean((2, 3), keepdim=True)
    spread = ((patches - mean).square().mean((2, 3), keepdim=True) + 4.0).sqrt()
    return (patches - mean) / spread


def _block(inputs: int, width: int, stride: int = 1) -> list[nn.Module]:
    convolve = nn.Conv2d(inputs, width, 3, stride=stride, padding=1, bias=False)
    return [convolve, nn.GroupNorm(_GROUPS, width), nn.SiLU(inplace=True)]


class ServedStates(nn.Module):
    """What Triton serves: bytes in, states in their units out, the deviations widened for people that nobody has seen."""

    widening: Tensor

    def __init__(self, network: StateNetwork | ResNet18, widening: Tensor) -> None:
        """`widening` (S,), one factor a state."""
        super().__init__()
        self.network = network
        self.register_buffer("widening", widening)

    def forward(self, roi: Tensor, scalars: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 2, 64, 128) uint8 and (B, 5), where an unknown length is NaN: means and log variances (B, S) in their units."""
        head = self.network.head
        lengths = torch.where(torch.isnan(scalars), head.scalar_mean, scalars)
        mean, log_variance = self.network(roi.float(), lengths)
        return mean * head.state_deviation + head.state_mean, log_variance + 2 * (head.state_deviation * self.widening).log()


NETWORKS: dict[str, Callable[[], StateNetwork | ResNet18]] = {"states": StateNetwork, "resnet-18": ResNet18}
