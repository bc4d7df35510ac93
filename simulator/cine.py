"""A simulated cine: frames made when asked for, and the truth about all of them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

Pixels = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]


class Truth(BaseModel):
    """What NAME.truth.json holds of every kind; each kind adds its own."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int
    #: Of the kind; changes whenever equal seeds would give other pixels.
    simulator_version: str
    subject: str
    device: str
    mm_per_pixel: float


@dataclass(frozen=True, slots=True)
class SimulatedFrame:
    """One frame: the sector alone (rows, columns) uint8, without a console."""

    sector: Pixels


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """What the DICOM header says of person, study and place; equal `study` numbers are one study."""

    person: int
    study: tuple[int, ...]
    instance_number: int = 1
    series_description: str
    body_part: str
    #: Code value and meaning in SNOMED CT of what is scanned, where the body part says too little.
    anatomic_region: tuple[str, str] | None = None
    laterality: Literal["L", "R"]
    #: Burned in beside the sector.
    shown_frame_rate: int = 25


FrameT_co = TypeVar("FrameT_co", bound=SimulatedFrame, covariant=True)
TruthT_co = TypeVar("TruthT_co", bound=Truth, covariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedCine(Generic[FrameT_co, TruthT_co]):
    """`make` gives one frame, numbered from 0, in any order; nothing is kept, so a long cine costs no memory."""

    kind: str
    scan: Scan
    number_of_frames: int
    frame_time_ms: float
    truth: TruthT_co
    make: Callable[[int], FrameT_co]

    @property
    def seed(self) -> int:
        """What everything was drawn from."""
        return self.truth.seed

    @property
    def mm_per_pixel(self) -> float:
        """Of the sector's square pixels."""
        return self.truth.mm_per_pixel

    def frames(self) -> Iterator[FrameT_co]:
        """All frames in order."""
        return (self.make(index) for index in range(self.number_of_frames))


AnyCine = SimulatedCine[SimulatedFrame, Truth]
