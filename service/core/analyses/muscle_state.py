"""Muscle state: joint angle, activity of gastrocnemius and soleus, and joint moment against time, from B-mode of a calf.

The network of muscle segmentation draws the lines; between them both muscles are straightened, and a second network tells the
states of each frame. After Cunningham and Loram (J R Soc Interface 2020); trained on simulated people only.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np

from service.core.analyses.analysis import DescribeModel, Infer, ModelSpec, Tensors, TensorSpec
from service.core.analyses.muscle_architecture import MODEL as SEGMENTATION
from service.core.analyses.prepared import Prepared, prepare
from service.core.calf_lines import CalfLines, NoLines, find_calf_lines
from service.core.calf_patches import COLUMNS, ROWS, SCALARS, CalfPatches, calf_patches
from service.core.cine import Calibration, Cine, Frame, Pixels
from service.core.findings import AnalysisUsed, Finding
from service.core.masks import MaskKeeper
from service.core.measure.architecture import measure_frame
from service.core.measure.calf_states import STATES, FrameStates, Unread, is_like_training
from service.core.measure.colour import refuse_colour
from service.core.measure.plane import Floats
from service.core.measure.state_findings import StateFindings

MODEL = ModelSpec(
    model_name="muscle_state",
    model_version="1",
    inputs=(TensorSpec("roi", "UINT8", (2, ROWS, COLUMNS)), TensorSpec("scalars", "FP32", (len(SCALARS),))),
    outputs=(TensorSpec("state", "FP32", (len(STATES),)), TensorSpec("logvar", "FP32", (len(STATES),))),
    max_batch_size=32,
)
#: What is drawn: the areas between the lines.
SEGMENTS = ("gastrocnemius", "soleus")
#: Points kept of each line.
_POINTS = 17


@dataclass(frozen=True, kw_only=True)
class MuscleState:
    """The analysis `muscle_state`; see `FrameStates` for what each frame comes to."""

    frames_per_batch: int = SEGMENTATION.max_batch_size
    name: str = "muscle_state"
    version: str = "1.2.0"
    models: tuple[ModelSpec, ...] = (SEGMENTATION, MODEL)

    def analyse(self, cine: Cine, infer: Infer, describe: DescribeModel, keep: MaskKeeper | None = None) -> tuple[Finding, ...]:
        """Findings of one cine; one in which too few frames show both muscles gives one finding, `not_measured`.

        Raises NotMeasurable: `no_frames`, `colour_overlay`.
        """
        prepared = prepare(cine)
        frames = _Frames(cine.region.calibration)
        prepared = replace(prepared, frames=frames.remembered(prepared.frames))
        if keep is not None:
            keep.begin(SEGMENTS, prepared.placement, cine)
        masks = infer(SEGMENTATION, prepared.inputs(self.frames_per_batch))
        for answer in infer(MODEL, frames.patches(prepared, masks, keep)):
            frames.answer(answer)
        # After the frames have streamed: while they do, a picture would need a decoder of its own.
        refuse_colour(cine, prepared.placement.box)
        return StateFindings(
            cine=cine,
            placement=prepared.placement,
            scale=prepared.scale,
            analysis=AnalysisUsed(name=self.name, version=self.version),
            frames=tuple(frames.read),
            model=describe(MODEL),
        ).all()


@dataclass(slots=True)
class _Frames:
    """The frames on their way through two networks: pixels only of those that are not straightened yet."""

    calibration: Calibration
    pixels: dict[int, Pixels] = field(default_factory=dict)
    #: In order; those at `waiting` are still without the network's answer.
    read: list[FrameStates] = field(default_factory=list)
    waiting: deque[list[int]] = field(default_factory=deque)

    def remembered(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        """The frames as they come."""
        for frame in frames:
            self.pixels[frame.number] = frame.pixels
            yield frame

    def patches(self, prepared: Prepared, answers: Iterable[Tensors], keep: MaskKeeper | None) -> Iterator[Tensors]:
        """Batches for the network of states, of the frames whose lines were found."""
        for answer in answers:
            numbers, images = prepared.sent.popleft()
            straightened: list[CalfPatches] = []
            places: list[int] = []
            for number, image, masks in zip(numbers, images, answer["masks"].astype(np.uint8, copy=False), strict=True):
                frame, patches = self._straighten(number, image, masks, prepared)
                self.read.append(frame)
                if patches is not None:
                    places.append(len(self.read) - 1)
                    straightened.append(patches)
                if keep is not None and frame.lines is not None:
                    keep.add(number, _areas(frame.lines, prepared))
            if straightened:
                self.waiting.append(places)
                roi, scalars = (np.stack(parts) for parts in zip(*((p.pixels, p.scalars) for p in straightened), strict=True))
                yield {"roi": roi, "scalars": scalars}

    def answer(self, answer: Tensors) -> None:
        """To the batch that has waited longest."""
        states, log_variances = (answer[name].astype(np.float32, copy=False) for name in ("state", "logvar"))
        for place, state, log_variance in zip(self.waiting.popleft(), states, log_variances, strict=True):
            self.read[place] = self.read[place].answered(state, log_variance)

    def _straighten(
        self, number: int, image: Pixels, masks: Pixels, prepared: Prepared
    ) -> tuple[FrameStates, CalfPatches | None]:
        pixels = self.pixels.pop(number)
        found = find_calf_lines(image, masks, prepared.placement)
        if isinstance(found, NoLines):
            return FrameStates(number, found), None
        try:
            patches = calf_patches(pixels, prepared.placement.box, found.rows, self._mm_per_pixel())
        except ValueError:
            return FrameStates(number, Unread.DO_NOT_FIT), None
        if not is_like_training(patches):
            return FrameStates(number, Unread.UNLIKE_TRAINING), None
        pennation = gastrocnemius_pennation(number, image, masks, found, prepared)
        return FrameStates(number, pennation_deg=pennation, lines=_thinned(found.rows)), patches

    def _mm_per_pixel(self) -> tuple[float, float] | None:
        along, down = self.calibration.mm_per_pixel_x, self.calibration.mm_per_pixel_y
        return None if along is None or down is None else (along, down)


def gastrocnemius_pennation(number: int, image: Pixels, masks: Pixels, found: CalfLines, prepared: Prepared) -> float | None:
    """As `muscle_architecture` would measure it, were nothing below the second line."""
    box, place = prepared.placement.box, prepared.placement
    columns = np.arange(box.x0, box.x1, dtype=np.float64)
    middle, deep = (place.to_model(np.stack([columns, line], axis=1)) for line in found.rows[1:])
    model_columns = np.arange(place.size)
    below = np.interp(model_columns, middle[:, 0], (middle[:, 1] + deep[:, 1]) / 2)
    alone = np.where(np.arange(place.size)[:, None] < below, masks, np.uint8(0))
    return measure_frame(number, image, alone, place, prepared.scale).pennation_deg


def _thinned(rows: Floats) -> Floats:
    """Lines (3, columns) at so many columns, the first and the last among them."""
    return np.asarray(rows[:, np.linspace(0, rows.shape[1] - 1, _POINTS).round().astype(np.intp)])


def _areas(lines: Floats, prepared: Prepared) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """Both muscles in the network's square (2, S, S)."""
    place, box = prepared.placement, prepared.placement.box
    across = np.linspace(box.x0, box.x1 - 1, lines.shape[1])
    model = [place.to_model(np.stack([across, line], axis=1)) for line in lines]
    columns, rows = np.arange(place.size), np.arange(place.size)[:, None]
    edges = [np.interp(columns, points[:, 0], points[:, 1]) for points in model]
    inside = np.zeros((place.size, place.size), np.bool_)
    inside[place.top : place.top + place.height, place.left : place.left + place.width] = True
    return np.stack([(rows >= top) & (rows < bottom) & inside for top, bottom in pairwise(edges)])
