"""What the second network learns from: units as the first one finds them, in muscles that no network has learnt from."""

from collections.abc import Collection
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from service.core.measure.motor_maps import Mask, matched, territories
from service.core.measure.motor_trains import traces, within_band
from simulator.motor_units import FRAME_RATE_HZ, ActiveUnit
from training.motor_units.sequences import training_sequence
from training.motor_units.served import Maps, served_maps
from training.motor_units.targets import jittered, train_targets

#: Another segmentation finds so many of the units.
_FOUND = 0.93


@dataclass(frozen=True, slots=True)
class Lesson:
    """Of a muscle of N units, in half precision: of 3,000 muscles 2 GB."""

    given: npt.NDArray[np.float16]  # (M, 10, T), scaled to 1 in root mean square: units as they were found
    unit: npt.NDArray[np.int64]  # (M,), which of the N each is
    twitch: npt.NDArray[np.float16]  # (N, T), scaled to 1 at its largest
    spikes: npt.NDArray[np.float16]  # (N, T)


def lessons(seeds: Collection[int], models: Path, processes: int) -> dict[int, Lesson]:
    """Of the muscles of these seeds; their territories are those of the first network in the model repository."""
    with ProcessPoolExecutor(processes) as pool:
        return dict(zip(seeds, pool.map(partial(lesson_of, models=models), seeds, chunksize=16), strict=True))


def lesson_of(seed: int, models: Path) -> Lesson:
    """Each unit as the network found it, and as a segmentation might have that misses others and is off by a pixel."""
    muscle = training_sequence(seed)
    moving = within_band(muscle.velocity, FRAME_RATE_HZ)
    found = [one.mask for one in territories(_opened(models)(muscle.velocity))]
    pairs = matched([unit.mask for unit in muscle.units], found)
    others, masks = _imagined(muscle.units, np.random.default_rng([seed, 70]))
    given = [traces(moving, found)[[place for _, place in pairs]]] if pairs else []
    given += [traces(moving, masks)] if masks else []
    every = np.concatenate(given)
    twitches, spikes = zip(*(train_targets(unit, len(moving)) for unit in muscle.units), strict=True)
    scaled = [twitch / np.abs(twitch).max() for twitch in twitches]
    levelled = every / np.sqrt(np.square(every).mean((1, 2), keepdims=True))
    units = np.array([unit for unit, _ in pairs] + others, np.int64)
    return Lesson(levelled.astype(np.float16), units, np.asarray(scaled, np.float16), np.asarray(spikes, np.float16))


def _imagined(units: tuple[ActiveUnit, ...], random: np.random.Generator) -> tuple[list[int], list[Mask]]:
    """Which units another segmentation finds, and where; at least one."""
    found = np.flatnonzero(random.random(len(units)) < _FOUND).tolist() or [0]
    return found, [jittered(units[number].mask, random) for number in found]


@cache
def _opened(models: Path) -> Maps:
    return served_maps(models)
