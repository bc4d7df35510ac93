"""One simulated person: anatomy in millimetres and degrees, and the tissue's texture frozen in material coordinates."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Floats = npt.NDArray[np.float32]

#: Cells of the material fields: across the fascicles and along them, mm.
ACROSS_MM = 0.08
ALONG_MM = 0.25
#: Cells of the field of slow changes, mm.
SLOW_ACROSS_MM = 0.25
SLOW_ALONG_MM = 0.8
_SHORTEST_FASCICLE_MM = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Anatomy:
    """What a person has. Angles of aponeuroses are to the image's horizontal, positive when they sink to the right."""

    fat_mm: float
    thickness_mm: float
    pennation_rest_deg: float
    pennation_peak_deg: float
    superficial_tilt_deg: float
    deep_tilt_deg: float
    bump_mm: float
    bump_wavelength_mm: float
    bump_phase: float
    aponeurosis_mm: float
    curvature_deg: float
    thickening: float
    second_muscle_mm: float
    second_pennation_deg: float
    has_third_line: bool
    is_mirrored: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Echoes:
    """How strongly each tissue answers, as power relative to plain muscle."""

    streak_gain: float
    angle_scale_deg: float
    fat: float
    septum_gain: float
    aponeurosis: float
    specular: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Fields:
    """Frozen noise in material coordinates; every field wraps round."""

    texture: Floats  # (1024, 512) echogenicity of the muscle's matrix, mean about 1
    streaks: Floats  # (1024, 512) perimysium, 0 where there is none
    fascicles: Floats  # (1024, 512) 1 on the centre lines that an observer would draw
    slow: Floats  # (256, 256) unit variance
    real: Floats  # (1024, 1024) scatterers
    imaginary: Floats  # (1024, 1024)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A person drawn from a seed."""

    name: str
    anatomy: Anatomy
    echoes: Echoes
    fields: Fields


def draw_subject(seed: int) -> Subject:
    """The same seed gives the same person."""
    random = np.random.default_rng([seed, 1])
    return Subject(name=f"calf-{seed:06d}", anatomy=_draw_anatomy(random), echoes=draw_echoes(random), fields=draw_fields(random))


def _draw_anatomy(random: np.random.Generator) -> Anatomy:
    draw = random.uniform
    rest = float(np.clip(random.normal(17.5, 3.5), 9, 27))
    return Anatomy(
        fat_mm=draw(2.5, 11),
        thickness_mm=float(np.clip(random.normal(18, 3.5), 10, 26)),
        pennation_rest_deg=rest,
        pennation_peak_deg=rest + draw(5, 13),
        superficial_tilt_deg=draw(-4, 4),
        deep_tilt_deg=draw(-4, 7),
        bump_mm=draw(0, 0.5),
        bump_wavelength_mm=draw(25, 60),
        bump_phase=draw(0, 2 * np.pi),
        aponeurosis_mm=draw(0.5, 1.3),
        curvature_deg=draw(-4, 4),
        thickening=draw(-0.02, 0.06),
        second_muscle_mm=draw(8, 22),
        second_pennation_deg=draw(-25, 25),
        has_third_line=bool(random.random() < 0.35),
        is_mirrored=bool(random.random() < 0.5),
    )


def draw_echoes(random: np.random.Generator) -> Echoes:
    """Of one person."""
    draw = random.uniform
    return Echoes(
        streak_gain=float(np.exp(draw(np.log(20), np.log(160)))),
        angle_scale_deg=draw(28, 60),
        fat=float(np.exp(draw(np.log(0.15), np.log(3)))),
        septum_gain=float(np.exp(draw(np.log(5), np.log(120)))),
        aponeurosis=float(np.exp(draw(np.log(30), np.log(200)))),
        specular=draw(0.2, 1.5),
    )


def draw_fields(random: np.random.Generator) -> Fields:
    """Of one person."""
    matrix = _smooth_noise(random, (1024, 512), (3.5, 16))
    streak = _smooth_noise(random, (1024, 512), (random.uniform(1.2, 2.0), random.uniform(16, 30)))
    slow = _smooth_noise(random, (256, 256), (2, 5))
    fine = _smooth_noise(random, (1024, 512), (4, 9))
    threshold = random.uniform(0.7, 1.3)
    breaks = np.clip(0.55 + 0.9 * fine, 0, 1.6)
    streaks = (np.clip(streak - threshold, 0, None) / 0.6 * breaks).astype(np.float32)
    texture = np.exp(random.uniform(0.7, 1.4) * matrix - 0.5).astype(np.float32)
    scatterers = random.standard_normal((2, 1024, 1024), dtype=np.float32)
    fascicles = _visible_fascicles(streak, streaks)
    return Fields(texture=texture, streaks=streaks, fascicles=fascicles, slow=slow, real=scatterers[0], imaginary=scatterers[1])


def _visible_fascicles(streak: Floats, streaks: Floats) -> Floats:
    """Ridges of the streaks that are bright and long enough for an observer to draw."""
    ridge = (streak >= ndimage.maximum_filter1d(streak, 7, axis=0, mode="wrap")) & (streaks > 0.3)
    thick = ndimage.binary_closing(ndimage.binary_dilation(ridge, np.ones((3, 3))), np.ones((3, 9)))
    labels, _ = ndimage.label(thick, np.ones((3, 3)))
    parts = ndimage.find_objects(labels)
    long_enough = np.array([False] + [(part[1].stop - part[1].start) * ALONG_MM >= _SHORTEST_FASCICLE_MM for part in parts])
    return np.asarray(long_enough[labels], np.float32)


def _smooth_noise(random: np.random.Generator, shape: tuple[int, int], sigma: tuple[float, float]) -> Floats:
    noise = ndimage.gaussian_filter(random.standard_normal(shape, dtype=np.float32), sigma, mode="wrap")
    return np.asarray((noise - noise.mean()) / noise.std(), np.float32)
