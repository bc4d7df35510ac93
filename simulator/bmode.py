"""What the scanner makes of tissue: pulse and beam, envelope, attenuation, noise, log compression, display."""

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from simulator.device import Device
from simulator.subject import Floats
from simulator.tissue import Grid

Pixels = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

_HALF_HEIGHT = 2.355  # width at half height of a Gaussian, in standard deviations
_WHITE_QUANTILE = 0.997


def image(
    scatter: npt.NDArray[np.complex64], device: Device, grid: Grid, random: np.random.Generator, white: float | None = None
) -> Pixels:
    """The displayed frame (rows, columns) uint8. `white` fixes the reference level over a cine; by default this frame's own."""
    envelope = received(scatter, device, grid, random)
    return display(envelope, device, reference_level(envelope) if white is None else white)


def received(scatter: npt.NDArray[np.complex64], device: Device, grid: Grid, random: np.random.Generator) -> Floats:
    """Envelope after time-gain compensation, with the receiver's noise."""
    sigma = (device.axial_mm / _HALF_HEIGHT / grid.row_mm, device.lateral_mm / _HALF_HEIGHT / grid.column_mm)
    real = ndimage.gaussian_filter(scatter.real, sigma, truncate=3.0)
    imaginary = ndimage.gaussian_filter(scatter.imag, sigma, truncate=3.0)
    depth_cm = (np.arange(grid.rows, dtype=np.float32)[:, None] + 0.5) * grid.row_mm / 10
    loss_db = device.attenuation_db_per_cm_mhz * device.frequency_mhz * 2 * depth_cm - device.tgc_db_per_cm * depth_cm
    envelope = np.hypot(real, imaginary) * 10 ** (-loss_db / 20) * _contact(device, grid)
    noise = random.standard_normal((2, grid.rows, grid.columns), dtype=np.float32)
    return np.asarray(envelope + device.noise * np.hypot(noise[0], noise[1]), np.float32)


def reference_level(envelope: Floats) -> float:
    """The amplitude shown as white."""
    return float(np.quantile(envelope[::3, ::3], _WHITE_QUANTILE))


def display(envelope: Floats, device: Device, white: float) -> Pixels:
    """Log compression, gamma, spatial compounding and gain."""
    decibels = 20 * np.log10(envelope / white + 1e-6)
    grey = np.clip(decibels / device.dynamic_range_db + 1, 0, 1) ** device.gamma
    grey = ndimage.gaussian_filter(grey, (0.3 * device.smoothing_pixels, device.smoothing_pixels), truncate=3.0)
    return np.asarray(255 * np.clip(grey * device.gain, 0, 1), np.uint8)


def shown(values: Pixels, grid: Grid, mm_per_pixel: float, *, is_mirrored: bool) -> Pixels:
    """A map over the grid at the square pixels of the display."""
    size = (round(grid.width_mm / mm_per_pixel), round(grid.depth_mm / mm_per_pixel))
    resized = np.asarray(Image.fromarray(values).resize(size, Image.Resampling.BILINEAR))
    return np.ascontiguousarray(resized[:, ::-1]) if is_mirrored else resized


def shown_mask(mask: Mask, grid: Grid, mm_per_pixel: float, *, is_mirrored: bool) -> Mask:
    """The same for what is there or not."""
    return np.asarray(shown(mask.astype(np.uint8) * np.uint8(255), grid, mm_per_pixel, is_mirrored=is_mirrored) > 127)


def _contact(device: Device, grid: Grid) -> Floats:
    """Poor contact at the probe's edge darkens the columns there."""
    share = np.linspace(0, 1, grid.columns, dtype=np.float32)[None]
    return np.asarray(1 - device.edge_shadow / (1 + np.exp((share - 0.08) / 0.02)), np.float32)
