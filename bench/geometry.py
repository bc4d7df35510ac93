"""How much of a constant's error a segmentation network takes away, over a report's geometry: `bench.networks` chooses by it.

The measurements are those of muscle architecture that have a truth on validation data: on DL_Track's validation images the
fascicles' angle and the muscle's thickness as the analysis makes them of labels, on simulated subjects of their own pennation,
thickness and fascicle length. Each counts alike within its data, both data count alike, and a missing answer is the constant.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from bench.accuracy import Answers, Floats, error_of_each, inferring, take
from bench.bare_loop import Network
from bench.labelled_images import Labelled as Simulated
from bench.labelled_images import simulated
from service.core.measure.aponeuroses import find_aponeuroses
from service.core.measure.architecture import THICKNESS_AT, measure_frame
from service.core.measure.plane import scale_of
from training.muscle_segmentation.lines import find_fragments, mean_angle_deg
from training.muscle_segmentation.real import Bytes, Labelled
from training.muscle_segmentation.scores import LABELLED_SHARE, NO_SCALE, analysed_angle_deg

#: Simulated subjects that neither training nor any reported figure has seen.
VALIDATION_SEEDS, SUBJECTS = 9_000_000, 60
_DRAWS, _SEED = 1000, 20261122
Measured = Mapping[str, Answers]


@dataclass(frozen=True)
class Geometry:
    """By measurement, the answers on real and on simulated data."""

    real: Measured
    simulated: Measured

    def gained(self) -> float:
        """Share of a constant's error that is gone, 0 to 1: the mean of both data, each the mean of its measurements."""
        return fmean(fmean(share(answers, kind) for kind, answers in data.items()) for data in (self.real, self.simulated))

    def shares(self) -> dict[str, float]:
        """The same by measurement."""
        named = (("real", self.real), ("simulated", self.simulated))
        return {f"{said}, {kind}": round(share(each, kind), 4) for said, data in named for kind, each in data.items()}


def share(answers: Answers, kind: str) -> float:
    """Of the error of the best constant, what the answers leave away."""
    return 1 - float(error_of_each(answers, kind).sum() / _constant(answers, kind).sum())


def validation_subjects(count: int = SUBJECTS) -> list[Simulated]:
    """On devices of the range that training had."""
    return list(simulated(count, "common", VALIDATION_SEEDS))


def geometry_of(network: Network, images: Sequence[tuple[Labelled, int]], subjects: Sequence[Simulated]) -> Geometry:
    """Of validation images, each with its cluster, and of simulated subjects."""
    maps = [network(item.image[None, None])[0] for item, _ in images]
    real = {"fascicle_angle": Answers(), "thickness": Answers()}
    for (item, cluster), predicted in zip(images, maps, strict=True):
        _take_real(real, item, predicted, str(cluster))
    made: dict[str, Answers] = {kind: Answers() for kind in ("thickness", "pennation_angle", "fascicle_length")}
    for labelled in subjects:
        take(made, labelled, inferring(network))
    return Geometry(real, made)


def less(one: Geometry, other: Geometry) -> tuple[float, float, float]:
    """How much more the one gains than the other, with its 95 % interval; the same clusters and subjects are drawn of both."""
    each = range(_DRAWS)
    found = [_drawn(one, np.random.default_rng([_SEED, n])) - _drawn(other, np.random.default_rng([_SEED, n])) for n in each]
    low, high = np.quantile(found, [0.025, 0.975])
    return one.gained() - other.gained(), float(low), float(high)


def _drawn(geometry: Geometry, random: np.random.Generator) -> float:
    return fmean(
        fmean(_drawn_share(answers, kind, random) for kind, answers in data.items())
        for data in (geometry.real, geometry.simulated)
    )


def _drawn_share(answers: Answers, kind: str, random: np.random.Generator) -> float:
    names, member = np.unique(answers.groups, return_inverse=True)
    times = np.bincount(random.integers(0, len(names), len(names)), minlength=len(names))[member]
    return 1 - float((times * error_of_each(answers, kind)).sum() / (times * _constant(answers, kind)).sum())


def _constant(answers: Answers, kind: str) -> Floats:
    nothing = Answers(answered=[np.nan] * len(answers.true), true=answers.true)
    return error_of_each(nothing, kind)


def _take_real(answers: Mapping[str, Answers], item: Labelled, maps: Bytes, group: str) -> None:
    if item.has_fascicle:
        angle = mean_angle_deg(find_fragments(item.targets[1], LABELLED_SHARE))
        if angle is not None:
            answers["fascicle_angle"].add(analysed_angle_deg(item, maps), angle, group, np.nan)
    if item.has_aponeurosis and (true := _thickness(item, item.targets)) is not None:
        answers["thickness"].add(_analysed_thickness(item, maps), true, group, np.nan)


def _thickness(item: Labelled, targets: Iterable[Bytes]) -> float | None:
    """Of labelled lines, in model pixels, between the same edges as the analysis'."""
    aponeurosis, fascicle, *_ = targets
    found = find_aponeuroses(aponeurosis, fascicle, item.placement, scale_of(NO_SCALE, item.placement))
    if found is None:
        return None
    x = found.start + np.array(THICKNESS_AT) * (found.end - found.start)
    return float((found.deep.at(x) - found.superficial.at(x)).mean())


def _analysed_thickness(item: Labelled, maps: Bytes) -> float | None:
    return measure_frame(1, item.image, maps, item.placement, scale_of(NO_SCALE, item.placement)).thickness
