"""From torch to the file that Triton serves, and how far the two are apart."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import torch
from torch import nn

_OPSET = 18


def export(
    network: nn.Module,
    example: torch.Tensor | tuple[torch.Tensor, ...],
    path: Path,
    *,
    inputs: Sequence[str],
    outputs: Sequence[str],
) -> None:
    """One file, the batch free; written aside and renamed, so that a server never loads half a network."""
    network.eval()
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_suffix(".writing.onnx")
    torch.onnx.export(
        network,
        example if isinstance(example, tuple) else (example,),
        str(aside),
        input_names=list(inputs),
        output_names=list(outputs),
        dynamic_axes={name: {0: "batch"} for name in (*inputs, *outputs)},
        opset_version=_OPSET,
        dynamo=False,
    )
    onnx.checker.check_model(onnx.load(str(aside)), full_check=True)
    aside.replace(path)


def differences(network: nn.Module, path: Path, *examples: npt.NDArray[np.generic]) -> list[npt.NDArray[np.float64]]:
    """Of each output, ONNX Runtime less torch, absolute; `examples` are one array an input.

    The first of them is asked for alone, the others three at a time.
    """
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [taken.name for taken in session.get_inputs()]
    apart: list[list[npt.NDArray[np.float64]]] = []
    for some in (slice(1), *(slice(start, start + 3) for start in range(1, len(examples[0]), 3))):
        batch = [one[some] for one in examples]
        with torch.inference_mode():
            wanted = network(*map(torch.from_numpy, batch))
        given = dict(zip(names, batch, strict=True))
        pairs = zip(session.run(None, given), wanted if isinstance(wanted, tuple) else (wanted,), strict=True)
        apart.append([np.abs(one.astype(np.float64) - other.numpy()) for one, other in pairs])
    return [np.concatenate(parts) for parts in zip(*apart, strict=True)]


def largest_difference(network: nn.Module, path: Path, examples: npt.NDArray[np.generic]) -> float:
    """Of all outputs."""
    return max(float(one.max()) for one in differences(network, path, examples))


def digests_in(folder: Path) -> dict[int, str]:
    """SHA-256 of the weights of each version in a model's folder."""
    weights = {int(path.parent.name): path for path in folder.glob("*/model.onnx")}
    return {number: hashlib.sha256(weights[number].read_bytes()).hexdigest() for number in sorted(weights)}


def configuration(template: Path, before: str, versions: Sequence[int], version: int, statements: Mapping[str, object]) -> str:
    """Triton's: what is stated of this version, beside what the file before stated of the others."""
    others = [n for n in versions if n != version]
    kept = [line for line in before.splitlines() if any(re.match(rf'parameters {{ key: "\w+_{n}" ', line) for n in others)]
    own = [f'parameters {{ key: "{key}_{version}" value: {{ string_value: "{text}" }} }}' for key, text in statements.items()]
    made = Template(template.read_text(encoding="utf-8"))
    return made.substitute(versions=", ".join(map(str, versions)), parameters="\n".join([*kept, *own]))
