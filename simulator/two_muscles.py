"""Gastrocnemius over soleus in one picture: three aponeuroses, two muscles that each keep their own texture, one below."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from simulator.calf_states import Muscle, Person
from simulator.subject import ACROSS_MM, ALONG_MM, SLOW_ACROSS_MM, SLOW_ALONG_MM, Anatomy, Echoes, Fields, Floats
from simulator.tissue import SKIN_MM, Grid, Posture, fat, material, sample, scatterers

#: Between the textures of the two muscles, mm: each lies in another part of the fields.
_APART_MM = 20.0
_WIDTH_MM, _ROW_MM, _COLUMNS = 48.0, 0.16, 320
#: No examiner looks at a calf less deep, mm.
_LEAST_DEPTH_MM = 45.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Calf:
    """One person's calf. In a picture the soleus' fascicles rise to the other side, so its anatomy is that of the mirror's."""

    gastrocnemius: Anatomy
    #: Mirrored, its `fat_mm` the depth of the middle aponeurosis.
    soleus: Anatomy
    echoes: Echoes
    fields: Fields
    #: How deep the examiner looks, mm.
    depth_mm: float

    @property
    def grid(self) -> Grid:
        """Sampling that just holds what is looked at."""
        return Grid(rows=round(self.depth_mm / _ROW_MM), columns=_COLUMNS, row_mm=_ROW_MM, column_mm=_WIDTH_MM / _COLUMNS)


@dataclass(frozen=True, slots=True)
class CalfPosture:
    """Both muscles at one moment."""

    gastrocnemius: Posture
    soleus: Posture


def draw_calf(person: Person, echoes: Echoes, fields: Fields, random: np.random.Generator) -> Calf:
    """What the model of states says nothing about: fat, tilts, unevenness, the depth of the picture."""
    draw = random.uniform
    fat_mm, superficial, middle, deep = draw(2.5, 8), draw(-3, 3), draw(-3, 3), draw(-3, 3)
    first = _anatomy(person.gastrocnemius, fat_mm, (superficial, middle), random)
    second = _anatomy(person.soleus, fat_mm + first.thickness_mm, (-middle, -deep), random)
    # The aponeurosis between the two is one surface: the soleus' upper edge follows the gastrocnemius' lower one.
    second = replace(second, aponeurosis_mm=first.aponeurosis_mm, is_mirrored=first.is_mirrored)
    deepest = second.fat_mm + second.thickness_mm * (1 + person.soleus.thickening)
    return Calf(
        gastrocnemius=first, soleus=second, echoes=echoes, fields=fields, depth_mm=max(deepest + draw(4, 12), _LEAST_DEPTH_MM)
    )


def lines_mm(calf: Calf, posture: CalfPosture, grid: Grid) -> npt.NDArray[np.float64]:
    """Depth of the centre lines of the three aponeuroses at each column (3, columns)."""
    first, second = calf.gastrocnemius, calf.soleus
    x, _ = grid.points()
    from_middle = x[0].astype(np.float64) - grid.width_mm / 2
    wave = 2 * np.pi * x[0] / first.bump_wavelength_mm + first.bump_phase
    superficial = first.fat_mm + from_middle * np.tan(np.radians(first.superficial_tilt_deg)) + first.bump_mm * np.sin(wave)
    middle = first.fat_mm + posture.gastrocnemius.thickness_mm + from_middle * np.tan(np.radians(first.deep_tilt_deg))
    middle = middle + 0.5 * first.bump_mm * np.sin(wave / 1.7 + 1.0)
    deep = first.fat_mm + posture.gastrocnemius.thickness_mm + posture.soleus.thickness_mm
    deep = deep - from_middle * np.tan(np.radians(second.deep_tilt_deg)) + 0.5 * first.bump_mm * np.sin(wave / 1.3 + 2.0)
    return np.stack([superficial, middle, deep])


def lay_out_calf(calf: Calf, posture: CalfPosture, grid: Grid) -> npt.NDArray[np.complex64]:
    """Scatterers times the square root of echogenicity (rows, columns), before the scanner sees them."""
    x, y = grid.points()
    fields, echoes = calf.fields, calf.echoes
    superficial, middle, deep = (line[None].astype(np.float32) for line in lines_mm(calf, posture, grid))
    across, along, slope = _material(calf, posture, grid, middle)
    texture = sample(fields.texture, across, along, ACROSS_MM, ALONG_MM)
    streaks = sample(fields.streaks, across, along, ACROSS_MM, ALONG_MM) * np.exp(-((slope / echoes.angle_scale_deg) ** 2))
    echogenicity = texture * (1 + np.where(y > deep, 0.4, 1.0) * echoes.streak_gain * streaks)
    echogenicity = np.where(y > deep, 0.6 * echogenicity, echogenicity)
    echogenicity = np.where(y < superficial, fat(fields, echoes, x, y), echogenicity)
    echogenicity = np.where(y < SKIN_MM, 5.0, echogenicity)
    half = calf.gastrocnemius.aponeurosis_mm / 2
    is_line = np.abs(y - superficial) < half
    is_line = is_line | (np.abs(y - middle) < 1.2 * half) | (np.abs(y - deep) < half)
    slid = np.where(y > 0.5 * (middle + deep), posture.soleus.slide_mm, posture.gastrocnemius.slide_mm)
    patches = sample(fields.slow, np.where(y > middle + half, 40.0, 3.0) + 0 * x, x - slid, SLOW_ACROSS_MM, SLOW_ALONG_MM)
    bright = echoes.aponeurosis * (0.5 + 0.5 * np.clip(1 + patches, 0.2, 2))
    echogenicity = np.where(is_line, bright, echogenicity)
    scatter = scatterers(fields.real, across, along) + 1j * scatterers(fields.imaginary, across, along)
    scatter = scatter * np.sqrt(echogenicity) + np.where(is_line, np.sqrt(echoes.specular * bright), 0)
    return np.asarray(scatter, np.complex64)


def _material(calf: Calf, posture: CalfPosture, grid: Grid, middle: Floats) -> tuple[Floats, Floats, Floats]:
    """Where in the fields each cell's tissue is, and the angle of its lines; below the middle aponeurosis that of the soleus."""
    _, y = grid.points()
    above = material(calf.gastrocnemius, posture.gastrocnemius, grid)
    # The gastrocnemius' deepening is no movement of the soleus, so its depth is counted from where its upper edge now is.
    moved = calf.gastrocnemius.fat_mm + posture.gastrocnemius.thickness_mm
    below = material(replace(calf.soleus, fat_mm=moved), posture.soleus, grid)
    is_below = y > middle
    joined = (np.where(is_below, low[:, ::-1], high) for high, low in zip(above, below, strict=True))
    across, along, slope = joined
    return np.where(is_below, across + _APART_MM, across), np.where(is_below, along + _APART_MM, along), slope


def _anatomy(muscle: Muscle, top_mm: float, tilts_deg: tuple[float, float], random: np.random.Generator) -> Anatomy:
    """Of one muscle at rest, neutral ankle."""
    draw = random.uniform
    return Anatomy(
        fat_mm=top_mm,
        thickness_mm=muscle.thickness_mm,
        pennation_rest_deg=muscle.pennation_deg,
        pennation_peak_deg=muscle.pennation_deg,
        superficial_tilt_deg=tilts_deg[0],
        deep_tilt_deg=tilts_deg[1],
        bump_mm=draw(0, 0.4),
        bump_wavelength_mm=draw(25, 60),
        bump_phase=draw(0, 2 * np.pi),
        aponeurosis_mm=draw(0.5, 1.2),
        curvature_deg=draw(-4, 4),
        thickening=muscle.thickening,
        second_muscle_mm=10.0,
        second_pennation_deg=draw(-20, 20),
        has_third_line=False,
        is_mirrored=bool(random.random() < 0.5),
    )
