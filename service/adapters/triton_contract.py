"""What core expects of a model against what Triton says that it serves."""

from collections.abc import Iterable
from typing import Any

from service.core.analyses.analysis import ModelSpec, TensorSpec


def mismatches(model: ModelSpec, metadata: Any, max_batch_size: int) -> list[str]:  # noqa: ANN401 - a protobuf message
    """Sentences that name each difference; empty when the model fits."""
    found = []
    if model.model_version not in metadata.versions:
        found.append(f"{model.model_name} has no version {model.model_version}, only {', '.join(metadata.versions)}")
    if max_batch_size < model.max_batch_size:
        found.append(f"{model.model_name} takes batches of {max_batch_size}, {model.max_batch_size} are sent")
    found += _tensor_mismatches(f"{model.model_name} input", model.inputs, metadata.inputs)
    found += _tensor_mismatches(f"{model.model_name} output", model.outputs, metadata.outputs)
    return found


def _tensor_mismatches(what: str, expected: Iterable[TensorSpec], served: Iterable[Any]) -> list[str]:
    known = {tensor.name: tensor for tensor in served}
    found = []
    for spec in expected:
        tensor = known.get(spec.name)
        if tensor is None:
            found.append(f"{what} {spec.name} is missing; there are {', '.join(sorted(known)) or 'none'}")
        elif tensor.datatype != spec.datatype or tuple(tensor.shape) != (-1, *spec.shape):
            served_as = f"{tensor.datatype} {tuple(tensor.shape)}"
            found.append(f"{what} {spec.name} is {served_as}, expected {spec.datatype} {(-1, *spec.shape)}")
    return found
