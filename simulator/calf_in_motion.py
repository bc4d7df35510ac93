"""A calf whose ankle turns while its muscles tense, each in its own course: pictures of it, and the truth of its states."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simulator.bmode import display, received, reference_level, shown
from simulator.calf import FRAME_TIME_MS, CalfTruth, fascicle_length_mm, thickness_mm
from simulator.calf_states import STATES_VERSION, Architecture, Person, Values, architecture, draw_person, emg_like, moment_nm
from simulator.cine import Scan, SimulatedCine, SimulatedFrame
from simulator.device import Device, DeviceGroup, draw_device
from simulator.state_courses import Courses, draw_courses
from simulator.subject import draw_echoes, draw_fields
from simulator.tissue import Grid, Posture
from simulator.two_muscles import Calf, CalfPosture, draw_calf, lay_out_calf, lines_mm

#: Ten seconds: a course's slowest wave takes longer, its fastest is seen five times.
STATES_FRAMES = 250
#: Rows of the sector on the screen.
_SHOWN_ROWS = 400


class CalfStatesTruth(CalfTruth):
    """One value a frame; thickness, pennation and length are of the gastrocnemius."""

    joint_angle_deg: tuple[float, ...]
    #: As an electrode shows it, shares of the strongest contraction; `activity` is the mean of both muscles.
    activity: tuple[float, ...]
    activity_gastrocnemius: tuple[float, ...]
    activity_soleus: tuple[float, ...]
    joint_moment_nm: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class CalfStatesFrame(SimulatedFrame):
    """A frame, and the rows of the three aponeuroses (3, columns) in it, pixel centres at whole numbers."""

    lines: npt.NDArray[np.float64]


CalfStatesCine = SimulatedCine[CalfStatesFrame, CalfStatesTruth]


@dataclass(frozen=True, slots=True)
class States:
    """Of one person at N moments, each (N,). The activities are as an electrode shows them."""

    angle_deg: Values
    gastrocnemius_emg: Values
    soleus_emg: Values
    moment_nm: Values
    gastrocnemius: Architecture
    soleus: Architecture


@dataclass(frozen=True, slots=True)
class StateSubject:
    """One person on one scanner, both drawn from the seed."""

    seed: int
    person: Person
    courses: Courses
    calf: Calf
    device: Device
    grid: Grid
    mm_per_pixel: float
    #: A scanner's gain does not follow the muscle: the level shown as white is that of the resting calf.
    white: float

    def frame(self, posture: CalfPosture, number: int) -> CalfStatesFrame:
        """`number` gives the receiver's noise."""
        random = np.random.default_rng([self.seed, 45, number])
        envelope = received(lay_out_calf(self.calf, posture, self.grid), self.device, self.grid, random)
        is_mirrored = self.calf.gastrocnemius.is_mirrored
        sector = shown(display(envelope, self.device, self.white), self.grid, self.mm_per_pixel, is_mirrored=is_mirrored)
        lines = lines_mm(self.calf, posture, self.grid)
        places = (np.arange(sector.shape[1]) + 0.5) * self.grid.columns / sector.shape[1] - 0.5
        rows = np.stack([np.interp(places, np.arange(self.grid.columns), line) for line in lines]) / self.mm_per_pixel - 0.5
        return CalfStatesFrame(sector, rows[:, ::-1] if is_mirrored else rows)


def draw_person_of(seed: int) -> tuple[Person, Courses]:
    """What the states depend on; quick, for nothing is drawn on a screen."""
    return draw_person(np.random.default_rng([seed, 41])), draw_courses(np.random.default_rng([seed, 42]))


def draw_state_subject(seed: int, device_group: DeviceGroup = "common") -> StateSubject:
    """The same seed and group give the same person on the same scanner."""
    person, courses = draw_person_of(seed)
    random = np.random.default_rng([seed, 43])
    calf = draw_calf(person, draw_echoes(random), draw_fields(random), random)
    device, grid = draw_device(seed, device_group), calf.grid
    resting = postures(person, np.zeros(1), (np.zeros(1), np.zeros(1)))[0]
    envelope = received(lay_out_calf(calf, resting, grid), device, grid, np.random.default_rng([seed, 44]))
    mm_per_pixel = round(grid.depth_mm / _SHOWN_ROWS, 4)
    return StateSubject(seed, person, courses, calf, device, grid, mm_per_pixel, reference_level(envelope))


def states_at(person: Person, courses: Courses, seconds: Values) -> States:
    """All that is known of a person at N moments."""
    angle, (first, second) = courses.angle_deg(seconds), courses.activities(seconds)
    return States(
        angle_deg=angle,
        gastrocnemius_emg=emg_like(person.gastrocnemius, first),
        soleus_emg=emg_like(person.soleus, second),
        moment_nm=moment_nm(person, angle, (first, second)),
        gastrocnemius=architecture(person.gastrocnemius, angle, first),
        soleus=architecture(person.soleus, angle, second),
    )


def postures(person: Person, angle_deg: Values, activities: tuple[Values, Values]) -> list[CalfPosture]:
    """Where the tissue is at each of N moments."""
    columns = []
    for muscle, activity in zip(person.muscles(), activities, strict=True):
        shape = architecture(muscle, angle_deg, activity)
        rest = muscle.rest_mm * np.cos(np.radians(muscle.pennation_deg))
        slides = 0.5 * (rest - shape.reach_mm)
        rows = zip(shape.pennation_deg, shape.thickness_mm, slides, strict=True)
        columns.append([Posture(float(pennation), float(thick), float(slide)) for pennation, thick, slide in rows])
    return [CalfPosture(first, second) for first, second in zip(*columns, strict=True)]


def simulate_calf_states(
    seed: int, number_of_frames: int = STATES_FRAMES, *, device_group: DeviceGroup = "common"
) -> CalfStatesCine:
    """One person on one scanner, both drawn from the seed. Frames are made when asked for."""
    subject = draw_state_subject(seed, device_group)
    seconds = np.arange(number_of_frames) * FRAME_TIME_MS / 1000
    moments = postures(subject.person, subject.courses.angle_deg(seconds), subject.courses.activities(seconds))
    return SimulatedCine(
        kind="calf-states",
        scan=Scan(
            person=seed,
            study=(seed, number_of_frames),
            series_description="Simulated calf, longitudinal, ankle moving",
            body_part="CALF",
            anatomic_region=("53840002", "Structure of calf of leg (body structure)"),
            laterality="R",
        ),
        number_of_frames=number_of_frames,
        frame_time_ms=FRAME_TIME_MS,
        truth=_truth(subject, states_at(subject.person, subject.courses, seconds), moments),
        make=lambda index: subject.frame(moments[index], index),
    )


def _truth(subject: StateSubject, states: States, moments: list[CalfPosture]) -> CalfStatesTruth:
    anatomy, grid = subject.calf.gastrocnemius, subject.grid
    shapes = [moment.gastrocnemius for moment in moments]
    return CalfStatesTruth(
        seed=subject.seed,
        simulator_version=STATES_VERSION,
        subject=f"calf-states-{subject.seed:06d}",
        device=subject.device.name,
        mm_per_pixel=subject.mm_per_pixel,
        thickness_mm=_rounded([thickness_mm(anatomy, shape, grid) for shape in shapes]),
        pennation_deg=_rounded([shape.pennation_deg for shape in shapes]),
        fascicle_length_mm=_rounded([fascicle_length_mm(anatomy, shape, grid) for shape in shapes]),
        joint_angle_deg=_rounded(states.angle_deg),
        activity=_rounded((states.gastrocnemius_emg + states.soleus_emg) / 2),
        activity_gastrocnemius=_rounded(states.gastrocnemius_emg),
        activity_soleus=_rounded(states.soleus_emg),
        joint_moment_nm=_rounded(states.moment_nm),
    )


def _rounded(values: Values | list[float]) -> tuple[float, ...]:
    return tuple(round(float(value), 4) for value in values)
