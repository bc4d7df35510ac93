"""What a section of a wrist is put together from: ovals, strands, rings and bones in millimetres, and how each tissue answers.

A section has coordinates u along the probe from its middle, and v in depth from the deep border of the subcutaneous fat.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from simulator.subject import Fields, Floats
from simulator.tissue import sample

Mask = npt.NDArray[np.bool_]
Point = tuple[float, float]
Tissue = Literal[
    "tendon across",
    "tendon along",
    "nerve across",
    "nerve along",
    "artery",
    "ligament",
    "fibrocartilage",
    "fluid",
    "pulley",
    "retinaculum",
    "muscle",
    "bone",
]

#: Cells in which frozen noise is read, mm: fine dots of what is cut across, long lines of what is cut along.
_DOT = (0.04, 0.01)
_LINE = (0.05, 0.25)
_COARSE_LINE = (0.11, 0.4)
#: Radius of a nerve's fascicles, mm, and the distance of their centres in radii.
_FASCICLE_MM, _FASCICLES_APART = 0.3, 2.3
_RIM = 0.84
_LUMEN = 0.82
#: A bone is named down to so far below its surface; what lies deeper is shadow, mm.
BONE_MM = 1.4
#: A pose with the probe turned or beside the plane shows less of what runs along it.
_LEAST_THICKNESS_MM = 0.25


@dataclass(frozen=True, slots=True)
class Offset:
    """How far the scanned plane lies beside the one that was meant: at its middle (mm), and how it turns away (tangent)."""

    slide_mm: float = 0.0
    turn: float = 0.0

    def at(self, u: Floats) -> Floats:
        """Distance of the two planes, mm."""
        return np.asarray(self.slide_mm + self.turn * u, np.float32)


@dataclass(frozen=True, slots=True)
class Oval:
    """A structure cut across; `axes` are full widths."""

    name: str | None
    tissue: Tissue
    centre: Point
    axes: Point
    turn_deg: float = 0.0

    def box(self) -> tuple[float, float, float, float]:
        """Least and largest u and v."""
        reach = max(self.axes) / 2
        return self.centre[0] - reach, self.centre[0] + reach, self.centre[1] - reach, self.centre[1] + reach

    def reach(self, u: Floats, v: Floats) -> Floats:
        """0 in the middle, 1 on the edge."""
        angle = np.radians(self.turn_deg)
        x, y = u - self.centre[0], v - self.centre[1]
        along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
        return np.asarray(np.hypot(2 * along / self.axes[0], 2 * across / self.axes[1]), np.float32)

    def covers(self, u: Floats, v: Floats, offset: Offset) -> Mask:
        """Where it is."""
        del offset
        return np.asarray(self.reach(u, v) < 1)


@dataclass(frozen=True, slots=True)
class Ring:
    """The upper half of an oval's rim."""

    name: str | None
    tissue: Tissue
    oval: Oval
    thickness_mm: float

    def box(self) -> tuple[float, float, float, float]:
        """Least and largest u and v."""
        left, right, top, bottom = self.oval.box()
        more = self.thickness_mm
        return left - more, right + more, top - more, bottom + more

    def covers(self, u: Floats, v: Floats, offset: Offset) -> Mask:
        """Where it is."""
        del offset
        width, height = self.oval.axes
        wider = replace(self.oval, axes=(width + 2 * self.thickness_mm, height + 2 * self.thickness_mm))
        rim = (self.oval.reach(u, v) >= 1) & (wider.reach(u, v) < 1)
        return np.asarray(rim & (v < self.oval.centre[1]))


@dataclass(frozen=True, slots=True)
class Strand:
    """A structure cut along: it follows a line, and is a round bar, so that beside its axis less of it is met."""

    name: str | None
    tissue: Tissue
    points: tuple[Point, ...]
    thickness_mm: float

    def box(self) -> tuple[float, float, float, float]:
        """Least and largest u and v."""
        u, v = zip(*self.points, strict=True)
        return min(u), max(u), min(v) - self.thickness_mm, max(v) + self.thickness_mm

    def middle(self, u: Floats) -> Floats:
        """Depth of its middle line."""
        known_u, known_v = zip(*self.points, strict=True)
        return np.asarray(np.interp(u, known_u, known_v), np.float32)

    def covers(self, u: Floats, v: Floats, offset: Offset) -> Mask:
        """Where it is."""
        chord = 2 * np.sqrt(np.clip((self.thickness_mm / 2) ** 2 - offset.at(u) ** 2, 0, None))
        inside = (u > self.points[0][0]) & (u < self.points[-1][0]) & (chord > min(_LEAST_THICKNESS_MM, self.thickness_mm / 2))
        return np.asarray(inside & (np.abs(v - self.middle(u)) < chord / 2))


@dataclass(frozen=True, slots=True)
class Bone:
    """A surface that nothing passes: its points from left to right."""

    name: str | None
    points: tuple[Point, ...]
    tissue: Tissue = "bone"

    def box(self) -> tuple[float, float, float, float]:
        """Least and largest u and v; below it lies its shadow."""
        u, v = zip(*self.points, strict=True)
        return min(u), max(u), min(v) - 0.5, np.inf

    def depth(self, u: Floats) -> Floats:
        """How deep the surface lies; infinity beside the bone. Rounded between its points."""
        known_u, known_v = np.array(self.points).T
        share = np.clip(np.interp(u, known_u, np.arange(len(known_u))), 0, len(known_u) - 1)
        left = np.minimum(share.astype(np.int64), len(known_u) - 2)
        part = share - left
        eased = 0.5 * part + 0.5 * part * part * (3 - 2 * part)
        depth = known_v[left] + eased * (known_v[left + 1] - known_v[left])
        return np.asarray(np.where((u < known_u[0]) | (u > known_u[-1]), np.inf, depth), np.float32)

    def covers(self, u: Floats, v: Floats, offset: Offset) -> Mask:
        """Its surface and what is named below it."""
        del offset
        below = v - self.depth(u)
        return np.asarray((below > -0.2) & (below < BONE_MM))


Shape = Oval | Ring | Strand | Bone


class _Where(NamedTuple):
    """Places in the section, and in the frozen noise, mm."""

    u: Floats
    v: Floats
    x: Floats
    y: Floats


def echogenicity(shape: Shape, fields: Fields, u: Floats, v: Floats, place: Point) -> Floats:
    """Power relative to plain muscle of a shape's tissue at (u, v); `place` is a person's own piece of the frozen noise, mm."""
    where = _Where(u, v, np.asarray(u + place[0], np.float32), np.asarray(v + place[1], np.float32))
    return np.asarray(_ANSWERS[shape.tissue](shape, fields, where), np.float32)


_Answer = Callable[[Shape, Fields, _Where], Floats]


def _dots(level: float, contrast: float) -> _Answer:
    def answer(shape: Shape, fields: Fields, where: _Where) -> Floats:
        del shape
        return np.asarray(level * sample(fields.texture, where.y, where.x, *_DOT) ** contrast, np.float32)

    return answer


def _lines(level: float, contrast: float, cell: tuple[float, float]) -> _Answer:
    def answer(shape: Shape, fields: Fields, where: _Where) -> Floats:
        across = where.y - shape.middle(where.u) if isinstance(shape, Strand) else where.y
        return np.asarray(level * (1 + contrast * sample(fields.streaks, across, where.x, *cell)), np.float32)

    return answer


def _plain(level: float) -> _Answer:
    def answer(shape: Shape, fields: Fields, where: _Where) -> Floats:
        del shape, fields
        return np.full_like(where.u, level)

    return answer


def _nerve_across(shape: Shape, fields: Fields, where: _Where) -> Floats:
    """Dark fascicles, round and close, in epineurium that is brightest at the rim."""
    apart = _FASCICLE_MM * _FASCICLES_APART
    row = np.round(where.y / (0.87 * apart)).astype(np.float32)
    odd = np.asarray(0.5 * (row % 2), np.float32)
    column = np.round(where.x / apart - odd).astype(np.float32)
    wobble = 0.25 * apart * sample(fields.slow, row, column, 1.0, 1.0)
    away = np.hypot(where.x - (column + odd) * apart - wobble, where.y - row * 0.87 * apart - 0.5 * wobble)
    rim = shape.reach(where.u, where.v) > _RIM if isinstance(shape, Oval) else np.zeros_like(away, np.bool_)
    return np.asarray(np.where(rim, 4.0, np.where(away < _FASCICLE_MM, 0.08, 0.8)), np.float32)


def _artery(shape: Shape, fields: Fields, where: _Where) -> Floats:
    """Blood, and a wall."""
    del fields
    reach = shape.reach(where.u, where.v) if isinstance(shape, Oval) else np.zeros_like(where.u)
    return np.asarray(np.where(reach < _LUMEN, 0.004, 5.0), np.float32)


_ANSWERS: dict[Tissue, _Answer] = {
    "tendon across": _dots(2.6, 1.6),
    "tendon along": _lines(1.0, 9.0, _LINE),
    "nerve across": _nerve_across,
    "nerve along": _lines(0.35, 9.0, _COARSE_LINE),
    "artery": _artery,
    "ligament": _lines(1.8, 4.0, _LINE),
    "fibrocartilage": _dots(1.9, 0.8),
    "fluid": _plain(0.006),
    "pulley": _plain(0.07),
    "retinaculum": _lines(2.2, 3.0, _COARSE_LINE),
    "muscle": _lines(0.28, 12.0, _COARSE_LINE),
    "bone": _plain(0.02),
}
#: What answers less when the beam does not meet it at a right angle.
ANISOTROPIC: frozenset[Tissue] = frozenset(("tendon across", "tendon along", "nerve across", "nerve along", "ligament"))
