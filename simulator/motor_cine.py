"""A cine of a contracting muscle's cross-section at 250 frames a second, whose speckle is carried along by motor units."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image
from pydantic import BaseModel, ConfigDict
from scipy import ndimage

from simulator.bmode import display, received, reference_level
from simulator.cine import Scan, SimulatedCine, SimulatedFrame, Truth
from simulator.device import SPEED_OF_SOUND_MM_PER_US, Device, draw_device
from simulator.motor_field import SIDE_MM, Floats
from simulator.motor_units import FRAME_RATE_HZ, FRAMES, MOTOR_UNITS_VERSION, ActiveUnit, Mixing, Scene, simulate_scene
from simulator.tissue import Grid

Complex = npt.NDArray[np.complex64]

_PIXELS = 400
_GRID = Grid(rows=_PIXELS, columns=_PIXELS, row_mm=SIDE_MM / _PIXELS, column_mm=SIDE_MM / _PIXELS)
#: Scatterers are laid out finer than pixels along the beam, and beyond the picture's edges.
_FINE_MM, _MARGIN_MM = 0.025, 1.5
_SCATTERER_MM = 0.1
_FASCIA_BRIGHTER = 30.0
#: So long after a discharge the slowest twitch has as good as ended.
_TWITCH_S = 0.6


class KnownTwitch(BaseModel):
    """What one discharge alone does to the tissue in the middle of the territory: velocity in `unit`, `rate_hz` values a second.

    The first value is at the discharge; positive is towards greater depth.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rate_hz: float
    unit: str
    values: tuple[float, ...]


class KnownUnit(BaseModel):
    """A motor unit of a cine; mm from the sector's left and upper edge, the angle clockwise from the horizontal as shown.

    `train` is its velocity in the cine, of all its discharges together, one value a frame, in the rate and unit of `twitch`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    centre_mm: tuple[float, float]
    area_mm2: float
    half_axes_mm: tuple[float, float]
    angle_deg: float
    firings_seconds: tuple[float, ...]
    twitch: KnownTwitch
    train: tuple[float, ...]


class MotorUnitsTruth(Truth):
    """What is known of a cine."""

    frame_rate_hz: float
    mixing: Mixing
    units: tuple[KnownUnit, ...]


@dataclass(frozen=True, slots=True)
class MotorFrame(SimulatedFrame):
    """A frame and how the tissue moves then."""

    velocity: Floats  # (64, 64) mm/s towards greater depth


MotorCine = SimulatedCine[MotorFrame, MotorUnitsTruth]


def simulate_motor_units(seed: int, number_of_frames: int | None = None, *, device: Device | None = None) -> MotorCine:
    """One muscle on one scanner, both drawn from the seed; 512 frames unless told, of which shorter cines are the beginning."""
    number = FRAMES if number_of_frames is None else number_of_frames
    scene = simulate_scene(seed, frames=max(number, FRAMES))
    scanner = draw_device(seed) if device is None else device
    tissue = _scatterers(seed, scene.free)
    moved = np.cumsum(scene.moving, axis=0, dtype=np.float32) / np.float32(FRAME_RATE_HZ)  # (T, 64, 64) mm

    def envelope(index: int) -> Floats:
        return received(_displaced(tissue, moved[index], scanner), scanner, _GRID, np.random.default_rng([seed, 64, index]))

    white = reference_level(envelope(0))

    def make(index: int) -> MotorFrame:
        return MotorFrame(display(envelope(index), scanner, white), scene.moving[index])

    return SimulatedCine(
        kind="motor-units",
        scan=Scan(
            person=seed,
            study=(seed, number),
            series_description="Simulated upper arm, transverse, 250 frames a second",
            body_part="ARM",
            anatomic_region=("127954009", "Skeletal muscle"),
            laterality="R",
            shown_frame_rate=round(FRAME_RATE_HZ),
        ),
        number_of_frames=number,
        frame_time_ms=1000 / FRAME_RATE_HZ,
        truth=_truth(seed, scene, scanner, number),
        make=make,
    )


def _truth(seed: int, scene: Scene, device: Device, number: int) -> MotorUnitsTruth:
    return MotorUnitsTruth(
        seed=seed,
        simulator_version=MOTOR_UNITS_VERSION,
        subject=f"motor-units-{seed:06d}",
        device=device.name,
        mm_per_pixel=_GRID.row_mm,
        frame_rate_hz=FRAME_RATE_HZ,
        mixing=scene.conditions.mixing,
        units=tuple(_known(unit, number) for unit in scene.units),
    )


def _known(unit: ActiveUnit, frames: int) -> KnownUnit:
    place, seconds = unit.territory, frames / FRAME_RATE_HZ
    twitch = unit.one_twitch(np.arange(round(_TWITCH_S * FRAME_RATE_HZ) + 1) / FRAME_RATE_HZ)
    return KnownUnit(
        centre_mm=(round(place.x_mm, 3), round(place.y_mm, 3)),
        area_mm2=round(unit.area_mm2, 3),
        half_axes_mm=(round(place.long_mm, 3), round(place.short_mm, 3)),
        angle_deg=round(float(np.degrees(place.angle_rad)), 2),
        firings_seconds=tuple(round(float(time), 5) for time in unit.discharges_s if time < seconds),
        twitch=KnownTwitch(rate_hz=FRAME_RATE_HZ, unit="mm/s", values=_rounded(twitch)),
        train=_rounded(unit.twitch[:frames]),
    )


def _rounded(values: npt.NDArray[np.floating]) -> tuple[float, ...]:
    return tuple(round(float(value), 5) for value in values)


def _scatterers(seed: int, free: Floats) -> Complex:
    """(fine rows, columns): scatterers of the resting tissue with its texture, bright where fascia does not move."""
    random = np.random.default_rng([seed, 65])
    rows, columns = round((SIDE_MM + 2 * _MARGIN_MM) / _FINE_MM), _GRID.columns
    parts = random.standard_normal((2, rows, columns), dtype=np.float32)
    spread = (_SCATTERER_MM / _FINE_MM, _SCATTERER_MM / _GRID.column_mm)
    smooth = ndimage.gaussian_filter(parts, spread, axes=(1, 2), mode="wrap", truncate=3.0)
    texture = ndimage.gaussian_filter(random.standard_normal((rows, columns), dtype=np.float32), (12, 8), mode="wrap")
    echoes = np.exp(0.6 * texture / texture.std())
    inner = _enlarged(1 - free, (columns, round(SIDE_MM / _FINE_MM)))
    margin = round(_MARGIN_MM / _FINE_MM)
    echoes *= 1 + _FASCIA_BRIGHTER * np.pad(np.clip(inner, 0, 1), ((margin, margin), (0, 0)), mode="edge")
    return np.asarray((smooth[0] + 1j * smooth[1]) / smooth.std() * np.sqrt(echoes), np.complex64)


def _displaced(tissue: Complex, moved_mm: Floats, device: Device) -> Complex:
    """(rows, columns) at the grid's points: what has come there along the beam, and the turn of phase that goes with the way."""
    way = _enlarged(moved_mm, (_GRID.columns, _GRID.rows))
    depth = (np.arange(_GRID.rows, dtype=np.float32)[:, None] + 0.5) * np.float32(_GRID.row_mm)
    place = np.clip((depth - way + _MARGIN_MM) / _FINE_MM - 0.5, 0, len(tissue) - 1.001)
    above = place.astype(np.int64)
    share = place - above
    found = (1 - share) * np.take_along_axis(tissue, above, 0) + share * np.take_along_axis(tissue, above + 1, 0)
    wavelength = SPEED_OF_SOUND_MM_PER_US / device.frequency_mhz
    return np.asarray(found * np.exp(np.complex64(-4j * np.pi / wavelength) * way), np.complex64)


def _enlarged(values: Floats, size: tuple[int, int]) -> Floats:
    """To (width, height)."""
    return np.asarray(Image.fromarray(values).resize(size, Image.Resampling.BICUBIC), np.float32)
