"""Draw a favoured structure as large as it is: `python -m training.wrist_hand.calibrate --data DIR --run RUN --out CALIBRATED`.

A structure that weighs more in the loss than others is drawn too large. Its bias in the last layer is lowered until, on the
validation volunteers, half of the pictures of the plane in which it is measured show it larger and half smaller than it is.
"""

import argparse
import shutil
from pathlib import Path

import numpy as np
import torch
from scipy.optimize import brentq

from service.core.wrist_planes import structure_number
from training.wrist_hand.evaluate import predict
from training.wrist_hand.train import Schedule, load_network
from training.wrist_hand.volunteers import NAMES, SPLITS, load

#: Logits: beyond it another fault is at work.
_FURTHEST = 3.0


def main() -> None:
    """Write the calibrated run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="where training.wrist_hand.volunteers left its pictures")
    parser.add_argument("--run", type=Path, required=True, help="whose last stage favoured a structure")
    parser.add_argument("--out", type=Path, required=True, help="another folder, of the calibrated run")
    parser.add_argument("--plane", choices=NAMES[1:], default="S11", help="in which the structure is measured")
    arguments = parser.parse_args()
    network, stages = load_network(arguments.run)
    structure = _favoured(stages)
    number, shown = structure_number(structure), load(SPLITS["validation"], arguments.data)
    asked = np.flatnonzero(shown.plane == NAMES.index(arguments.plane))
    images, true = shown.image[asked], (shown.structures[asked] == number).sum((1, 2))
    bias = network.get_parameter("structure.bias")
    trained = bias.detach().clone()

    def too_large(logit: float) -> float:
        """Logarithm of drawn to true area, the median."""
        with torch.no_grad():
            bias[number] = trained[number] + logit
        _, drawn = predict(network, images)
        assert drawn is not None  # noqa: S101 - for the type checker: a network with a structure draws
        area = (drawn == number).sum((1, 2))
        return float(np.median(np.log(np.maximum(area, 1) / true)))

    before = too_large(0.0)
    logit = float(brentq(too_large, -_FURTHEST, _FURTHEST, xtol=0.005))
    stored = torch.load(arguments.run / "last.pt", weights_only=True)
    stored["average"]["structure.bias"][number] += logit
    stored["calibrated"] = {"structure": structure, "plane": arguments.plane, "logit": round(logit, 4)}
    arguments.out.mkdir(parents=True, exist_ok=True)
    torch.save(stored, arguments.out / "last.pt")
    if (arguments.run / "log.jsonl").exists():
        shutil.copy(arguments.run / "log.jsonl", arguments.out)
    print(f"{structure} in {len(asked)} pictures of {arguments.plane}: {np.expm1(before):+.1%} before, bias {logit:+.3f}")


def _favoured(stages: tuple[Schedule, ...]) -> str:
    if not stages[-1].favour:
        raise SystemExit("The last stage of this run favoured no structure: there is nothing to calibrate.")
    return stages[-1].favour


if __name__ == "__main__":
    main()
