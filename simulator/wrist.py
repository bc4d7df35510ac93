"""Wrist and hand: fifteen standard planes, held well and badly, and what lies between them.

A volunteer is a hand and a scanner, drawn from a seed. A picture is a plane, a pose of the probe and a moment of the pulse. What
a picture shows is known by name for every pixel, and so is whether it is a standard plane at all.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from service.core.wrist_planes import NO_PLANE, PLANES, structure_number
from simulator.bmode import display, received, reference_level, shown
from simulator.cine import SimulatedFrame
from simulator.device import Device, DeviceGroup, draw_device
from simulator.nuisance import simulate_nuisance
from simulator.subject import draw_echoes, draw_fields
from simulator.tissue import Grid
from simulator.wrist_layouts import Hand, layout
from simulator.wrist_section import Person, Pose, Section, cut
from simulator.wrist_shapes import Oval, Shape

#: Changes whenever equal seeds would give other pixels.
WRIST_VERSION = "1.0.0"
#: 12 to 18 MHz, as hands are scanned; the frequencies of `simulator.device` times this.
_HIGHER = 1.8
_ROW_MM, _COLUMN_MM, _WIDTH_MM = 0.09, 0.12, 37.2
MM_PER_PIXEL = 0.1
_PULSE = 0.06
_JITTERS = 211
#: A picture is a plane where the way to the next one is shorter than this share, and none where it is longer than the other.
_STILL, _BETWEEN = 0.15, 0.35
PLANE_NAMES = tuple(plane.name for plane in PLANES)

Kind = Literal["well", "badly", "between", "elsewhere"]
Labels = npt.NDArray[np.uint8]
#: A plane, the one that it is on the way to, and how far, 0 to 1.
Way = tuple[str, str, float]


@dataclass(frozen=True, slots=True)
class WristFrame(SimulatedFrame):
    """A sector, the class of each pixel by `service.core.wrist_planes` (0 has no name), and which plane it is."""

    labels: Labels
    plane: str
    pose: Pose


@dataclass(frozen=True, slots=True, kw_only=True)
class Volunteer:
    """One hand under one scanner."""

    seed: int
    hand: Hand
    person: Person
    device: Device
    grid: Grid
    is_mirrored: bool
    #: Amplitude that is shown as white; a scanner's gain does not follow the picture.
    white: float


def draw_volunteer(seed: int, device_group: DeviceGroup = "common") -> Volunteer:
    """The same seed and group give the same volunteer."""
    random = np.random.default_rng([seed, 20])
    scale = float(np.clip(random.normal(1.0, 0.07), 0.85, 1.16))
    hand, device = _draw_hand(random, scale), draw_device(seed, device_group, higher=_HIGHER)
    person = Person(
        scale=scale,
        fat_mm=float(random.uniform(1.0, 3.5)),
        fields=draw_fields(random),
        echoes=draw_echoes(random),
        waves=tuple((random.uniform(0.05, 0.35), random.uniform(14, 40), random.uniform(0, 6.3)) for _ in range(4)),
    )
    depth = random.uniform(18.5, 23)
    grid = Grid(rows=round(depth / _ROW_MM), columns=round(_WIDTH_MM / _COLUMN_MM), row_mm=_ROW_MM, column_mm=_COLUMN_MM)
    levels = [_level(seed, hand, person, device, grid, plane) for plane in ("S2", "S11", "S14")]
    return Volunteer(
        seed=seed,
        hand=hand,
        person=person,
        device=device,
        grid=grid,
        is_mirrored=bool(random.random() < 0.5),
        white=float(np.median(levels)),
    )


def wrist_frame(volunteer: Volunteer, number: int, kind: Kind, plane: str, mm_per_pixel: float = MM_PER_PIXEL) -> WristFrame:
    """One single picture; equal arguments give equal pictures.

    `well` and `badly` held pictures are of `plane`; `between` lie half way to another plane, and `elsewhere` is no wrist.
    """
    random = np.random.default_rng([volunteer.seed, 21, number])
    if kind == "elsewhere":
        return _elsewhere(volunteer, number, mm_per_pixel)
    pose = draw_pose(random, is_well_held=kind == "well" or (kind == "between" and random.random() < 0.5))
    other = str(random.choice(_neighbours(plane)))
    way = float(random.uniform(_BETWEEN, 1 - _BETWEEN)) if kind == "between" else 0.0
    return picture(volunteer, (plane, other, way), pose, (random.uniform(0, 1), number), mm_per_pixel)


def draw_pose(random: np.random.Generator, *, is_well_held: bool) -> Pose:
    """Near the plane, or with one fault to three."""
    normal = random.normal
    faults = set() if is_well_held else set(random.choice(6, int(random.integers(1, 4)), replace=False).tolist())
    side = 1 if random.random() < 0.5 else -1
    return Pose(
        shift_mm=float(np.clip(normal(0, 1.0), -2.0, 2.0)) if 0 not in faults else side * float(random.uniform(4, 10)),
        slide_mm=float(normal(0, 0.15)) if 1 not in faults else side * float(random.uniform(0.8, 1.8)),
        turn_deg=float(normal(0, 1.0)) if 2 not in faults else side * float(random.uniform(4, 12)),
        tilt_deg=float(np.clip(normal(0, 2), -4.5, 4.5)) if 3 not in faults else side * float(random.uniform(8, 18)),
        lean_deg=float(np.clip(normal(0, 2), -5, 5)) if 4 not in faults else side * float(random.uniform(7, 13)),
        press=float(random.uniform(0, 0.4)),
        lost_contact=0.0 if 5 not in faults else side * float(random.uniform(0.15, 0.4)),
    )


def plane_of(way: Way) -> str:
    """S1 to S15, or none on the way from one to the other."""
    return way[0] if way[2] <= _STILL else NO_PLANE


def picture(volunteer: Volunteer, way: Way, pose: Pose, moment: tuple[float, int], mm_per_pixel: float) -> WristFrame:
    """`moment` is the phase of the pulse and a number for the receiver's noise."""
    section = _section(volunteer.hand, volunteer.person, volunteer.grid, way, pose, moment[0])
    noise = np.random.default_rng([volunteer.seed, 23, moment[1]])
    envelope = received(section.scatter, volunteer.device, volunteer.grid, noise)
    pixels = display(envelope, volunteer.device, volunteer.white)
    mirrored = volunteer.is_mirrored
    sector = shown(pixels, volunteer.grid, mm_per_pixel, is_mirrored=mirrored)
    return WristFrame(sector, _shown_labels(section.labels, sector.shape, is_mirrored=mirrored), plane_of(way), pose)


def _section(hand: Hand, person: Person, grid: Grid, way: Way, pose: Pose, phase: float) -> Section:
    plane, other, share = way
    shapes = [_pulsing(shape, phase) for shape in layout(plane, hand)]
    sizes = [max(0.0, 1 - 1.6 * share)] * len(shapes)
    if share > 0:
        coming = layout(other, hand)
        shapes += [_pulsing(shape, phase) for shape in coming]
        sizes += [max(0.0, 1.6 * share - 0.6)] * len(coming)
    number = PLANE_NAMES.index(plane)
    return cut(person, shapes, pose, grid, (11.0 * number, 7.0 * number), sizes)


def _pulsing(shape: Shape, phase: float) -> Shape:
    if not isinstance(shape, Oval) or shape.tissue != "artery":
        return shape
    wider = 1 + _PULSE * float(np.sin(2 * np.pi * phase))
    return Oval(shape.name, shape.tissue, shape.centre, (shape.axes[0] * wider, shape.axes[1] * wider), shape.turn_deg)


def _elsewhere(volunteer: Volunteer, number: int, mm_per_pixel: float) -> WristFrame:
    picture = Image.fromarray(simulate_nuisance(1_000_003 * volunteer.seed % 900_000_000 + number))
    size = (round(volunteer.grid.width_mm / mm_per_pixel), round(volunteer.grid.depth_mm / mm_per_pixel))
    sector = np.asarray(picture.resize(size, Image.Resampling.BILINEAR))
    return WristFrame(sector, np.zeros(sector.shape, np.uint8), NO_PLANE, Pose())


def _shown_labels(labels: Labels, shape: tuple[int, ...], *, is_mirrored: bool) -> Labels:
    """Each pixel of the display has the class of the nearest cell."""
    resized = np.asarray(Image.fromarray(labels).resize((shape[1], shape[0]), Image.Resampling.NEAREST))
    return np.ascontiguousarray(resized[:, ::-1]) if is_mirrored else resized


def _neighbours(plane: str) -> list[str]:
    """Planes that a probe passes on its way."""
    place = PLANE_NAMES.index(plane)
    return [PLANE_NAMES[other] for other in (place - 2, place - 1, place + 1, place + 2) if 0 <= other < len(PLANE_NAMES)]


def _level(seed: int, hand: Hand, person: Person, device: Device, grid: Grid, plane: str) -> float:
    section = _section(hand, person, grid, (plane, plane, 0.0), Pose(), 0.0)
    return reference_level(received(section.scatter, device, grid, np.random.default_rng([seed, 24])))


def _draw_hand(random: np.random.Generator, scale: float) -> Hand:
    """Median nerve as published, of the person, whatever the hand's size; tunnel as published, the rest spread by a tenth."""
    area = float(np.clip(random.normal(8.68, 1.3), 5.5, 12.5))
    return Hand(
        nerve_mm2=area / scale**2,
        nerve_flattening=float(np.clip(random.normal(2.66, 0.54), 1.6, 4.0)),
        tunnel_mm=float(np.clip(random.normal(10.4, 0.8), 9.0, 12.5)),
        tendon=float(np.clip(random.normal(1.0, 0.08), 0.85, 1.18)),
        vessel=float(random.uniform(0.85, 1.15)),
        gap=float(random.uniform(0.75, 1.3)),
        jitter=tuple(np.clip(random.standard_normal(_JITTERS), -2, 2).tolist()),
    )


def median_nerve_mm2(volunteer: Volunteer) -> float:
    """Area of its class at the tunnel's inlet, with the probe held as it should be: tissue that is bent changes it a little."""
    section = _section(volunteer.hand, volunteer.person, volunteer.grid, ("S11", "S11", 0.0), Pose(), 0.0)
    cells = (section.labels == structure_number("median_nerve")).sum()
    return float(cells * volunteer.grid.row_mm * volunteer.grid.column_mm)
