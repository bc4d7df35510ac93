"""How a person moves the ankle and tenses the calf: courses over time, independent of each other and limited to half a hertz."""

from dataclasses import dataclass

import numpy as np

from simulator.calf_states import ANGLE_RANGE_DEG, Values

_WAVES = 12
_SLOWEST_HZ, _FASTEST_HZ = 0.03, 0.5
#: A course leaves its range for about a third of the time, and stays at the end: plateaus.
_SWING = 0.5
#: Each muscle's own part of the drive.
_OWN_SHARE = 0.12


@dataclass(frozen=True, slots=True)
class Course:
    """A sum of waves about zero, of unit variance. A function of time, so that any moment can be asked for alone."""

    frequency_hz: Values
    phase: Values

    def at(self, seconds: Values) -> Values:
        """(N,) of (N,)."""
        waves = np.sin(2 * np.pi * seconds[:, None] * self.frequency_hz + self.phase)
        return np.asarray(waves.sum(1) * np.sqrt(2 / len(self.phase)))


@dataclass(frozen=True, slots=True)
class Courses:
    """Of one person in one recording."""

    angle: Course
    drive: Course
    own: tuple[Course, Course]

    def angle_deg(self, seconds: Values) -> Values:
        """Of the ankle (N,)."""
        low, high = ANGLE_RANGE_DEG
        return low + (high - low) * _within(0.5 + _SWING * self.angle.at(seconds))

    def activities(self, seconds: Values) -> tuple[Values, Values]:
        """Of gastrocnemius and soleus (N,), 0 to 1: mostly one drive."""
        drive = 0.5 + _SWING * self.drive.at(seconds)
        first, second = (_within(drive + _OWN_SHARE * own.at(seconds)) for own in self.own)
        return first, second


def draw_courses(random: np.random.Generator) -> Courses:
    """Four that know nothing of each other."""
    angle, drive, first, second = (_draw(random) for _ in range(4))
    return Courses(angle, drive, (first, second))


def _draw(random: np.random.Generator) -> Course:
    return Course(random.uniform(_SLOWEST_HZ, _FASTEST_HZ, _WAVES), random.uniform(0, 2 * np.pi, _WAVES))


def _within(share: Values) -> Values:
    return np.clip(share, 0, 1)
