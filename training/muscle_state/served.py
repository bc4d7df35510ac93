"""What serving sees of simulated people: `python -m training.muscle_state.served --out DIR --split validation`.

The frames that training drew from the simulator's own lines, here through the service: the sector is looked for, the network of
muscle segmentation draws its maps, the three lines are found in them. Prints how often each line is found and how far it is off,
and keeps the frames as `training.muscle_state.frames` keeps its own, so that a network can be asked about what it will be given.
"""

import argparse
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from service.core.analyses.muscle_architecture import MODEL as SEGMENTATION
from service.core.calf_lines import CalfLines, NoLines, find_calf_lines
from service.core.calf_patches import CalfPatches, calf_patches
from service.core.measure.calf_states import Unread
from service.core.preprocess import Placement, find_sector, model_input, place
from simulator.calf_in_motion import CalfStatesFrame, StateSubject, draw_state_subject, postures
from training.muscle_state.frames import Frames, joined, write
from training.muscle_state.people import SPLITS, Split, geometry, moments_of, states_of, targets
from training.onnx_networks import OnnxNetworks

#: The sector is found from so many frames, as in the service.
_SECTOR_FRAMES = 4
LINES = ("superficial", "middle", "deep")


@dataclass(slots=True)
class Found:
    """Of the frames of one person or several: errors of the lines (mm, mean over the width), and why others have none."""

    errors: list[npt.NDArray[np.float64]] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)

    def summary(self) -> dict[str, Any]:
        """Share of frames with all lines, and of each line the errors' median and 95th percentile."""
        errors = np.abs(np.stack(self.errors))
        lines = {
            name: {"median_mm": round(float(np.median(one)), 3), "p95_mm": round(float(np.quantile(one, 0.95)), 3)}
            for name, one in zip(LINES, errors.T, strict=True)
        }
        frames = len(errors) + self.refused.total()
        return {"frames": frames, "answered": round(len(errors) / frames, 4), "refused": dict(self.refused), "lines": lines}


def main() -> None:
    """Make the frames, print and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--split", choices=sorted(SPLITS), default="validation")
    parser.add_argument("--moments", type=int, help="of each person; default: as in training.muscle_state.people")
    parser.add_argument("--repository", type=Path, default=Path("model_repository"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    split = SPLITS[arguments.split]
    frames, found = served_frames(split, arguments.moments or split.moments, open_segmentation(arguments.repository))
    write(frames, arguments.out / f"served-{arguments.split}.npz")
    told = json.dumps(found.summary(), indent=1)
    (arguments.out / f"served-{arguments.split}.json").write_text(told + "\n")
    print(told)


def open_segmentation(repository: Path) -> OnnxNetworks:
    """As served, in ONNX Runtime."""
    path = repository / SEGMENTATION.model_name / SEGMENTATION.model_version / "model.onnx"
    return OnnxNetworks.opened({SEGMENTATION.model_name: path})


def served_frames(split: Split, moments: int, networks: OnnxNetworks) -> tuple[Frames, Found]:
    """Of every person of a split, so many moments each."""
    found = Found()
    parts = [_of_person(seed, split, moments, networks, found) for seed in split.seeds]
    return joined(parts), found


def _of_person(seed: int, split: Split, moments: int, networks: OnnxNetworks, found: Found) -> Frames:
    subject, seconds = draw_state_subject(seed, split.device_group), moments_of(seed, moments)
    where = postures(subject.person, subject.courses.angle_deg(seconds), subject.courses.activities(seconds))
    pictures = [subject.frame(one, number) for number, one in enumerate(where)]
    placement = place(find_sector([one.sector for one in pictures[:_SECTOR_FRAMES]]))
    states, seen = states_of(seed, moments), list(_patches(subject, pictures, placement, networks, found))
    kept = np.array([number for number, _ in seen], np.intp)
    return Frames(
        patches=np.stack([one.pixels for _, one in seen]),
        scalars=np.stack([one.scalars for _, one in seen]),
        targets=targets(states).astype(np.float32)[kept],
        geometry=geometry(states).astype(np.float32)[kept],
        person=np.full(len(kept), seed),
    )


def _patches(
    subject: StateSubject, pictures: Sequence[CalfStatesFrame], placement: Placement, networks: OnnxNetworks, found: Found
) -> Iterator[tuple[int, CalfPatches]]:
    """Numbers of the frames whose lines were found, and what lies between them."""
    images = [model_input(one.sector, placement) for one in pictures]
    size = SEGMENTATION.max_batch_size
    batches = ({"image": np.stack(images[start : start + size])[:, None]} for start in range(0, len(images), size))
    masks = (one for answer in networks.infer(SEGMENTATION, batches) for one in answer["masks"].astype(np.uint8, copy=False))
    scale, box = subject.mm_per_pixel, placement.box
    for number, (picture, image, maps) in enumerate(zip(pictures, images, masks, strict=True)):
        lines = find_calf_lines(image, maps, placement)
        if isinstance(lines, NoLines):
            found.refused[str(lines)] += 1
            continue
        try:
            patches = calf_patches(picture.sector, box, lines.rows, (scale, scale))
        except ValueError:
            found.refused[str(Unread.DO_NOT_FIT)] += 1
            continue
        found.errors.append(_errors(lines, picture, placement) * scale)
        yield number, patches


def _errors(lines: CalfLines, picture: CalfStatesFrame, placement: Placement) -> npt.NDArray[np.float64]:
    """Of each line the mean distance from the true one, pixels."""
    true = picture.lines[:, placement.box.x0 : placement.box.x1]
    return np.asarray(np.abs(lines.rows - true).mean(1))


if __name__ == "__main__":
    main()
