"""Sixteen folds of two people held out. `python -m training.muscle_state.protocol --data DIR --out DIR` trains what is missing.

A network begins with what a cohort of 800 further people teaches, who are in no fold, and goes on for a little with cohort and
the other thirty: from thirty people alone it learns who they are (R2 below 0 for a stranger's angle). The ridge regression is
fitted to the same people.

Writes `NAME.json` in `out` and prints a table: R2 of each person, errors, slopes, coverage, and what the network is worth beside
a ridge regression on geometry without error, for the same people. `--folds 0 1` makes some of them, for a look: their table says
so. `--held-out-device` trains on all people and asks about others on scanners that training never saw.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from training.muscle_state.frames import Frames, joined, load
from training.muscle_state.model import NETWORKS
from training.muscle_state.people import FOLDS, PEOPLE, SPLITS, STATES, held_out_in
from training.muscle_state.scores import Spread, Values, coverage, r2, rmse, slope, spread, without_offset
from training.muscle_state.train import Answers, Network, Schedule, ask, train, widening
from training.muscle_state.trivial import mean_of_others, ridge

#: After the cohort.
FURTHER_LEARNING_RATE = 3e-4
#: Truth and what each predictor says (N, S) of one person; of the network also how far off it may be.
Asked = dict[str, Values]


def main(argv: Sequence[str] | None = None) -> None:
    """Train, ask, write and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="where training.muscle_state.frames leaves its arrays")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--network", choices=sorted(NETWORKS), default="states")
    parser.add_argument("--folds", type=int, nargs="+", choices=range(FOLDS), default=list(range(FOLDS)))
    parser.add_argument("--held-out-device", action="store_true")
    parser.add_argument("--steps", type=int, default=Schedule().steps, help="on the cohort")
    parser.add_argument("--further-steps", type=int, default=200, help="on the cohort and the people that are not held out")
    parser.add_argument("--bfloat16", action="store_true")
    arguments = parser.parse_args(argv)
    schedule = Schedule(network=arguments.network, steps=arguments.steps, in_bfloat16=arguments.bfloat16)
    people, strangers, cohort = (load(SPLITS[split], arguments.data) for split in ("people", "validation", "cohort"))
    name = f"{schedule.network}-{schedule.steps}" + ("-bfloat16" if schedule.in_bfloat16 else "")
    begun = train(cohort, schedule, arguments.out / f"{name}-cohort")
    further = replace(schedule, steps=arguments.further_steps, learning_rate=FURTHER_LEARNING_RATE)
    if arguments.held_out_device:
        others = load(SPLITS["held-out-device"], arguments.data)
        network = train(known := joined([cohort, people]), further, arguments.out / f"{name}-all", begin_with=begun)
        asked, title = held_out(network, known, others, strangers), f"{name}-held-out-device"
    else:
        asked = {}
        for fold in arguments.folds:
            pair = held_out_in(fold)
            known = joined([cohort, people.without(pair)])
            network = train(known, further, arguments.out / f"{name}-fold-{fold:02d}", begin_with=begun)
            asked |= held_out(network, known, people.of(pair), strangers)
        title = name if len(asked) == len(PEOPLE) else f"{name}-folds-{'-'.join(map(str, arguments.folds))}"
    found = results(list(asked.values()))
    (arguments.out / f"{title}.json").write_text(json.dumps({"schedule": asdict(schedule), **found}, indent=1) + "\n")
    print(table(title, found))


def held_out(network: Network, known: Frames, others: Frames, strangers: Frames) -> dict[int, Asked]:
    """Each person of `others`, asked of what was trained on `known`; `strangers` say how much to widen the deviations."""
    wider = widening(strangers.targets.astype(np.float64), ask(network, strangers))
    return {
        int(seed): _person(known, others.of((int(seed),)), ask(network, others.of((int(seed),))), wider)
        for seed in np.unique(others.person)
    }


def results(people: list[Asked]) -> dict[str, Any]:
    """By predictor, then by score, then by state; and the network less ridge, person by person."""
    made: dict[str, Any] = {"data": "simulated people", "people": len(people)}
    scores: dict[str, dict[str, Values]] = {}
    for name in ("network", "network, offset taken out", "ridge", "mean"):
        said = [_said(one, name) for one in people]
        scores[name] = {
            score.__name__: np.stack([score(one["truth"], other) for one, other in zip(people, said, strict=True)])
            for score in (r2, rmse, slope)
        }
        made[name] = {score: _by_state(values) for score, values in scores[name].items()}
    covered = np.stack([coverage(one["truth"], one["network"], one["deviation"]) for one in people])
    made["network"]["coverage"] = _by_state(covered)
    made["network less ridge"] = _by_state(scores["network"]["r2"] - scores["ridge"]["r2"])
    return made


def table(title: str, found: dict[str, Any]) -> str:
    """For people to read."""
    lines = [f"{title}: {found['people']} people, simulated; mean (SD between people), 95 % of the mean"]
    lines += ["||" + "|".join(STATES) + "|", "|---|" + "---|" * len(STATES)]
    for name in ("network", "network, offset taken out", "ridge", "mean"):
        lines += [f"|{name}: {score}|{_cells(values)}|" for score, values in found[name].items()]
    lines.append(f"|network less ridge: r2|{_cells(found['network less ridge'])}|")
    return "\n".join(lines)


def _person(known: Frames, one: Frames, answers: Answers, wider: Values) -> Asked:
    seen, told, asked = (part.astype(np.float64) for part in (known.geometry, known.targets, one.geometry))
    return {
        "truth": one.targets.astype(np.float64),
        "network": answers.mean,
        "deviation": answers.deviation * wider,
        "ridge": ridge(seen, told, asked),
        "mean": mean_of_others(seen, told, asked),
    }


def _said(one: Asked, name: str) -> Values:
    return without_offset(one["truth"], one["network"]) if name.endswith("taken out") else one[name]


def _by_state(values: Values) -> dict[str, dict[str, float]]:
    return {state: asdict(spread(values[:, number])) for number, state in enumerate(STATES)}


def _cells(by_state: dict[str, dict[str, Any]]) -> str:
    found = [Spread(**by_state[state]) for state in STATES]
    return "|".join(f"{one.mean:.2f} ({one.deviation:.2f}), {one.low:.2f} to {one.high:.2f}" for one in found)


if __name__ == "__main__":
    main()
