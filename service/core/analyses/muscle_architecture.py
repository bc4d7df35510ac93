"""Muscle architecture: aponeuroses, thickness, pennation, fascicle length and echo intensity, by frame and over time."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain, islice

import numpy as np

from service.core.analyses.analysis import DescribeModel, Infer, ModelSpec, Tensors, TensorSpec
from service.core.cine import Cine, Frame, Pixels
from service.core.findings import AnalysisUsed, Finding
from service.core.measure.architecture import FrameArchitecture, measure_frame
from service.core.measure.architecture_findings import ArchitectureFindings
from service.core.measure.colour import refuse_colour
from service.core.measure.plane import Scale, scale_of
from service.core.preprocess import MODEL_SIZE, Placement, find_sector, model_input, place
from service.errors import NotMeasurable

MODEL = ModelSpec(
    model_name="muscle_segmentation",
    model_version="1",
    inputs=(TensorSpec("image", "UINT8", (1, MODEL_SIZE, MODEL_SIZE)),),
    outputs=(TensorSpec("masks", "UINT8", (3, MODEL_SIZE, MODEL_SIZE)),),
    max_batch_size=8,
)
#: The sector is found from so many frames at the start of the cine.
_SECTOR_FRAMES = 4


@dataclass(frozen=True, slots=True)
class Prepared:
    """One cine on its way to the model: `sent` holds the batches that are not answered yet, so memory stays flat."""

    placement: Placement
    scale: Scale
    frames: Iterator[Frame]
    sent: deque[tuple[tuple[int, ...], Pixels]] = field(default_factory=deque)


@dataclass(frozen=True, kw_only=True)
class MuscleArchitecture:
    """The analysis `muscle_architecture`; see `FrameArchitecture` for what each frame comes to."""

    frames_per_batch: int = MODEL.max_batch_size
    name: str = "muscle_architecture"
    version: str = "1.3.0"
    models: tuple[ModelSpec, ...] = (MODEL,)

    def analyse(self, cine: Cine, infer: Infer, describe: DescribeModel) -> tuple[Finding, ...]:
        """Findings of one cine; an input that shows no muscle gives one finding, `not_measured`.

        Raises NotMeasurable: `no_frames`, `colour_overlay`.
        """
        prepared = prepare(cine)
        measured = tuple(self.measure(prepared, infer(MODEL, self.inputs(prepared))))
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
        return findings.all()

    def inputs(self, prepared: Prepared) -> Iterator[Tensors]:
        """Batches of frames as the model takes them, made when asked for."""
        while batch := list(islice(prepared.frames, self.frames_per_batch)):
            images = np.stack([model_input(frame.pixels, prepared.placement) for frame in batch])  # (B, S, S)
            prepared.sent.append((tuple(frame.number for frame in batch), images))
            yield {"image": images[:, None]}

    def measure(self, prepared: Prepared, outputs: Iterable[Tensors]) -> Iterator[FrameArchitecture]:
        """Each answer reduced to a frame's numbers before the next is taken."""
        for answer in outputs:
            numbers, images = prepared.sent.popleft()
            for number, image, masks in zip(numbers, images, answer["masks"].astype(np.uint8, copy=False), strict=True):
                yield measure_frame(number, image, masks, prepared.placement, prepared.scale)


def prepare(cine: Cine) -> Prepared:
    """Find the sector in the first frames. Raises NotMeasurable (`no_frames`) for a cine without any."""
    frames = cine.frames()
    first = list(islice(frames, _SECTOR_FRAMES))
    if not first:
        raise NotMeasurable("The cine has no frame that can be decoded.", reason="no_frames")
    placement = place(find_sector([frame.pixels for frame in first]))
    return Prepared(placement, scale_of(cine.region.calibration, placement), chain(first, frames))
