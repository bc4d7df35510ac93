"""Simulated pictures of a calf as a cine, and two networks that know its lines and its states."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from service.core.analyses.analysis import ModelSpec, Tensors
from service.core.analyses.muscle_architecture import MODEL as SEGMENTATION
from service.core.analyses.muscle_state import MODEL, MuscleState
from service.core.cine import Box, Calibration, Cine, Frame, Region, TimeAxis
from service.core.findings import Finding, ModelUsed
from service.core.masks import MaskKeeper
from service.core.preprocess import Placement, find_sector, model_labels, place
from simulator.calf_in_motion import CalfStatesFrame, simulate_calf_states

SEED, FRAMES, SECONDS = 7, 30, 0.2
#: The region's corner in the stored frame.
LEFT, TOP = 30, 12
#: Half the thickness of a line as a perfect network draws it, pixels.
_HALF = 3.0
#: Log variances of the network's answers.
LOG_VARIANCE = np.log(np.square([3.0, 0.05, 0.05, 4.0]))


@dataclass(frozen=True, slots=True)
class Scanned:
    """Pictures with their lines, the scale, and the true states (N, 4) as the network would tell them."""

    pictures: tuple[CalfStatesFrame, ...]
    mm_per_pixel: float
    states: npt.NDArray[np.float64]


@lru_cache(maxsize=2)
def scanned(seed: int = SEED) -> Scanned:
    """Of a cine of ten seconds, each eighth frame."""
    cine = simulate_calf_states(seed)
    chosen = range(0, cine.number_of_frames, cine.number_of_frames // FRAMES)[:FRAMES]
    truth = cine.truth
    states = np.column_stack(
        [
            truth.joint_angle_deg,
            np.sqrt(truth.activity_gastrocnemius),
            np.sqrt(truth.activity_soleus),
            truth.joint_moment_nm,
        ]
    )
    return Scanned(tuple(cine.make(index) for index in chosen), cine.mm_per_pixel, states[list(chosen)])


def cine_of(of: Scanned, *, is_calibrated: bool = True, uid: str = "2.25.77", has_time: bool = True) -> Cine:
    """Those pictures in a larger frame."""
    rows, columns = of.pictures[0].sector.shape
    scale = Calibration(of.mm_per_pixel, of.mm_per_pixel, "regions") if is_calibrated else _NO_SCALE
    times = tuple(index * SECONDS for index in range(len(of.pictures))) if has_time else None
    return Cine(
        sop_instance_uid=uid,
        number_of_frames=len(of.pictures),
        rows=rows + 2 * TOP,
        columns=columns + 2 * LEFT,
        region=Region(1, Box(LEFT, TOP, LEFT + columns, TOP + rows), scale, "the tissue region"),
        time_axis=TimeAxis(times, "FrameTime" if has_time else "none"),
        frames=lambda: (Frame(number, one.sector) for number, one in enumerate(of.pictures, start=1)),
        picture=lambda number: np.stack([np.pad(of.pictures[number - 1].sector, ((TOP, TOP), (LEFT, LEFT)))] * 3, axis=-1),
        pixel_sha256=lambda: "0" * 64,
        laterality="right",
    )


_NO_SCALE = Calibration(None, None, "none", "there is no SequenceOfUltrasoundRegions; PixelSpacing is not trusted for ultrasound")


def without_soleus(of: Scanned) -> Scanned:
    """The same, scanned so shallow that the deep edge of the soleus is not seen."""
    deepest = int(min(one.lines[2].min() for one in of.pictures)) - 8
    return replace(of, pictures=tuple(replace(one, sector=one.sector[:deepest]) for one in of.pictures))


@dataclass(slots=True)
class Knowing:
    """Answers as the truth of each frame is; `blind` are the numbers of frames whose lines the first network does not see."""

    of: Scanned
    blind: Collection[int] = ()
    #: Of what the second network was asked (N, 5).
    scalars: list[npt.NDArray[np.float32]] = field(default_factory=list)

    def infer(self, model: ModelSpec, batches: Iterable[Tensors]) -> Iterator[Tensors]:
        """Lazy, in order."""
        return self._maps(batches) if model is SEGMENTATION else self._states(model, batches)

    def _maps(self, batches: Iterable[Tensors]) -> Iterator[Tensors]:
        placement, number = place(find_sector([one.sector for one in self.of.pictures[:4]])), 0
        for batch in batches:
            answers = []
            for _ in batch["image"]:
                number += 1
                answers.append(maps_of(self.of.pictures[number - 1], placement, sees=number not in self.blind))
            yield {"masks": np.stack(answers)}

    def _states(self, model: ModelSpec, batches: Iterable[Tensors]) -> Iterator[Tensors]:
        assert model is MODEL
        seen = [index for index in range(len(self.of.pictures)) if index + 1 not in self.blind]
        for batch in batches:
            roi, scalars = batch["roi"], batch["scalars"]
            assert roi.dtype == np.uint8
            assert roi.shape[1:] == MODEL.inputs[0].shape
            assert len(roi) <= MODEL.max_batch_size
            self.scalars.append(scalars.astype(np.float32))
            mine, seen = seen[: len(roi)], seen[len(roi) :]
            log_variances = np.tile(LOG_VARIANCE, (len(roi), 1))
            yield {"state": self.of.states[mine].astype(np.float32), "logvar": log_variances.astype(np.float32)}


def maps_of(one: CalfStatesFrame, placement: Placement, *, sees: bool = True) -> npt.NDArray[np.uint8]:
    """What a perfect network draws (3, S, S); nothing where it does not see."""
    rows = np.arange(one.sector.shape[0])[:, None]
    lines = (np.abs(rows - one.lines[:, None]) <= _HALF).any(0)
    belly = (rows > one.lines[0]) & (rows < one.lines[1])
    fascicles = belly & ~lines & (one.sector > np.quantile(one.sector[belly], 0.85))
    return np.stack([model_labels(np.asarray(mask & sees, np.bool_), placement) for mask in (lines, fascicles, belly)])


def described(model: ModelSpec) -> ModelUsed:
    return ModelUsed(name=model.model_name, version="1", sha256="cd" * 32, evidence="simulated")


def analyse(
    of: Scanned,
    *,
    is_calibrated: bool = True,
    blind: Collection[int] = (),
    uid: str = "2.25.77",
    has_time: bool = True,
    infer: Callable[..., Iterator[Tensors]] | None = None,
    keep: MaskKeeper | None = None,
) -> dict[str, Finding]:
    """Findings of the analysis, by name."""
    cine = cine_of(of, is_calibrated=is_calibrated, uid=uid, has_time=has_time)
    findings: Sequence[Finding] = MuscleState().analyse(cine, infer or Knowing(of, blind).infer, described, keep)
    assert len({finding.finding_id for finding in findings}) == len(findings)
    return {finding.name: finding for finding in findings}
