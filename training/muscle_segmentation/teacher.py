"""A larger network fills in what people left unlabelled, for a smaller one to learn from (Hinton 2015; of masks, Xie 2020)."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from training.muscle_segmentation.evaluate import predict
from training.muscle_segmentation.model import ServedSegmentation
from training.muscle_segmentation.real import Labelled


def filled_in(items: Sequence[Labelled], teacher: ServedSegmentation) -> list[Labelled]:
    """The same frames; where a head has no label in the sector, the teacher's map, soft, is the target.

    A teacher that was trained on the same fold brings nothing of its validation frames.
    """
    return [_filled_in(item, maps) for item, maps in zip(items, predict(teacher, items), strict=True)]


def _filled_in(item: Labelled, maps: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> Labelled:
    inside = np.broadcast_to(item.image > 0, item.weights.shape)
    is_unlabelled = inside & (item.weights == 0)
    return replace(
        item,
        targets=np.where(is_unlabelled, maps, item.targets),
        weights=np.where(is_unlabelled, np.uint8(1), item.weights),
    )
