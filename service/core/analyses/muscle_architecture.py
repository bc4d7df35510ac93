"""Muscle architecture: aponeuroses, thickness, pennation, fascicle length and echo intensity, by frame and over time."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from service.core.analyses.analysis import DescribeModel, Infer, ModelSpec, Tensors, TensorSpec
from service.core.analyses.prepared import Prepared, prepare
from service.core.cine import Cine
from service.core.findings import AnalysisUsed, Finding
from service.core.masks import MaskKeeper
from service.core.measure.architecture import FrameArchitecture, measure_frame
from service.core.measure.architecture_findings import ArchitectureFindings
from service.core.measure.colour import refuse_colour
from service.core.preprocess import MODEL_SIZE

MODEL = ModelSpec(
    model_name="muscle_segmentation",
    model_version="1",
    inputs=(TensorSpec("image", "UINT8", (1, MODEL_SIZE, MODEL_SIZE)),),
    outputs=(TensorSpec("masks", "UINT8", (3, MODEL_SIZE, MODEL_SIZE)),),
    max_batch_size=8,
)
#: What the maps of the network are of, in their order; drawn where the probability is at least a half.
SEGMENTS = ("aponeurosis", "fascicle", "muscle_belly")
_DRAWN = 128


@dataclass(frozen=True, kw_only=True)
class MuscleArchitecture:
    """The analysis `muscle_architecture`; see `FrameArchitecture` for what each frame comes to."""

    frames_per_batch: int = MODEL.max_batch_size
    name: str = "muscle_architecture"
    version: str = "1.4.0"
    models: tuple[ModelSpec, ...] = (MODEL,)

    def analyse(self, cine: Cine, infer: Infer, describe: DescribeModel, keep: MaskKeeper | None = None) -> tuple[Finding, ...]:
        """Findings of one cine; an input that shows no muscle gives one finding, `not_measured`.

        Raises NotMeasurable: `no_frames`, `colour_overlay`.
        """
        prepared = prepare(cine)
        answers = infer(MODEL, self.inputs(prepared))
        if keep is not None:
            keep.begin(SEGMENTS, prepared.placement, cine)
            answers = prepared.kept(answers, keep, lambda answer: answer["masks"].astype(np.uint8, copy=False) >= _DRAWN)
        measured = tuple(self.measure(prepared, answers))
        # After the frames have streamed: while they do, a picture would need a decoder of its own.
        refuse_colour(cine, prepared.placement.box)
        findings = ArchitectureFindings(
            cine=cine,
            placement=prepared.placement,
            scale=prepared.scale,
            analysis=AnalysisUsed(name=self.name, version=self.version),
            frames=measured,
            model=describe(MODEL),
        )
        if keep is not None:
            for frame in measured:
                keep.draw(frame.number, findings.lines_of(frame))
        return findings.all()

    def inputs(self, prepared: Prepared) -> Iterator[Tensors]:
        """Batches of frames as the model takes them."""
        return prepared.inputs(self.frames_per_batch)

    def measure(self, prepared: Prepared, outputs: Iterable[Tensors]) -> Iterator[FrameArchitecture]:
        """Each answer reduced to a frame's numbers before the next is taken."""
        for answer in outputs:
            numbers, images = prepared.sent.popleft()
            for number, image, masks in zip(numbers, images, answer["masks"].astype(np.uint8, copy=False), strict=True):
                yield measure_frame(number, image, masks, prepared.placement, prepared.scale)
