"""The table of what needs no training, one cell a row: `python -m training.motor_units.rivals --sequences 20`.

How high a candidate must score is chosen for each baseline on validation muscles of the same cells, and used on test muscles.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from service.core.measure.motor_maps import matched
from simulator.motor_units import MOTOR_UNITS_VERSION, MotorSequence
from training.motor_units.baselines import BASELINES, Candidate, accepted, oracle, truth_of
from training.motor_units.figures import SIMULATED, table
from training.motor_units.scores import Score, UnitTrace, precision_recall_f1, score
from training.motor_units.sequences import CELLS, TEST, VALIDATION, Cell
from training.wrist_hand.results import keep
from training.wrist_hand.scores import with_interval

RESULTS = Path("bench/results/motor_units.json")
#: A figure of the sequences with these numbers.
Statistic = Callable[[npt.NDArray[np.integer]], float]
_QUANTILES = np.linspace(0, 0.98, 40)
_PAIRED = {
    "Dice": "dice",
    "twitch r": "twitch_r",
    "NRMSE": "twitch_nrmse",
    "rate of agreement": "rate_of_agreement",
    "CoV error": "variation_error",
}


def main() -> None:
    """Tune, score, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sequences", type=int, default=20, help="test muscles of each cell")
    parser.add_argument("--tuned-on", type=int, default=4, help="validation muscles of each cell")
    parser.add_argument("--baselines", nargs="+", choices=sorted(BASELINES), default=list(BASELINES))
    parser.add_argument("--output", type=Path, default=RESULTS, help="a JSON file; the table has its name, in Markdown")
    arguments = parser.parse_args()
    begun = time.monotonic()
    tuning = [cell.sequence(seed) for place, cell in enumerate(CELLS) for seed in _share(VALIDATION, place, arguments.tuned_on)]
    least = {name: least_score(name, tuning) for name in arguments.baselines}
    print(f"least scores {least}, {time.monotonic() - begun:.0f} s", flush=True)
    cells: dict[str, Any] = {}
    for cell in CELLS:
        cells[cell.name] = scored(cell, TEST[: arguments.sequences], least)
        print(f"{cell.name}, {time.monotonic() - begun:.0f} s", flush=True)
        keep(arguments.output, simulator=MOTOR_UNITS_VERSION, sequences=arguments.sequences, least_scores=least, cells=cells)
        arguments.output.with_suffix(".md").write_text(SIMULATED + table(cells), encoding="utf-8")


def least_score(name: str, sequences: Sequence[MotorSequence]) -> float:
    """With which F1 over all units of the sequences is greatest."""
    found = [BASELINES[name](one.velocity) for one in sequences]
    truths = [[unit.mask for unit in one.units] for one in sequences]
    scores = np.array([one.score for some in found for one in some])
    tried = np.quantile(scores, _QUANTILES)
    return float(max(tried, key=lambda least: _f1(truths, found, float(least))))


def scored(cell: Cell, seeds: Sequence[int], least: dict[str, float]) -> dict[str, Any]:
    """Of each baseline and the oracle on the muscles of a cell."""
    scores: dict[str, list[Score]] = {name: [] for name in (*least, "oracle")}
    for seed in seeds:
        sequence = cell.sequence(seed)
        truth = truth_of(sequence.units)
        for name, limit in least.items():
            scores[name].append(score(truth, accepted(BASELINES[name](sequence.velocity), limit)))
        scores["oracle"].append(_of_oracle(truth, oracle(sequence)))
    return {name: summary(some) for name, some in scores.items()}


def summary(scores: Sequence[Score]) -> dict[str, Any]:
    """Precision, recall and F1 of all units together, means over matched units; 95 % intervals over sequences."""
    sequence = np.arange(len(scores))
    told = {name: with_interval(statistic, sequence) for name, statistic in statistics(scores).items()}
    return {"sequences": len(scores), **told}


def difference(name: str, ours: Sequence[Score], theirs: Sequence[Score]) -> dict[str, float]:
    """Of what the table calls by the name, ours less theirs of the same sequences; 95 % interval over these."""
    one, other = statistics(ours)[name], statistics(theirs)[name]
    return with_interval(lambda chosen: one(chosen) - other(chosen), np.arange(len(ours)))


def statistics(scores: Sequence[Score]) -> dict[str, Statistic]:
    """What the table tells, of the sequences with these numbers."""
    counts = np.array([(one.true, one.found, len(one.pairs)) for one in scores])
    found: dict[str, Statistic] = {
        name: partial(_ratio, counts, place) for place, name in enumerate(("precision", "recall", "F1"))
    }
    for name, field in _PAIRED.items():
        sums = np.array([_sum_and_count([getattr(pair, field) for pair in one.pairs]) for one in scores])
        found[name] = partial(_mean, sums)
    return found


def _share(seeds: range, place: int, number: int) -> range:
    """Other muscles for each cell."""
    return seeds[place * number : (place + 1) * number]


def _f1(truths: list[list[npt.NDArray[np.bool_]]], found: list[list[Candidate]], least: float) -> float:
    true = taken = common = 0
    for truth, some in zip(truths, found, strict=True):
        masks = [one.mask for one in some if one.score >= least]
        true, taken, common = true + len(truth), taken + len(masks), common + len(matched(truth, masks))
    return precision_recall_f1(true, taken, common)[2]


def _of_oracle(truth: list[UnitTrace], known: list[UnitTrace]) -> Score:
    """Each unit with itself: two that lie in the same place must not be taken for each other."""
    pairs = [score([one], [other]).pairs for one, other in zip(truth, known, strict=True)]
    return Score(len(truth), len(known), tuple(pair for some in pairs for pair in some))


def _ratio(counts: npt.NDArray[np.int64], place: int, chosen: npt.NDArray[np.integer]) -> float:
    true, found, common = (int(total) for total in counts[chosen].sum(0))
    return precision_recall_f1(true, found, common)[place]


def _sum_and_count(values: list[float]) -> tuple[float, int]:
    known = [value for value in values if np.isfinite(value)]
    return sum(known), len(known)


def _mean(sums: npt.NDArray[np.float64], chosen: npt.NDArray[np.integer]) -> float:
    total, count = sums[chosen].sum(0)
    return float(total / count) if count else float("nan")


if __name__ == "__main__":
    main()
