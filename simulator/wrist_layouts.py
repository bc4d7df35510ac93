"""The fifteen standard planes of `service.core.wrist_planes` as sections of one hand, in millimetres.

Published sizes: median nerve at the inlet 8.68 mm2 (8.22 to 9.13 over 73 studies), flattening 2.66 +- 0.54, carpal tunnel
10.4 +- 1.1 mm deep. The others are ours, of the size that textbooks give.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from simulator.wrist_shapes import Bone, Oval, Point, Ring, Shape, Strand, Tissue


@dataclass(frozen=True, slots=True, kw_only=True)
class Hand:
    """What differs between people; sizes are of a hand of usual size, mm."""

    nerve_mm2: float
    nerve_flattening: float
    #: Tunnel at the inlet, from the retinaculum to the bones.
    tunnel_mm: float
    #: Tendons, vessels and gaps are so much thicker than usual.
    tendon: float
    vessel: float
    gap: float
    #: One number a structure, standard normal: where it lies beside its usual place.
    jitter: tuple[float, ...]

    def nerve_axes(self) -> Point:
        """Width and height of the median nerve at the inlet."""
        height = float(np.sqrt(4 / np.pi * self.nerve_mm2 / self.nerve_flattening))
        return height * self.nerve_flattening, height


_JITTER_MM = 0.35
#: Each plane takes its own part of the hand's jitter.
_APART = 37
_WIDE = 24.0  # beyond the probe's ends


class _Section:
    """Puts shapes together, each a little beside its usual place."""

    def __init__(self, hand: Hand, first: int) -> None:
        self.hand = hand
        self.shapes: list[Shape] = []
        self._drawn = first

    def oval(self, name: str | None, at: Point, axes: Point, tissue: Tissue = "tendon across", turn_deg: float = 0.0) -> Oval:
        shape = Oval(name, tissue, self._beside(at), axes, turn_deg)
        self.shapes.append(shape)
        return shape

    def tendon(self, name: str, at: Point, axes: Point, turn_deg: float = 0.0) -> Oval:
        return self.oval(name, at, (axes[0] * self.hand.tendon, axes[1] * self.hand.tendon), turn_deg=turn_deg)

    def strand(self, name: str | None, tissue: Tissue, thickness_mm: float, *points: Point) -> None:
        lower = _JITTER_MM * self._draw()
        self.shapes.append(Strand(name, tissue, tuple((u, v + lower) for u, v in points), thickness_mm))

    def ring(self, name: str | None, tissue: Tissue, oval: Oval, thickness_mm: float) -> None:
        self.shapes.append(Ring(name, tissue, oval, thickness_mm))

    def bone(self, name: str | None, *points: Point, beside: Point | None = None) -> None:
        moved, lower = beside or self.bones_place()
        self.shapes.append(Bone(name, tuple((u + moved, v + lower) for u, v in points)))

    def bones_place(self) -> Point:
        return 0.8 * _JITTER_MM * self._draw(), _JITTER_MM * self._draw()

    def dome(self, name: str | None, left: float, right: float, top: float, sag: float = 2.5) -> None:
        """A bone whose surface is highest in its middle."""
        share = np.linspace(-1, 1, 9)
        depths = top + sag * (1 - np.sqrt(np.clip(1 - 0.9 * share**2, 0, 1))) / (1 - np.sqrt(0.1))
        middle, half = (left + right) / 2, (right - left) / 2
        self.bone(name, *((float(middle + half * s), float(d)) for s, d in zip(share, depths, strict=True)))

    def _beside(self, at: Point) -> Point:
        return at[0] + _JITTER_MM * self._draw(), at[1] + 0.6 * _JITTER_MM * self._draw()

    def _draw(self) -> float:
        self._drawn += 1
        return self.hand.jitter[self._drawn % len(self.hand.jitter)]


def layout(plane: str, hand: Hand) -> tuple[Shape, ...]:
    """The shapes of a plane, those behind first. Raises KeyError for a name that is no plane."""
    section = _Section(hand, _APART * list(_LAYOUTS).index(plane))
    _LAYOUTS[plane](section)
    return tuple(section.shapes)


def _s1(s: _Section) -> None:
    s.dome("radius", -15, 14, 4.6, 5.5)
    s.strand(None, "retinaculum", 0.9, (-6, 2.0), (-2, 1.0), (3, 1.1), (6.5, 2.2))
    s.tendon("abductor_pollicis_longus", (-2.2, 2.9), (4.8, 2.3))
    s.tendon("extensor_pollicis_brevis", (2.4, 3.0), (2.5, 1.7))
    s.oval(None, (10.5, 2.4), (2.2 * s.hand.vessel, 1.0), "fluid")  # cephalic vein


def _s2(s: _Section) -> None:
    beside = s.bones_place()  # of one bone, in three pieces
    s.bone("radius", (-_WIDE, 8.2), (-10, 5.2), (-3.2, 4.9), beside=beside)
    s.bone("lister_tubercle", (-3.2, 4.9), (-1.4, 3.3), (0, 2.4), (1.2, 3.1), (2.6, 4.9), beside=beside)
    s.bone("radius", (2.6, 4.9), (9, 5.6), (_WIDE, 8.4), beside=beside)
    s.strand(None, "retinaculum", 0.8, (-14, 2.2), (-4, 1.1), (6, 1.3), (15, 2.6))
    s.tendon("extensor_carpi_radialis_longus", (-9.6, 3.5), (4.6, 2.1))
    s.tendon("extensor_carpi_radialis_brevis", (-5.0, 3.4), (4.0, 2.2))
    s.tendon("extensor_pollicis_longus", (4.2, 3.6), (2.6, 1.8), 15)
    s.tendon("extensor_digitorum", (11.5, 4.0), (6.5, 2.0))


def _s3(s: _Section) -> None:
    s.bone("radius", (-_WIDE, 6.0), (-10, 4.8), (-2, 4.6), (2.6, 5.2), (3.2, 7.0))
    s.dome("ulna", 5.0, 17.5, 4.2, 4.5)
    s.strand(None, "retinaculum", 0.8, (-12, 1.3), (0, 0.9), (9, 1.2), (15, 2.6))
    s.tendon("extensor_digitorum", (-4.5, 2.9), (8.5, 2.6))
    s.tendon("extensor_digiti_minimi", (4.0, 2.9), (2.5, 1.6))


def _s4(s: _Section) -> None:
    s.bone("ulna", (-10, 8.0), (-5.5, 4.6), (-3.0, 4.0), (-0.2, 4.9), (2.6, 4.1), (5.2, 4.7), (9.5, 8.2))
    s.strand(None, "retinaculum", 0.8, (-5, 2.3), (-1, 1.1), (3, 1.1), (6, 2.5))
    s.tendon("extensor_carpi_ulnaris", (-0.2, 3.0), (5.0, 2.7))


def _s5(s: _Section) -> None:
    gap = s.hand.gap
    s.bone("radius", (-_WIDE, 5.4), (-17, 5.0), (-11.5, 4.2), (-10.0, 5.2), (-9.6, 6.8))
    s.dome("lunate", -7.6, -0.6, 5.4, 2.0)
    s.dome("capitate", 1.0, 9.8, 5.6, 1.6)
    s.bone("metacarpal", (11.4, 6.6), (12.0, 5.0), (13.6, 4.6), (_WIDE, 5.0))
    for at, axes in (((-8.6, 6.2), (1.8, 1.9)), ((0.2, 6.6), (1.4, 1.7)), ((10.6, 6.4), (1.3, 1.5))):
        s.oval("joint_space", at, (axes[0] * gap, axes[1] * gap), "fluid")
    s.strand("extensor_digitorum", "tendon along", 1.9 * s.hand.tendon, (-_WIDE, 2.4), (-6, 2.0), (6, 2.6), (_WIDE, 2.4))


def _s6(s: _Section) -> None:
    s.dome("scaphoid", -14.5, -2.0, 5.8, 3.2)
    s.dome("lunate", 1.8, 14.0, 6.0, 3.0)
    s.strand("scapholunate_ligament", "ligament", 1.7, (-3.6, 6.5), (-1, 6.2), (1, 6.2), (3.4, 6.6))
    s.tendon("extensor_carpi_radialis_brevis", (-8.5, 3.2), (4.0, 2.1))
    s.tendon("extensor_digitorum", (4.5, 3.0), (8.0, 2.3))


def _s7(s: _Section) -> None:
    s.bone("ulna", (-_WIDE, 5.6), (-12, 5.2), (-6.0, 4.8), (-4.2, 6.0), (-3.6, 8.0))
    s.dome("triquetrum", 4.5, 15.5, 5.4, 2.4)
    s.oval("triangular_fibrocartilage", (0.3, 7.0), (6.6, 3.2), "fibrocartilage", 12)
    s.strand("extensor_carpi_ulnaris", "tendon along", 2.5 * s.hand.tendon, (-_WIDE, 2.7), (0, 2.6), (_WIDE, 3.0))


def _s8(s: _Section) -> None:
    s.bone("metacarpal", (-_WIDE, 5.6), (-12, 5.2), (-6, 4.2), (-3.2, 3.8), (-1.2, 4.8), (-0.6, 7.0))
    s.bone("phalanx", (1.4, 6.4), (2.2, 4.9), (5, 4.8), (12, 5.4), (_WIDE, 5.4))
    s.oval("joint_space", (0.4, 5.0), (2.1 * s.hand.gap, 1.9 * s.hand.gap), "fluid")
    s.strand("extensor_digitorum", "tendon along", 1.4 * s.hand.tendon, (-_WIDE, 2.6), (-3, 2.0), (2, 2.3), (_WIDE, 2.9))


def _s9(s: _Section) -> None:
    s.bone("phalanx", (-_WIDE, 3.6), (-9, 3.4), (-3.5, 2.7), (-1.6, 2.8), (-0.7, 4.6))
    s.bone("phalanx", (0.9, 4.4), (1.6, 3.2), (4, 3.1), (10, 3.6), (_WIDE, 3.6))
    s.oval("joint_space", (0.1, 3.3), (1.5 * s.hand.gap, 1.3 * s.hand.gap), "fluid")
    s.strand("extensor_digitorum", "tendon along", 1.0 * s.hand.tendon, (-_WIDE, 1.7), (0, 1.2), (_WIDE, 1.8))


def _s10(s: _Section) -> None:
    thickness = s.hand.nerve_axes()[1]
    s.bone("radius", (-_WIDE, 12.8), (-12, 12.0), (-6.2, 11.6), (-5.2, 13.4))
    s.dome("lunate", -3.6, 5.6, 11.0, 1.8)
    s.dome("capitate", 7.4, 20, 11.6, 1.6)
    s.strand("flexor_digitorum", "tendon along", 4.4 * s.hand.tendon, (-_WIDE, 7.2), (0, 7.6), (_WIDE, 7.4))
    s.strand("median_nerve", "nerve along", thickness, (-_WIDE, 3.9), (-6, 3.2), (6, 3.0), (_WIDE, 3.4))
    s.strand(None, "retinaculum", 1.0, (-2, 1.2), (8, 1.0), (18, 1.4))


def _tunnel_tendons(s: _Section, top: float, columns: int) -> None:
    """Superficial and deep flexors in two rows between the nerve and the bones."""
    deep = top + 3.1 * s.hand.tendon
    for row, depth in enumerate((top, deep)):
        for column in range(columns):
            s.tendon("flexor_digitorum", (-1.6 + 3.3 * column + 0.9 * row, depth), (3.2, 2.7))


def _s11(s: _Section) -> None:
    floor = 1.6 + s.hand.tunnel_mm
    s.dome("scaphoid", -18, -8.0, 7.6, 3.5)
    s.dome("lunate", -6.0, 6.0, floor, 1.6)
    s.dome("pisiform", 13.0, 20.5, 4.2, 3.0)
    s.dome("triquetrum", 7.0, 13.0, floor - 0.6, 1.4)
    s.strand(None, "retinaculum", 1.1, (-9, 2.6), (-3, 1.4), (4, 1.3), (12.5, 2.4))
    _tunnel_tendons(s, 6.0, 4)
    s.tendon("flexor_pollicis_longus", (-6.0, 7.2), (3.9, 3.2))
    s.tendon("flexor_carpi_radialis", (-11.2, 4.4), (4.0, 3.0))
    s.oval("ulnar_artery", (9.2, 2.5), (2.3 * s.hand.vessel, 2.3 * s.hand.vessel), "artery")
    s.oval("ulnar_nerve", (11.6, 3.6), (3.0, 1.9), "nerve across")
    s.oval("median_nerve", (-1.8, 3.2), s.hand.nerve_axes(), "nerve across")


def _s12(s: _Section) -> None:
    width, height = s.hand.nerve_axes()
    s.dome("trapezium", -19, -9.5, 5.8, 3.4)
    s.dome("capitate", -7.0, 5.0, 12.0, 1.8)
    s.bone("hamate", (7.4, 13.0), (8.6, 9.0), (9.6, 5.2), (11.0, 4.4), (12.4, 5.2), (13.4, 9.0), (14.5, 12.0))
    s.strand(None, "retinaculum", 1.6, (-10.5, 3.2), (-3, 2.0), (4, 2.0), (10, 3.2))
    _tunnel_tendons(s, 6.6, 3)
    s.tendon("flexor_pollicis_longus", (-6.4, 7.6), (3.8, 3.2))
    s.oval("median_nerve", (-1.6, 4.0), (1.12 * width, 0.92 * height), "nerve across")
    s.oval(None, (-2, 0.7), (16, 1.2), "muscle")  # palmaris brevis and thenar


def _s13(s: _Section) -> None:
    s.dome("pisiform", 5.4, 15.5, 3.6, 3.2)
    s.dome("triquetrum", -6.5, 4.0, 11.0, 1.8)
    s.strand(None, "retinaculum", 1.3, (-15, 5.6), (-4, 6.6), (5.4, 6.8))
    s.strand(None, "retinaculum", 0.7, (-8, 1.4), (0, 1.1), (7, 2.4))
    s.tendon("flexor_digitorum", (-9.5, 8.6), (3.2, 2.7))
    s.tendon("flexor_digitorum", (-5.6, 8.8), (3.2, 2.7))
    s.oval("ulnar_artery", (-0.9, 3.2), (2.5 * s.hand.vessel, 2.4 * s.hand.vessel), "artery")
    s.oval("ulnar_nerve", (2.3, 4.5), (3.3, 2.1), "nerve across")


def _s14(s: _Section) -> None:
    for middle in (-8.2, 8.4):
        s.dome("metacarpal", middle - 6.0, middle + 6.0, 8.8, 3.0)
        tendon = s.tendon("flexor_digitorum", (middle, 4.6), (5.4, 4.2))
        s.ring("pulley", "pulley", tendon, 0.55)
    s.oval(None, (0.1, 6.4), (3.4, 4.4), "muscle")  # lumbrical


def _s15(s: _Section) -> None:
    s.bone("metacarpal", (-_WIDE, 9.6), (-12, 9.0), (-6, 7.9), (-3.6, 7.8), (-2.0, 9.0), (-1.6, 11))
    s.bone("phalanx", (0.8, 10.6), (1.6, 8.8), (6, 8.4), (14, 9.0), (_WIDE, 8.8))
    s.strand("flexor_digitorum", "tendon along", 4.2 * s.hand.tendon, (-_WIDE, 5.4), (-6, 4.8), (4, 5.0), (_WIDE, 5.2))
    top = 5.0 - 2.1 * s.hand.tendon
    s.strand("pulley", "pulley", 0.6, (-8.0, top - 0.3), (-1.4, top - 0.3))
    s.strand("pulley", "pulley", 0.6, (4.6, top - 0.2), (16.5, top - 0.1))


_LAYOUTS: dict[str, Callable[[_Section], None]] = {
    "S1": _s1,
    "S2": _s2,
    "S3": _s3,
    "S4": _s4,
    "S5": _s5,
    "S6": _s6,
    "S7": _s7,
    "S8": _s8,
    "S9": _s9,
    "S10": _s10,
    "S11": _s11,
    "S12": _s12,
    "S13": _s13,
    "S14": _s14,
    "S15": _s15,
}
