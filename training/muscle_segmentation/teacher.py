"""A larger network fills in what people left unlabelled, for a smaller one to learn from (Hinton 2015; of masks, Xie 2020)."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from torch import Tensor

from training.muscle_segmentation.evaluate import Network, load_network, predict
from training.muscle_segmentation.real import Labelled


class ExportedNetwork:
    """A network of which the exported form alone is left: `weights/teacher.onnx`, or `weights/fp32.onnx` of what is served."""

    def __init__(self, path: Path) -> None:
        self._session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])

    def __call__(self, image: Tensor) -> Tensor:
        """As `ServedSegmentation`."""
        (maps,) = self._session.run(["masks"], {"image": image.numpy()})
        return torch.from_numpy(maps)


def load_teacher(path: Path) -> Network:
    """A checkpoint of `train`, or an exported network."""
    return ExportedNetwork(path) if path.suffix == ".onnx" else load_network(path)


def filled_in(items: Sequence[Labelled], teacher: Network) -> list[Labelled]:
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
