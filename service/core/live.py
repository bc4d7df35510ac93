"""Guidance while a wrist is examined: what the probe shows now, what to do next, and which pictures are worth keeping.

Frames are graded exactly as those of a stored cine are, but the nerve is looked at once instead of twice; what is added is
memory of the examination and words for the examiner.
"""

from collections.abc import Callable

import numpy as np

from service.core.analyses.analysis import Tensors
from service.core.analyses.wrist_hand import SIZE
from service.core.cine import Box, Calibration, Pixels
from service.core.findings import Value
from service.core.measure.plane import scale_of
from service.core.measure.wrist_frames import FrameGrader, GradedFrame
from service.core.measure.wrist_sizes import USUAL_AREAS_MM2
from service.core.preprocess import find_sector, model_input, place
from service.core.quality import Fault, Grade, Move
from service.core.wrist_planes import PLANES, Plane
from service.errors import InputRejected

#: A picture is kept when so many frames in a row show the plane this surely, each graded A.
FROZEN_AFTER, FROZEN_FROM = 5, 0.9
#: The sector is looked for in so many frames at first, and again after so many without a plane.
_SECTOR_FRAMES, _LOOK_AGAIN = 4, 15

#: An image (1, 1, S, S) as the network takes it, to its answer.
Ask = Callable[[Pixels], Tensors]


class Shown(Value):
    """The plane that the probe shows."""

    plane: str
    title: str
    probability: float
    grade: Grade
    faults: tuple[Fault, ...]
    #: Required structures that are not seen.
    missing: tuple[str, ...]
    #: In the whole picture, and so rougher than what a report says, for which the nerve is looked at again.
    median_nerve_area_mm2: float | None = None


class Tick(Value):
    """One line of the checklist: the best grade so far, and whether a picture was kept."""

    plane: str
    title: str
    grade: Grade | None = None
    is_frozen: bool = False


class Guidance(Value):
    """The answer to one frame."""

    shown: Shown | None
    #: A sentence: what to do now.
    advice: str
    move: Move | None = None
    #: The plane that is wanted next; null when all fifteen were kept.
    next_plane: str | None
    checklist: tuple[Tick, ...]
    #: The plane whose picture this frame is kept as.
    frozen: str | None = None


class LiveExamination:
    """One examination, frame by frame, by one thread at a time.

    `region` is the part of the frames that a scanner's picture fills; without a calibration nothing is judged by its size.
    """

    def __init__(self, *, ask: Ask, calibration: Calibration, region: Box | None = None) -> None:
        self._ask = ask
        self._calibration = calibration
        self._region = region
        self._first: list[Pixels] = []
        self._grader: FrameGrader | None = None
        self._seen = 0
        self._shape: tuple[int, ...] | None = None
        self._best: dict[str, Grade] = {}
        self._frozen: set[str] = set()
        self._in_a_row = 0
        #: Frames without a plane since the sector was looked for.
        self._unseen = 0
        self._last: Plane | None = None

    def see(self, frame: Pixels) -> Guidance:
        """Of a frame (rows, columns) uint8, luminance. Raises InputRejected for one of another size than the first."""
        self._shape = self._shape or frame.shape
        if frame.shape != self._shape:
            said = f"All frames have the size of the first, {self._shape[1]} x {self._shape[0]}; begin anew for another."
            raise InputRejected(said, reason="frame_size")
        grader, pixels = self._prepared(self._cut(frame))
        image = model_input(pixels, grader.placement)
        answer = self._ask(image[None, None])
        graded = grader.grade(
            self._seen,
            image,
            answer["plane"][0].astype(np.float64),
            answer["structures"][0].astype(np.uint8, copy=False),
            answer["sureness"][0].astype(np.uint8, copy=False),
        )
        return self._guidance(graded, frozen=self._kept(graded))

    def release(self, plane: str) -> None:
        """The picture of a plane could not be kept: the next good one may be."""
        self._frozen.discard(plane)

    def sector(self, frame: Pixels) -> Pixels:
        """The part of a frame that was looked at. Raises LookupError before the first."""
        if self._grader is None:
            raise LookupError("no frame was seen")
        box = self._grader.placement.box
        return self._cut(frame)[box.y0 : box.y1, box.x0 : box.x1]

    def sector_box(self) -> Box | None:
        """Where that part lies in the frame; None before the first."""
        if self._grader is None:
            return None
        box, region = self._grader.placement.box, self._region
        across, down = (0, 0) if region is None else (region.x0, region.y0)
        return Box(box.x0 + across, box.y0 + down, box.x1 + across, box.y1 + down)

    def _cut(self, frame: Pixels) -> Pixels:
        box = self._region
        return frame if box is None else frame[box.y0 : box.y1, box.x0 : box.x1]

    def _prepared(self, pixels: Pixels) -> tuple[FrameGrader, Pixels]:
        """The sector is looked for in the first frames, and once a second while no plane is shown: they may be dark."""
        self._seen += 1
        if self._grader is None or self._seen <= _SECTOR_FRAMES or self._unseen >= _LOOK_AGAIN:
            self._first = [*self._first, pixels][-_SECTOR_FRAMES:] if self._seen <= _SECTOR_FRAMES else [pixels]
            self._unseen = 0
            placement = place(find_sector(self._first), SIZE)
            scale = scale_of(self._calibration, placement)
            if self._grader is None:
                self._grader = FrameGrader(placement, scale, USUAL_AREAS_MM2)
            self._grader.placement, self._grader.scale = placement, scale
        return self._grader, pixels

    def _kept(self, graded: GradedFrame) -> str | None:
        """The plane whose picture this frame is to be, once each: shown surely and well for some frames."""
        if graded.plane is None or graded.grade is None:
            self._in_a_row = 0
            self._unseen += 1
            return None
        self._unseen = 0
        name = graded.plane.name
        before = self._in_a_row if graded.plane == self._last else 0
        self._in_a_row = before + 1 if graded.grade is Grade.A and graded.probability >= FROZEN_FROM else 0
        self._last = graded.plane
        self._best[name] = min(graded.grade, self._best.get(name, graded.grade))
        if self._in_a_row < FROZEN_AFTER or name in self._frozen:
            return None
        self._frozen.add(name)
        return name

    def _guidance(self, graded: GradedFrame, frozen: str | None) -> Guidance:
        shown = None if graded.plane is None or graded.grade is None else _shown(graded, graded.plane, graded.grade)
        wanted = self._wanted()
        advice, move = self._advice(shown, wanted)
        return Guidance(
            shown=shown,
            advice=advice,
            move=move,
            next_plane=None if wanted is None else wanted.name,
            checklist=tuple(
                Tick(plane=p.name, title=p.title, grade=self._best.get(p.name), is_frozen=p.name in self._frozen) for p in PLANES
            ),
            frozen=frozen,
        )

    def _wanted(self) -> Plane | None:
        """The first plane without a picture, from the one shown last onwards."""
        start = 0 if self._last is None else PLANES.index(self._last)
        return next((plane for plane in (*PLANES[start:], *PLANES[:start]) if plane.name not in self._frozen), None)

    def _advice(self, shown: Shown | None, wanted: Plane | None) -> tuple[str, Move | None]:
        if wanted is None:
            return "All fifteen planes are there.", None
        if shown is None or shown.plane in self._frozen:
            return f"Next {wanted.name}, {wanted.title}: {_way(self._last, wanted)}.", None
        if not shown.faults:
            return "Hold still.", None
        fault = shown.faults[0]
        return f"{fault.text[:1].upper()}{fault.text[1:]}.", fault.move


def _shown(graded: GradedFrame, plane: Plane, grade: Grade) -> Shown:
    return Shown(
        plane=plane.name,
        title=plane.title,
        probability=round(graded.probability, 3),
        grade=grade,
        faults=graded.faults,
        missing=graded.missing,
        median_nerve_area_mm2=None if graded.nerve is None or grade is Grade.C else graded.nerve.area_mm2,
    )


def _way(last: Plane | None, wanted: Plane) -> str:
    """From one plane to another, in words."""
    aspect = wanted.title.split()[0].lower()
    if last is None:
        return f"put the probe on the {aspect} side, {wanted.orientation}"
    steps = []
    if last.title.split()[0].lower() != aspect:
        steps.append(f"go to the {aspect} side")
    if last.orientation != wanted.orientation:
        steps.append(f"turn the probe to {wanted.orientation}")
    return ", then ".join(steps) or "slide on"
