"""A variant of one muscle, for pictures of another one: `python -m training.muscle_state.one_muscle --data DIR --out RUN`.

Vastus lateralis is what real pictures at known steps of a contraction show (TimTrack, set 1). Its fascicles are flatter and it is
thicker for the width that is seen, so each simulated person's gastrocnemius is seen over a narrower piece, which flattens what a
patch shows by the same factor; the soleus and the lengths are left out, for those pictures carry no scale. What geometry is left
without one, the angle between fascicles and the superficial line, is given beside the patch, as far off as it is measured. Those
contractions are isometric, so that it learns from moments in which the ankle is at the end where a gastrocnemius is flattest.

One training ranks those pictures with 0.94 and another with 0.74, which is chance, so that several are asked, from RUN/0 on, and
the mean of what they say is told (an ensemble: Lakshminarayanan et al., NeurIPS 2017). How many was fixed before any was asked.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import stats

from simulator.calf_states import ANGLE_RANGE_DEG
from training.muscle_state.frames import Frames, joined, load
from training.muscle_state.people import SPLITS, STATES
from training.muscle_state.scores import Values
from training.muscle_state.train import Network, Schedule, ask, load_network, train

#: Of a calf's width: a vastus of 12 to 20 degrees, 25 mm thick and 50 mm wide looks as flat as a calf of 20 to 35 at these.
_NARROWEST, _WIDEST = 0.4, 1.0
#: For a third of the time the ankle is at one of the ends of its range; this is the dorsiflexed one.
_MOST_ANGLE_DEG = ANGLE_RANGE_DEG[0] + 1.0
#: Standard deviation of the measured angle, degrees: of a person throughout, and of each frame.
_OFF_DEG = 1.5
#: Moments of a person, and the range of activity (its square root) within them, below which nothing can be ranked.
_FEWEST, _LEAST_RANGE = 5, 0.2
_ACTIVITY = STATES.index("activity_gastrocnemius")
_DRAWS = 5
#: Where the angle (degrees) stands among the network's scalars; the others are nothing.
ANGLE = 0


def main() -> None:
    """Read the arguments, train, and say what each and all are worth on simulated people, by whom they may be chosen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="where training.muscle_state.frames leaves its arrays")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--draws", type=int, default=_DRAWS, help="networks, each from a seed of its own")
    parser.add_argument("--bfloat16", action="store_true")
    arguments = parser.parse_args()
    frames = joined([load(SPLITS[split], arguments.data) for split in ("cohort", "people")])
    seen = of_one_muscle(frames.where(isometric(frames)))
    schedules = [Schedule(steps=arguments.steps, in_bfloat16=arguments.bfloat16, seed=draw) for draw in range(arguments.draws)]
    networks = [train(seen, schedule, arguments.out / str(schedule.seed)) for schedule in schedules]
    others = load(SPLITS["calibration"], arguments.data)
    asked = of_one_muscle(others.where(isometric(others)))
    for name, some in (*((f"seed {seed}", [one]) for seed, one in enumerate(networks)), ("their mean", networks)):
        print(f"{name}: {worth(some, asked)}")


def load_networks(run: Path) -> list[Network]:
    """Those of all draws, in order."""
    return [load_network(draw)[0] for draw in sorted(run.iterdir(), key=lambda draw: int(draw.name))]


def activities(networks: Sequence[Network], frames: Frames) -> Values:
    """What each network says of each frame (networks, N): the activity's square root."""
    return np.stack([ask(network, frames).mean[:, _ACTIVITY] for network in networks])


def worth(networks: Sequence[Network], frames: Frames) -> str:
    """How activity and the angle alone rank with the truth within each person that is seen often enough and does something."""
    said, true = activities(networks, frames).mean(0), frames.targets[:, _ACTIVITY]
    people = [frames.person == seed for seed in np.unique(frames.person)]
    asked = [own for own in people if own.sum() >= _FEWEST and np.ptp(true[own]) > _LEAST_RANGE]
    of_both = [[stats.spearmanr(one[own], true[own]).statistic for one in (said, frames.scalars[:, ANGLE])] for own in asked]
    by_network, by_angle = np.median(of_both, axis=0)
    return f"{len(asked)} people, medians of the rank correlation: activity {by_network:.2f}, angle alone {by_angle:.2f}"


def isometric(frames: Frames) -> npt.NDArray[np.bool_]:
    """Which of the frames (N,) are of an ankle that stands still at the flat end."""
    return np.asarray(frames.targets[:, STATES.index("joint_angle")] <= _MOST_ANGLE_DEG)


def of_one_muscle(frames: Frames) -> Frames:
    """The same people with one muscle, each as flat as that person's draw says, its angle, and no length."""
    patches, scalars = np.zeros_like(frames.patches), np.zeros_like(frames.scalars)
    for seed in np.unique(frames.person):
        own, random = frames.person == seed, np.random.default_rng([int(seed), 48])
        share = float(random.uniform(_NARROWEST, _WIDEST))
        patches[own, 0] = _narrower(frames.patches[own, 0], share)
        flat = np.degrees(np.arctan(share * np.tan(np.radians(frames.geometry[own, 0]))))
        scalars[own, ANGLE] = flat + random.normal(0, _OFF_DEG) + random.normal(0, _OFF_DEG, own.sum())
    return replace(frames, patches=patches, scalars=scalars)


def _narrower(patches: npt.NDArray[np.uint8], share: float) -> npt.NDArray[np.uint8]:
    """The middle share of the columns of (N, H, W), over as many columns as before."""
    width = patches.shape[2]
    places = (width - 1) / 2 + (np.arange(width) - (width - 1) / 2) * share
    left = np.floor(places).astype(np.intp)
    part = places - left
    mixed = patches[:, :, left] * (1 - part) + patches[:, :, np.minimum(left + 1, width - 1)] * part
    return np.asarray(np.rint(mixed), np.uint8)


if __name__ == "__main__":
    main()
