"""Velocity of tissue towards greater depth, from B-mode frames alone: the gradient method, least squares over a neighbourhood.

Brightness is carried along by tissue, so its change in time is velocity times its gradient (Lucas and Kanade 1981). At 250 frames
a second tissue moves by hundredths of a pixel from frame to frame: small enough for the gradient, and far too small for matching
of blocks, whose steps are pixels. There is no phase in a B-mode frame, so no tissue Doppler (Kasai 1985).
"""

from collections import deque
from collections.abc import Iterable, Iterator

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage

Floats = npt.NDArray[np.float32]

#: Frames that a straight line is laid through in time: 20 ms at 250 frames a second, half of the quickest twitch's rise.
WINDOW = 5
#: Of the neighbourhood, in velocity pixels, standard deviation.
_NEIGHBOURHOOD = 1.0
#: Added to the mean square gradient (grey levels a pixel), so that velocity is 0 where nothing is seen.
_LEAST_GRADIENT = 1.0


def tissue_velocity(
    frames: Iterable[npt.NDArray[np.uint8]], *, mm_per_pixel: float, frame_rate_hz: float, shape: tuple[int, int] = (64, 64)
) -> Floats:
    """(T, *shape) mm/s, as `velocities` gives them one by one. Raises ValueError for fewer than five frames."""
    return np.stack(list(velocities(frames, mm_per_pixel=mm_per_pixel, frame_rate_hz=frame_rate_hz, shape=shape)))


def velocities(
    frames: Iterable[npt.NDArray[np.uint8]], *, mm_per_pixel: float, frame_rate_hz: float, shape: tuple[int, int] = (64, 64)
) -> Iterator[Floats]:
    """`shape` mm/s, positive away from the probe, of each frame (H, W) of the calibrated sector; only axial motion is seen.

    Five frames are held at a time. The first and last two images are those beside them. Raises ValueError for fewer than five
    frames.
    """
    recent: deque[Floats] = deque(maxlen=WINDOW)
    beside, image = WINDOW // 2, None
    for frame in frames:
        recent.append(frame.astype(np.float32))
        if len(recent) < WINDOW:
            continue
        is_first = image is None
        image = _shift(recent, shape) * np.float32(mm_per_pixel * frame_rate_hz)
        yield from [image] * (1 + beside if is_first else 1)
    if image is None:
        raise ValueError(f"{len(recent)} frames are too few for velocity: at least {WINDOW} are needed")
    yield from [image] * beside


def _shift(window: deque[Floats], shape: tuple[int, int]) -> Floats:
    """`shape`: pixels a frame towards greater depth."""
    first, second, middle, fourth, fifth = window
    change = (2 * (fifth - first) + fourth - second) / 10  # slope of the straight line that fits best
    gradient = np.asarray(np.gradient((first + second + middle + fourth + fifth) / WINDOW, axis=0), np.float32)
    return np.asarray(-_near(gradient * change, shape) / (_near(gradient * gradient, shape) + _LEAST_GRADIENT), np.float32)


def _near(products: npt.NDArray[np.floating], shape: tuple[int, int]) -> Floats:
    """Mean over each velocity pixel and, with less weight, over those round it."""
    means = cv2.resize(products, shape[::-1], interpolation=cv2.INTER_AREA)
    return np.asarray(ndimage.gaussian_filter(means, _NEIGHBOURHOOD, mode="nearest", truncate=3.0), np.float32)
