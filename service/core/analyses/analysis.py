"""What every analysis is: which models it needs, which instances it wants, and how it turns a cine into findings."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from service.core.cine import Cine
from service.core.findings import Finding, ModelUsed
from service.core.masks import MaskKeeper

#: Named tensors of one request or answer; the first axis is the batch.
Tensors = Mapping[str, npt.NDArray[np.generic]]


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One input or output: Triton's datatype name and the shape without the batch axis (-1 is free)."""

    name: str
    datatype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """What core expects of a served model; compared with Triton's metadata at start-up, refused by name on a mismatch."""

    model_name: str
    model_version: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    max_batch_size: int
    #: Of Triton's queue: 1 goes first, 0 is the model's usual one. Only a model with priority levels takes another.
    priority: int = 0


#: Runs a stream of batches through one model and yields the answers in the same order; lazy, so memory stays flat.
Infer = Callable[[ModelSpec, Iterable[Tensors]], Iterator[Tensors]]
#: Tells which weights answered (version, SHA-256, evidence, runtime, precision), for provenance.
DescribeModel = Callable[[ModelSpec], ModelUsed]


def apart(analysis: "Analysis", versions: Mapping[str, str]) -> str | None:
    """A sentence that names models left out while other versions are asked of those that they belong to; None without any."""
    names = {model.model_name for model in analysis.models}
    asked, left = names & versions.keys(), names - versions.keys()
    if not asked or not left:
        return None
    return f"The models of {analysis.name} belong together: name a version of {', '.join(sorted(left))} too."


class Analysis(Protocol):
    """One file in this folder. `analyse` is `findings(infer(model, inputs(cine)), cine)` in one form or another."""

    @property
    def name(self) -> str:
        """Stable snake_case name, as in routing rules and reports."""

    @property
    def version(self) -> str:
        """Changes whenever a number could change: geometry, thresholds, preprocessing."""

    @property
    def models(self) -> tuple[ModelSpec, ...]:
        """The models that must be served for this analysis to run."""

    def analyse(self, cine: Cine, infer: Infer, describe: DescribeModel, keep: MaskKeeper | None = None) -> tuple[Finding, ...]:
        """Findings of one cine; never empty: what cannot be measured is a finding too. Masks of frames go to `keep`, if given.

        Raises NotMeasurable, InputRejected.
        """
