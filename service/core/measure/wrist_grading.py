"""The rules by which a picture of a standard plane is graded: what has to be seen, and how.

Tang (Radiology 2026) names three grades, not their rules; these are written from the wrist guideline of the European Society of
Musculoskeletal Radiology, and each says which pixels decided.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from service.core import wording
from service.core.cine import Pixels
from service.core.measure.plane import Scale
from service.core.measure.wrist_structures import Structure
from service.core.preprocess import Placement
from service.core.quality import Fault, Move
from service.core.wrist_planes import BONES, STRUCTURES, TENDONS, Plane

#: Every reason that a fault can have.
FAULTS = (
    *(f"{kind}_{name}" for kind in ("missing", "size") for name in STRUCTURES),
    *("off_centre", "too_shallow", "too_deep", "bone_interrupted", "tendons_dark"),
)
_SUREST = 0.7
#: Times the usual area of the structure in this plane.
_SIZES = (0.5, 2.0)
#: The middle of what is required lies within this share of the picture's width, round its middle.
_CENTRAL = 0.4
_CONTINUITY = 0.8
#: A bone's surface is at least so much brighter than the picture is in the middle.
_BRIGHT_SURFACE = 1.3
#: Model pixels above and below the drawn surface in which it may lie.
_SURFACE_REACH = 2
_TENDON_CONTRAST = 1.1
_ROUND_TENDON = 6
#: What is required ends above the lowest part of the picture, and fills at least this share of its depth.
_LOWEST, _FILLED = 0.98, 0.2


@dataclass(frozen=True, slots=True)
class Seen:
    """One picture as the rules look at it."""

    plane: Plane
    #: (S, S), 0 in the padding.
    image: Pixels
    #: (S, S), the number of the structure at each pixel.
    numbers: Pixels
    placement: Placement
    scale: Scale
    structures: Mapping[str, Structure]


def faults_of(seen: Seen, usual_mm2: Mapping[str, float]) -> tuple[Fault, ...]:
    """In the order of the rules. `usual_mm2` are usual areas of this plane's structures; without a scale size is not judged."""
    required = [seen.structures[name] for name, _ in seen.plane.required if name in seen.structures]
    faults = [*_missing(seen)]
    if required:
        faults += [*_size(seen, required, usual_mm2), *_off_centre(seen, required), *_depth(seen, required)]
        faults += [*_interrupted(seen, required), *_tilted(seen, required)]
    return tuple(faults)


def missing_structures(seen: Seen) -> tuple[str, ...]:
    """Names of those that the plane requires and that are not there, not often enough, or not sure."""
    return tuple(name for name, pieces in seen.plane.required if not _is_present(seen.structures.get(name), pieces))


def _is_present(structure: Structure | None, pieces: int) -> bool:
    return structure is not None and len(structure.pieces) >= pieces and structure.probability >= _SUREST


def _missing(seen: Seen) -> Iterator[Fault]:
    for name in missing_structures(seen):
        yield Fault(reason=f"missing_{name}", text=f"{wording.label(name).lower()} is not seen", is_grave=True)


def _size(seen: Seen, required: Sequence[Structure], usual_mm2: Mapping[str, float]) -> Iterator[Fault]:
    if seen.scale.unit != "mm":
        return
    least, most = _SIZES
    for structure in required:
        usual, area = usual_mm2.get(structure.name), structure.area * seen.scale.x * seen.scale.y
        if usual is not None and not least * usual <= area <= most * usual:
            how = "smaller" if area < usual else "larger"
            text = f"{wording.label(structure.name).lower()} is much {how} than usual in this plane"
            yield Fault(reason=f"size_{structure.name}", text=text)


def _off_centre(seen: Seen, required: Sequence[Structure]) -> Iterator[Fault]:
    across = float(np.mean([structure.centroid()[0] for structure in required]))
    beside = (across + 0.5 - seen.placement.left) / seen.placement.width - 0.5
    if abs(beside) > _CENTRAL / 2:
        side: Move = "left" if beside < 0 else "right"
        yield Fault(reason="off_centre", text=f"what matters lies too far {side}: move the probe to the {side}", move=side)


def _depth(seen: Seen, required: Sequence[Structure]) -> Iterator[Fault]:
    top, height = seen.placement.top, seen.placement.height
    first = min(structure.box[0].start for structure in required) - top
    last = max(structure.box[0].stop for structure in required) - top
    # A bone goes on below its surface: only of the rest can anything be cut off.
    lowest = max((structure.box[0].stop for structure in required if structure.name not in BONES), default=top) - top
    if lowest > _LOWEST * height:
        yield Fault(reason="too_shallow", text="what matters is cut off below: set more depth", move="more_depth")
    elif last - first < _FILLED * height:
        yield Fault(reason="too_deep", text="what matters fills little of the picture: set less depth", move="less_depth")


def _interrupted(seen: Seen, required: Sequence[Structure]) -> Iterator[Fault]:
    pieces = dict(seen.plane.required)
    bones = [(structure, pieces[structure.name]) for structure in required if structure.name in BONES]
    if bones and np.mean([_continuity(seen.image, bone, count) for bone, count in bones]) < _CONTINUITY:
        text = "the bone's surface is interrupted: press evenly, at a right angle to it"
        yield Fault(reason="bone_interrupted", text=text, move="press")


def _continuity(image: Pixels, bone: Structure, pieces: int) -> float:
    """Share of the columns that the bone spans in which its surface is drawn and bright.

    Where there have to be several pieces, the widest gaps between them are joints and do not count.
    """
    columns = np.flatnonzero(bone.mask.any(0))
    first_rows = bone.mask.argmax(0)[columns] + bone.box[0].start
    gaps = np.sort(np.diff(columns) - 1)[::-1]
    span = int(columns[-1] - columns[0]) + 1 - int(gaps[: pieces - 1].sum())
    reach = np.arange(-_SURFACE_REACH, _SURFACE_REACH + 1)[:, None]
    rows = np.clip(first_rows + reach, 0, image.shape[0] - 1)
    surface = image[rows, columns + bone.box[1].start].max(0)
    return float(np.count_nonzero(surface >= _BRIGHT_SURFACE * np.median(image[image > 0])) / span)


def _tilted(seen: Seen, required: Sequence[Structure]) -> Iterator[Fault]:
    tendons = [structure for structure in required if structure.name in TENDONS]
    if tendons and float(np.median([_contrast(seen, tendon) for tendon in tendons])) < _TENDON_CONTRAST:
        text = "tendons are as dark as what is round them: tilt the probe until they are bright"
        yield Fault(reason="tendons_dark", text=text, move="tilt")


def _contrast(seen: Seen, tendon: Structure) -> float:
    """Mean grey of a tendon over that of what has no name round it."""
    rows, columns = (slice(max(0, part.start - _ROUND_TENDON), part.stop + _ROUND_TENDON) for part in tendon.box)
    around = seen.image[rows, columns][(seen.numbers[rows, columns] == 0) & (seen.image[rows, columns] > 0)]
    inside = seen.image[tendon.box][tendon.mask]
    return float(inside.mean() / max(1.0, float(around.mean()))) if around.size else 1.0
