"""Excursions and velocities of simulated contractions beside their truth, for `bench.intervals`.

The share of an excursion that is its standard error beside noise comes from subjects of the calibration; how often the intervals
of the findings hold the truth, from others.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from bench.accuracy import analyse, interval
from bench.labelled_images import cine_of
from service.core.analyses.analysis import Infer
from service.core.cine import Calibration, Cine, TimeAxis
from service.core.findings import Contraction, Finding
from service.core.measure.intervals import load_calibration
from service.core.measure.smoothing import BAND_DEVIATIONS
from simulator.calf import CalfCine, CalfTruth, simulate_calf
from simulator.device import DeviceGroup

NAMES = ("pennation_excursion", "thickness_excursion", "fascicle_excursion", "shortening_velocity")
#: A device that training never saw begins here, as in `bench.labelled_images`.
_OTHER_DEVICES = 500_000


@dataclass(frozen=True)
class Excursion:
    """One number of the largest contraction of a cine, with the interval that the finding gives it."""

    name: str
    group: str
    value: float
    true: float
    low: float
    high: float


def excursions(subjects: int, first_seed: int, infer: Infer) -> list[Excursion]:
    """Of one whole contraction a subject, half of them on devices that training never saw."""
    half = subjects // 2
    groups: tuple[tuple[DeviceGroup, int], ...] = (("common", first_seed), ("held-out", first_seed + _OTHER_DEVICES))
    return [found for group, first in groups for seed in range(first, first + half) for found in _of_subject(seed, group, infer)]


def _of_subject(seed: int, group: DeviceGroup, infer: Infer) -> Iterator[Excursion]:
    calf = simulate_calf(seed, device_group=group)
    # An interval, whatever weights the table was made with: `shares` takes the noise between frames out of it.
    calibrated = load_calibration().weights_sha256
    findings = {finding.name: finding for finding in analyse(_cine(calf), infer, calibrated)}
    count = findings.get("contraction_count")
    if count is None or not count.contractions:
        return
    largest = max(count.contractions, key=lambda one: one.pennation.excursion)
    truth = true_excursions(calf.truth, largest, calf.frame_time_ms / 1000)
    for name in NAMES:
        found = findings.get(name)
        if found is not None:
            yield _excursion(found, truth[name], calf.truth.subject)


def _excursion(found: Finding, true: float, group: str) -> Excursion:
    if not isinstance(found.value, float) or found.interval is None:
        raise TypeError(f"{found.name} has no number with an interval")
    return Excursion(found.name, group, found.value, true, found.interval.low, found.interval.high)


def _cine(calf: CalfCine) -> Cine:
    seconds = tuple(index * calf.frame_time_ms / 1000 for index in range(calf.number_of_frames))
    images = [frame.sector for frame in calf.frames()]
    calibration = Calibration(calf.mm_per_pixel, calf.mm_per_pixel, "simulated")
    return cine_of(images, calibration, TimeAxis(seconds, "FrameTime"))


def true_excursions(truth: CalfTruth, found: Contraction, frame_seconds: float) -> dict[str, float]:
    """Peak less rest, of the fascicles rest less peak, and their greatest speed: all from the truth's own extremes.

    The thickness has no extreme of its own, so it is taken at the frames that were found.
    """
    rest, peak = found.rest_frame - 1, found.peak_frame - 1
    pennation, length = truth.pennation_deg, truth.fascicle_length_mm
    return {
        "pennation_excursion": max(pennation) - min(pennation),
        "thickness_excursion": truth.thickness_mm[peak] - truth.thickness_mm[rest],
        "fascicle_excursion": max(length) - min(length),
        "shortening_velocity": max(before - after for before, after in pairwise(length)) / frame_seconds,
    }


def shares(found: Sequence[Excursion], known: dict[str, float]) -> dict[str, float]:
    """Standard error beside noise as a share of the value (root mean square); `known` are those that the findings came with."""
    made = {}
    for name in NAMES:
        own = [one for one in found if one.name == name]
        squares = [max(0.0, (one.value - one.true) ** 2 - _noise(one, known[name]) ** 2) / one.value**2 for one in own]
        made[name] = round(math.sqrt(float(np.mean(squares))), 3) if squares else known[name]
    return made


def _noise(one: Excursion, share: float) -> float:
    """The deviation that the smoother gave, from the finding's interval."""
    whole = (one.high - one.low) / 2 / BAND_DEVIATIONS
    return math.sqrt(max(0.0, whole**2 - (share * one.value) ** 2))


def coverage(found: Sequence[Excursion]) -> dict[str, dict[str, Any]]:
    """Of each name: error, and the share of intervals that hold the truth."""
    rows = {}
    for name in NAMES:
        own = [one for one in found if one.name == name]
        if not own:
            continue
        held = np.array([one.low <= one.true <= one.high for one in own], np.float64)
        low, high = interval(held, [one.group for one in own])
        rows[name] = {
            "answers": len(own),
            "groups": len({one.group for one in own}),
            "share_held": round(float(held.mean()), 3),
            "interval": [round(low, 3), round(high, 3)],
            "median_half_width": round(float(np.median([(one.high - one.low) / 2 for one in own])), 3),
            "mean_absolute_error": round(float(np.mean([abs(one.value - one.true) for one in own])), 3),
        }
    return rows
