"""The classical bar: grey-level co-occurrence, local binary patterns and moments of a few frames of each clip."""

import numpy as np
import numpy.typing as npt
from skimage.feature import graycomatrix, graycoprops, local_binary_pattern

Floats = npt.NDArray[np.float64]

_FRAMES = (0, 8, 15)
_LEVELS = 16
_DISTANCES = (1, 2, 4)
_ANGLES = (0.0, np.pi / 4, np.pi / 2, 3 * np.pi / 4)
_PROPERTIES = ("contrast", "homogeneity", "energy", "correlation")
_RADII = (1, 2)


def texture_features(clips: npt.NDArray[np.uint8]) -> Floats:
    """(N, F) of clips (N, T, S, S), the mean over frames."""
    return np.array([np.mean([_of_frame(clip[index]) for index in _FRAMES], axis=0) for clip in clips])


def _of_frame(frame: npt.NDArray[np.uint8]) -> Floats:
    inside = frame > 0
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    sector = frame[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].astype(np.float64)
    z = (sector - sector.mean()) / (sector.std() + 1e-3)
    levels = np.clip((z + 2.5) / 5 * _LEVELS, 0, _LEVELS - 1).astype(np.uint8)
    pairs = graycomatrix(levels, _DISTANCES, _ANGLES, levels=_LEVELS, symmetric=True, normed=True)
    found = [graycoprops(pairs, name).ravel() for name in _PROPERTIES]  # distances x angles: direction tells of fibres
    for radius in _RADII:
        patterns = local_binary_pattern(levels, 8, radius, method="uniform")
        found.append(np.bincount(patterns.astype(np.int64).ravel(), minlength=10) / patterns.size)
    moments = np.array([sector.mean(), sector.std(), (z**3).mean(), (z**4).mean()])
    return np.concatenate([*found, moments])
