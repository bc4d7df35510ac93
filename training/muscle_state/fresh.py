"""The served weights on people that nobody had looked at: `python -m training.muscle_state.fresh --data DIR --served DIR`.

Frames of `training.muscle_state.served`, as the service sees them; beside the network stands ridge on geometry without error,
fitted to the people that the network saw (`training.muscle_state.frames` made them).
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from service.core.analyses.muscle_state import MODEL
from training.muscle_state.frames import Frames, joined, load, read
from training.muscle_state.people import SPLITS, STATES
from training.muscle_state.scores import Values, coverage, r2, spread
from training.muscle_state.trivial import ridge

_ROWS = ("network", "ridge", "network less ridge", "coverage")


def main() -> None:
    """Ask, write, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="where training.muscle_state.frames leaves its arrays")
    parser.add_argument("--served", type=Path, required=True, help="folder of training.muscle_state.served")
    parser.add_argument("--repository", type=Path, default=Path("model_repository"))
    parser.add_argument("--output", type=Path, default=Path("bench/results/muscle_state_fresh.json"))
    arguments = parser.parse_args()
    path = arguments.repository / MODEL.model_name / MODEL.model_version / "model.onnx"
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    known = joined([load(SPLITS[split], arguments.data) for split in ("cohort", "people")])
    found = scored(session, read(arguments.served / "served-fresh.npz"), known)
    arguments.output.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print("\n".join(f"{name}: {_line(found[name])}" for name in _ROWS))


def scored(session: onnxruntime.InferenceSession, fresh: Frames, known: Frames) -> dict[str, Any]:
    """By state: R2 of network and ridge, their difference person by person, truth in the 90 % band; 95 % over people."""
    rows: dict[str, list[Values]] = {name: [] for name in _ROWS}
    for seed in np.unique(fresh.person):
        one = fresh.of((int(seed),))
        truth = one.targets.astype(np.float64)
        said, deviation = asked(session, one)
        by_ridge = ridge(*(part.astype(np.float64) for part in (known.geometry, known.targets, one.geometry)))
        network, rival = r2(truth, said), r2(truth, by_ridge)
        told = (network, rival, network - rival, coverage(truth, said, deviation))
        for values, value in zip(rows.values(), told, strict=True):
            values.append(value)
    scores = {name: _by_state(np.stack(values)) for name, values in rows.items()}
    return {"data": "simulated people as the service sees them", "people": len(rows["network"]), **scores}


def asked(session: onnxruntime.InferenceSession, frames: Frames) -> tuple[Values, Values]:
    """Answers and deviations (N, S) of the served network."""
    size, answers = MODEL.max_batch_size, []
    for start in range(0, len(frames.person), size):
        part = slice(start, start + size)
        answers.append(session.run(["state", "logvar"], {"roi": frames.patches[part], "scalars": frames.scalars[part]}))
    states, log_variances = (np.concatenate(parts).astype(np.float64) for parts in zip(*answers, strict=True))
    return states, np.exp(0.5 * log_variances)


def _by_state(values: Values) -> dict[str, dict[str, float]]:
    return {state: asdict(spread(values[:, number])) for number, state in enumerate(STATES)}


def _line(by_state: dict[str, dict[str, float]]) -> str:
    return ", ".join(f"{one['mean']:.2f} ({one['low']:.2f} to {one['high']:.2f})" for one in by_state.values())


if __name__ == "__main__":
    main()
