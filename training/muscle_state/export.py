"""Put a trained network into the model repository: `python -m training.muscle_state.export --data DIR --run RUN --served FILE`.

Of `--served`, frames of the validation people as the service sees them (`training.muscle_state.served`), the deviations are
widened: those people are in no fold. What the protocol measured is read from its JSON for the card.
"""

import argparse
import json
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from service.core.analyses.muscle_state import MODEL
from simulator.calf_states import STATES_VERSION
from training.exporting import configuration, differences, digests_in, export
from training.muscle_state.frames import Frames, read
from training.muscle_state.model import ServedStates
from training.muscle_state.people import STATES
from training.muscle_state.protocol import table
from training.muscle_state.scores import coverage, r2, spread
from training.muscle_state.train import Network, Schedule, ask, load_network, widening

_LARGEST_DIFFERENCE = 1e-3
_COMPARED = 25
_HERE = Path(__file__).parent
_MISSING = "not measured yet"


def main() -> None:
    """Widen, export, compare with torch, write the folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True, help="folder with last.pt")
    parser.add_argument("--served", type=Path, required=True, help="folder of training.muscle_state.served")
    parser.add_argument("--results", type=Path, help="folder of training.muscle_state.protocol, for the card")
    parser.add_argument("--version", type=int, default=1)
    parser.add_argument("--to", type=Path, default=Path("model_repository"))
    arguments = parser.parse_args()
    network, schedule = load_network(arguments.run)
    strangers = read(arguments.served / "served-validation.npz")
    wider = widening(strangers.targets.astype(np.float64), ask(network, strangers))
    served = ServedStates(network, torch.from_numpy(wider).float()).eval()
    path = arguments.to / MODEL.model_name / str(arguments.version) / "model.onnx"
    off = _export(served, strangers, path)
    facts = {
        "parameters": f"{sum(p.numel() for p in network.parameters()):,}",
        "difference": f"{off:.1e}",
        "simulator": STATES_VERSION,
        "schedule": _command(schedule),
        "widening": ", ".join(f"{name} {one:.2f}" for name, one in zip(STATES, wider, strict=True)),
        "lines": _lines(json.loads((arguments.served / "served-validation.json").read_text())),
        "strangers": _scores(network, strangers, wider),
        "protocol": _protocol(arguments.results, schedule),
    }
    _write_folder(path.parent.parent, arguments.version, facts)


def _export(served: ServedStates, frames: Frames, path: Path) -> float:
    """Writes the file; gives the largest difference from torch, in standard deviations of each state."""
    some = slice(None, None, max(1, len(frames.person) // _COMPARED))
    patches, scalars = frames.patches[some], frames.scalars[some].copy()
    scalars[::5] = np.nan  # as without a scale
    example = (torch.from_numpy(patches[:2]), torch.from_numpy(scalars[:2]))
    export(served, example, path, inputs=["roi", "scalars"], outputs=["state", "logvar"])
    states, log_variances = differences(served, path, patches, scalars)
    off = max(float((states / served.network.head.state_deviation.numpy()).max()), float(log_variances.max()))
    if off > _LARGEST_DIFFERENCE:
        raise SystemExit(f"ONNX Runtime differs from torch by {off:.1e} standard deviations")
    return off


def _write_folder(folder: Path, version: int, facts: dict[str, str]) -> None:
    digests, config = digests_in(folder), folder / "config.pbtxt"
    before = config.read_text(encoding="utf-8") if config.exists() else ""
    statements = {"weights_sha256": digests[version], "evidence": "simulated"}
    template = _HERE / "muscle_state.pbtxt.template"
    config.write_text(configuration(template, before, list(digests), version, statements), encoding="utf-8")
    card = Template((_HERE / "muscle_state.md.template").read_text(encoding="utf-8"))
    versions = "\n".join(f"- version {number}: SHA-256 `{digest}`" for number, digest in digests.items())
    (folder / "model_card.md").write_text(card.substitute(facts, versions=versions), encoding="utf-8")
    print(f"{folder}: version {version}, SHA-256 {digests[version]}")


def _command(schedule: Schedule) -> str:
    precision = " --bfloat16" if schedule.in_bfloat16 else ""
    return f"--network {schedule.network} --steps {schedule.steps}{precision}"


def _lines(found: dict[str, Any]) -> str:
    each = "; ".join(f"{name} {one['median_mm']:.2f} ({one['p95_mm']:.2f})" for name, one in found["lines"].items())
    share = f"{100 * found['answered']:.1f} % of {found['frames']}"
    return f"All three were found in {share} frames; off by, median (95 %), in mm: {each}."


def _scores(network: Network, frames: Frames, wider: npt.NDArray[np.float64]) -> str:
    """On frames as served: with a scale, and without."""
    rows = [_row("with a scale", network, frames, wider)]
    unknown = np.tile(network.head.scalar_mean.numpy(), (len(frames.scalars), 1))
    without = Frames(frames.patches, unknown, frames.targets, frames.geometry, frames.person)
    rows.append(_row("without, R2 of changes", network, without, wider, is_relative=True))
    people = len(np.unique(frames.person))
    head = f"|{people} people, mean (SD between people)|" + "|".join(STATES) + "|"
    return "\n".join([head, "|---" * (len(STATES) + 1) + "|", *(line for row in rows for line in row)])


def _row(title: str, network: Network, frames: Frames, wider: npt.NDArray[np.float64], *, is_relative: bool = False) -> list[str]:
    scores, covered = [], []
    for seed in np.unique(frames.person):
        one = frames.of((int(seed),))
        truth, answers = one.targets.astype(np.float64), ask(network, one)
        shift = (np.median(truth, 0) - np.median(answers.mean, 0)) if is_relative else 0.0
        scores.append(r2(truth, answers.mean + shift))
        covered.append(coverage(truth, answers.mean, answers.deviation * wider))
    found = [spread(np.stack(scores)[:, state]) for state in range(len(STATES))]
    lines = [f"|{title}: R2|" + "|".join(f"{one.mean:.2f} ({one.deviation:.2f})" for one in found) + "|"]
    if not is_relative:
        lines.append("|in the 90 % interval|" + "|".join(f"{one:.2f}" for one in np.stack(covered).mean(0)) + "|")
    return lines


def _protocol(results: Path | None, schedule: Schedule) -> str:
    """The tables of `training.muscle_state.protocol` for this network and its rivals, where they are."""
    if results is None:
        return _MISSING
    found = {path.stem: json.loads(path.read_text()) for path in sorted(results.glob("*.json"))}
    whole = {name: one for name, one in found.items() if "-folds-" not in name}
    own = [name for name, one in whole.items() if one["schedule"]["network"] == schedule.network]
    others = [name for name in whole if name not in own]
    return "\n\n".join(table(name, whole[name]) for name in (*own, *others)) or _MISSING


if __name__ == "__main__":
    main()
