"""Put a trained network into the model repository: `python -m training.muscle_state.export --data DIR --run RUN --served FILE`.

Of `--served`, frames of people as the service sees them (`training.muscle_state.served`): by those of calibration the deviations
are widened, those of fresh people tell what came of it; they are in no fold. What the protocol measured is read from its JSON for
the card.
"""

import argparse
import json
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy import stats

from service.core.analyses.muscle_state import MODEL
from simulator.calf_states import STATES_VERSION
from training.exporting import configuration, differences, digests_in, export
from training.muscle_state.contraction_steps import legs_table
from training.muscle_state.frames import Frames, read
from training.muscle_state.model import ServedStates
from training.muscle_state.people import STATES
from training.muscle_state.protocol import table
from training.muscle_state.scores import Values, coverage, r2, spread
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
    parser.add_argument("--steps", type=Path, help="what training.muscle_state.contraction_steps wrote, for the card")
    parser.add_argument("--version", type=int, default=1)
    parser.add_argument("--to", type=Path, default=Path("model_repository"))
    arguments = parser.parse_args()
    network, schedule = load_network(arguments.run)
    strangers, fresh = (read(arguments.served / f"served-{split}.npz") for split in ("calibration", "fresh"))
    wider = widening(strangers.targets.astype(np.float64), ask(network, strangers))
    served = ServedStates(network, torch.from_numpy(wider).float()).eval()
    path = arguments.to / MODEL.model_name / str(arguments.version) / "model.onnx"
    off = _export(served, strangers, path)
    facts = {
        "parameters": f"{sum(p.numel() for p in network.parameters()):,}",
        "difference": f"{off:.1e}",
        "simulator": STATES_VERSION,
        "schedule": _command(arguments.run, schedule),
        "widening": ", ".join(f"{name} {one:.2f}" for name, one in zip(STATES, wider, strict=True)),
        "lines": _lines(json.loads((arguments.served / "served-fresh.json").read_text())),
        "strangers": str(len(np.unique(strangers.person))),
        "fresh": _scores(network, fresh, wider),
        "steps": _MISSING if arguments.steps is None else legs_table(json.loads(arguments.steps.read_text())),
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


def _command(run: Path, schedule: Schedule) -> str:
    """What made the run; the cohort's own lies beside it."""
    cohort = run.with_name(run.name.removesuffix("-all") + "-cohort")
    steps = f"{load_network(cohort)[1].steps} --further-steps " if cohort.exists() else ""
    precision = " --bfloat16" if schedule.in_bfloat16 else ""
    return f"--network {schedule.network} --steps {steps}{schedule.steps}{precision}"


def _lines(found: dict[str, Any]) -> str:
    each = "; ".join(f"{name} {one['median_mm']:.2f} ({one['p95_mm']:.2f})" for name, one in found["lines"].items())
    share = f"{100 * found['answered']:.1f} % of {found['frames']}"
    return f"All three were found in {share} frames; off by, median (95 %), in mm: {each}."


def _scores(network: Network, frames: Frames, wider: npt.NDArray[np.float64]) -> str:
    """On frames as served: with a scale, and what is left of the states' courses without."""
    unknown = np.tile(network.head.scalar_mean.numpy(), (len(frames.scalars), 1))
    without = Frames(frames.patches, unknown, frames.targets, frames.geometry, frames.person)
    people = [frames.of((int(seed),)) for seed in np.unique(frames.person)]
    blind = [without.of((int(seed),)) for seed in np.unique(frames.person)]
    rows = {
        "R2": [r2(*_told(network, one)[:2]) for one in people],
        "in the 90 % interval": [coverage(*_told(network, one, wider)) for one in people],
        "rank correlation": [_ranks(*_told(network, one)[:2]) for one in people],
        "rank correlation without a scale": [_ranks(*_told(network, one)[:2]) for one in blind],
    }
    lines = [f"|{len(people)} people, mean (SD between people)|" + "|".join(STATES) + "|", "|---" * (len(STATES) + 1) + "|"]
    for title, found in rows.items():
        each = [spread(np.stack(found)[:, state]) for state in range(len(STATES))]
        lines.append(f"|{title}|" + "|".join(f"{one.mean:.2f} ({one.deviation:.2f})" for one in each) + "|")
    return "\n".join(lines)


def _told(network: Network, one: Frames, wider: npt.NDArray[np.float64] | float = 1.0) -> tuple[Values, Values, Values]:
    """Truth, answers and deviations (N, S)."""
    answers = ask(network, one)
    return one.targets.astype(np.float64), answers.mean, answers.deviation * wider


def _ranks(truth: Values, said: Values) -> Values:
    """Spearman's, of each state (S,)."""
    return np.array([stats.spearmanr(truth[:, state], said[:, state]).statistic for state in range(truth.shape[1])])


def _protocol(results: Path | None, schedule: Schedule) -> str:
    """The tables of `training.muscle_state.protocol` for this network and its rivals, where they are."""
    if results is None:
        return _MISSING
    found = {path.stem: json.loads(path.read_text()) for path in sorted(results.glob("*.json"), key=lambda one: one.stem)}
    whole = {name: one for name, one in found.items() if "-folds-" not in name}
    own = [name for name, one in whole.items() if one["schedule"]["network"] == schedule.network]
    others = [name for name in whole if name not in own]
    return "\n\n".join(table(name, whole[name]) for name in (*own, *others)) or _MISSING


if __name__ == "__main__":
    main()
