"""Trains of motor units from the velocity of every pixel: before the network `mu_twitch` is asked, and after it has answered."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import linalg, ndimage

from service.core.measure.motor_maps import Floats, Mask

Doubles = npt.NDArray[np.float64]

#: Tissue keeps its volume: round a territory it moves the other way, by about this share and so far.
_RIM, _RIM_PIXELS = 0.2, 3
_EDGE_PIXELS = 0.8
#: Of each unit's own power, so that of two on the same place neither becomes huge.
_RIDGE = 0.02
#: Round a territory, and of what moves there: more is noise. Tried on validation muscles: 12 to 25 are alike.
_REACH_PIXELS = 4
_COMPONENTS = 12


def unmixed(velocity: Floats, masks: Sequence[Mask]) -> Floats:
    """Trains (N, T), mm/s, that with the patterns of all N territories come nearest to velocity (T, H, W)."""
    patterns = np.stack([pattern(mask).ravel() for mask in masks])  # (N, H W)
    common = patterns @ patterns.T
    seen = patterns @ velocity.reshape(len(velocity), -1).T  # (N, T)
    return np.asarray(np.linalg.solve(common + _RIDGE * np.diag(np.diag(common)), seen), np.float32)


def pattern(mask: Mask) -> Doubles:
    """(H, W): how tissue moves with a unit of this territory, about 1 inside and the other way round it."""
    rim = ndimage.binary_dilation(mask, iterations=_RIM_PIXELS) & ~mask
    return np.asarray(ndimage.gaussian_filter(mask - _RIM * rim, _EDGE_PIXELS))


def seen(train: Floats, velocity: Floats, mask: Mask) -> Floats:
    """What the velocity (T, H, W) in and round a territory bears out of a train (T,), both within the band of twitches.

    A twitch train moves every pixel of its territory in proportion, so it lies among the strongest principal components there;
    what a network adds to it does not.
    """
    inside = velocity[:, ndimage.binary_dilation(mask, iterations=_REACH_PIXELS)].astype(np.float64)  # (T, pixels)
    last = len(inside) - 1
    _, components = linalg.eigh(inside @ inside.T, subset_by_index=[last - _COMPONENTS + 1, last])  # (T, 12)
    return np.asarray(components @ (components.T @ (train - train.mean())), np.float32)
