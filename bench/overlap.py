"""Which of TimTrack's pictures are also among the training data: `python -m bench.overlap --data DLTRACK`.

Every picture is compared with every picture of DL_Track, as it is and mirrored, by the measure that cleans the folds of
near-duplicates. A test set is held out only as far as nothing of it turns up here.
"""

import argparse
from collections import defaultdict
from pathlib import Path

import numpy as np

from bench.labelled_images import shared_folder, timtrack
from service.core.preprocess import find_sector, model_input, place
from training.muscle_segmentation.folds import NEAR_DUPLICATE, small
from training.muscle_segmentation.real import load_real


def main() -> None:
    """One line a set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="DL_Track")
    arguments = parser.parse_args()
    shared = shared_folder()
    if shared is None:
        raise SystemExit("TimTrack is not here; set SONOMYO_SHARED")
    pictures = np.stack([small(item.image) for item in load_real(arguments.data)])
    found: dict[str, list[float]] = defaultdict(list)
    for name, labelled in timtrack(shared):
        frame = np.ascontiguousarray(next(iter(labelled.cine.frames())).pixels)
        image = model_input(frame, place(find_sector([frame])))
        found[name].append(max(float((pictures @ small(each)).max()) for each in (image, image[:, ::-1])))
    for name, likeness in found.items():
        many = sum(one > NEAR_DUPLICATE for one in likeness)
        same = sum(one > 0.95 for one in likeness)  # the very same picture, sampled anew
        print(
            f"{name}: of {len(likeness)} pictures {many} near-duplicates, {same} the same picture; most alike {max(likeness):.2f}"
        )


if __name__ == "__main__":
    main()
