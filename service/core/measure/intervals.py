"""How far a measurement may be from the truth: split conformal intervals (Lei et al., JASA 2018; Vovk et al. 2005).

The half-widths in intervals.json are quantiles of the errors on simulated subjects that no training saw, half of them on devices
that no training saw. They hold for the weights that they were made with. What simulation does not show is not in them: how many
real readings they hold is measured, not promised (model card).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal

from service.core.findings import Interval

#: Where the half-widths lie, beside this file.
TABLE = "intervals.json"


@dataclass(frozen=True, slots=True)
class Step:
    """From so many measured frames on, a half-width: in the unit of the measurement, or as a share of it."""

    frames_from: int
    half_width: float


@dataclass(frozen=True, slots=True)
class HalfWidths:
    """Of one measurement, by ascending number of frames; the first step begins at 1."""

    kind: Literal["absolute", "relative"]
    steps: tuple[Step, ...]

    def around(self, value: float, frames: int, level: float) -> Interval:
        """The interval of the median over so many frames; neither a length nor a pennation angle is negative."""
        step = next(step for step in reversed(self.steps) if frames >= step.frames_from)
        half = step.half_width * (abs(value) if self.kind == "relative" else 1.0)
        return Interval(low=max(0.0, value - half), high=value + half, level=level)


@dataclass(frozen=True, slots=True)
class Calibration:
    """All half-widths of one network."""

    weights_sha256: str
    level: float
    measurements: Mapping[str, HalfWidths]
    #: Of a contraction's numbers: standard error as a share of the value, beside the noise between frames.
    excursions: Mapping[str, float]

    def excursion_share(self, name: str, weights_sha256: str) -> float | None:
        """Of a contraction's number; None for weights that no errors were collected of."""
        return self.excursions[name] if weights_sha256 == self.weights_sha256 else None

    def interval(self, name: str, value: float, frames: int, weights_sha256: str) -> Interval | None:
        """None for a measurement, or for weights, that no errors were collected of."""
        known = self.measurements.get(name)
        return known.around(value, frames, self.level) if known and weights_sha256 == self.weights_sha256 else None


@cache
def load_calibration() -> Calibration:
    """The calibration that this version of the analysis comes with."""
    return read_calibration(files("service.core.measure").joinpath(TABLE).read_text())


def read_calibration(text: str) -> Calibration:
    """From the JSON that `bench.intervals` writes."""
    read = json.loads(text)
    measurements = {
        name: HalfWidths(entry["kind"], tuple(Step(step["frames_from"], step["half_width"]) for step in entry["steps"]))
        for name, entry in read["measurements"].items()
    }
    return Calibration(read["weights_sha256"], read["level"], measurements, read["excursions"])
