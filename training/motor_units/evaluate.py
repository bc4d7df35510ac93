"""The two networks in the cells of the baselines' table: `python -m training.motor_units.evaluate --maps RUN --trains RUN`.

On validation muscles what is read from the networks is tuned, on test muscles it is told; beside them stand the differences to
what `training.motor_units.rivals` found in the same muscles, which has to run first. Without a run the served network is asked.
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from shlex import quote
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from service.core.measure import motor_trains
from service.core.measure.motor_maps import Floats, Mask, territories
from service.core.measure.motor_trains import discharges, traces, within_band
from service.core.measure.motor_unmixing import seen
from simulator.motor_units import FRAME_RATE_HZ, MOTOR_UNITS_VERSION, MotorSequence
from training.motor_units.baselines import BASELINES, accepted, truth_of
from training.motor_units.figures import COMPARED, ICA, SIMULATED, common_table, differences_table, table
from training.motor_units.rivals import RESULTS, SPLITS, Tallies, difference, keep_rows, kept_rows, statistics, summary, tallies
from training.motor_units.scores import Score, UnitTrace, score
from training.motor_units.sequences import CELLS
from training.motor_units.served import Maps, Trains, served_maps, served_trains
from training.motor_units.train import load_network
from training.wrist_hand.results import keep
from training.wrist_hand.scores import with_interval

#: Tried on validation muscles.
_HEATS = (0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5)
_PROBABILITIES = (0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5)
#: What is compared of units that both found.
IN_COMMON = {"twitch r": "twitch_r", "NRMSE": "twitch_nrmse", "Dice": "dice"}
#: Rows are kept of these, too.
_NO_RIVALS = ("networks", "oracle")
#: The mean is taken over the cells of 10 dB, which the targets are about.
_TARGET_DB = 10.0


@dataclass(frozen=True, slots=True)
class Networks:
    """Both, ready to be asked."""

    maps_of: Maps
    trains_of: Trains

    @classmethod
    def of(cls, models: Path, maps: Path | None = None, trains: Path | None = None) -> "Networks":
        """Those of the runs that are given, otherwise version 1 in a model repository."""
        maps_of = served_maps(models) if maps is None else _trained_maps(maps)
        return cls(maps_of, served_trains(models) if trains is None else _trained_trains(trains))


@dataclass(frozen=True, slots=True)
class Said:
    """What the networks say of a muscle, as the service asks them."""

    truth: list[UnitTrace]
    maps: Floats
    masks: list[Mask]
    twitch: Floats
    logits: Floats

    def read(self, least_probability: float = motor_trains.LEAST_PROBABILITY) -> Score:
        """With discharges that are so probable."""
        read = [discharges(logits, least_probability) for logits in self.logits]
        return score(self.truth, [UnitTrace(*unit) for unit in zip(self.masks, self.twitch, read, strict=True)])

    def territories_at(self, least_heat: float) -> Score:
        """Of the territories that are so sure, whatever moves in them."""
        still = np.zeros(self.truth[0].twitch.shape)
        found = territories(self.maps, least_heat)
        return score(self.truth, [UnitTrace(one.mask, still, np.zeros(0)) for one in found])


def main() -> None:
    """Tune on validation, or tell of test."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--maps", type=Path, help="run of the first network")
    parser.add_argument("--trains", type=Path, help="run of the second")
    parser.add_argument("--models", type=Path, default=Path("model_repository"), help="asked where a run is not given")
    parser.add_argument("--split", choices=sorted(SPLITS), default="validation")
    parser.add_argument("--sequences", type=int, default=20, help="muscles of each cell")
    parser.add_argument("--output", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    networks = Networks.of(arguments.models, arguments.maps, arguments.trains)
    found = evaluate(networks, arguments.split, arguments.sequences, arguments.output)
    tell(found, arguments.split, arguments.sequences, arguments.output)


def evaluate(networks: Networks, split: str, count: int, output: Path) -> dict[str, Any]:
    """Rows of all cells are kept; given is what was compared unit by unit, and on validation what was tried."""
    begun = time.monotonic()
    least = least_score_kept(output, split, count)
    target: list[Said] = []
    common: dict[str, Any] = {}
    for cell in CELLS:
        muscles = [cell.sequence(seed) for seed in SPLITS[split][:count]]
        said = [said_of(networks, muscle) for muscle in muscles]
        scores = [one.read() for one in said]
        target += said if cell.snr_db == _TARGET_DB else []
        theirs = [
            score(one.truth, accepted(BASELINES[ICA](muscle.velocity), least)) for one, muscle in zip(said, muscles, strict=True)
        ]
        common[cell.name] = of_common_units(scores, theirs)
        rows = tallies(scores)
        keep_rows(output, split, cell.name, {"networks": rows})
        print(f"{cell.name}, {time.monotonic() - begun:.0f} s: {_short(rows)}", flush=True)
    return {"common units": common, **({"tried": tried(target)} if split == "validation" else {})}


def least_score_kept(output: Path, split: str, count: int) -> float:
    """Of stICA. Raises SystemExit where it, or another of which rows are kept, has not been scored on as many muscles."""
    results = keep(output)
    rows = results.get("rows", {}).get(split, {})
    kept = [rows.get(cell.name, {}) for cell in CELLS]
    names = {ICA}.union(*kept) - set(_NO_RIVALS)
    least = results.get("least_scores", {})
    short = sorted(name for name in names if name not in least or min(len(some.get(name, ())) for some in kept) < count)
    if short:
        asked = f"--split {split} --sequences {count} --baselines {' '.join(map(quote, short))}"
        raise SystemExit(
            f"{output} has no {count} {split} muscles of each cell for {', '.join(short)}:"
            f" run `python -m training.motor_units.rivals {asked}` first."
        )
    return float(least[ICA])


def of_common_units(ours: Sequence[Score], theirs: Sequence[Score]) -> dict[str, Any]:
    """How many true units both found, and over these ours less theirs, with intervals over muscles."""
    rows = np.array([_common(one, other) for one, other in zip(ours, theirs, strict=True)])  # (muscles, 1 + figures)
    told: dict[str, Any] = {"units": int(rows[:, 0].sum())}
    for place, name in enumerate(IN_COMMON, start=1):
        told[name] = with_interval(partial(_share_of, rows[:, [place, 0]]), np.arange(len(rows)))
    return told


def tell(parts: dict[str, Any], split: str, count: int, output: Path) -> None:
    """What the kept rows of the networks and their rivals say, with differences; the parts beside."""
    results = keep(output)
    rows = {cell.name: kept_rows(results, split, cell.name) for cell in CELLS}
    chosen = ("networks", ICA)
    cells = {cell: {name: summary(some[name]) for name in chosen} for cell, some in rows.items()}
    rivals = [name for name in next(iter(rows.values())) if name not in _NO_RIVALS]
    less = {rival: {cell: differences(some["networks"], some[rival]) for cell, some in rows.items()} for rival in rivals}
    found = {"sequences": count, "simulator": MOTOR_UNITS_VERSION, "cells": cells, "less": less, **parts}
    keep(output, **{f"networks on {split}": found})
    text = SIMULATED + "\n".join([table(cells), differences_table(less[ICA]), common_table(parts["common units"])])
    output.with_suffix(f".{split}.md").write_text(text, encoding="utf-8")


def differences(ours: Tallies, theirs: Tallies) -> dict[str, dict[str, float]]:
    """Of every figure."""
    return {name: difference(name, ours, theirs) for name in statistics(ours)}


def said_of(networks: Networks, sequence: MotorSequence) -> Said:
    """Of a muscle; read from it is what the analysis `motor_units` reads from a window."""
    maps = networks.maps_of(sequence.velocity)
    masks = [one.mask for one in territories(maps)]
    if not masks:
        nothing = np.zeros((0, len(sequence.velocity)), np.float32)
        return Said(truth_of(sequence.units), maps, masks, nothing, nothing)
    moving = within_band(sequence.velocity, FRAME_RATE_HZ)
    twitch, logits = networks.trains_of(traces(moving, masks))
    borne_out = [seen(train, moving, mask) for train, mask in zip(twitch, masks, strict=True)]
    return Said(truth_of(sequence.units), maps, masks, np.stack(borne_out), logits)


def tried(said: Sequence[Said]) -> dict[str, dict[str, float]]:
    """F1 by least heat, and the rate of agreement by least probability; both over all these muscles."""
    if not said:
        return {}
    heats = {str(heat): _value("F1", tallies([one.territories_at(heat) for one in said])) for heat in _HEATS}
    agreement = {str(p): _value("rate of agreement", tallies([one.read(p) for one in said])) for p in _PROBABILITIES}
    return {"F1 by least heat": heats, "rate of agreement by least probability": agreement}


def _common(ours: Score, theirs: Score) -> list[float]:
    others = dict(zip(theirs.units, theirs.pairs, strict=True))
    both = [(pair, others[unit]) for unit, pair in zip(ours.units, ours.pairs, strict=True) if unit in others]
    return [len(both), *(sum(getattr(one, field) - getattr(other, field) for one, other in both) for field in IN_COMMON.values())]


def _share_of(sums: npt.NDArray[np.float64], chosen: npt.NDArray[np.integer]) -> float:
    total, count = sums[chosen].sum(0)
    return float(total / count)


def _trained_maps(run: Path) -> Maps:
    network = load_network(run)[0]

    def asked(velocity: Floats) -> Floats:
        with torch.inference_mode():
            found: Floats = network(torch.from_numpy(velocity)[None, None])[0].numpy()
        return found

    return asked


def _trained_trains(run: Path) -> Trains:
    network = load_network(run)[0]

    def asked(given: Floats) -> tuple[Floats, Floats]:
        with torch.inference_mode():
            twitch, logits = network(torch.from_numpy(given))
        return twitch.numpy(), logits.numpy()

    return asked


def _value(name: str, rows: Tallies) -> float:
    return round(statistics(rows)[name](np.arange(len(rows))), 4)


def _short(rows: Tallies) -> str:
    return ", ".join(f"{name} {_value(name, rows):.3f}" for name in COMPARED)


if __name__ == "__main__":
    main()
