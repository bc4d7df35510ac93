"""A pool of motor neurons: which of them are recruited, when each discharges, and the twitch that follows a discharge.

Pool, drive and twitch have the constants of a published example (github robinrohlen/Model-based-deconvolution, commit e015b9b;
preprint 10.1101/2024.05.14.594072), which follows Fuglevand et al. 1993 for the pool and Raikova et al. for the twitch.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]

POOL_SIZE = 200
#: Thresholds of recruitment lie between 1 and this.
_THRESHOLD_RANGE = 30.0
_MINIMUM_RATE_HZ, _PEAK_RATE_HZ, _PEAK_RATE_FALL_HZ = 8.0, 35.0, 10.0
_INTERVAL_VARIATION = 0.15
#: A neuron does not discharge again sooner than so.
_REFRACTORY_S = 0.02
#: Twitches of the pool: the last is 100 times as strong as the first, and five times as fast.
_FORCE_RANGE = 100.0
_SPEED_EXPONENT = 1 / 2.861353
_CONTRACTION_S, _HALF_RELAXATION_S = 0.150, 0.250
_RAMP_S = 0.5
#: Common drive: a discharge moved onto the shared train is this far from it.
_SYNCHRONY_SD_S = 0.005
#: From discharge to discharge a twitch differs by up to this share.
_SPEED_JITTER, _FORCE_JITTER = 0.10, 0.15

MAXIMUM_EXCITATION = _THRESHOLD_RANGE + _PEAK_RATE_HZ - _PEAK_RATE_FALL_HZ - _MINIMUM_RATE_HZ


@dataclass(frozen=True, slots=True)
class MotorUnit:
    """One of the pool, by its rank from 1 (recruited first) to 200."""

    rank: int
    #: Between the discharge and the start of the twitch.
    lead_s: float

    @property
    def threshold(self) -> float:
        """Excitation at which it is recruited."""
        return threshold(self.rank)

    @property
    def peak_rate_hz(self) -> float:
        """That no excitation takes it beyond."""
        return _PEAK_RATE_HZ - _PEAK_RATE_FALL_HZ * self.threshold / _THRESHOLD_RANGE

    @property
    def force(self) -> float:
        """Of its twitch, 1 to 100."""
        return float(_FORCE_RANGE ** (self.rank / POOL_SIZE))

    @property
    def contraction_s(self) -> float:
        """From the start of a twitch to its peak."""
        return float(_CONTRACTION_S * self.force**-_SPEED_EXPONENT)

    @property
    def half_relaxation_s(self) -> float:
        """From the start of a twitch until it has fallen to half."""
        return float(_HALF_RELAXATION_S * self.force**-_SPEED_EXPONENT)


@dataclass(frozen=True, slots=True)
class Drive:
    """What all neurons receive: excitation rises for half a second from `start_s` on and stays; some discharges are shared."""

    plateau: float
    start_s: float
    #: Share of the discharges that fall onto the shared train.
    synchrony: float
    shared_s: Doubles

    def excitation(self, moment_s: float) -> float:
        """At one moment."""
        return self.plateau * min(1.0, max(0.0, (moment_s - self.start_s) / _RAMP_S))


def threshold(rank: int) -> float:
    """Excitation at which the neuron of a rank is recruited."""
    return math.exp(math.log(_THRESHOLD_RANGE) * rank / POOL_SIZE)


def recruited(excitation: float) -> int:
    """How many neurons an excitation recruits: the ranks from 1 to this."""
    return min(POOL_SIZE, int(max(0.0, math.log(max(excitation, 1e-9)) / math.log(_THRESHOLD_RANGE) * POOL_SIZE)))


def discharges(unit: MotorUnit, drive: Drive, end_s: float, random: np.random.Generator) -> Doubles:
    """Times of the discharges until `end_s`, rising; none where the plateau does not reach the threshold."""
    if drive.plateau <= unit.threshold:
        return np.zeros(0)
    now = drive.start_s + _RAMP_S * unit.threshold / drive.plateau + random.uniform(0, 1 / _MINIMUM_RATE_HZ)
    found = []
    while now < end_s:
        found.append(now)
        rate = min(unit.peak_rate_hz, _MINIMUM_RATE_HZ + max(0.0, drive.excitation(now) - unit.threshold))
        now += max(_REFRACTORY_S, random.normal(1, _INTERVAL_VARIATION) / rate)
    return _synchronised(np.array(found), drive, random)


def twitch_train(
    unit: MotorUnit, times_s: Doubles, strength: Doubles, moments_s: Doubles, random: np.random.Generator
) -> Doubles:
    """Rate of change of the unit's force (its twitch's peak is 1) at the moments (T,), per second; every twitch differs a little.

    `strength` (K,) scales the twitch of each discharge.
    """
    speed = unit.contraction_s * (1 + random.uniform(-_SPEED_JITTER, _SPEED_JITTER, len(times_s)))
    force = strength * (1 + random.uniform(-_FORCE_JITTER, _FORCE_JITTER, len(times_s)))
    since = moments_s - (times_s + unit.lead_s)[:, None]  # (K, T)
    ratio = unit.half_relaxation_s / unit.contraction_s
    return np.asarray((force[:, None] * twitch_velocity(since, speed[:, None], ratio)).sum(0))


def twitch_velocity(since_s: Doubles, contraction_s: Doubles, ratio: float) -> Doubles:
    """Derivative of (u e^(1-u))^p, u = t / contraction time, whose peak is 1; 0 before it starts.

    p is such that at `ratio` contraction times half is left.
    """
    power = math.log(2) / (ratio - 1 - math.log(ratio))
    u = np.maximum(since_s / contraction_s, 1e-6)
    return np.asarray(np.where(since_s > 0, (u * np.exp(1 - u)) ** power * power * (1 / u - 1) / contraction_s, 0.0))


def _synchronised(times_s: Doubles, drive: Drive, random: np.random.Generator) -> Doubles:
    """Some of the discharges moved to the nearest of the shared train, a few milliseconds off it."""
    if not len(drive.shared_s) or not len(times_s):
        return times_s
    nearest = drive.shared_s[np.abs(drive.shared_s - times_s[:, None]).argmin(1)]
    is_moved = random.random(len(times_s)) < drive.synchrony
    moved = np.sort(np.where(is_moved, nearest + random.normal(0, _SYNCHRONY_SD_S, len(times_s)), times_s))
    return np.asarray(moved[np.concatenate([[True], np.diff(moved) >= _REFRACTORY_S])])
