"""One simulated scanner: probe, beam, time-gain compensation and display; drawn once a subject."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

SPEED_OF_SOUND_MM_PER_US = 1.54

#: Devices of the training range and devices that training never sees; their ranges of frequency, dynamic range, gamma and
#: smoothing do not touch.
DeviceGroup = Literal["common", "held-out"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """Settings of one scanner."""

    name: str
    frequency_mhz: float
    bandwidth: float
    f_number: float
    attenuation_db_per_cm_mhz: float
    tgc_db_per_cm: float
    noise: float
    dynamic_range_db: float
    gamma: float
    smoothing_pixels: float
    gain: float
    edge_shadow: float

    @property
    def axial_mm(self) -> float:
        """Width of the pulse at half height."""
        return 0.44 * SPEED_OF_SOUND_MM_PER_US / self.frequency_mhz / self.bandwidth

    @property
    def lateral_mm(self) -> float:
        """Width of the beam at half height, at the focus."""
        return SPEED_OF_SOUND_MM_PER_US / self.frequency_mhz * self.f_number


def draw_device(seed: int, group: DeviceGroup = "common", *, higher: float = 1.0) -> Device:
    """The same seed and group give the same scanner; `higher` multiplies the frequency, for a probe of what lies shallow."""
    random = np.random.default_rng([seed, 2, 0 if group == "common" else 1])
    draw = random.uniform
    is_common = group == "common"
    frequency = higher * (draw(6.0, 10.0) if is_common else draw(4.8, 5.8))
    return Device(
        name=f"linear-{frequency:.1f}MHz-{group}-{seed:06d}",
        frequency_mhz=frequency,
        bandwidth=draw(0.45, 0.75),
        f_number=draw(1.6, 3.2),
        attenuation_db_per_cm_mhz=draw(0.5, 0.9),
        tgc_db_per_cm=draw(0.75, 1.05) * 0.7 * 2 * frequency,
        noise=10 ** draw(-2.2, -1.2),
        dynamic_range_db=draw(48, 62) if is_common else draw(40, 46),
        gamma=draw(1.1, 2.2) if is_common else draw(0.8, 1.0),
        smoothing_pixels=draw(0.8, 2.4) if is_common else draw(2.6, 3.2),
        gain=draw(0.75, 1.2),
        edge_shadow=draw(0.2, 0.9) if random.random() < 0.3 else 0.0,
    )
