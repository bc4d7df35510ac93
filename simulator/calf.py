"""A calf muscle over contraction cycles: pennation rises, fascicles shorten, speckle moves with the tissue."""

from dataclasses import dataclass

import numpy as np

from simulator.bmode import display, received, reference_level, shown, shown_mask
from simulator.cine import Mask, Scan, SimulatedCine, SimulatedFrame, Truth
from simulator.device import Device, DeviceGroup, draw_device
from simulator.subject import Anatomy, Floats, Subject, draw_subject
from simulator.tissue import Grid, Posture, fascicle_slope_deg, lay_out, posture_at, surfaces

#: Changes whenever equal seeds would give other pixels.
CALF_VERSION = "1.0.0"
FRAME_TIME_MS = 40.0
_CYCLE_FRAMES = 60
_PATH_STEP_MM = 0.1


class CalfTruth(Truth):
    """One value a frame."""

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
class CalfFrame(SimulatedFrame):
    """A frame and its masks."""

    masks: Masks


CalfCine = SimulatedCine[CalfFrame, CalfTruth]


def simulate_calf(
    seed: int,
    number_of_frames: int = 60,
    *,
    device_group: DeviceGroup = "common",
    mm_per_pixel: float = 0.11,
) -> CalfCine:
    """One person on one scanner, both drawn from the seed; a contraction every 60 frames. Frames are made when asked for."""
    subject, device, grid = draw_subject(seed), draw_device(seed, device_group), Grid()
    activities = [activity_at(index, number_of_frames) for index in range(number_of_frames)]
    postures = {activity: posture_at(subject.anatomy, activity) for activity in activities}
    white = _reference(seed, subject, device, grid)

    def make(index: int) -> CalfFrame:
        return _frame(seed, index, subject, device, grid, postures[activities[index]], white, mm_per_pixel)

    truth = _truth(seed, subject, device, [postures[a] for a in activities], grid, mm_per_pixel)
    return SimulatedCine(
        kind="calf",
        scan=Scan(
            person=seed,
            study=(seed, number_of_frames),
            series_description="Simulated calf, longitudinal",
            body_part="LEG",
            laterality="R",
        ),
        number_of_frames=number_of_frames,
        frame_time_ms=FRAME_TIME_MS,
        truth=truth,
        make=make,
    )


def activity_at(index: int, number_of_frames: int) -> float:
    """0 at rest, 1 at the peak; rest, rise, hold, fall. A cine shorter than a cycle still shows a whole one."""
    cycle = min(_CYCLE_FRAMES, max(2, number_of_frames))
    phase = (index % cycle) / cycle
    ramp = np.interp(phase, [0.0, 0.12, 0.45, 0.58, 0.9, 1.0], [0.0, 0.0, 1.0, 1.0, 0.0, 0.0])
    return round(float(0.5 - 0.5 * np.cos(np.pi * ramp)), 6)


def fascicle_length_mm(anatomy: Anatomy, posture: Posture, grid: Grid) -> float:
    """Chord of the fascicle through the belly's middle, between the inner edges of the aponeuroses, both carried on straight."""
    x, _ = grid.points()
    superficial, deep = surfaces(anatomy, posture, grid)
    upper = _straight(x[0], superficial[0] + anatomy.aponeurosis_mm / 2)
    lower = _straight(x[0], deep[0] - 1.1 * anatomy.aponeurosis_mm / 2)
    middle = grid.width_mm / 2
    start = (middle, 0.5 * (upper[0] + upper[1] * middle + lower[0] + lower[1] * middle))
    ends = [_walk(anatomy, posture, grid, start, sign, edge) for sign, edge in ((1.0, upper), (-1.0, lower))]
    return float(np.hypot(ends[0][0] - ends[1][0], ends[0][1] - ends[1][1]))


def _walk(
    anatomy: Anatomy,
    posture: Posture,
    grid: Grid,
    start: tuple[float, float],
    sign: float,
    edge: tuple[float, float],
) -> tuple[float, float]:
    """Follow the fascicle up (sign 1) or down until it meets a straight edge."""
    heights = np.linspace(0, 1, 201, dtype=np.float32)
    slopes = np.radians(fascicle_slope_deg(anatomy, posture, heights))
    tilt = float(np.tan(np.radians(anatomy.deep_tilt_deg)))
    x, y = start
    for _ in range(4000):
        deep = anatomy.fat_mm + posture.thickness_mm + (x - grid.width_mm / 2) * tilt
        share = min(1.0, max(0.0, (deep - y) / posture.thickness_mm))
        angle = float(slopes[round(200 * share)])
        gap = sign * (y - edge[0] - edge[1] * x)
        if gap <= 0:
            break
        x, y = x + sign * _PATH_STEP_MM * np.cos(angle), y - sign * _PATH_STEP_MM * np.sin(angle)
    return float(x), float(y)


def _straight(x: Floats, y: Floats) -> tuple[float, float]:
    """Row at x = 0 and slope of the best straight line."""
    slope, start = np.polyfit(x, y, 1)
    return float(start), float(slope)


def _truth(seed: int, subject: Subject, device: Device, postures: list[Posture], grid: Grid, mm_per_pixel: float) -> CalfTruth:
    anatomy = subject.anatomy
    known = {
        posture: (thickness_mm(anatomy, posture, grid), fascicle_length_mm(anatomy, posture, grid)) for posture in set(postures)
    }
    return CalfTruth(
        seed=seed,
        simulator_version=CALF_VERSION,
        subject=subject.name,
        device=device.name,
        mm_per_pixel=mm_per_pixel,
        thickness_mm=tuple(round(known[p][0], 4) for p in postures),
        pennation_deg=tuple(round(p.pennation_deg, 4) for p in postures),
        fascicle_length_mm=tuple(round(known[p][1], 4) for p in postures),
    )


def thickness_mm(anatomy: Anatomy, posture: Posture, grid: Grid) -> float:
    """Mean vertical distance of the inner edges at 25, 50 and 75 % of the width."""
    superficial, deep = surfaces(anatomy, posture, grid)
    gaps = deep[0] - superficial[0] - 2.1 * anatomy.aponeurosis_mm / 2
    return float(np.mean([gaps[round(share * (grid.columns - 1))] for share in (0.25, 0.5, 0.75)]))


def _reference(seed: int, subject: Subject, device: Device, grid: Grid) -> float:
    """A scanner's gain does not follow the contraction: the first frame's white holds for the cine."""
    tissue = lay_out(subject, posture_at(subject.anatomy, 0.0), grid)
    return reference_level(received(tissue.scatter, device, grid, np.random.default_rng([seed, 3])))


def _frame(
    seed: int, index: int, subject: Subject, device: Device, grid: Grid, posture: Posture, white: float, mm_per_pixel: float
) -> CalfFrame:
    tissue = lay_out(subject, posture, grid)
    envelope = received(tissue.scatter, device, grid, np.random.default_rng([seed, 4, index]))
    masks = (tissue.aponeurosis, tissue.fascicle, tissue.muscle_belly, tissue.uncertain)
    is_mirrored = subject.anatomy.is_mirrored
    sector = shown(display(envelope, device, white), grid, mm_per_pixel, is_mirrored=is_mirrored)
    return CalfFrame(sector, Masks(*(shown_mask(mask, grid, mm_per_pixel, is_mirrored=is_mirrored) for mask in masks)))
