"""How much of a constant's error a segmentation network takes away, over a report's geometry: `bench.networks` chooses by it.

The measurements are those of muscle architecture that have a truth on validation data: on DL_Track's validation images the
fascicles' angle and the muscle's thickness as the analysis makes them of labels, on simulated subjects of their own pennation,
thickness and fascicle length. Each counts alike within its data, both data count alike, and a missing answer is the constant.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from bench.accuracy import Answers, Floats, error_of_each, inferring, take
from bench.bare_loop import Network
from bench.labelled_images import Labelled as Simulated
from bench.labelled_images import simulated
from training.muscle_segmentation.real import Bytes, Labelled
from training.muscle_segmentation.scores import analysis_of, labelled_angle_deg, labelled_thickness

#: Simulated subjects that neither training nor any reported figure has seen.
VALIDATION_SEEDS, SUBJECTS = 9_000_000, 60
_DRAWS, _SEED = 10_000, 20261122
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
    low, high = np.quantile(_drawn(one) - _drawn(other), [0.025, 0.975])
    return one.gained() - other.gained(), float(low), float(high)


def _drawn(geometry: Geometry) -> Floats:
    """What is gained in each draw (D,)."""
    random = np.random.default_rng(_SEED)
    return np.asarray(np.mean([_drawn_of(data, random) for data in (geometry.real, geometry.simulated)], axis=0))


def _drawn_of(data: Measured, random: np.random.Generator) -> Floats:
    """The mean of the measurements' shares in each draw (D,): all of one draw count a cluster, or a subject, equally often."""
    names = sorted({group for answers in data.values() for group in answers.groups})
    times = random.multinomial(len(names), np.full(len(names), 1 / len(names)), _DRAWS)
    found = []
    for kind, answers in data.items():
        member = np.searchsorted(names, answers.groups)
        left, constant = (
            times @ np.bincount(member, weights=errors, minlength=len(names))
            for errors in (error_of_each(answers, kind), _constant(answers, kind))
        )
        found.append(1 - left / constant)
    return np.asarray(np.mean(found, axis=0))


def _constant(answers: Answers, kind: str) -> Floats:
    nothing = Answers(answered=[np.nan] * len(answers.true), true=answers.true)
    return error_of_each(nothing, kind)


def _take_real(answers: Mapping[str, Answers], item: Labelled, maps: Bytes, group: str) -> None:
    angle, thickness = labelled_angle_deg(item), labelled_thickness(item)
    if angle is None and thickness is None:
        return
    analysed = analysis_of(item, maps)
    for kind, answer, true in (
        ("fascicle_angle", analysed.fascicle_angle_deg, angle),
        ("thickness", analysed.thickness, thickness),
    ):
        if true is not None:
            answers[kind].add(answer, true, group, np.nan)
