"""Which images train, which validate and which are a device never seen: fixed before any training."""

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from training.muscle_segmentation.real import HELD_OUT_DEVICE, Labelled

#: Correlation of small pictures above which two images count as frames of one video.
NEAR_DUPLICATE = 0.72
_VALIDATION_SHARE = 0.18


@dataclass(frozen=True, slots=True)
class Folds:
    """Indices into the list of images; `clusters` numbers the near-duplicate cluster of every image."""

    train: tuple[int, ...]
    validation: tuple[int, ...]
    held_out_device: tuple[int, ...]
    clusters: tuple[int, ...]


def split(images: Sequence[Labelled]) -> Folds:
    """Whole clusters go to one side. Validation takes about a sixth of every device that trains."""
    clusters = near_duplicate_clusters([item.image for item in images])
    members: dict[int, list[int]] = defaultdict(list)
    for index, cluster in enumerate(clusters):
        members[cluster].append(index)
    held_out = {i for i, item in enumerate(images) if item.device == HELD_OUT_DEVICE}
    validation: set[int] = set()
    for device in sorted({item.device for item in images} - {HELD_OUT_DEVICE}):
        validation |= _draw_validation(images, members, device)
    train = tuple(i for i in range(len(images)) if i not in held_out and i not in validation)
    return Folds(train, tuple(sorted(validation - held_out)), tuple(sorted(held_out)), tuple(clusters))


def fold_named(images: Sequence[Labelled], name: str) -> Folds:
    """`served`, `image-0` to `image-4`, or `device-` and the device. Raises KeyError."""
    if name == "served":
        return split(images)
    kind = name.partition("-")[0]
    folds = dict(enumerate(image_folds(images))) if kind == "image" else device_folds(images)
    return {f"{kind}-{key}": fold for key, fold in folds.items()}[name]


def image_folds(images: Sequence[Labelled], count: int = 5) -> list[Folds]:
    """Each image is validated once, with the whole of its near-duplicate cluster; every device is in every fold it can fill."""
    clusters = near_duplicate_clusters([item.image for item in images])
    members: dict[int, list[int]] = defaultdict(list)
    for index, cluster in enumerate(clusters):
        members[cluster].append(index)
    parts: list[list[int]] = [[] for _ in range(count)]
    for device in sorted({item.device for item in images}):
        sizes = [0] * count
        own = [group for group in members.values() if images[group[0]].device == device]
        for group in sorted(own, key=lambda group: (-len(group), images[group[0]].name)):
            smallest = sizes.index(min(sizes))
            sizes[smallest] += len(group)
            parts[smallest] += group
    return [_fold(images, part, (), clusters) for part in parts]


def device_folds(images: Sequence[Labelled]) -> dict[str, Folds]:
    """Each device kept out once; the others train, nothing validates."""
    clusters = near_duplicate_clusters([item.image for item in images])
    devices = sorted({item.device for item in images})
    of = {device: [i for i, item in enumerate(images) if item.device == device] for device in devices}
    return {device: _fold(images, (), of[device], clusters) for device in devices}


def _fold(images: Sequence[Labelled], validation: Sequence[int], device: Sequence[int], clusters: Sequence[int]) -> Folds:
    """The rest trains, but nothing of a cluster that is tested: a near-duplicate can hide on another device."""
    tested = {clusters[i] for i in (*validation, *device)}
    train = tuple(i for i in range(len(images)) if clusters[i] not in tested)
    return Folds(train, tuple(sorted(validation)), tuple(sorted(device)), tuple(clusters))


def near_duplicate_clusters(images: Sequence[npt.NDArray[np.uint8]]) -> list[int]:
    """Cluster number of each image: connected parts of the graph 'correlation of the two small pictures is high'."""
    pictures = np.stack([small(image) for image in images])
    alike = pictures @ pictures.T > NEAR_DUPLICATE
    clusters = list(range(len(images)))
    for i, j in zip(*np.nonzero(np.triu(alike, 1)), strict=True):
        a, b = _root(clusters, int(i)), _root(clusters, int(j))
        clusters[max(a, b)] = min(a, b)
    return [_root(clusters, i) for i in range(len(images))]


def _draw_validation(images: Sequence[Labelled], members: dict[int, list[int]], device: str) -> set[int]:
    """Clusters of one device in an order that depends on names alone, until the share is reached."""
    own = [group for group in members.values() if images[group[0]].device == device]
    own.sort(key=lambda group: hashlib.sha256(images[group[0]].name.encode()).hexdigest())
    wanted = _VALIDATION_SHARE * sum(len(group) for group in own)
    drawn: set[int] = set()
    for group in own:
        if len(drawn) + len(group) <= 1.15 * wanted:
            drawn |= set(group)
    return drawn


def small(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """64 x 64, without slow changes of brightness, of unit length."""
    grey = image.astype(np.float64).reshape(64, 4, 64, 4).mean((1, 3))
    detail = ndimage.gaussian_filter(grey, 0.8) - ndimage.gaussian_filter(grey, 6)
    detail -= detail.mean()
    return np.asarray(detail.ravel() / (np.linalg.norm(detail) + 1e-9))


def _root(clusters: list[int], index: int) -> int:
    while clusters[index] != index:
        index = clusters[index]
    return index
