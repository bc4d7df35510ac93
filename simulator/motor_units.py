"""Tissue velocity in a contracting muscle's cross-section, and the motor units that move it.

Everything is drawn from the seed: equal seeds and conditions give equal sequences, and every seed another muscle.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from simulator.motor_field import PIXEL_MM, Floats, Mask, Territory, blurred, disturbances, draw_territory, fascia
from simulator.motor_pool import (
    MAXIMUM_EXCITATION,
    Doubles,
    Drive,
    MotorUnit,
    discharges,
    recruited,
    threshold,
    twitch_train,
    twitch_velocity,
)

#: Changes whenever equal seeds would give another sequence. Frozen before any training.
MOTOR_UNITS_VERSION = "1.0.0"
FRAME_RATE_HZ = 250.0
FRAMES = 512

#: How the twitches of units that are active together add up.
Mixing = Literal["linear", "saturating"]
MIXINGS: tuple[Mixing, ...] = get_args(Mixing)
SNR_DB = (20.0, 10.0, 5.0, 0.0)
_UNITS = (5, 30)
#: The strongest contraction, as a share of the greatest excitation.
_STRONGEST = 0.10
#: Before the first frame, so that twitches are already under way.
_LEAD_IN_S = 1.0
_LARGEST_SYNCHRONY = 0.2
_SHARED_HZ = 10.0
#: With each other unit that is active a twitch shrinks by this (after Lubel et al. 2023).
_SATURATION = 0.03
#: Another unit is active with a discharge when one of its own is so near.
_TOGETHER_S = 0.1
#: Peak displacement of a twitch of force 1 in a territory 1 mm wide: force over area is stress, and the width is strained.
_DISPLACEMENT_MM = 0.06
_POINT_SPREAD_MM = 0.8
_STREAM_SCENE, _STREAM_SCANNER = 60, 61


@dataclass(frozen=True, slots=True)
class Conditions:
    """What a sequence is asked to be; by default drawn from its seed."""

    units: int
    snr_db: float
    mixing: Mixing


@dataclass(frozen=True, slots=True)
class ActiveUnit:
    """What is known of one."""

    unit: MotorUnit
    territory: Territory
    mask: Mask  # (SIZE, SIZE)
    discharges_s: Doubles  # since the first frame, within the sequence
    twitch: Floats  # (T,) mm/s, what the unit alone does in its middle

    @property
    def area_mm2(self) -> float:
        """Of its mask."""
        return float(self.mask.sum()) * PIXEL_MM**2

    def one_twitch(self, since_s: Doubles) -> Doubles:
        """mm/s in its middle, so long after a discharge that is alone, as strong and quick as discharges are in the mean."""
        contraction = self.unit.contraction_s
        ratio = self.unit.half_relaxation_s / contraction
        swing = twitch_velocity(since_s - self.unit.lead_s, np.array(contraction), ratio)
        return np.asarray(_displaced_mm(self.unit, self.territory) * swing)


@dataclass(frozen=True, slots=True)
class Scene:
    """What happens in the muscle, before a scanner sees it."""

    seed: int
    conditions: Conditions
    units: tuple[ActiveUnit, ...]
    #: (T, SIZE, SIZE) mm/s towards greater depth, of the units alone and of all that moves.
    of_units: Floats
    moving: Floats
    free: Floats  # (SIZE, SIZE), 0 on lines that do not move


@dataclass(frozen=True, slots=True)
class MotorSequence:
    """Velocity images as an analysis gets them, and the truth."""

    seed: int
    conditions: Conditions
    velocity: Floats  # (T, SIZE, SIZE) mm/s, common motion subtracted
    units: tuple[ActiveUnit, ...]


def draw_conditions(seed: int) -> Conditions:
    """Of a sequence that is asked for nothing."""
    random = np.random.default_rng([seed, 62])
    units = int(random.integers(_UNITS[0], _UNITS[1] + 1))
    return Conditions(units, float(random.choice(SNR_DB)), MIXINGS[int(random.integers(len(MIXINGS)))])


def simulate_sequence(seed: int, conditions: Conditions | None = None, frames: int = FRAMES) -> MotorSequence:
    """One muscle and one recording of it. Raises ValueError for conditions that the pool cannot meet.

    The ratio of signal to noise is that of the units' motion to the noise, in power, over all pixels and frames.
    """
    scene = simulate_scene(seed, conditions, frames)
    random = np.random.default_rng([seed, _STREAM_SCANNER])
    noise = blurred(random.standard_normal(scene.moving.shape, dtype=np.float32), _POINT_SPREAD_MM)
    level = float(scene.of_units.std()) / 10 ** (scene.conditions.snr_db / 20)
    velocity = blurred(scene.moving, _POINT_SPREAD_MM) + noise * np.float32(level / float(noise.std()))
    return MotorSequence(seed, scene.conditions, without_common_motion(velocity), scene.units)


def simulate_scene(seed: int, conditions: Conditions | None = None, frames: int = FRAMES) -> Scene:
    """The muscle alone. Raises ValueError for conditions that the pool cannot meet."""
    wanted = draw_conditions(seed) if conditions is None else conditions
    random = np.random.default_rng([seed, _STREAM_SCENE])
    moments = np.arange(frames) / FRAME_RATE_HZ
    drive, members = _contraction(wanted, moments[-1], random)
    last_rank = recruited(_STRONGEST * MAXIMUM_EXCITATION)
    territories = [draw_territory(unit, last_rank, random) for unit in members]
    times = [discharges(unit, drive, moments[-1], random) for unit in members]
    free = fascia(random)
    traces = np.stack(
        [
            _displaced_mm(unit, place) * twitch_train(unit, own, _strength(number, times, wanted.mixing), moments, random)
            for number, (unit, place, own) in enumerate(zip(members, territories, times, strict=True))
        ]
    )  # (N, T) mm/s
    patterns = np.stack([place.pattern() * free for place in territories])  # (N, SIZE, SIZE)
    of_units = np.tensordot(traces.T.astype(np.float32), patterns, 1)
    moving = of_units + disturbances(moments, float(of_units.std()), random) * free
    known = tuple(
        ActiveUnit(unit, place, place.mask(), own[(own >= 0) & (own < frames / FRAME_RATE_HZ)], trace.astype(np.float32))
        for unit, place, own, trace in zip(members, territories, times, traces, strict=True)
    )
    return Scene(seed, wanted, known, of_units, moving, free)


def without_common_motion(velocity: Floats) -> Floats:
    """Less the median of each image (T, H, W): the probe moves on the skin, too."""
    return np.asarray(velocity - np.median(velocity, axis=(1, 2), keepdims=True), np.float32)


def _contraction(wanted: Conditions, end_s: float, random: np.random.Generator) -> tuple[Drive, list[MotorUnit]]:
    """As many units as are wanted out of those that the drive recruits; the others lie outside the section."""
    strongest = _STRONGEST * MAXIMUM_EXCITATION
    if not 1 <= wanted.units <= recruited(strongest):
        raise ValueError(f"a section shows 1 to {recruited(strongest)} active units, not {wanted.units}")
    plateau = random.uniform(1.02 * threshold(wanted.units), strongest)
    start = -_LEAD_IN_S + random.uniform(0, _LEAD_IN_S)
    shared = np.sort(random.uniform(start, end_s, random.poisson(_SHARED_HZ * (end_s - start))))
    drive = Drive(plateau, start, random.uniform(0, _LARGEST_SYNCHRONY), shared)
    ranks = 1 + random.choice(max(wanted.units, recruited(plateau)), wanted.units, replace=False)
    return drive, [MotorUnit(int(rank), random.uniform(0.005, 0.015)) for rank in np.sort(ranks)]


def _displaced_mm(unit: MotorUnit, place: Territory) -> float:
    """At the peak of one twitch."""
    return _DISPLACEMENT_MM * unit.force / (place.long_mm + place.short_mm)


def _strength(number: int, times: list[Doubles], mixing: Mixing) -> Doubles:
    """Of each discharge of a unit: 1, less where other units are active."""
    own = times[number]
    if mixing == "linear":
        return np.ones(len(own))
    others = [other for place, other in enumerate(times) if place != number and len(other)]
    together = sum((np.abs(other - own[:, None]).min(1) < _TOGETHER_S for other in others), start=np.zeros(len(own)))
    return np.asarray(1 / (1 + _SATURATION * together))
