"""The two networks in the cells of the baselines' table: `python -m training.motor_units.evaluate --maps RUN --trains RUN`.

On validation muscles what is read from the networks is tuned, on test muscles it is told; beside them stand the differences to
what `training.motor_units.rivals` found in the same muscles, which has to run first. Without runs the served networks are asked.
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from service.core.analyses.motor_units import MAPS, TRAINS
from service.core.measure import motor_maps, motor_trains
from service.core.measure.motor_maps import Floats, territories
from service.core.measure.motor_trains import discharges, traces
from simulator.motor_units import MOTOR_UNITS_VERSION, MotorSequence
from training.motor_units.baselines import truth_of
from training.motor_units.figures import COMPARED, ICA, SIMULATED, differences_table, table
from training.motor_units.rivals import RESULTS, SPLITS, Tallies, difference, keep_rows, kept_rows, statistics, summary, tallies
from training.motor_units.scores import Score, UnitTrace, score
from training.motor_units.sequences import CELLS
from training.motor_units.train import load_network
from training.onnx_networks import OnnxNetworks
from training.wrist_hand.results import keep

#: Tried on validation muscles.
_HEATS = (0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5)
_PROBABILITIES = (0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5)
#: The mean is taken over the cells of 10 dB, which the targets are about.
_TARGET_DB = 10.0


class Networks(Protocol):
    """Both, ready to be asked."""

    def maps_of(self, velocity: Floats) -> Floats:
        """(14, H, W) of (T, H, W) mm/s."""
        ...

    def trains_of(self, velocity: Floats, masks: Sequence[motor_maps.Mask]) -> tuple[Floats, Floats]:
        """Twitch trains and logits of discharges, each (N, T), of at least one territory."""
        ...


@dataclass(frozen=True, slots=True)
class TrainedNetworks:
    """Of two runs."""

    maps: nn.Module
    trains: nn.Module

    @classmethod
    def of(cls, maps: Path, trains: Path) -> "TrainedNetworks":
        """Folders of the runs."""
        return cls(load_network(maps)[0], load_network(trains)[0])

    def maps_of(self, velocity: Floats) -> Floats:
        """As every `Networks`."""
        with torch.inference_mode():
            found: Floats = self.maps(torch.from_numpy(velocity)[None, None])[0].numpy()
        return found

    def trains_of(self, velocity: Floats, masks: Sequence[motor_maps.Mask]) -> tuple[Floats, Floats]:
        """As every `Networks`."""
        with torch.inference_mode():
            twitch, logits = self.trains(torch.from_numpy(np.stack([traces(velocity, mask) for mask in masks])))
        return twitch.numpy(), logits.numpy()


@dataclass(frozen=True, slots=True)
class ServedNetworks:
    """As exported, in ONNX Runtime."""

    networks: OnnxNetworks

    @classmethod
    def of(cls, models: Path) -> "ServedNetworks":
        """Version 1 of both in a model repository."""
        names = (MAPS.model_name, TRAINS.model_name)
        return cls(OnnxNetworks.opened({name: models / name / "1" / "model.onnx" for name in names}))

    def maps_of(self, velocity: Floats) -> Floats:
        """As every `Networks`."""
        (answer,) = self.networks.infer(MAPS, [{MAPS.inputs[0].name: velocity[None, None]}])
        return np.asarray(answer[MAPS.outputs[0].name][0], np.float32)

    def trains_of(self, velocity: Floats, masks: Sequence[motor_maps.Mask]) -> tuple[Floats, Floats]:
        """As every `Networks`."""
        (answer,) = self.networks.infer(TRAINS, [{TRAINS.inputs[0].name: np.stack([traces(velocity, mask) for mask in masks])}])
        twitch, logits = (np.asarray(answer[output.name], np.float32) for output in TRAINS.outputs)
        return twitch, logits


@dataclass(frozen=True, slots=True)
class Said:
    """What the networks say of a muscle at the least heat that is tried; what is surer is found among it."""

    truth: list[UnitTrace]
    found: list[motor_maps.Territory]
    twitch: Floats
    logits: Floats

    def read(self, least_heat: float, least_probability: float) -> Score:
        """Of the units that are so sure."""
        chosen = [number for number, one in enumerate(self.found) if one.heat >= least_heat]
        units = [UnitTrace(self.found[n].mask, self.twitch[n], discharges(self.logits[n], least_probability)) for n in chosen]
        return score(self.truth, units)


def main() -> None:
    """Tune on validation, or tell of test."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--maps", type=Path, help="run of the first network")
    parser.add_argument("--trains", type=Path, help="run of the second")
    parser.add_argument("--models", type=Path, default=Path("model_repository"), help="asked where no runs are given")
    parser.add_argument("--split", choices=sorted(SPLITS), default="validation")
    parser.add_argument("--sequences", type=int, default=20, help="muscles of each cell")
    parser.add_argument("--output", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    trained = arguments.maps and arguments.trains
    networks = TrainedNetworks.of(arguments.maps, arguments.trains) if trained else ServedNetworks.of(arguments.models)
    found = evaluate(networks, arguments.split, arguments.sequences, arguments.output)
    tell(found, arguments.split, arguments.sequences, arguments.output)


def evaluate(networks: Networks, split: str, count: int, output: Path) -> dict[str, Any]:
    """Rows of all cells are kept; on validation what was tried is given."""
    begun = time.monotonic()
    target: list[Said] = []
    for cell in CELLS:
        said = [said_of(networks, cell.sequence(seed)) for seed in SPLITS[split][:count]]
        rows = tallies([one.read(motor_maps.LEAST_HEAT, motor_trains.LEAST_PROBABILITY) for one in said])
        target += said if cell.snr_db == _TARGET_DB else []
        keep_rows(output, split, cell.name, {"networks": rows})
        print(f"{cell.name}, {time.monotonic() - begun:.0f} s: {_short(rows)}", flush=True)
    return {"tried": tried(target)} if split == "validation" else {}


def tell(parts: dict[str, Any], split: str, count: int, output: Path) -> None:
    """What the kept rows of the networks and their rivals say, with differences; the parts beside."""
    results = keep(output)
    rows = {cell.name: kept_rows(results, split, cell.name) for cell in CELLS}
    chosen = ("networks", ICA)
    cells = {cell: {name: summary(some[name]) for name in chosen} for cell, some in rows.items()}
    rivals = [name for name in next(iter(rows.values())) if name not in ("networks", "oracle")]
    less = {rival: {cell: differences(some["networks"], some[rival]) for cell, some in rows.items()} for rival in rivals}
    found = {"sequences": count, "simulator": MOTOR_UNITS_VERSION, "cells": cells, "less": less, **parts}
    keep(output, **{f"networks on {split}": found})
    text = SIMULATED + table(cells) + "\n" + differences_table(less[ICA])
    output.with_suffix(f".{split}.md").write_text(text, encoding="utf-8")


def differences(ours: Tallies, theirs: Tallies) -> dict[str, dict[str, float]]:
    """Of every figure."""
    return {name: difference(name, ours, theirs) for name in statistics(ours)}


def said_of(networks: Networks, sequence: MotorSequence) -> Said:
    """Of a muscle."""
    found = territories(networks.maps_of(sequence.velocity), min(_HEATS))
    nothing = np.zeros((0, len(sequence.velocity)), np.float32)
    twitch, logits = networks.trains_of(sequence.velocity, [one.mask for one in found]) if found else (nothing, nothing)
    return Said(truth_of(sequence.units), found, twitch, logits)


def tried(said: Sequence[Said]) -> dict[str, dict[str, float]]:
    """F1 by least heat, and the rate of agreement by least probability; both over all these muscles."""
    if not said:
        return {}
    usual = motor_trains.LEAST_PROBABILITY
    heats = {str(heat): _value("F1", tallies([one.read(heat, usual) for one in said])) for heat in _HEATS}
    best = float(max(heats, key=lambda heat: heats[heat]))
    agreement = {str(p): _value("rate of agreement", tallies([one.read(best, p) for one in said])) for p in _PROBABILITIES}
    return {"F1 by least heat": heats, "rate of agreement by least probability": agreement}


def _value(name: str, rows: Tallies) -> float:
    return round(statistics(rows)[name](np.arange(len(rows))), 4)


def _short(rows: Tallies) -> str:
    return ", ".join(f"{name} {_value(name, rows):.3f}" for name in COMPARED)


if __name__ == "__main__":
    main()
