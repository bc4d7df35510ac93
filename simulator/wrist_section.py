"""One picture of a wrist before the scanner sees it: what is where, how strongly it scatters, what lies in a bone's shadow."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from service.core.wrist_planes import structure_number
from simulator.subject import Echoes, Fields, Floats
from simulator.tissue import SKIN_MM, Grid, fat, sample, scatterers
from simulator.wrist_shapes import ANISOTROPIC, Bone, Offset, Oval, Ring, Shape, Strand, echogenicity

Labels = npt.NDArray[np.uint8]

_CORTEX_MM = 0.25
_CORTEX_ANSWER = 35.0
#: Power that comes back from below a bone.
_SHADOW = 10 ** (-30 / 10)
#: The bone's surface is seen a second time, this much weaker, as deep again as it lies.
_REVERBERATION = 2e-4
#: Along a bone its echo changes from place to place, mm.
_UNEVEN_MM = 0.35
#: Tendons and nerves answer fully up to so many degrees from the right angle, and lose so much for each five beyond, dB.
_UPRIGHT_DEG, _LOST_DB = 5.0, 8.0
_MOST_LOST_DB = 14.0
_BRIGHT_FASCIA = 3.0
#: Between two planes a bone comes from so far below.
_RISE_MM = 6.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pose:
    """How the probe is held against the plane that is meant."""

    shift_mm: float = 0.0
    #: Beside the plane, and turned out of it; both matter to what is cut along.
    slide_mm: float = 0.0
    turn_deg: float = 0.0
    #: Away from the right angle to the tissue.
    tilt_deg: float = 0.0
    #: Rotation within the picture: one end is pressed more.
    lean_deg: float = 0.0
    #: Share of the fat that pressure takes away.
    press: float = 0.0
    #: Share of the width without contact, from the left where positive, from the right where negative.
    lost_contact: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """What one person's tissue is made of."""

    scale: float
    fat_mm: float
    fields: Fields
    echoes: Echoes
    #: Amplitude (mm), wavelength (mm) and phase of the waves by which tissue lies beside its usual place.
    waves: tuple[tuple[float, float, float], ...]


@dataclass(frozen=True, slots=True)
class Section:
    """Over the grid: `scatter` complex, and the class of each cell by `service.core.wrist_planes`."""

    scatter: npt.NDArray[np.complex64]
    labels: Labels


def cut(
    person: Person,
    shapes: Sequence[Shape],
    pose: Pose,
    grid: Grid,
    place: tuple[float, float],
    sizes: Sequence[float] | None = None,
) -> Section:
    """The section of these shapes. `sizes` shrinks each between planes; `place` is where in the frozen noise it lies, mm."""
    u, v = _coordinates(person, pose, grid)
    canvas = _Canvas(person, pose, place, u, v)
    for shape, size in zip(shapes, sizes or [1.0] * len(shapes), strict=True):
        if (shrunk := _shrunk(shape, size)) is not None:
            canvas.paint(shrunk)
    passed = np.where(np.logical_or.accumulate(canvas.is_below, axis=0), _SHADOW, 1.0)
    _, y = grid.points()
    level = np.where(y < SKIN_MM, 5.0, canvas.level) * passed
    coherent = canvas.surfaces * np.sqrt(passed) + canvas.repeated
    real, imaginary = (scatterers(field, v + place[1], u + place[0]) for field in (person.fields.real, person.fields.imaginary))
    contact = _contact(pose, grid)
    scatter = (real + 1j * imaginary) * (np.sqrt(level) * contact) + coherent * contact
    return Section(scatter.astype(np.complex64), canvas.labels)


class _Canvas:
    """Shapes laid one over the other, before any shadow: power, classes, echoes of bones."""

    def __init__(self, person: Person, pose: Pose, place: tuple[float, float], u: Floats, v: Floats) -> None:
        self.level = _background(person, u, v, place)
        self.labels = np.zeros(u.shape, np.uint8)
        self.surfaces, self.repeated = np.zeros_like(self.level), np.zeros_like(self.level)
        #: Deeper than the surface of a bone in its column.
        self.is_below = np.zeros(u.shape, np.bool_)
        self._person, self._pose, self._place, self._u, self._v = person, pose, place, u, v
        self._offset = Offset(pose.slide_mm, float(np.tan(np.radians(pose.turn_deg))))
        self._kept = 10 ** (-_lost_db(pose.tilt_deg) / 10)

    def paint(self, shape: Shape) -> None:
        """Over what is there; nothing where the shape lies outside the picture."""
        window = _window(shape, self._u, self._v)
        if window is None:
            return
        u, v = self._u[window], self._v[window]
        if isinstance(shape, Bone):
            self._add_surface(shape, window)
        answer = echogenicity(shape, self._person.fields, u, v, self._place)
        answer = answer * (self._kept if shape.tissue in ANISOTROPIC else 1.0)
        inside = shape.covers(u, v, self._offset)
        self.level[window] = np.where(inside, answer, self.level[window])
        number = structure_number(shape.name) if shape.name else 0
        self.labels[window] = np.where(inside, number, self.labels[window])

    def _add_surface(self, bone: Bone, window: tuple[slice, slice]) -> None:
        u, v = self._u[window], self._v[window]
        depth = bone.depth(u)
        self.is_below[window] |= v > depth + _CORTEX_MM
        uneven = _uneven(self._person, bone, u, self._place)
        first, again = _surface(v, depth, self._pose)
        self.surfaces[window] += uneven * first
        self.repeated[window] += uneven * again


def _coordinates(person: Person, pose: Pose, grid: Grid) -> tuple[Floats, Floats]:
    """Coordinates u and v of each cell, in mm of a hand of usual size (rows, columns)."""
    x, y = grid.points()
    across = x - grid.width_mm / 2
    depth = y - SKIN_MM - person.fat_mm * (1 - pose.press) + across * np.tan(np.radians(pose.lean_deg))
    bend_u, bend_v = np.zeros_like(x * y), np.zeros_like(x * y)
    for number, (amplitude, wavelength, phase) in enumerate(person.waves):
        wave = amplitude * np.sin(2 * np.pi * (x + 0.4 * y) / wavelength + phase)
        bend_u, bend_v = (bend_u + wave, bend_v) if number % 2 else (bend_u, bend_v + wave)
    u = (across + pose.shift_mm + bend_u) / person.scale
    return u.astype(np.float32), ((depth + bend_v) / person.scale).astype(np.float32)


def _background(person: Person, u: Floats, v: Floats, place: tuple[float, float]) -> Floats:
    """Loose tissue, and above it fat with its fascia."""
    loose = 0.55 * sample(person.fields.texture, v + place[1], u + place[0], 0.12, 0.08)
    level = np.where(v < 0, fat(person.fields, person.echoes, u + place[0], v), loose)
    return np.asarray(np.where(np.abs(v) < 0.2, _BRIGHT_FASCIA, level), np.float32)


def _window(shape: Shape, u: Floats, v: Floats) -> tuple[slice, slice] | None:
    """The part of the grid that a shape can reach; None outside the picture."""
    left, right, top, bottom = shape.box()
    columns = np.flatnonzero((u.max(0) > left - 0.5) & (u.min(0) < right + 0.5))
    rows = np.flatnonzero((v.max(1) > top - 0.5) & (v.min(1) < bottom + 0.5))
    if not len(columns) or not len(rows):
        return None
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def _shrunk(shape: Shape, size: float) -> Shape | None:
    """Between two planes structures grow out of nothing, and a bone comes up from below; rings are seen in a plane only."""
    if size >= 1:
        return shape
    if size <= 0 or isinstance(shape, Ring):
        return None
    if isinstance(shape, Oval):
        return replace(shape, axes=(shape.axes[0] * size, shape.axes[1] * size))
    if isinstance(shape, Strand):
        return replace(shape, thickness_mm=shape.thickness_mm * size)
    return replace(shape, points=tuple((u, v + _RISE_MM * (1 - size)) for u, v in shape.points))


def _surface(v: Floats, depth: Floats, pose: Pose) -> tuple[Floats, Floats]:
    """Echo of a bone's surface, less where the beam meets it slantwise, and its repetition."""
    known = np.where(np.isfinite(depth), depth, 1e3)
    slope = np.gradient(known, axis=1) if known.shape[1] > 1 else np.zeros_like(known)
    facing = np.exp(-(np.clip(np.abs(slope) / 0.35, 0, 2.5) ** 2) / 3) * np.exp(-((pose.tilt_deg / 25) ** 2))
    answer = np.sqrt(_CORTEX_ANSWER) * facing
    first = answer * np.exp(-(((v - known) / _CORTEX_MM) ** 2))
    again = answer * np.sqrt(_REVERBERATION) * np.exp(-(((v - 2 * known) / (2 * _CORTEX_MM)) ** 2))
    return np.asarray(first, np.float32), np.asarray(again, np.float32)


def _uneven(person: Person, bone: Bone, u: Floats, place: tuple[float, float]) -> Floats:
    """Along a bone its echo changes from place to place; 1 in the mean."""
    noise = sample(person.fields.slow, np.full_like(u, bone.points[0][1]), u + place[0], 1.0, _UNEVEN_MM)
    return np.asarray(np.clip(1 + 0.55 * noise, 0.15, 2), np.float32)


def _lost_db(tilt_deg: float) -> float:
    return float(np.clip((abs(tilt_deg) - _UPRIGHT_DEG) / 5 * _LOST_DB, 0, _MOST_LOST_DB))


def _contact(pose: Pose, grid: Grid) -> Floats:
    """1 where the probe touches the skin (1, columns)."""
    share = (np.arange(grid.columns, dtype=np.float32)[None] + 0.5) / grid.columns
    from_side = share if pose.lost_contact >= 0 else 1 - share
    return np.asarray(0.03 + 0.97 / (1 + np.exp(-(from_side - abs(pose.lost_contact)) / 0.012)), np.float32)
