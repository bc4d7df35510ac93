"""A fast cine whose speckle is moved by known motor units, and two networks that know them."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from service.core.analyses.analysis import ModelSpec, Tensors
from service.core.analyses.motor_units import MAPS, MotorUnits
from service.core.cine import Box, Calibration, Cine, Frame, Pixels, Region, TimeAxis
from service.core.findings import Finding, ModelUsed
from service.core.masks import MaskKeeper
from service.core.measure.motor_band import FRAMES, PIXEL_MM, RATE_HZ, SIZE
from service.core.measure.motor_maps import CENTRE, CHANNELS, EMBEDDING, EXTENT, TERRITORY, Floats, Mask

MM = 0.3125
SIDE = 128
CALIBRATED = Calibration(MM, MM, "regions")
#: Where the picture lies in the stored frame.
LEFT, TOP = 30, 10
_TWITCH_S = 0.05


@dataclass(frozen=True, slots=True)
class KnownUnit:
    """A round territory, mm from the picture's left and upper edge, and when the unit fires."""

    x_mm: float
    y_mm: float
    radius_mm: float
    firings_s: tuple[float, ...]

    def share(self, mm: float, shape: tuple[int, int]) -> Floats:
        """(H, W): how much of each pixel's motion is the unit's."""
        rows, columns = np.mgrid[: shape[0], : shape[1]]
        away = np.hypot((columns + 0.5) * mm - self.x_mm, (rows + 0.5) * mm - self.y_mm)
        return np.asarray(np.clip((self.radius_mm - away) / mm + 0.5, 0, 1), np.float32)

    def mask(self) -> Mask:
        """In the networks' images."""
        return np.asarray(self.share(PIXEL_MM, (SIZE, SIZE)) > 0.5)

    def velocity(self, seconds: Floats) -> Floats:
        """mm/s: up and down with each twitch."""
        since = (seconds[:, None] - np.array(self.firings_s)) / _TWITCH_S
        swing = np.where((since > 0) & (since < 2), np.sin(np.pi * since), 0)
        return np.asarray(0.6 * swing.sum(1), np.float32)


#: Two that overlap, and one apart.
UNITS = (
    KnownUnit(12.0, 14.0, 4.0, tuple(0.10 + 0.110 * np.arange(17))),
    KnownUnit(17.0, 15.0, 3.0, tuple(0.15 + 0.125 * np.arange(15))),
    KnownUnit(30.0, 28.0, 3.5, tuple(0.05 + 0.100 * np.arange(19))),
)


def motor_cine(
    uid: str = "1.2.3",
    *,
    frames: int = FRAMES,
    rate_hz: float = RATE_HZ,
    calibration: Calibration = CALIBRATED,
    side: int = SIDE,
    units: Sequence[KnownUnit] = UNITS,
    time_axis: TimeAxis | None = None,
    noise: float = 0.0,
) -> Cine:
    """A still pattern, carried along by the units; `noise` is that of each frame, in grey levels."""
    random = np.random.default_rng(5)
    still = np.kron(random.integers(40, 200, (side // 2, side // 2)), np.ones((2, 2))).astype(np.float32)
    slope = np.gradient(still, axis=0)
    seconds = np.arange(frames, dtype=np.float32) / np.float32(rate_hz)
    moved = [np.cumsum(unit.velocity(seconds)) / rate_hz / MM for unit in units]  # pixels
    shares = [unit.share(MM, (side, side)) for unit in units]

    def pixels(number: int) -> Pixels:
        way = sum((way[number - 1] * share for way, share in zip(moved, shares, strict=True)), np.zeros_like(still))
        own = np.random.default_rng(number).normal(0, noise, still.shape) if noise else 0
        return np.asarray(np.clip(np.rint(still - slope * way + own), 0, 255), np.uint8)

    return Cine(
        sop_instance_uid=uid,
        number_of_frames=frames,
        rows=side + TOP,
        columns=side + LEFT,
        region=Region(1, Box(LEFT, TOP, LEFT + side, TOP + side), calibration, "the tissue region"),
        time_axis=time_axis or TimeAxis(tuple(index / rate_hz for index in range(frames)), "FrameTime"),
        frames=lambda: (Frame(number, pixels(number)) for number in range(1, frames + 1)),
        picture=lambda number: np.stack([np.pad(pixels(number), ((TOP, 0), (LEFT, 0)))] * 3, axis=-1),
        pixel_sha256=lambda: "0" * 64,
        laterality="right",
    )


def knowing(units: Sequence[KnownUnit] = UNITS) -> Callable[[ModelSpec, Iterable[Tensors]], Iterator[Tensors]]:
    """Maps of the territories, whatever is asked; trains that swell, and spikes, where the units fire."""
    windows = 0

    def infer(model: ModelSpec, batches: Iterable[Tensors]) -> Iterator[Tensors]:
        nonlocal windows
        for batch in batches:
            if model is MAPS:
                assert batch["velocity"].shape == (1, *MAPS.inputs[0].shape)
                windows += 1
                yield {"maps": known_maps(units)[None]}
            else:
                assert len(batch["traces"]) == len(units)
                yield known_trains(units, (windows - 1) * FRAMES)

    return infer


def known_maps(units: Sequence[KnownUnit]) -> Floats:
    """(14, 64, 64) that say where the units lie, the first the surest."""
    maps = np.zeros((CHANNELS, SIZE, SIZE), np.float32)
    maps[CENTRE], maps[TERRITORY] = -9, -9
    masks = [unit.mask() for unit in units]
    for number, (unit, mask) in enumerate(zip(units, masks, strict=True)):
        row, column = int(unit.y_mm / PIXEL_MM), int(unit.x_mm / PIXEL_MM)
        maps[(CENTRE, row, column)] = 4 - number
        maps[(EXTENT, row, column)] = np.log(unit.radius_mm / PIXEL_MM)
        maps[TERRITORY, mask] = 9
        maps[EMBEDDING.start + number, mask & (np.sum(masks, axis=0) == 1)] = 3
    return maps


def known_trains(units: Sequence[KnownUnit], first: int) -> Tensors:
    """Of the 512 images from `first` on; spikes where units fire."""
    seconds = np.asarray((first + np.arange(FRAMES)) / RATE_HZ, np.float32)
    spikes = np.full((len(units), FRAMES), -9, np.float32)
    for number, unit in enumerate(units):
        at = np.round(np.array(unit.firings_s) * RATE_HZ).astype(np.int64) - first
        for beside in (-1, 0, 1):
            inside = at[(at + beside >= 0) & (at + beside < FRAMES)]
            spikes[number, inside + beside] = 4 if beside == 0 else 2
    return {"twitch": np.stack([unit.velocity(seconds) for unit in units]), "spike": spikes}


def described(model: ModelSpec) -> ModelUsed:
    return ModelUsed(name=model.model_name, version="1", sha256="ef" * 32, evidence="simulated")


def analyse(cine: Cine, units: Sequence[KnownUnit] = UNITS, keep: MaskKeeper | None = None) -> list[Finding]:
    """Findings of the analysis."""
    return list(MotorUnits().analyse(cine, knowing(units), described, keep))
