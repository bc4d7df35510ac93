"""A variant of one muscle, for pictures of another one: `python -m training.muscle_state.one_muscle --data DIR --out RUN`.

Vastus lateralis is what real pictures at known steps of a contraction show (TimTrack, set 1). Its fascicles are flatter and it is
thicker for the width that is seen, so each simulated person's gastrocnemius is seen over a narrower piece, which flattens what a
patch shows by the same factor; the soleus and the lengths are left out, for those pictures carry no scale.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from training.muscle_state.frames import Frames, joined, load
from training.muscle_state.people import SPLITS
from training.muscle_state.train import Schedule, train

#: Of a calf's width: a vastus of 12 to 20 degrees, 25 mm thick and 50 mm wide looks as flat as a calf of 20 to 35 at these.
_NARROWEST, _WIDEST = 0.4, 1.0


def main() -> None:
    """Read the arguments and train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="where training.muscle_state.frames leaves its arrays")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--bfloat16", action="store_true")
    arguments = parser.parse_args()
    frames = joined([load(SPLITS[split], arguments.data) for split in ("cohort", "people")])
    train(of_one_muscle(frames), Schedule(steps=arguments.steps, in_bfloat16=arguments.bfloat16), arguments.out)


def of_one_muscle(frames: Frames) -> Frames:
    """The same people with one muscle, each as flat as that person's draw says, and no length."""
    patches = np.zeros_like(frames.patches)
    for seed in np.unique(frames.person):
        own = frames.person == seed
        patches[own, 0] = _narrower(frames.patches[own, 0], np.random.default_rng([int(seed), 48]).uniform(_NARROWEST, _WIDEST))
    return replace(frames, patches=patches, scalars=np.zeros_like(frames.scalars))


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
