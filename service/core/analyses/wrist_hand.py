"""Wrist and hand: which standard plane each frame shows and how well, the best frame of each, and the median nerve."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from service.core.analyses.analysis import DescribeModel, Infer, ModelSpec, Tensors, TensorSpec
from service.core.analyses.prepared import Prepared, prepare
from service.core.cine import Calibration, Cine, Frame, Pixels
from service.core.findings import AnalysisUsed, Finding
from service.core.masks import MaskKeeper
from service.core.measure.colour import refuse_colour
from service.core.measure.wrist_findings import Moment, WristFindings
from service.core.measure.wrist_frames import BestFrames, FrameGrader, GradedFrame
from service.core.measure.wrist_second_look import cut, enlarged, looked_again, round_nerve
from service.core.measure.wrist_sizes import USUAL_AREAS_MM2
from service.core.preprocess import Placement, model_input
from service.core.wrist_planes import PLANES, STRUCTURES

SIZE = 192
MODEL = ModelSpec(
    model_name="wrist_hand",
    model_version="1",
    inputs=(TensorSpec("image", "UINT8", (1, SIZE, SIZE)),),
    outputs=(
        TensorSpec("plane", "FP32", (1 + len(PLANES),)),
        TensorSpec("structures", "UINT8", (SIZE, SIZE)),
        TensorSpec("sureness", "UINT8", (SIZE, SIZE)),
    ),
    # A frame costs the same in any batch, and a live frame waits for the batch that is being answered.
    max_batch_size=2,
)
#: Of the structures in the map of the network (S, S).
_NUMBERS = np.arange(1, 1 + len(STRUCTURES), dtype=np.uint8)[:, None, None]


@dataclass(frozen=True, kw_only=True)
class WristHand:
    """The analysis `wrist_hand`; one cine is an examination, or a part of one."""

    frames_per_batch: int = MODEL.max_batch_size
    name: str = "wrist_hand"
    version: str = "1.2.0"
    models: tuple[ModelSpec, ...] = (MODEL,)

    def analyse(self, cine: Cine, infer: Infer, describe: DescribeModel, keep: MaskKeeper | None = None) -> tuple[Finding, ...]:
        """Findings of one cine; one that shows no standard plane gives one finding, `not_measured`.

        Raises NotMeasurable: `no_frames`, `colour_overlay`.
        """
        prepared = prepare(cine, SIZE)
        recent = _Recent(enlarged(prepared.placement))
        prepared = replace(prepared, frames=recent.remembered(prepared.frames))
        answers = infer(MODEL, prepared.inputs(self.frames_per_batch))
        if keep is not None:
            keep.begin(STRUCTURES, prepared.placement, cine)
            answers = prepared.kept(answers, keep, lambda answer: answer["structures"][:, None] == _NUMBERS)
        again = _SecondLook(infer, prepared.placement, cine.region.calibration, recent)
        moments, best = self._grade(prepared, answers, again)
        # After the frames have streamed: while they do, a picture would need a decoder of its own.
        refuse_colour(cine, prepared.placement.box)
        findings = WristFindings(
            cine=cine,
            placement=prepared.placement,
            scale=prepared.scale,
            analysis=AnalysisUsed(name=self.name, version=self.version),
            model=describe(MODEL),
            moments=tuple(moments),
            best=best,
        )
        return findings.all()

    def _grade(self, prepared: Prepared, answers: Iterable[Tensors], again: "_SecondLook") -> tuple[list[Moment], BestFrames]:
        """Each answer reduced to its frames' grades before the next is taken; of each plane the best frame is kept."""
        grader, best, moments = FrameGrader(prepared.placement, prepared.scale, USUAL_AREAS_MM2), BestFrames(), []
        for answer in answers:
            numbers, images = prepared.sent.popleft()
            graded = [
                grader.grade(number, images[row], answer["plane"][row].astype(np.float64), *_maps(answer, row))
                for row, number in enumerate(numbers)
            ]
            for frame in again.at(graded):
                best.add(frame)
                moments.append(Moment.of(frame))
        return moments, best


@dataclass(frozen=True, slots=True)
class _Recent:
    """The sectors of the frames that were sent and are not graded yet, by number: bounded, however large the frames are."""

    placement: Placement
    pixels: dict[int, Pixels] = field(default_factory=dict)

    def remembered(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        """The frames as they come."""
        for frame in frames:
            self.pixels[frame.number] = model_input(frame.pixels, self.placement)
            yield frame


@dataclass(frozen=True, slots=True)
class _SecondLook:
    """The nerve of a batch's good frames looked at again, in one batch more."""

    infer: Infer
    placement: Placement
    calibration: Calibration
    recent: _Recent

    def at(self, graded: Sequence[GradedFrame]) -> list[GradedFrame]:
        """The same frames, in order; none of their pixels is kept."""
        pixels = {frame.number: self.recent.pixels.pop(frame.number) for frame in graded}
        places = {frame.number: place for frame in graded if (place := round_nerve(frame, self.placement)) is not None}
        if not places:
            return list(graded)
        images = np.stack([cut(pixels[number], place) for number, place in places.items()])
        (answer,) = self.infer(MODEL, [{"image": images[:, None]}])
        rows = {number: row for row, number in enumerate(places)}
        return [
            looked_again(frame, self.placement, places[frame.number], *_maps(answer, rows[frame.number]), self.calibration)
            if frame.number in places
            else frame
            for frame in graded
        ]


def _maps(answer: Tensors, row: int) -> tuple[Pixels, Pixels]:
    """Classes and sureness (S, S) of one picture of a batch."""
    return answer["structures"][row].astype(np.uint8, copy=False), answer["sureness"][row].astype(np.uint8, copy=False)
