"""How angle and activity shape the two calf muscles, and the moment that comes of it: a model of muscle and tendon.

Each muscle is a parallelogram of fascicles in series with what gives way under load: tendon, aponeuroses, and a heel that lifts
from its plate. Force and length agree at one fixed point. Constants are what a middle person has; `draw_person` spreads them.
Angles: 0 is neutral, positive is plantarflexion. Everything broadcasts over arrays.

Sources: Maganaris et al. 1998 (J Physiol 512:603) for how pennation, length and thickness change with angle and at the strongest
contraction; Manal et al. 2006 for pennation. What is not from there is a free choice: see simulator/CARD.md.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]
MuscleName = Literal["gastrocnemius", "soleus"]

#: Changes whenever equal seeds would give other states or pixels. The spread below is frozen with it.
STATES_VERSION = "1.0.0"
#: Spread between people, one standard deviation as a share of the middle (of pennation in degrees), cut at two.
THICKNESS_SPREAD, OPTIMUM_SPREAD, FORCE_SPREAD, EMG_GAIN_SPREAD = 0.20, 0.12, 0.25, 0.25
PENNATION_SPREAD_DEG = 3.0
MOMENT_ARM_MM = (45.0, 55.0)
ANGLE_RANGE_DEG = (-15.0, 30.0)

_WIDTH_BELOW, _WIDTH_ABOVE = 0.45, 0.80  # of the force-length curve, in optimal lengths
_PASSIVE_SHARE, _PASSIVE_STEEPNESS = 0.05, 6.0
#: Fascicles jam: reach is never below this share of the thickness, which is a pennation of 61 degrees.
_LEAST_REACH = 0.55
_HALVINGS = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Muscle:
    """One muscle of one person. Lengths in mm, force in N."""

    thickness_mm: float
    #: At rest, neutral ankle.
    pennation_deg: float
    #: Length at rest and neutral ankle, in optimal lengths.
    stretch: float
    #: Share of the thickness that the strongest contraction adds.
    thickening: float
    strongest_n: float
    #: What the series element gives at the strongest force.
    give_mm: float
    #: Of the muscle and its tendon, a radian of the ankle's nominal angle.
    excursion_mm: float
    #: What an electrode shows of the activity.
    emg_gain: float

    @property
    def rest_mm(self) -> float:
        """Fascicle length at rest, neutral ankle."""
        return self.thickness_mm / float(np.sin(np.radians(self.pennation_deg)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Two muscles and a lever."""

    gastrocnemius: Muscle
    soleus: Muscle
    moment_arm_mm: float

    def muscles(self) -> tuple[Muscle, Muscle]:
        """From the skin down."""
        return self.gastrocnemius, self.soleus


@dataclass(frozen=True, slots=True)
class Architecture:
    """One muscle at N moments, each (N,)."""

    thickness_mm: Values
    pennation_deg: Values
    fascicle_mm: Values
    #: Share of the strongest force along the fascicles.
    force: Values

    @property
    def reach_mm(self) -> Values:
        """Of a fascicle along the aponeurosis."""
        return np.asarray(self.fascicle_mm * np.cos(np.radians(self.pennation_deg)))


#: Nobody in particular: what the spread is around.
MIDDLE_PERSON = Person(
    gastrocnemius=Muscle(
        thickness_mm=18.0,
        pennation_deg=21.5,
        stretch=1.3,
        thickening=0.0,
        strongest_n=1200.0,
        give_mm=24.0,
        excursion_mm=27.0,
        emg_gain=1.0,
    ),
    soleus=Muscle(
        thickness_mm=15.0,
        pennation_deg=19.0,
        stretch=1.2,
        thickening=0.425,
        strongest_n=2800.0,
        give_mm=22.0,
        excursion_mm=24.0,
        emg_gain=1.0,
    ),
    moment_arm_mm=50.0,
)
#: Of the soleus; the gastrocnemius keeps its thickness.
_THICKENING = (0.38, 0.47)


def draw_person(random: np.random.Generator) -> Person:
    """Anatomy and strength of one person."""
    return Person(
        gastrocnemius=_draw_muscle(MIDDLE_PERSON.gastrocnemius, 0.0, random),
        soleus=_draw_muscle(MIDDLE_PERSON.soleus, float(random.uniform(*_THICKENING)), random),
        moment_arm_mm=float(random.uniform(*MOMENT_ARM_MM)),
    )


def architecture(muscle: Muscle, angle_deg: Values, activity: Values) -> Architecture:
    """Of N moments. The activity (N,) is the muscle's own, 0 to 1."""
    thickness = muscle.thickness_mm * (1 + muscle.thickening * activity)
    slack = muscle.rest_mm * np.cos(np.radians(muscle.pennation_deg)) - muscle.excursion_mm * np.radians(angle_deg)
    low, high = _LEAST_REACH * thickness, np.maximum(slack, _LEAST_REACH * thickness)
    for _ in range(_HALVINGS):
        reach = 0.5 * (low + high)
        is_too_long = reach + muscle.give_mm * _force(muscle, np.hypot(reach, thickness), activity) > slack
        low, high = np.where(is_too_long, low, reach), np.where(is_too_long, reach, high)
    length = np.hypot(low, thickness)
    pennation = np.degrees(np.arctan2(thickness, low))
    return Architecture(thickness, pennation, length, _force(muscle, length, activity))


def moment_nm(person: Person, angle_deg: Values, activities: tuple[Values, Values]) -> Values:
    """Plantarflexing moment (N,) of both muscles; the body is of middle size, so this is in proportion to mass times height."""
    total = np.zeros_like(angle_deg)
    for muscle, activity in zip(person.muscles(), activities, strict=True):
        shape = architecture(muscle, angle_deg, activity)
        total = total + muscle.strongest_n * shape.force * np.cos(np.radians(shape.pennation_deg))
    return np.asarray(total * person.moment_arm_mm / 1000)


def emg_like(muscle: Muscle, activity: Values) -> Values:
    """Rectified and smoothed activity as an electrode shows it, in shares of the strongest (N,)."""
    return np.asarray(muscle.emg_gain * activity)


def _force(muscle: Muscle, length_mm: Values, activity: Values) -> Values:
    """Active and passive force at a length, in shares of the strongest. Passive force begins at the length of rest."""
    stretched = length_mm / muscle.rest_mm
    away = stretched * muscle.stretch - 1
    active = activity * np.exp(-((away / np.where(away < 0, _WIDTH_BELOW, _WIDTH_ABOVE)) ** 2))
    passive = _PASSIVE_SHARE * (np.exp(_PASSIVE_STEEPNESS * np.clip(stretched - 1, 0, None)) - 1)
    return np.asarray(active + passive)


def _draw_muscle(middle: Muscle, thickening: float, random: np.random.Generator) -> Muscle:
    def spread(share: float) -> float:
        return 1 + share * float(np.clip(random.standard_normal(), -2, 2))

    return Muscle(
        thickness_mm=middle.thickness_mm * spread(THICKNESS_SPREAD),
        pennation_deg=middle.pennation_deg + PENNATION_SPREAD_DEG * (spread(1.0) - 1),
        stretch=middle.stretch / spread(OPTIMUM_SPREAD),
        thickening=thickening,
        strongest_n=middle.strongest_n * spread(FORCE_SPREAD),
        give_mm=middle.give_mm,
        excursion_mm=middle.excursion_mm,
        emg_gain=middle.emg_gain * spread(EMG_GAIN_SPREAD),
    )
