"""Average stages of one training: `python -m training.muscle_segmentation.average --runs A B --weights .5 .5 --out C`.

Fine-tuned from one another, such networks lie in one basin, and a mean of their weights is often better than each (Izmailov 2018,
"Averaging weights leads to wider optima"; Wortsman 2022, "Model soups"). Its graph, and so its time, is theirs.
"""

import argparse
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from training.loop import save

Weights = Mapping[str, Tensor]


def main() -> None:
    """Write `last.pt`, with the stages of each part and its share."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=Path, nargs="+", required=True, help="folders with last.pt, of networks of one kind")
    parser.add_argument("--weights", type=float, nargs="+", required=True, help="share of each run; together 1")
    parser.add_argument("--out", type=Path, required=True, help="folder for last.pt")
    given = parser.parse_args()
    try:
        average_runs(given.runs, given.weights, given.out)
    except ValueError as error:
        parser.error(str(error))


def average_runs(runs: Sequence[Path], shares: Sequence[float], out: Path) -> None:
    """As `main`; ValueError says which argument does not fit."""
    if len(runs) != len(shares):
        raise ValueError(f"{len(runs)} runs but {len(shares)} weights: give one weight for each run")
    if not math.isclose(sum(shares), 1.0, abs_tol=1e-6):
        raise ValueError(f"the weights come to {sum(shares):g}: they must come to 1")
    kept = [torch.load(run / "last.pt", weights_only=True) for run in runs]
    out.mkdir(parents=True, exist_ok=True)
    save(averaged(kept, shares), out / "last.pt")


def averaged(checkpoints: Sequence[Mapping[str, Any]], shares: Sequence[float]) -> dict[str, Any]:
    """One checkpoint; `averaged` tells the share and the stages of each part, `stages` is of the part with the most of them."""
    names = [{name: tuple(value.shape) for name, value in one["weights"].items()} for one in checkpoints]
    if any(other != names[0] for other in names):
        raise ValueError("the runs are of different networks: only networks of one kind can be averaged")
    return {
        "weights": _mean([one["weights"] for one in checkpoints], shares),
        "stages": max((one["stages"] for one in checkpoints), key=len),
        "averaged": [{"share": share, "stages": one["stages"]} for one, share in zip(checkpoints, shares, strict=True)],
    }


def _mean(parts: Sequence[Weights], shares: Sequence[float]) -> dict[str, Tensor]:
    """Weighted, in double precision; what is counted, such as batches seen, is the first part's."""
    found = {}
    for name, first in parts[0].items():
        found[name] = first
        if first.is_floating_point():
            sums = [share * part[name].double() for part, share in zip(parts, shares, strict=True)]
            found[name] = torch.stack(sums).sum(0).to(first.dtype)
    return found


if __name__ == "__main__":
    main()
