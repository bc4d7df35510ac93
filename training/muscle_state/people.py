"""Which simulated people are for what, fixed before anything was trained on any, and the moments at which each is looked at."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simulator.calf_in_motion import States, draw_person_of, states_at
from simulator.calf_states import Values
from simulator.device import DeviceGroup

#: As in the paper: 32 people, two held out at a time. The numbers are seeds.
PEOPLE = range(81_001, 81_033)
FOLDS = 16
#: For choosing among networks and lengths of training, so that no fold is chosen on.
VALIDATION_PEOPLE = range(81_101, 81_109)
#: Other people on scanners that training never sees.
HELD_OUT_DEVICE_PEOPLE = range(81_201, 81_217)
#: For how wide the bands of what is served must be, as the service sees these people; eight were too few.
CALIBRATION_PEOPLE = range(81_301, 81_341)
#: Looked at once, when weights and bands were done.
FRESH_PEOPLE = range(91_001, 91_033)
#: A short cine of each, as the service reads it; looked at once too.
CINE_PEOPLE = range(97_001, 97_097)
#: Further people, in no fold and asked about nothing: from thirty people alone a network learns who they are.
COHORT_PEOPLE = range(82_001, 82_801)
#: Frames a person, and how long they are spread over: so far apart that each is a state of its own.
MOMENTS, SPAN_SECONDS = 200, 1200.0
#: Of the further people it is their number that counts.
COHORT_MOMENTS, FRESH_MOMENTS = 40, 60
#: What is predicted, in this order: degrees; square roots of shares of the strongest contraction; newton metres.
STATES = ("joint_angle", "activity_gastrocnemius", "activity_soleus", "joint_moment")


@dataclass(frozen=True, slots=True)
class Split:
    """People, the group of their scanners, and how often each is looked at."""

    name: str
    seeds: range
    device_group: DeviceGroup = "common"
    moments: int = MOMENTS


SPLITS = {
    split.name: split
    for split in (
        Split("people", PEOPLE),
        Split("validation", VALIDATION_PEOPLE),
        Split("cohort", COHORT_PEOPLE, moments=COHORT_MOMENTS),
        Split("calibration", CALIBRATION_PEOPLE, moments=COHORT_MOMENTS),
        Split("fresh", FRESH_PEOPLE, moments=FRESH_MOMENTS),
        Split("held-out-device", HELD_OUT_DEVICE_PEOPLE, "held-out"),
    )
}


def held_out_in(fold: int) -> tuple[int, int]:
    """The two people of a fold, numbered from 0."""
    return PEOPLE[2 * fold], PEOPLE[2 * fold + 1]


def moments_of(seed: int, count: int = MOMENTS) -> Values:
    """Seconds (count,) in order."""
    return np.sort(np.random.default_rng([seed, 46]).uniform(0, SPAN_SECONDS, count))


def states_of(seed: int, count: int = MOMENTS) -> States:
    """Of one person at those moments."""
    return states_at(*draw_person_of(seed), moments_of(seed, count))


def targets(states: States) -> npt.NDArray[np.float64]:
    """(N, 4), as STATES says."""
    emg = np.sqrt(np.stack([states.gastrocnemius_emg, states.soleus_emg], 1))
    return np.column_stack([states.angle_deg, emg, states.moment_nm])


def geometry(states: States) -> npt.NDArray[np.float64]:
    """(N, 4): pennation (deg) and fascicle length of the gastrocnemius, thickness of both muscles (mm), without any error."""
    first, second = states.gastrocnemius, states.soleus
    return np.column_stack([first.pennation_deg, first.fascicle_mm, first.thickness_mm, second.thickness_mm])
