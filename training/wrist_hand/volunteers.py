"""Which simulated volunteers are for what, fixed before anything was trained on any; and their pictures as arrays, made once.

`python -m training.wrist_hand.volunteers --out DIR` makes those that are missing. The pictures are cropped and letterboxed by the
service's own functions.
"""

import argparse
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from service.core.cine import Box
from service.core.preprocess import model_input, model_numbers, place
from service.core.wrist_planes import NO_PLANE, PLANES
from simulator.device import DeviceGroup
from simulator.wrist import WRIST_VERSION, Kind, Volunteer, WristFrame, draw_volunteer, wrist_frame

Bytes = npt.NDArray[np.uint8]

#: Side of the square that the networks take, pixels.
SIZE = 192
#: Pictures of each plane, of each volunteer.
_WELL, _BADLY = 3, 2
#: Share of the pictures whose structures are drawn, as in the paper.
_ANNOTATED = 0.4
#: The examiner's settings of width and depth leave out up to so much of the picture on each side and below.
_CROPPED_BESIDE, _CROPPED_BELOW = 0.2, 0.3


@dataclass(frozen=True, slots=True)
class Split:
    """Volunteers, each a hand of its own under a scanner of its own."""

    name: str
    seeds: range
    device_group: DeviceGroup = "common"
    #: Which planes they are examined in; all without any.
    planes: tuple[str, ...] = ()
    #: Pictures half way from each plane to another one, and of no wrist at all, of each volunteer: these show no plane.
    between: int = 1
    elsewhere: int = 5

    @property
    def folder(self) -> str:
        """Where their pictures are kept."""
        often = (f"between{self.between}",) if self.between > 1 else ()
        return "-".join((self.device_group, *self.planes, *often))

    @property
    def wanted(self) -> list[tuple[Kind, str]]:
        """How each picture of a volunteer is held, and near which plane."""
        times: tuple[tuple[Kind, int], ...] = (("well", _WELL), ("badly", _BADLY), ("between", self.between))
        of_planes = [(kind, name) for name in self.planes or NAMES[1:] for kind, count in times for _ in range(count)]
        elsewhere: tuple[Kind, str] = ("elsewhere", NAMES[1])
        return [*of_planes, *[elsewhere] * self.elsewhere]


NAMES = (NO_PLANE, *(plane.name for plane in PLANES))
_NERVE = ("S10", "S11", "S12")
SPLITS = {
    split.name: split
    for split in (
        Split("train", range(1_001, 1_141)),
        # A nerve differs from hand to hand more than 140 show: more hands, in the planes that show it.
        Split("train-nerve", range(2_001, 2_421), planes=_NERVE, elsewhere=0),
        # Of those fewer pictures than a fifth showed no plane; and half a nerve on the way to another plane is drawn worst.
        Split("train-nerve-2", range(2_501, 2_781), planes=_NERVE, between=2, elsewhere=2),
        # Training volunteers' nerves are drawn better than others': more hands of all planes, and of these.
        Split("train-2", range(3_001, 3_201)),
        Split("train-nerve-3", range(4_001, 4_601), planes=_NERVE, between=2, elsewhere=2),
        Split("validation", range(1_201, 1_221)),
        Split("test", range(1_301, 1_341)),
        Split("held-out-device", range(1_401, 1_441), "held-out"),
        # The two above were looked at after each of five stages. These were drawn then, to be looked at once.
        Split("fresh-test", range(1_501, 1_521)),
        Split("fresh-device", range(1_601, 1_621), "held-out"),
        # Drawn before the stages that follow from a look at those, for one look of their own (ADR 0042).
        Split("fresh-test-2", range(1_701, 1_741)),
        Split("fresh-device-2", range(1_801, 1_841), "held-out"),
    )
}


@dataclass(frozen=True, slots=True)
class Pictures:
    """N pictures of one volunteer or of several."""

    #: (N, S, S), 0 in the padding.
    image: Bytes
    #: (N, S, S), the number of the structure at each pixel.
    structures: Bytes
    #: (N,), index into NAMES.
    plane: Bytes
    #: (N,), whether a person drew the structures.
    annotated: npt.NDArray[np.bool_]
    #: (N,), seed.
    volunteer: npt.NDArray[np.int64]
    #: (N,), millimetres a pixel of the model.
    mm_per_pixel: npt.NDArray[np.float64]


def main() -> None:
    """Make what is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--splits", nargs="+", choices=sorted(SPLITS), default=list(SPLITS))
    parser.add_argument("--processes", type=int, default=2)
    arguments = parser.parse_args()
    for name in arguments.splits:
        print(f"{name}: {len(load(SPLITS[name], arguments.out, arguments.processes).plane)} pictures", flush=True)


def load(split: Split, folder: Path, processes: int = 2) -> Pictures:
    """All pictures of a split in order of volunteers."""
    kept = folder / f"wrist-{WRIST_VERSION}-{SIZE}" / split.folder
    kept.mkdir(parents=True, exist_ok=True)
    missing = [seed for seed in split.seeds if not (kept / f"{seed}.npz").exists()]
    if missing:
        with ProcessPoolExecutor(processes) as pool:
            list(pool.map(partial(_keep, folder=kept, split=split), missing))
    return joined([_read(kept / f"{seed}.npz") for seed in split.seeds])


def pictures_of(seed: int, split: Split) -> Pictures:
    """Of one volunteer of a split: every plane held well and badly, between planes, elsewhere."""
    volunteer = draw_volunteer(seed, split.device_group)
    random = np.random.default_rng([seed, 30])
    shown = [_shown(volunteer, number, kind, name, random) for number, (kind, name) in enumerate(split.wanted)]
    return Pictures(
        image=np.stack([image for image, *_ in shown]),
        structures=np.stack([structures for _, structures, *_ in shown]),
        plane=np.array([NAMES.index(frame.plane) for *_, frame, _ in shown], np.uint8),
        annotated=random.random(len(shown)) < _ANNOTATED,
        volunteer=np.full(len(shown), seed),
        mm_per_pixel=np.array([mm for *_, mm in shown]),
    )


def joined(parts: list[Pictures]) -> Pictures:
    """One behind the other."""
    return Pictures(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Pictures)))


def _shown(
    volunteer: Volunteer, number: int, kind: Kind, plane: str, random: np.random.Generator
) -> tuple[Bytes, Bytes, WristFrame, float]:
    mm_per_pixel = 0.1
    frame = wrist_frame(volunteer, number, kind, plane, mm_per_pixel)
    placement = place(_crop(frame.sector.shape, random), SIZE)
    along, _ = placement.region_pixels_per_model_pixel()
    return model_input(frame.sector, placement), model_numbers(frame.labels, placement), frame, mm_per_pixel * along


def _crop(shape: tuple[int, ...], random: np.random.Generator) -> Box:
    """Another depth and width setting."""
    height, width = shape
    left, right = (random.uniform(0, _CROPPED_BESIDE) for _ in range(2))
    below = random.uniform(0, _CROPPED_BELOW)
    return Box(round(left * width), 0, width - round(right * width), height - round(below * height))


def _keep(seed: int, folder: Path, split: Split) -> None:
    """Written aside and renamed, so that a reader never sees half a file."""
    made, path = pictures_of(seed, split), folder / f"{seed}.npz"
    aside = path.with_suffix(".writing.npz")
    np.savez_compressed(aside, **{field.name: getattr(made, field.name) for field in fields(Pictures)})
    aside.replace(path)


def _read(path: Path) -> Pictures:
    with np.load(path, allow_pickle=False) as stored:
        return Pictures(*(stored[field.name] for field in fields(Pictures)))


if __name__ == "__main__":
    main()
