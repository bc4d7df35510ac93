"""Put both networks into the model repository: `python -m training.motor_units.export --maps RUN --trains RUN`.

What `training.motor_units.evaluate` and `training.motor_units.cines` measured goes into the cards; nothing is chosen here. A
network without a run stays as it is. With `--cards` these alone are written anew, of the weights that are served; with
`--figures` only their last chapter, without runs.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path
from string import Template

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from service.core.analyses.analysis import ModelSpec
from service.core.analyses.motor_units import MAPS, TRAINS
from service.core.measure.motor_trains import traces, within_band
from simulator.motor_units import FRAME_RATE_HZ, MOTOR_UNITS_VERSION
from training.exporting import configuration, digests_in, export, largest_difference
from training.motor_units.figures import CHAPTER, told
from training.motor_units.rivals import RESULTS
from training.motor_units.sequences import VALIDATION, training_sequence
from training.motor_units.train import Schedule, load_network, steps_done
from training.wrist_hand.results import keep

#: Of logits, which are tens where the network is sure: so much changes a probability by 0.00125 at most.
_LARGEST_DIFFERENCE = 5e-3
_COMPARED = 3
_HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Trained:
    """A network to be served, and inputs to compare the export with."""

    model: ModelSpec
    network: nn.Module
    schedule: Schedule
    #: Fewer than the schedule's where the run was stopped early.
    steps: int
    examples: npt.NDArray[np.float32]


def main() -> None:
    """Export, compare with torch, write the folders."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--maps", type=Path, help="run of the first network")
    parser.add_argument("--trains", type=Path, help="run of the second")
    parser.add_argument("--version", type=int, default=1)
    parser.add_argument("--to", type=Path, default=Path("model_repository"))
    parser.add_argument("--cards", action="store_true", help="leave weights and configuration as they are")
    parser.add_argument("--figures", action="store_true", help="write only the figures in the cards anew")
    parser.add_argument("--results", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    if arguments.figures:
        for model in (MAPS, TRAINS):
            write_figures(arguments.to / model.model_name, told(keep(arguments.results)))
        return
    if arguments.maps is None and arguments.trains is None:
        parser.error("--maps or --trains is needed to export")
    muscles = [training_sequence(seed) for seed in VALIDATION[:_COMPARED]]
    of_units = [traces(within_band(muscle.velocity, FRAME_RATE_HZ), [unit.mask for unit in muscle.units]) for muscle in muscles]
    figures = told(keep(arguments.results))
    of_muscles = np.stack([muscle.velocity for muscle in muscles])[:, None]
    for model, run, examples in ((MAPS, arguments.maps, of_muscles), (TRAINS, arguments.trains, np.concatenate(of_units))):
        if run is None:
            write_figures(arguments.to / model.model_name, figures)
            continue
        trained = Trained(model, *load_network(run), steps_done(run), examples)
        folder = arguments.to / model.model_name
        if not arguments.cards:
            put(trained, folder, arguments.version)
        write_card(trained, folder, arguments.version, figures)


def put(trained: Trained, folder: Path, version: int) -> None:
    """One model's weights and configuration."""
    model, path = trained.model, folder / str(version) / "model.onnx"
    (taken,), outputs = model.inputs, [output.name for output in model.outputs]
    export(trained.network, torch.from_numpy(trained.examples[:2]), path, inputs=[taken.name], outputs=outputs)
    digests, config = digests_in(folder), folder / "config.pbtxt"
    before = config.read_text(encoding="utf-8") if config.exists() else ""
    statements = {"weights_sha256": digests[version], "evidence": "simulated"}
    template = _HERE / f"{model.model_name}.pbtxt.template"
    config.write_text(configuration(template, before, list(digests), version, statements), encoding="utf-8")
    print(f"{folder}: version {version}, SHA-256 {digests[version]}")


def write_card(trained: Trained, folder: Path, version: int, figures: str) -> None:
    """Of the weights in the folder. Exits where ONNX Runtime says something else with them than torch."""
    model, digests = trained.model, digests_in(folder)
    off = largest_difference(trained.network, folder / str(version) / "model.onnx", trained.examples)
    if off > _LARGEST_DIFFERENCE:
        raise SystemExit(f"{model.model_name}: ONNX Runtime differs from torch by {off:.1e}")
    card = Template((_HERE / f"{model.model_name}.md.template").read_text(encoding="utf-8"))
    text = card.substitute(
        parameters=f"{sum(p.numel() for p in trained.network.parameters()):,}",
        versions="\n".join(f"- version {number}: SHA-256 `{digest}`" for number, digest in digests.items()),
        steps=trained.schedule.steps,
        done=trained.steps,
        simulator=MOTOR_UNITS_VERSION,
        difference=f"{off:.1e}",
        figures=figures,
    )
    (folder / "model_card.md").write_text(text, encoding="utf-8")


def write_figures(folder: Path, figures: str) -> None:
    """The last chapter of a card, and nothing else of it."""
    card = folder / "model_card.md"
    before = card.read_text(encoding="utf-8").partition(CHAPTER)[0]
    card.write_text(f"{before}{figures}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
