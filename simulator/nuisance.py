"""Pictures that are no muscle: a probe in air, speckle alone, layers without aponeuroses, a round cross-section."""

from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from simulator.bmode import Pixels, image
from simulator.device import draw_device
from simulator.tissue import Grid

Floats = npt.NDArray[np.floating]
Nuisance = Literal["air", "speckle", "layers", "vessels", "bone"]


def simulate_nuisance(seed: int, kind: Nuisance | None = None) -> Pixels:
    """One sector (rows, columns) uint8 without a muscle; the kind is drawn from the seed where none is given."""
    random = np.random.default_rng([seed, 5])
    drawn: Nuisance = kind or get_args(Nuisance)[int(random.integers(len(get_args(Nuisance))))]
    grid = Grid()
    x, y = grid.points()
    paint = {"air": _air, "speckle": _speckle, "layers": _layers, "vessels": _vessels, "bone": _bone}[drawn]
    echogenicity = np.clip(paint(random, x, y), 1e-7, None)
    noise = random.standard_normal((2, grid.rows, grid.columns), dtype=np.float32)
    scatter = ((noise[0] + 1j * noise[1]) * np.sqrt(echogenicity)).astype(np.complex64)
    return image(scatter, draw_device(seed), grid, random)


def _air(random: np.random.Generator, x: Floats, y: Floats) -> Floats:
    """Reverberation of the probe's own face: level lines that fade within a centimetre or two."""
    spacing, fade = random.uniform(0.6, 3.0), random.uniform(2, 12)
    lines = np.exp(-(((y % spacing) - spacing / 2) ** 2) / 0.02)
    return np.asarray((0.02 + 30 * lines) * np.exp(-2 * y / fade) + 0 * x)


def _speckle(random: np.random.Generator, x: Floats, y: Floats) -> Floats:
    """Scatterers with slow random changes and nothing else."""
    shape = (y.shape[0], x.shape[1])
    slow = ndimage.gaussian_filter(random.standard_normal(shape), random.uniform(5, 30))
    return np.asarray(np.exp(random.uniform(0, 2) * slow / slow.std()))


def _layers(random: np.random.Generator, x: Floats, y: Floats) -> Floats:
    """Skin, fat and other layers with soft borders."""
    level = np.full((y.shape[0], x.shape[1]), 1.0)
    for _ in range(int(random.integers(1, 5))):
        edge = random.uniform(3, 40) + (x - 24) * np.tan(np.radians(random.uniform(-6, 6)))
        level = level * np.exp(random.uniform(-1.2, 1.2) / (1 + np.exp(-(y - edge) / random.uniform(0.5, 2))))
    grain = ndimage.gaussian_filter(random.standard_normal(level.shape), (random.uniform(1, 4), random.uniform(3, 12)))
    return np.asarray(level * np.exp(random.uniform(0.2, 1.0) * grain / grain.std()))


def _vessels(random: np.random.Generator, x: Floats, y: Floats) -> Floats:
    """Tissue cut across: dark lumens and bright-rimmed rounds."""
    level = _speckle(random, x, y)
    for _ in range(int(random.integers(1, 6))):
        centre, radius = (random.uniform(4, 44), random.uniform(5, 35)), random.uniform(1, 6)
        reach = np.hypot((x - centre[0]) / random.uniform(0.8, 1.8), y - centre[1]) / radius
        level = np.where(reach < 1, level * 10 ** random.uniform(-3, 0), level)
        level = level + 20 * random.uniform(0, 1) * np.exp(-(((reach - 1) * radius / 0.4) ** 2))
    return np.asarray(level)


def _bone(random: np.random.Generator, x: Floats, y: Floats) -> Floats:
    """One curved bright cortex with a shadow under it."""
    level = _layers(random, x, y)
    middle, depth, bend = random.uniform(10, 38), random.uniform(6, 25), random.uniform(0.005, 0.06)
    cortex = depth + bend * (x - middle) ** 2
    shadow = np.where(y > cortex, 10 ** random.uniform(-4, -2), 1.0)
    return np.asarray(level * shadow + 200 * np.exp(-(((y - cortex) / 0.4) ** 2)))
