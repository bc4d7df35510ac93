"""What predictors without a picture reach: `python -m training.muscle_state.trivial` prints the table of simulator/CARD.md.

The mean of the others, and ridge regressions on geometry without any error, each asked about people that it was not fitted to.
Quick: no picture is made.
"""

import argparse
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from simulator.calf_in_motion import States
from simulator.calf_states import STATES_VERSION
from training.muscle_state.people import FOLDS, PEOPLE, STATES, geometry, held_out_in, states_of, targets
from training.muscle_state.scores import r2, rmse, slope, spread, without_offset

Values = npt.NDArray[np.float64]
#: Features (N, F) and targets (N, S) of known people, features (M, F) of others; gives predictions (M, S).
Predictor = Callable[[Values, Values, Values], Values]

_SHRINKAGE = 1.0


def main() -> None:
    """Print R2 and error of each predictor for each state."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first-person", type=int, default=PEOPLE.start)
    people = range(first := parser.parse_args().first_person, first + len(PEOPLE))
    known = {seed: states_of(seed) for seed in people}
    print(
        f"simulator {STATES_VERSION}, {len(people)} people from {first}, {FOLDS} folds; "
        "R2 of each person: mean (SD), 95 % of the mean"
    )
    print("||" + "|".join(STATES) + "|\n|---|" + "---|" * len(STATES))
    for name, (features, predict) in PREDICTORS.items():
        wanted, found = held_out_predictions(known, features, predict)
        for title, given in ((name, found), (f"{name}, offset taken out", list(map(without_offset, wanted, found)))):
            print(f"|{title}|" + "|".join(_cells(wanted, given)) + "|")


def held_out_predictions(
    known: dict[int, States], features: Callable[[States], Values], predict: Predictor
) -> tuple[list[Values], list[Values]]:
    """Truth and prediction (N, S) of each person, in order; people are held out in pairs, as in the protocol."""
    seeds = sorted(known)
    pairs = [{seeds[seed - PEOPLE.start] for seed in held_out_in(fold)} for fold in range(FOLDS)]
    wanted, found = [], []
    for pair in pairs:
        others = [known[seed] for seed in seeds if seed not in pair]
        seen, told = (np.concatenate([of(one) for one in others]) for of in (features, targets))
        for seed in sorted(pair):
            wanted.append(targets(known[seed]))
            found.append(predict(seen, told, features(known[seed])))
    return wanted, found


def mean_of_others(_: Values, told: Values, asked: Values) -> Values:
    """Nothing of the person is looked at."""
    return np.repeat(told.mean(0)[None], len(asked), axis=0)


def ridge(seen: Values, told: Values, asked: Values) -> Values:
    """Linear in the standardised features, shrunk a little."""
    middle, scale = seen.mean(0), seen.std(0)
    design = (seen - middle) / scale
    weights = np.linalg.solve(design.T @ design + _SHRINKAGE * np.eye(design.shape[1]), design.T @ (told - told.mean(0)))
    return np.asarray(told.mean(0) + (asked - middle) / scale @ weights)


def squared_geometry(states: States) -> Values:
    """(N, 14): the four of `geometry`, and their products."""
    plain = geometry(states)
    first, second = np.triu_indices(plain.shape[1])
    return np.column_stack([plain, plain[:, first] * plain[:, second]])


PREDICTORS: dict[str, tuple[Callable[[States], Values], Predictor]] = {
    "mean of the others": (geometry, mean_of_others),
    "ridge on geometry": (geometry, ridge),
    "ridge on geometry and its products": (squared_geometry, ridge),
}


def _cells(wanted: list[Values], found: list[Values]) -> list[str]:
    scores, errors, slopes = (np.stack(list(map(score, wanted, found))) for score in (r2, rmse, slope))
    cells = []
    for state in range(len(STATES)):
        over = spread(scores[:, state])
        said = f"{over.mean:.2f} ({over.deviation:.2f}), {over.low:.2f} to {over.high:.2f}"
        cells.append(f"{said}; RMSE {errors[:, state].mean():.2f}, slope {slopes[:, state].mean():.2f}")
    return cells


if __name__ == "__main__":
    main()
