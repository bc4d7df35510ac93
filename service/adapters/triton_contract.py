"""What core expects of a model against what Triton says that it serves, and against each answer."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from tritonclient.utils import triton_to_np_dtype

from service.core.analyses.analysis import ModelSpec, TensorSpec
from service.errors import ModelContractError


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


def weights_key(model: ModelSpec) -> str:
    """The parameter of config.pbtxt that holds the SHA-256 of this version's weights; each version has one of its own."""
    return f"weights_sha256_{model.model_version}"


def stated(model: ModelSpec, parameters: Mapping[str, str], key: str) -> str | None:
    """What config.pbtxt says of this version (`key`_VERSION), or else of all versions (`key`); None where it is silent."""
    return parameters.get(f"{key}_{model.model_version}", parameters.get(key))


def unsaid(model: ModelSpec, parameters: Mapping[str, str]) -> list[str]:
    """Sentences that name what config.pbtxt does not say and every finding must; empty when all is there."""
    name, key, found = model.model_name, weights_key(model), []
    if not parameters.get(key):
        found.append(
            f"{name}: the weights of version {model.model_version} are not known;"
            f" give their SHA-256 in config.pbtxt as parameter {key}"
        )
    if stated(model, parameters, "evidence") not in {"simulated", "real"}:
        found.append(f"{name}: give the parameter evidence in config.pbtxt as simulated or real")
    return found


def check_answer(model: ModelSpec, response: Any, rows: int) -> None:  # noqa: ANN401 - a protobuf message
    """The answer's version and each output's name, type and shape. Raises ModelContractError."""
    if response.model_version != model.model_version:
        raise ModelContractError(
            f"{model.model_name}: version {response.model_version} answered, version {model.model_version} was asked"
        )
    outputs = {output.name: output for output in response.outputs}
    for spec in model.outputs:
        output = outputs.get(spec.name)
        if output is None:
            raise ModelContractError(f"{model.model_name} gave no output {spec.name}")
        expected = (rows, *spec.shape)
        if output.datatype != spec.datatype or not _fits(expected, tuple(output.shape)):
            answered = f"{output.datatype} {tuple(output.shape)}"
            raise ModelContractError(
                f"{model.model_name} answered {spec.name} as {answered}, expected {spec.datatype} {expected}"
            )


def check_numbers(model: ModelSpec, answers: Mapping[str, npt.NDArray[np.generic]]) -> None:
    """Floating-point outputs hold numbers only. Raises ModelContractError."""
    for name, array in answers.items():
        if np.issubdtype(array.dtype, np.floating) and not np.isfinite(array).all():
            raise ModelContractError(f"{model.model_name} answered {name} with values that are not numbers")


def numpy_type(spec: TensorSpec) -> np.dtype[Any]:
    """The array type of Triton's datatype name."""
    found: np.dtype[Any] = np.dtype(triton_to_np_dtype(spec.datatype))
    return found


def _fits(expected: tuple[int, ...], served: tuple[int, ...]) -> bool:
    return len(expected) == len(served) and all(want in (-1, got) for want, got in zip(expected, served, strict=True))


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
