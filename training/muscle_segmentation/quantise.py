"""The network in int8: static quantisation as QuantizeLinear and DequantizeLinear around the operators (ONNX "QDQ").

Activations are calibrated on simulated subjects that neither training nor any test uses; weights have a scale a channel. The
standardisation of the picture stays in floats. ONNX and its quantiser are those of training, or of Triton's environment.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from training.muscle_segmentation.simulated import labelled_frames

Images = npt.NDArray[np.uint8]

CALIBRATION_SEEDS = 6_000_000
CALIBRATION_SUBJECTS = 64


@dataclass(frozen=True, slots=True)
class Recipe:
    """One way to quantise; of the convolutions, those in `in_floats` (places in the graph) stay as they are.

    With 7 bits the weights' products cannot overflow where a processor without VNNI adds them in pairs of 16 bits.
    """

    activations: str = "QUInt8"
    operators: tuple[str, ...] = ("Conv",)
    in_floats: tuple[int, ...] = ()
    weights_in_7_bits: bool = False


_BETWEEN = ("Conv", "Relu", "MaxPool", "Concat", "Add", "Resize")
SERVED_RECIPE = Recipe(operators=_BETWEEN, in_floats=(0, -1), weights_in_7_bits=True)


def calibration_images(subjects: int = CALIBRATION_SUBJECTS) -> Iterator[Images]:
    """Three frames (3, 1, S, S) of each subject, as the network is given them."""
    for seed in range(CALIBRATION_SEEDS, CALIBRATION_SEEDS + subjects):
        yield np.stack([item.image for item in labelled_frames(seed)])[:, None]


def quantise(source: Path, recipe: Recipe, images: Sequence[Images], path: Path) -> None:
    """Write the fp32 network of `source` as the recipe says. Needs onnx and onnxruntime on the path."""
    from onnxruntime import quantization  # noqa: PLC0415 - the benchmark finds it only once Triton's packages are on the path

    prepared = path.with_suffix(".prepared.onnx")
    quantization.quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
    names = _convolutions(prepared)
    quantization.quantize_static(
        str(prepared),
        str(path),
        _Reader(images),
        quant_format=quantization.QuantFormat.QDQ,
        op_types_to_quantize=list(recipe.operators),
        nodes_to_exclude=[names[place] for place in recipe.in_floats],
        per_channel=True,
        reduce_range=recipe.weights_in_7_bits,
        activation_type=getattr(quantization.QuantType, recipe.activations),
        weight_type=quantization.QuantType.QInt8,
    )
    prepared.unlink()


def _convolutions(path: Path) -> list[str]:
    import onnx  # noqa: PLC0415 - as above

    return [node.name for node in onnx.load(str(path)).graph.node if node.op_type == "Conv"]


class _Reader:
    """What the quantiser asks for calibration data."""

    def __init__(self, images: Sequence[Images]) -> None:
        self._left = iter(images)

    def get_next(self) -> dict[str, Any] | None:
        """Inputs by name, None at the end."""
        images = next(self._left, None)
        return None if images is None else {"image": images}
