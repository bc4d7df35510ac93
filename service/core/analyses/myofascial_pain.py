"""Myofascial pain from the movement and texture of the upper trapezius: a score over time, and what drives it.

A video network turns each window of the cine into a latent; a classifier with its bootstrap copies turns latents into logits, and
says how far a latent lies from those that it was trained on. Both were trained on simulated people only.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
import numpy.typing as npt

from service.core.analyses.analysis import DescribeModel, Infer, ModelSpec, Tensors, TensorSpec
from service.core.cine import Cine, Pixels
from service.core.clips import Clip, Clips, ClipShape, clips_of
from service.core.findings import AnalysisUsed, Finding
from service.core.masks import MaskKeeper
from service.core.measure.colour import refuse_colour
from service.core.measure.pain_findings import Cases, PainFindings, Window
from service.core.quality import Grade
from service.errors import NotMeasurable

SHAPE = ClipShape()
LATENT = 512
#: The classifier and so many copies, each fitted to people drawn with replacement.
LOGITS = 101
CASES = 5
ENCODER = ModelSpec(
    model_name="vde_encoder",
    model_version="1",
    inputs=(TensorSpec("clip", "UINT8", (SHAPE.frames, SHAPE.size, SHAPE.size)),),
    outputs=(TensorSpec("latent", "FP32", (LATENT,)),),
    max_batch_size=16,
)
CLASSIFIER = ModelSpec(
    model_name="myofascial_pain",
    model_version="1",
    inputs=(TensorSpec("latent", "FP32", (LATENT,)),),
    outputs=(
        TensorSpec("logits", "FP32", (LOGITS,)),
        TensorSpec("distance", "FP32", (1,)),
        TensorSpec("similarity", "FP32", (CASES,)),
        TensorSpec("case_label", "FP32", (CASES,)),
    ),
    max_batch_size=16,
)
#: Overlapping strips for each that training saw: where a sector's edge was found shall matter little.
_CLOSELY = 4
#: Squares a side in which the picture is covered up, one at a time.
_SQUARES = 4

Floats = npt.NDArray[np.float32]


@dataclass(slots=True)
class _Watched:
    """What is kept of the windows while they stream: numbers of each, pixels of the two extreme ones only."""

    windows: list[Window] = field(default_factory=list)
    latent_sum: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(LATENT))
    lowest: tuple[float, Clip] | None = None
    highest: tuple[float, Clip] | None = None

    def add(self, clip: Clip, latent: Floats, logits: Floats, distance: float) -> None:
        """One window and the networks' answers."""
        self.windows.append(Window(clip.frame_numbers, logits.astype(np.float64), distance))
        self.latent_sum += latent
        score = float(logits[0])
        if self.lowest is None or score < self.lowest[0]:
            self.lowest = (score, clip)
        if self.highest is None or score > self.highest[0]:
            self.highest = (score, clip)

    def extreme(self, *, highest: bool) -> Clip:
        """The window that speaks most for pain, or against it. Raises LookupError without any."""
        found = self.highest if highest else self.lowest
        if found is None:
            raise LookupError("no window was watched")
        return found[1]


@dataclass(frozen=True, kw_only=True)
class MyofascialPain:
    """The analysis `myofascial_pain`; one cine gives one probability, a study that of its cines together."""

    clips_per_batch: int = 8
    name: str = "myofascial_pain"
    version: str = "1.1.0"
    models: tuple[ModelSpec, ...] = (ENCODER, CLASSIFIER)

    def analyse(self, cine: Cine, infer: Infer, describe: DescribeModel, keep: MaskKeeper | None = None) -> tuple[Finding, ...]:
        """Findings of one cine; what is unlike anything trained on gives one finding, `not_measured`.

        Raises NotMeasurable: `no_time_axis`, `frame_rate_too_low`, `cine_too_short`, `no_frames`, `colour_overlay`, `no_muscle`.
        """
        del keep  # it draws nothing
        clips = clips_of(cine, SHAPE, closely=_CLOSELY)
        watched = self._watch(clips, infer)
        refuse_colour(cine, clips.sector)
        if not watched.windows:
            raise _without_window(clips)
        findings = PainFindings(
            cine=cine,
            without_muscle=clips.without_muscle,
            analysis=AnalysisUsed(name=self.name, version=self.version),
            windows=tuple(watched.windows),
            encoder=describe(ENCODER),
            classifier=describe(CLASSIFIER),
        )
        if findings.grade() is Grade.C:
            return (findings.unlike(),)
        driving = watched.extreme(highest=findings.speaks_for_pain())
        cases = self._nearest(watched.latent_sum / len(watched.windows), infer)
        return findings.all(driving, self._driven_by(driving, infer), cases)

    def _watch(self, clips: Clips, infer: Infer) -> _Watched:
        """Decoding, encoder and classifier run one behind the other, a few batches apart."""
        sent: deque[Clip] = deque()
        latents: deque[Floats] = deque()
        watched = _Watched()
        encoded = infer(ENCODER, self._batches(iter(clips), sent))
        for answer in infer(CLASSIFIER, _latents(encoded, latents)):
            logits, distances = (_mean_of_both(answer[name]) for name in ("logits", "distance"))
            for row, latent in enumerate(_mean_of_both(latents.popleft())):
                watched.add(sent.popleft(), latent, logits[row], float(distances[row][0]))
        return watched

    def _batches(self, clips: Iterator[Clip], sent: deque[Clip]) -> Iterator[Tensors]:
        while batch := list(islice(clips, self.clips_per_batch)):
            sent.extend(batch)
            yield {"clip": _both_ways(np.stack([clip.pixels for clip in batch]))}

    def _nearest(self, latent: npt.NDArray[np.float64], infer: Infer) -> Cases:
        """The training cases most like the whole cine, whose latent is the mean of its windows'."""
        (answer,) = infer(CLASSIFIER, [{"latent": latent[None].astype(np.float32)}])
        similarity, labels = answer["similarity"][0].astype(np.float64), answer["case_label"][0].astype(np.float64)
        return Cases(tuple(similarity.tolist()), tuple(labels.astype(np.bool_).tolist()))

    def _driven_by(self, clip: Clip, infer: Infer) -> npt.NDArray[np.float64]:
        """By how much the window's logit falls when each square of the picture is covered up: (squares, squares)."""
        covered = np.concatenate([clip.pixels[None], *(one[None] for one in _covered(clip.pixels))])
        latents: deque[Floats] = deque()
        encoded = infer(ENCODER, _in_parts(covered, self.clips_per_batch))
        answers = infer(CLASSIFIER, _latents(encoded, latents))
        logits = np.concatenate([_mean_of_both(answer["logits"])[:, 0] for answer in answers]).astype(np.float64)
        return np.asarray((logits[0] - logits[1:]).reshape(_SQUARES, _SQUARES))


def _without_window(clips: Clips) -> NotMeasurable:
    if not clips.without_muscle:
        return NotMeasurable("The cine's frames end before the first window does.", reason="cine_too_short")
    return NotMeasurable(
        "No muscle between two fasciae was found in any part of the cine: scan along the trapezius' fibres, with full contact.",
        reason="no_muscle",
    )


def _latents(answers: Iterable[Tensors], kept: deque[Floats]) -> Iterator[Tensors]:
    for answer in answers:
        latent = answer["latent"].astype(np.float32, copy=False)
        kept.append(latent)
        yield {"latent": latent}


def _in_parts(clips: Pixels, size: int) -> Iterator[Tensors]:
    for start in range(0, len(clips), size):
        yield {"clip": _both_ways(clips[start : start + size])}


def _both_ways(clips: Pixels) -> Pixels:
    """Clips (B, T, S, S), then the same as a mirror shows them."""
    return np.concatenate([clips, clips[..., ::-1]])


def _mean_of_both(rows: npt.NDArray[np.generic]) -> Floats:
    """(2 B, ...) of clips and their mirror images to (B, ...): what a muscle shows does not depend on the side."""
    half = len(rows) // 2
    return np.asarray((rows[:half].astype(np.float32) + rows[half:].astype(np.float32)) / 2, np.float32)


def _covered(pixels: Pixels) -> Iterator[Pixels]:
    """The window with one square after the other at its mean."""
    mean, side = np.uint8(round(float(pixels.mean()))), pixels.shape[-1] // _SQUARES
    for row in range(_SQUARES):
        for column in range(_SQUARES):
            covered = pixels.copy()
            covered[:, row * side : (row + 1) * side, column * side : (column + 1) * side] = mean
            yield covered
