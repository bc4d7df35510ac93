"""The table of what needs no training, one cell a row: `python -m training.motor_units.rivals --sequences 20`.

How high a candidate must score is chosen for each baseline on validation muscles of the same cells, and used on test muscles (or,
with `--split validation`, on validation muscles, for `training.motor_units.evaluate` to compare the networks there).
"""

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from service.core.measure.motor_maps import matched
from simulator.motor_units import MOTOR_UNITS_VERSION, MotorSequence
from training.motor_units.baselines import BASELINES, Candidate, accepted, oracle, regional_stica, truth_of
from training.motor_units.figures import SIMULATED, table
from training.motor_units.firings import readings
from training.motor_units.scores import Score, UnitTrace, precision_recall_f1, score
from training.motor_units.sequences import CELLS, TEST, VALIDATION, Cell
from training.wrist_hand.results import keep
from training.wrist_hand.scores import with_interval

RESULTS = Path("bench/results/motor_units.json")
SPLITS = {"validation": VALIDATION, "test": TEST}
#: A figure of the sequences with these numbers.
Statistic = Callable[[npt.NDArray[np.integer]], float]
#: Of stICA the weight of space with the greatest sum of these is taken.
_WEIGHED = ("F1", "Dice", "twitch r")
_WEIGHTS = (0.3, 0.5, 0.8, 1.0)
_QUANTILES = np.linspace(0, 0.98, 40)
_PAIRED = {
    "Dice": "dice",
    "twitch r": "twitch_r",
    "NRMSE": "twitch_nrmse",
    "rate of agreement": "rate_of_agreement",
    "CoV error": "variation_error",
}
#: Of each sequence a row: these, and of each paired figure its sum over pairs and over how many it could be said.
Tallies = npt.NDArray[np.float64]  # (sequences, 13)
_COUNTED = 3
COLUMNS = ["true", "found", "matched", *(f"{part} of {name}" for name in _PAIRED for part in ("sum", "count"))]
_DECIMALS = 4


def main() -> None:
    """Tune, score, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sequences", type=int, default=20, help="test muscles of each cell")
    parser.add_argument("--tuned-on", type=int, default=4, help="validation muscles of each cell")
    parser.add_argument("--baselines", nargs="+", choices=sorted(BASELINES), default=list(BASELINES))
    parser.add_argument("--split", choices=sorted(SPLITS), default="test")
    parser.add_argument("--output", type=Path, default=RESULTS, help="a JSON file; the table has its name, in Markdown")
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--weights", action="store_true", help="only try weights of space for stICA, on validation muscles")
    only.add_argument("--readings", action="store_true", help="only try how firings are read from its trains, likewise")
    arguments = parser.parse_args()
    begun = time.monotonic()
    tuning = [cell.sequence(seed) for place, cell in enumerate(CELLS) for seed in _share(VALIDATION, place, arguments.tuned_on)]
    if arguments.weights:
        keep(arguments.output, **{"stICA on validation, by weight of space": by_weight(tuning)})
        return
    if arguments.readings:
        keep(arguments.output, **{"stICA on validation, rate of agreement by reading": by_reading(tuning)})
        return
    least = {name: least_score(name, tuning) for name in arguments.baselines}
    print(f"least scores {least}, {time.monotonic() - begun:.0f} s", flush=True)
    cells: dict[str, Any] = {}
    for cell in CELLS:
        found = scored(cell, SPLITS[arguments.split][: arguments.sequences], least)
        keep_rows(arguments.output, arguments.split, cell.name, found)
        kept = kept_rows(keep(arguments.output), arguments.split, cell.name)
        # What was scored earlier and is not scored anew stays in the table.
        names = [name for name in (*BASELINES, "oracle") if len(kept.get(name, ())) == arguments.sequences]
        cells[cell.name] = {name: summary(kept[name]) for name in names}
        print(f"{cell.name}, {time.monotonic() - begun:.0f} s", flush=True)
    keep(arguments.output, least_scores=keep(arguments.output).get("least_scores", {}) | least)
    if arguments.split == "test":
        keep(arguments.output, simulator=MOTOR_UNITS_VERSION, sequences=arguments.sequences, cells=cells)
        arguments.output.with_suffix(".md").write_text(SIMULATED + table(cells), encoding="utf-8")


def least_score(name: str, sequences: Sequence[MotorSequence]) -> float:
    """With which F1 over all units of the sequences is greatest."""
    return _best([BASELINES[name](one.velocity) for one in sequences], sequences)


def by_weight(sequences: Sequence[MotorSequence]) -> dict[str, dict[str, float]]:
    """F1, Dice and twitch r of stICA by the weight of space, each with the least score with which its F1 is greatest."""
    told = {}
    for alpha in _WEIGHTS:
        found = [regional_stica(one.velocity, alpha) for one in sequences]
        least = _best(found, sequences)
        units = [accepted(some, least) for some in found]
        told[str(alpha)] = {name: _told(name, units, sequences) for name in _WEIGHED}
    return told


def by_reading(sequences: Sequence[MotorSequence]) -> dict[str, float]:
    """Of each way to read firings the rate of agreement of stICA's trains with the truth."""
    found = [regional_stica(one.velocity) for one in sequences]
    least = _best(found, sequences)
    told = {}
    for reading in readings():
        units = [accepted(some, least, reading) for some in found]
        told[reading.name] = _told("rate of agreement", units, sequences)
    return told


def scored(cell: Cell, seeds: Sequence[int], least: dict[str, float]) -> dict[str, Tallies]:
    """Of each baseline and the oracle on the muscles of a cell."""
    scores: dict[str, list[Score]] = {name: [] for name in (*least, "oracle")}
    for seed in seeds:
        sequence = cell.sequence(seed)
        truth = truth_of(sequence.units)
        for name, limit in least.items():
            scores[name].append(score(truth, accepted(BASELINES[name](sequence.velocity), limit)))
        scores["oracle"].append(_of_oracle(truth, oracle(sequence)))
    return {name: tallies(some) for name, some in scores.items()}


def tallies(scores: Sequence[Score]) -> Tallies:
    """A row a sequence, all that its figures and their intervals are made of."""
    rows = []
    for one in scores:
        paired = [_sum_and_count([getattr(pair, field) for pair in one.pairs]) for field in _PAIRED.values()]
        rows.append([one.true, one.found, len(one.pairs), *(number for some in paired for number in some)])
    return np.array(rows, np.float64).reshape(len(rows), len(COLUMNS)).round(_DECIMALS)


def keep_rows(path: Path, split: str, cell: str, found: Mapping[str, Tallies]) -> None:
    """Beside what is there of others: a line a sequence, its numbers in the order of the columns."""
    kept = keep(path).get("rows", {"columns": COLUMNS})
    lines = {name: [" ".join(f"{number:.10g}" for number in row) for row in some] for name, some in found.items()}
    kept.setdefault(split, {}).setdefault(cell, {}).update(lines)
    keep(path, rows=kept)


def kept_rows(results: Mapping[str, Any], split: str, cell: str) -> dict[str, Tallies]:
    """As they were kept."""
    lines = results["rows"][split][cell]
    return {name: np.array([[float(number) for number in line.split()] for line in some]) for name, some in lines.items()}


def summary(rows: Tallies) -> dict[str, Any]:
    """Precision, recall and F1 of all units together, means over matched units; 95 % intervals over sequences."""
    sequence = np.arange(len(rows))
    told = {name: with_interval(statistic, sequence) for name, statistic in statistics(rows).items()}
    return {"sequences": len(rows), **told}


def difference(name: str, ours: Tallies, theirs: Tallies) -> dict[str, float]:
    """Of what the table calls by the name, ours less theirs of the same sequences; 95 % interval over these."""
    one, other = statistics(ours)[name], statistics(theirs)[name]
    return with_interval(lambda chosen: one(chosen) - other(chosen), np.arange(len(ours)))


def statistics(rows: Tallies) -> dict[str, Statistic]:
    """What the table tells, of the sequences with these numbers."""
    found: dict[str, Statistic] = {
        name: partial(_ratio, rows[:, :_COUNTED], place) for place, name in enumerate(("precision", "recall", "F1"))
    }
    for place, name in enumerate(_PAIRED):
        first = _COUNTED + 2 * place
        found[name] = partial(_mean, rows[:, first : first + 2])
    return found


def _best(found: list[list[Candidate]], sequences: Sequence[MotorSequence]) -> float:
    """The least score with which F1 is greatest."""
    truths = [[unit.mask for unit in one.units] for one in sequences]
    tried = np.quantile([one.score for some in found for one in some], _QUANTILES)
    return float(max(tried, key=lambda least: _f1(truths, found, float(least))))


def _told(name: str, found: list[list[UnitTrace]], sequences: Sequence[MotorSequence]) -> float:
    """What the table calls so, over all units of the sequences."""
    rows = tallies([score(truth_of(one.units), some) for one, some in zip(sequences, found, strict=True)])
    return round(statistics(rows)[name](np.arange(len(rows))), _DECIMALS)


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
    return Score(len(truth), len(known), tuple(pair for some in pairs for pair in some), tuple(range(len(truth))))


def _ratio(counts: npt.NDArray[np.float64], place: int, chosen: npt.NDArray[np.integer]) -> float:
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
