"""The people's frames as arrays, made once: `python -m training.muscle_state.frames --out DIR` makes those that are missing.

Each person is looked at in a few hundred moments that are far apart; whole cines would be many times as many pictures, and alike.
The patches are the service's own, of lines that are off as a segmentation's are.
"""

import argparse
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from service.core.calf_patches import CalfPatches, calf_patches
from service.core.cine import Box
from simulator.calf_in_motion import CalfStatesFrame, draw_state_subject, postures
from simulator.calf_states import STATES_VERSION
from simulator.device import DeviceGroup
from training.muscle_state.people import MOMENTS, SPLITS, Split, geometry, moments_of, states_of, targets

#: How far each line is off, mm: as a whole, and from one end to the other (standard deviations).
_OFF_MM, _TURNED_MM = 0.25, 0.25
#: The examiner's picture is narrower by up to so much on each side.
_CROPPED = 0.1


@dataclass(frozen=True, slots=True)
class Frames:
    """N frames of one person or of several."""

    #: (N, 2, 64, 128).
    patches: npt.NDArray[np.uint8]
    #: (N, 5), as SCALARS of the service says.
    scalars: npt.NDArray[np.float32]
    #: (N, 4), as STATES says.
    targets: npt.NDArray[np.float32]
    #: (N, 4), of the simulator, without error; what the ridge regression is given.
    geometry: npt.NDArray[np.float32]
    #: (N,), seed.
    person: npt.NDArray[np.int64]

    def of(self, people: tuple[int, ...]) -> "Frames":
        """Those of some people."""
        return self.where(np.isin(self.person, people))

    def without(self, people: tuple[int, ...]) -> "Frames":
        """Those of the others."""
        return self.where(~np.isin(self.person, people))

    def where(self, chosen: npt.NDArray[np.bool_] | npt.NDArray[np.int64]) -> "Frames":
        """Those that are chosen, by a mask or by their places."""
        return Frames(*(getattr(self, field.name)[chosen] for field in fields(Frames)))


def main() -> None:
    """Make what is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--splits", nargs="+", choices=sorted(SPLITS), default=list(SPLITS))
    parser.add_argument("--processes", type=int, default=1)
    arguments = parser.parse_args()
    for name in arguments.splits:
        print(f"{name}: {len(load(SPLITS[name], arguments.out, arguments.processes).person)} frames", flush=True)


def load(split: Split, folder: Path, processes: int = 1, people: tuple[int, ...] | None = None) -> Frames:
    """All frames of a split in order of people, or of some of them."""
    kept = folder_of(split, folder)
    kept.mkdir(parents=True, exist_ok=True)
    seeds = tuple(split.seeds) if people is None else people
    missing = [seed for seed in seeds if not (kept / f"{seed}.npz").exists()]
    if missing and processes == 1:
        for seed in missing:
            _keep(seed, kept, split)
    elif missing:
        with ProcessPoolExecutor(processes) as pool:
            list(pool.map(partial(_keep, folder=kept, split=split), missing))
    return joined([read(kept / f"{seed}.npz") for seed in seeds])


def folder_of(split: Split, folder: Path) -> Path:
    """Where a split's frames are, SEED.npz of each person."""
    return folder / f"calf-states-{STATES_VERSION}-{split.moments}" / split.device_group


def write(made: Frames, path: Path) -> None:
    """Written aside and renamed, so that a reader never sees half a file."""
    aside = path.with_suffix(".writing.npz")
    np.savez_compressed(aside, **{field.name: getattr(made, field.name) for field in fields(Frames)})
    aside.replace(path)


def read(path: Path) -> Frames:
    """What `write` wrote."""
    with np.load(path, allow_pickle=False) as stored:
        return Frames(*(stored[field.name] for field in fields(Frames)))


def frames_of(seed: int, device_group: DeviceGroup = "common", count: int = MOMENTS) -> Frames:
    """Of one person on one scanner."""
    subject, seconds = draw_state_subject(seed, device_group), moments_of(seed, count)
    where = postures(subject.person, subject.courses.angle_deg(seconds), subject.courses.activities(seconds))
    random = np.random.default_rng([seed, 47])
    seen = [_patches(subject.frame(one, number), subject.mm_per_pixel, random) for number, one in enumerate(where)]
    states = states_of(seed, count)
    return Frames(
        patches=np.stack([one.pixels for one in seen]),
        scalars=np.stack([one.scalars for one in seen]),
        targets=targets(states).astype(np.float32),
        geometry=geometry(states).astype(np.float32),
        person=np.full(count, seed),
    )


def joined(parts: list[Frames]) -> Frames:
    """One behind the other."""
    return Frames(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Frames)))


def _patches(frame: CalfStatesFrame, mm_per_pixel: float, random: np.random.Generator) -> CalfPatches:
    height, width = frame.sector.shape
    left, right = (round(random.uniform(0, _CROPPED) * width) for _ in range(2))
    box = Box(left, 0, width - right, height)
    away, turned = (random.standard_normal((3, 1)) * size / mm_per_pixel for size in (_OFF_MM, _TURNED_MM))
    lines = frame.lines[:, left : width - right]
    lines = lines + away + turned * np.linspace(-0.5, 0.5, box.width)
    return calf_patches(frame.sector, box, np.clip(lines, -0.5, height - 0.5), (mm_per_pixel, mm_per_pixel))


def _keep(seed: int, folder: Path, split: Split) -> None:
    write(frames_of(seed, split.device_group, split.moments), folder / f"{seed}.npz")


if __name__ == "__main__":
    main()
