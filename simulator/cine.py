"""A simulated cine: frames made when asked for, and the truth about all of them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

Pixels = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

#: Changes whenever equal seeds would give other pixels.
SIMULATOR_VERSION = "1.0.0"


class Truth(BaseModel):
    """What NAME.truth.json holds; lists have one value a frame."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int
    simulator_version: str
    subject: str
    device: str
    mm_per_pixel: float
    thickness_mm: tuple[float, ...]
    pennation_deg: tuple[float, ...]
    fascicle_length_mm: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Masks:
    """What is where in one frame's sector, at the sector's own pixels."""

    aponeurosis: Mask
    fascicle: Mask
    muscle_belly: Mask
    #: A line that observers label on some images only.
    uncertain: Mask


@dataclass(frozen=True, slots=True)
class SimulatedFrame:
    """One frame: the sector alone (rows, columns) uint8, without a console, and its masks."""

    sector: Pixels
    masks: Masks


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedCine:
    """`make` gives one frame, numbered from 0, in any order; nothing is kept, so a long cine costs no memory."""

    kind: str
    seed: int
    number_of_frames: int
    frame_time_ms: float
    mm_per_pixel: float
    truth: Truth
    make: Callable[[int], SimulatedFrame]

    def frames(self) -> Iterator[SimulatedFrame]:
        """All frames in order."""
        return (self.make(index) for index in range(self.number_of_frames))
