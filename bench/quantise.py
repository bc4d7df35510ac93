"""The served network in int8: static quantisation as QuantizeLinear and DequantizeLinear around the operators (ONNX "QDQ").

Activations are calibrated on simulated subjects that neither training nor any test uses; weights have a scale a channel. The
standardisation of the picture stays in floats. ONNX and its quantiser come from Triton's environment; the service has neither.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.bare_loop import MODEL
from bench.labelled_images import simulated
from service.core.analyses.muscle_architecture import MuscleArchitecture, prepare
from service.core.cine import Pixels

CALIBRATION_SEEDS = 6_000_000


@dataclass(frozen=True, slots=True)
class Recipe:
    """One way to quantise; of the convolutions, those in `in_floats` (places in the graph) stay as they are."""

    activations: str
    operators: tuple[str, ...] = ("Conv",)
    in_floats: tuple[int, ...] = ()


_BETWEEN = ("Conv", "Relu", "MaxPool", "Concat", "Add", "Resize")
RECIPES = {
    "int8 U8S8, convolutions": Recipe("QUInt8"),
    "int8 S8S8, convolutions": Recipe("QInt8"),
    "int8 U8S8, all but first and last": Recipe("QUInt8", in_floats=(0, -1)),
    "int8 U8S8, what lies between too": Recipe("QUInt8", operators=_BETWEEN),
    "int8 U8S8, what lies between too, first and last in floats": Recipe("QUInt8", operators=_BETWEEN, in_floats=(0, -1)),
}


def calibration_images(subjects: int) -> Iterator[Pixels]:
    """Batches (B, 1, S, S) as the service makes them, a few frames of each subject."""
    for labelled in simulated(subjects, "common", CALIBRATION_SEEDS):
        for batch in MuscleArchitecture().inputs(prepare(labelled.cine)):
            yield np.asarray(batch["image"], np.uint8)


def quantise(recipe: Recipe, images: Sequence[Pixels], path: Path) -> None:
    """Write the served network as the recipe says. Needs onnx and onnxruntime on the path."""
    from onnxruntime import quantization  # noqa: PLC0415 - found only once Triton's packages are on the path

    prepared = path.with_suffix(".prepared.onnx")
    quantization.quant_pre_process(str(MODEL), str(prepared), skip_symbolic_shape=True)
    names = _convolutions(prepared)
    quantization.quantize_static(
        str(prepared),
        str(path),
        _Reader(images),
        quant_format=quantization.QuantFormat.QDQ,
        op_types_to_quantize=list(recipe.operators),
        nodes_to_exclude=[names[place] for place in recipe.in_floats],
        per_channel=True,
        activation_type=getattr(quantization.QuantType, recipe.activations),
        weight_type=quantization.QuantType.QInt8,
    )


def _convolutions(path: Path) -> list[str]:
    import onnx  # noqa: PLC0415 - as above

    return [node.name for node in onnx.load(str(path)).graph.node if node.op_type == "Conv"]


class _Reader:
    """What the quantiser asks for calibration data."""

    def __init__(self, images: Sequence[Pixels]) -> None:
        self._left = iter(images)

    def get_next(self) -> dict[str, Any] | None:
        """Inputs by name, None at the end."""
        images = next(self._left, None)
        return None if images is None else {"image": images}
