"""Where each tissue is at one moment of a contraction, and how strongly it scatters there.

A fascicle is named by the place `n` at which it meets the deep aponeurosis; `h` is the height above that aponeurosis.
n and h / thickness stay with the tissue, so area is kept exactly: fascicles that shorten move apart.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from simulator.subject import ACROSS_MM, ALONG_MM, SLOW_ACROSS_MM, SLOW_ALONG_MM, Anatomy, Echoes, Fields, Floats, Subject

Mask = npt.NDArray[np.bool_]

SKIN_MM = 1.2


@dataclass(frozen=True, slots=True)
class Grid:
    """Sampling of the scanned plane: y down from the probe, x from its left edge."""

    rows: int = 352
    columns: int = 320
    row_mm: float = 0.13
    column_mm: float = 0.15

    @property
    def width_mm(self) -> float:
        """Along the probe."""
        return self.columns * self.column_mm

    @property
    def depth_mm(self) -> float:
        """From the probe."""
        return self.rows * self.row_mm

    def points(self) -> tuple[Floats, Floats]:
        """Centres of the cells, mm: x (1, columns) and y (rows, 1)."""
        x = ((np.arange(self.columns) + 0.5) * self.column_mm).astype(np.float32)[None]
        return x, ((np.arange(self.rows) + 0.5) * self.row_mm).astype(np.float32)[:, None]


@dataclass(frozen=True, slots=True)
class Posture:
    """The muscle at one moment."""

    pennation_deg: float
    thickness_mm: float
    #: Movement of the deep aponeurosis along the probe since rest.
    slide_mm: float


@dataclass(frozen=True, slots=True)
class Tissue:
    """Maps over the grid. `scatter` is complex: scatterers times the square root of echogenicity."""

    scatter: npt.NDArray[np.complex64]
    aponeurosis: Mask
    fascicle: Mask
    muscle_belly: Mask
    #: A line that observers label on some images only; training leaves it out.
    uncertain: Mask


def posture_at(anatomy: Anatomy, activity: float) -> Posture:
    """`activity` 0 is rest and 1 the strongest contraction."""
    pennation = anatomy.pennation_rest_deg + activity * (anatomy.pennation_peak_deg - anatomy.pennation_rest_deg)
    thickness = anatomy.thickness_mm * (1 + anatomy.thickening * activity)
    reach = thickness / np.tan(np.radians(pennation))
    rest = anatomy.thickness_mm / np.tan(np.radians(anatomy.pennation_rest_deg))
    return Posture(pennation, thickness, 0.5 * float(rest - reach))


def surfaces(anatomy: Anatomy, posture: Posture, grid: Grid) -> tuple[Floats, Floats]:
    """Depth of the centre lines of both aponeuroses at each column (1, columns), mm."""
    x, _ = grid.points()
    centred = x - grid.width_mm / 2
    wave = 2 * np.pi * x / anatomy.bump_wavelength_mm + anatomy.bump_phase
    superficial = anatomy.fat_mm + centred * np.tan(np.radians(anatomy.superficial_tilt_deg)) + anatomy.bump_mm * np.sin(wave)
    deep = anatomy.fat_mm + posture.thickness_mm + centred * np.tan(np.radians(anatomy.deep_tilt_deg))
    return superficial, deep + 0.5 * anatomy.bump_mm * np.sin(wave / 1.7 + 1.0)


def fascicle_slope_deg(anatomy: Anatomy, posture: Posture, height_share: Floats) -> Floats:
    """Angle of the fascicles to the image's horizontal at a share of the belly's height, positive rising to the right."""
    bent = posture.pennation_deg + anatomy.curvature_deg * (np.clip(height_share, 0, 1) - 0.5)
    return np.asarray(bent - anatomy.deep_tilt_deg, np.float32)


def lay_out(subject: Subject, posture: Posture, grid: Grid) -> Tissue:
    """All tissue of one moment, before the scanner sees it."""
    anatomy, fields, echoes = subject.anatomy, subject.fields, subject.echoes
    x, y = grid.points()
    superficial, deep = surfaces(anatomy, posture, grid)
    half = anatomy.aponeurosis_mm / 2
    upper, lower = np.abs(y - superficial) < half, np.abs(y - deep) < 1.1 * half
    belly = (y >= superficial + half) & (y <= deep - 1.1 * half)
    across, along, slope = material(anatomy, posture, grid)
    texture = sample(fields.texture, across, along, ACROSS_MM, ALONG_MM)
    streaks = sample(fields.streaks, across, along, ACROSS_MM, ALONG_MM)
    streaks = streaks * np.exp(-((slope / echoes.angle_scale_deg) ** 2))
    echogenicity = texture * np.where(belly, 1 + echoes.streak_gain * streaks, 1 + 0.4 * echoes.streak_gain * streaks)
    echogenicity = np.where(y > deep, 0.6 * echogenicity, echogenicity)
    echogenicity = np.where(y < superficial, fat(fields, echoes, x, y), echogenicity)
    echogenicity = np.where(y < SKIN_MM, 5.0, echogenicity)
    third = _third_line(anatomy, deep, y, half)
    patches = sample(fields.slow, y * 0 + 3, x - posture.slide_mm, SLOW_ACROSS_MM, SLOW_ALONG_MM)
    broken = 0.5 + 0.5 * np.clip(1 + patches, 0.2, 2)
    lines = upper | lower | third
    echogenicity = np.where(lines, echoes.aponeurosis * broken, echogenicity).astype(np.float32)
    scatter = scatterers(fields.real, across, along) + 1j * scatterers(fields.imaginary, across, along)
    scatter = scatter * np.sqrt(echogenicity) + np.where(lines, np.sqrt(echoes.specular * echoes.aponeurosis * broken), 0)
    drawn = sample(fields.fascicles, across, along, ACROSS_MM, ALONG_MM) > 0.45
    return Tissue(scatter.astype(np.complex64), upper | lower, drawn & belly, belly, third)


def material(anatomy: Anatomy, posture: Posture, grid: Grid) -> tuple[Floats, Floats, Floats]:
    """Material coordinates (mm at rest, across and along the fascicles) and the angle of the tissue's lines, degrees."""
    x, y = grid.points()
    tilt = np.tan(np.radians(anatomy.deep_tilt_deg))
    middle = grid.width_mm / 2
    height = anatomy.fat_mm + posture.thickness_mm + (x - middle) * tilt - y  # above the deep aponeurosis' straight part
    share = height / posture.thickness_mm
    slope = fascicle_slope_deg(anatomy, posture, share)
    # Along a fascicle dh/dx = tan(slope) + tan(tilt); below the deep aponeurosis lies another muscle.
    second = np.float32(anatomy.second_pennation_deg)
    slope = np.where(height < 0, second, slope)
    steps = np.linspace(0, 1.6, 65, dtype=np.float32)
    rise = np.tan(np.radians(fascicle_slope_deg(anatomy, posture, steps))) + tilt
    reach = (
        np.concatenate([[0.0], np.cumsum(0.5 * (1 / rise[1:] + 1 / rise[:-1]))]) * posture.thickness_mm * (steps[1] - steps[0])
    )
    travelled = np.interp(share, steps, reach)
    n = x - middle - posture.slide_mm - np.where(height < 0, 0, travelled)
    rest = np.radians(anatomy.pennation_rest_deg)
    across, along = n * np.sin(rest), share * anatomy.thickness_mm / np.sin(rest)
    # The second muscle only turns with its own angle and slides with the aponeurosis above it.
    c, s = np.cos(np.radians(second)), np.sin(np.radians(second))
    moved = x - middle - posture.slide_mm
    across = np.where(height < 0, -height * c + moved * s + 40, across)
    along = np.where(height < 0, moved * c + height * s + 40, along)
    return across.astype(np.float32), along.astype(np.float32), slope.astype(np.float32)


def fat(fields: Fields, echoes: Echoes, x: Floats, y: Floats) -> Floats:
    """Dark lobules between bright septa that run nearly along the skin."""
    wavy = y + 0.6 * np.sin(x / 7.0) + 0.05 * x
    septa = sample(fields.streaks, wavy, x + 0 * y, 0.12, 0.35)
    return np.asarray(echoes.fat * (1 + echoes.septum_gain * np.clip(septa - 0.3, 0, None)), np.float32)


def _third_line(anatomy: Anatomy, deep: Floats, y: Floats, half: float) -> Mask:
    if not anatomy.has_third_line:
        return np.zeros((y.shape[0], deep.shape[1]), np.bool_)
    return np.asarray(np.abs(y - deep - anatomy.second_muscle_mm) < half)


def scatterers(field: Floats, across: Floats, along: Floats) -> Floats:
    """One part, real or imaginary, of the scatterers at material coordinates in mm."""
    return sample(field, across, along, ACROSS_MM * 1.2, ACROSS_MM * 1.2)


def sample(field: Floats, across: Floats, along: Floats, across_mm: float, along_mm: float) -> Floats:
    """Linear interpolation in a field that wraps round."""
    places = np.stack(np.broadcast_arrays(across / across_mm, along / along_mm))
    return np.asarray(ndimage.map_coordinates(field, places, order=1, mode="grid-wrap"), np.float32)
