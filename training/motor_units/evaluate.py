"""The two networks in the cells of the baselines' table: `python -m training.motor_units.evaluate --maps RUN --trains RUN`.

On validation muscles what is read from the networks is tuned, on test muscles it is told; beside them stands the difference to
independent components of the same muscles.
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from service.core.measure import motor_maps, motor_trains
from service.core.measure.motor_maps import Floats, territories
from service.core.measure.motor_trains import discharges, traces
from simulator.motor_units import MOTOR_UNITS_VERSION, MotorSequence
from training.motor_units.baselines import accepted, regional_ica, truth_of
from training.motor_units.figures import SIMULATED, differences_table, table
from training.motor_units.rivals import RESULTS, difference, statistics, summary
from training.motor_units.scores import Score, UnitTrace, score
from training.motor_units.sequences import CELLS, TEST, VALIDATION
from training.motor_units.train import load_network
from training.wrist_hand.results import keep

_SPLITS = {"validation": VALIDATION, "test": TEST}
#: Tried on validation muscles.
_HEATS = (0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5)
_PROBABILITIES = (0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5)
#: The mean is taken over the cells of 10 dB, which the targets are about.
_TARGET_DB = 10.0
_COMPARED = ("F1", "Dice", "twitch r", "rate of agreement")


@dataclass(frozen=True, slots=True)
class Networks:
    """Both, ready to be asked."""

    maps: nn.Module
    trains: nn.Module

    @classmethod
    def of(cls, maps: Path, trains: Path) -> "Networks":
        """Of two runs."""
        return cls(load_network(maps)[0], load_network(trains)[0])

    def maps_of(self, velocity: Floats) -> Floats:
        """(14, H, W) of (T, H, W) mm/s."""
        with torch.inference_mode():
            found: Floats = self.maps(torch.from_numpy(velocity)[None, None])[0].numpy()
        return found

    def trains_of(self, velocity: Floats, masks: Sequence[motor_maps.Mask]) -> tuple[Floats, Floats]:
        """Twitch trains and logits of discharges, each (N, T), of at least one territory."""
        with torch.inference_mode():
            twitch, logits = self.trains(torch.from_numpy(np.stack([traces(velocity, mask) for mask in masks])))
        return twitch.numpy(), logits.numpy()


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
    parser.add_argument("--maps", type=Path, required=True, help="run of the first network")
    parser.add_argument("--trains", type=Path, required=True, help="run of the second")
    parser.add_argument("--split", choices=sorted(_SPLITS), default="validation")
    parser.add_argument("--sequences", type=int, default=20, help="muscles of each cell")
    parser.add_argument("--least-ica", type=float, help="score of an independent component; default: as in the results")
    parser.add_argument("--output", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    least_ica = arguments.least_ica or float(keep(RESULTS)["least_scores"]["ICA"])
    evaluate(Networks.of(arguments.maps, arguments.trains), arguments.split, arguments.sequences, least_ica, arguments.output)


def evaluate(networks: Networks, split: str, count: int, least_ica: float, output: Path) -> None:
    """All cells; on validation what was tried is told, too."""
    begun, cells, told = time.monotonic(), {}, {}
    target: list[Said] = []
    for cell in CELLS:
        said, theirs = [], []
        for seed in _SPLITS[split][:count]:
            sequence = cell.sequence(seed)
            said.append(said_of(networks, sequence))
            theirs.append(score(said[-1].truth, accepted(regional_ica(sequence.velocity), least_ica)))
        ours = [one.read(motor_maps.LEAST_HEAT, motor_trains.LEAST_PROBABILITY) for one in said]
        target += said if cell.snr_db == _TARGET_DB else []
        cells[cell.name] = {"networks": summary(ours), "ICA": summary(theirs)}
        told[cell.name] = {name: difference(name, ours, theirs) for name in _COMPARED}
        print(f"{cell.name}, {time.monotonic() - begun:.0f} s: {_short(cells[cell.name]['networks'])}", flush=True)
        found: dict[str, Any] = {"sequences": count, "simulator": MOTOR_UNITS_VERSION, "cells": cells, "less ICA": told}
        if split == "validation":
            found["tried"] = tried(target)
        keep(output, **{f"networks on {split}": found})
    output.with_suffix(f".{split}.md").write_text(SIMULATED + table(cells) + "\n" + differences_table(told), encoding="utf-8")


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
    heats = {str(heat): _value("F1", [one.read(heat, usual) for one in said]) for heat in _HEATS}
    best = float(max(heats, key=lambda heat: heats[heat]))
    agreement = {str(p): _value("rate of agreement", [one.read(best, p) for one in said]) for p in _PROBABILITIES}
    return {"F1 by least heat": heats, "rate of agreement by least probability": agreement}


def _value(name: str, scores: Sequence[Score]) -> float:
    return round(statistics(scores)[name](np.arange(len(scores))), 4)


def _short(found: dict[str, Any]) -> str:
    return ", ".join(f"{name} {found[name]['value']:.2f}" for name in _COMPARED)


if __name__ == "__main__":
    main()
