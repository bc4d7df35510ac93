"""A whole examination of wrist and hand in one cine, from plane to plane, and what is known of each frame."""

from collections.abc import Iterator
from typing import Literal

import numpy as np

from service.core.wrist_planes import NO_PLANE
from simulator.cine import Scan, SimulatedCine, Truth
from simulator.device import DeviceGroup
from simulator.wrist import (
    MM_PER_PIXEL,
    PLANE_NAMES,
    WRIST_VERSION,
    Way,
    WristFrame,
    draw_pose,
    draw_volunteer,
    median_nerve_mm2,
    picture,
    plane_of,
)
from simulator.wrist_section import Pose

_FRAME_TIME_MS = 66.7
_PULSE_HZ = 1.1
#: Frames of one plane: on the way to it, held, on the way from it.
_APPROACH, _HELD, _LEAVING = 5, 14, 3
#: A pose beyond has a fault; between how a probe is held well and how badly.
_FAULTY = {"shift_mm": 3.0, "slide_mm": 0.5, "turn_deg": 3.5, "tilt_deg": 6.0, "lean_deg": 6.0, "lost_contact": 0.1}
_FAULTS_OF_B = 2

Grade = Literal["A", "B", "C"]


class WristTruth(Truth):
    """What is known of an examination; tuples have one entry a frame."""

    #: S1 to S15, None where a frame shows none of them.
    plane: tuple[str | None, ...]
    #: How the probe is held, None where no plane is shown: A without a fault, B with one or two, C with more.
    grade: tuple[Grade | None, ...]
    tilt_deg: tuple[float, ...]
    shift_mm: tuple[float, ...]
    turn_deg: tuple[float, ...]
    lost_contact: tuple[float, ...]
    #: Of the median nerve at the proximal carpal tunnel (S11).
    median_nerve_area_mm2: float
    median_nerve_flattening: float


def grade(pose: Pose) -> Grade:
    """By the number of faults with which the probe is held."""
    faults = sum(abs(getattr(pose, name)) > limit for name, limit in _FAULTY.items())
    if not faults:
        return "A"
    return "B" if faults <= _FAULTS_OF_B else "C"


WristExamination = SimulatedCine[WristFrame, WristTruth]


def simulate_wrist(
    seed: int, number_of_frames: int | None = None, *, device_group: DeviceGroup = "common", mm_per_pixel: float = MM_PER_PIXEL
) -> WristExamination:
    """One examination in one cine: the probe goes from plane to plane, S1 to S15, and stays a second at each."""
    volunteer = draw_volunteer(seed, device_group)
    moments = list(_examination(seed))[:number_of_frames]

    def make(index: int) -> WristFrame:
        way, pose = moments[index]
        return picture(volunteer, way, pose, (index * _FRAME_TIME_MS / 1000 * _PULSE_HZ, 1_000_000 + index), mm_per_pixel)

    flattening = volunteer.hand.nerve_flattening
    return SimulatedCine(
        kind="wrist",
        scan=Scan(
            person=seed,
            study=(seed,),
            series_description="Simulated wrist and hand, fifteen planes",
            body_part="WRIST",
            anatomic_region=("74670003", "Wrist joint"),
            laterality="L" if volunteer.is_mirrored else "R",
        ),
        number_of_frames=len(moments),
        frame_time_ms=_FRAME_TIME_MS,
        truth=WristTruth(
            seed=seed,
            simulator_version=WRIST_VERSION,
            subject=f"wrist-{seed:06d}",
            device=volunteer.device.name,
            mm_per_pixel=mm_per_pixel,
            plane=tuple(_truly(way) for way, _ in moments),
            grade=tuple(grade(pose) if _truly(way) else None for way, pose in moments),
            tilt_deg=tuple(round(pose.tilt_deg, 3) for _, pose in moments),
            shift_mm=tuple(round(pose.shift_mm, 3) for _, pose in moments),
            turn_deg=tuple(round(pose.turn_deg, 3) for _, pose in moments),
            lost_contact=tuple(round(pose.lost_contact, 3) for _, pose in moments),
            median_nerve_area_mm2=round(median_nerve_mm2(volunteer), 4),
            median_nerve_flattening=round(flattening, 4),
        ),
        make=make,
    )


def _examination(seed: int) -> Iterator[tuple[Way, Pose]]:
    """Ways and poses of all frames: the hand is unsteady at first, then still."""
    random = np.random.default_rng([seed, 22])
    for place, name in enumerate(PLANE_NAMES):
        before, after = PLANE_NAMES[max(place - 1, 0)], PLANE_NAMES[min(place + 1, len(PLANE_NAMES) - 1)]
        start, end = draw_pose(random, is_well_held=False), draw_pose(random, is_well_held=True)
        for step in range(_APPROACH):
            share = (step + 1) / (_APPROACH + 1)
            yield (name, before, 0.5 * (1 - share) ** 1.5), _mixed(start, end, share)
        for _ in range(_HELD):
            yield (name, name, 0.0), _mixed(end, draw_pose(random, is_well_held=True), 0.15)
        for step in range(_LEAVING):
            yield (name, after, 0.5 * ((step + 1) / _LEAVING) ** 1.5), end


def _mixed(one: Pose, other: Pose, share: float) -> Pose:
    pairs = {name: getattr(one, name) + share * (getattr(other, name) - getattr(one, name)) for name in Pose.__slots__}
    return Pose(**pairs)


def _truly(way: Way) -> str | None:
    shown = plane_of(way)
    return None if shown == NO_PLANE else shown
