"""What the networks say of each window of a recording becomes the motor units of the whole of it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from service.core.measure.motor_band import RATE_HZ
from service.core.measure.motor_maps import Floats, Mask, matched
from service.core.measure.motor_trains import NEAREST_S, Seconds

#: A unit with fewer between its discharges has no rate that says anything.
LEAST_INTERVALS = 2
#: Of so many windows a unit is in more than one; most of those that one window alone shows are none.
_SEVERAL_WINDOWS = 3
#: Of the mean twitch, before and after the discharge.
_BEFORE_S, _AFTER_S = 0.02, 0.16


@dataclass(frozen=True, slots=True)
class Unit:
    """One motor unit of a recording of T images at 250 Hz."""

    mask: Mask  # (64, 64)
    #: How sure the network is of it, 0 to 1.
    heat: float
    twitch: Floats  # (T,) mm/s; NaN in windows in which it was not found
    discharges_s: Seconds  # since the first frame, rising

    @property
    def intervals_s(self) -> Seconds:
        """Between discharges, without those that reach over images in which it was not found: what it did there is not known."""
        at = np.round(self.discharges_s * RATE_HZ).astype(np.int64)
        missed = np.cumsum(np.isnan(self.twitch))[at]
        return np.asarray(np.diff(self.discharges_s)[missed[1:] == missed[:-1]])

    @property
    def rate_hz(self) -> float:
        """Intervals over their total time."""
        intervals = self.intervals_s
        return len(intervals) / float(intervals.sum())

    @property
    def interval_variation(self) -> float:
        """Coefficient of variation of the intervals between discharges."""
        intervals = self.intervals_s
        return float(intervals.std() / intervals.mean())

    def mean_twitch(self) -> tuple[Seconds, Floats]:
        """Seconds after the discharge, and the mean of the train there over all discharges, mm/s."""
        before, after = round(_BEFORE_S * RATE_HZ), round(_AFTER_S * RATE_HZ)
        at = np.round(self.discharges_s * RATE_HZ).astype(np.int64)
        padded = np.pad(self.twitch, (before, after + 1), constant_values=np.nan)
        each = padded[at[:, None] + np.arange(before + after + 1)]
        known = np.isfinite(each)
        sums, counts = np.where(known, each, 0).sum(0), np.maximum(known.sum(0), 1)
        return np.arange(-before, after + 1) / RATE_HZ, np.asarray(sums / counts, np.float32)


def in_millimetres(twitch: Floats, velocity: Floats, mask: Mask) -> Floats:
    """A train (T,) in whatever scale as mm/s: that which fits the mean velocity (T, 64, 64) of the territory best."""
    mean = velocity[:, mask].mean(1)
    centred = twitch - twitch.mean()
    return np.asarray(centred * (float(mean @ centred) / max(float(centred @ centred), 1e-12)), np.float32)


def joined(windows: Sequence[tuple[slice, Sequence[Unit]]], frames: int) -> tuple[Unit, ...]:
    """Units of a whole recording, the surest first, without those with too few intervals or in one window of three or more.

    A unit of a window is the one of the windows before it whose territory has most in common with its own, and at least 0.3 of
    both together; otherwise it is a new one. The surest window gives the territory. Where the last window overlaps the one before
    it, what that one said counts.
    """
    known: list[Unit] = []
    shown: list[int] = []  # in how many windows
    done = 0
    for place, units in windows:
        pairs = {other: one for one, other in matched([unit.mask for unit in known], [unit.mask for unit in units])}
        for number, unit in enumerate(units):
            whole = _placed(unit, place, done, frames)
            if number in pairs:
                known[pairs[number]] = _together(known[pairs[number]], whole)
                shown[pairs[number]] += 1
            else:
                known.append(whole)
                shown.append(1)
        done = place.stop
    least = 2 if len(windows) >= _SEVERAL_WINDOWS else 1
    borne_out = [unit for unit, count in zip(known, shown, strict=True) if count >= least]
    lasting = [unit for unit in borne_out if len(unit.intervals_s) >= LEAST_INTERVALS]
    return tuple(sorted(lasting, key=lambda unit: -unit.heat))


def _placed(unit: Unit, place: slice, done: int, frames: int) -> Unit:
    """A window's unit in the time of the recording, without what was told before image `done`."""
    train = np.full(frames, np.nan, np.float32)
    train[place] = unit.twitch
    train[:done] = np.nan
    times = unit.discharges_s + place.start / RATE_HZ
    return replace(unit, twitch=train, discharges_s=times[times >= done / RATE_HZ])


def _together(one: Unit, later: Unit) -> Unit:
    surer = max(one, later, key=lambda unit: unit.heat)
    train = np.where(np.isfinite(one.twitch), one.twitch, later.twitch)
    times = np.concatenate([one.discharges_s, later.discharges_s])
    # At the seam both windows may tell the same discharge.
    apart = np.diff(times, prepend=-np.inf) * RATE_HZ > round(NEAREST_S * RATE_HZ) - 0.5
    return Unit(surer.mask, surer.heat, train, times[apart])
