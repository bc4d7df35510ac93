"""The states of a calf's frames become the findings of `muscle_state`: each state against time, and what speaks for them.

Without a scale the network does not know the muscles' lengths, and nothing is told but how the states rise and fall in the cine.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf

import numpy as np

from service.core import codes, wording
from service.core.calf_lines import NoLines
from service.core.cine import Cine
from service.core.findings import AnalysisUsed, Code, Evidence, Finding, FindingKind, Interval, ModelUsed, Polyline, Series
from service.core.measure.calf_states import BAND, BAND_DEVIATIONS, FrameStates, Unread, activity_percent
from service.core.measure.grounds import evidence_of, said_by
from service.core.measure.plane import Floats, Scale
from service.core.measure.series import summarise
from service.core.measure.state_agreement import Agreement, agreement_of
from service.core.measure.state_series import Values, smoothed
from service.core.preprocess import Placement
from service.core.quality import Fault, Grade, grade_of, stated, told

#: Stands with every such number, in code and text.
SIMULATED_PEOPLE = "simulated_people"
RELATIVE_ONLY = "relative_only"
#: Of every number that has a value, and not only a course: no sign was found that tells in whose cine it is off throughout.
LEVEL_CAN_BE_OFF = "level_can_be_off"
#: Of an activity whose band reaches beyond the strongest contraction.
ABOVE_STRONGEST = "band_above_100_percent"
_STRONGEST_PERCENT = 100.0

#: A cine shows both muscles when at least this share of its frames does; below the second share it is a fault.
_SMALLEST_SHARE, _GOOD_SHARE = 0.2, 0.8
#: Without a scale, of the values within a cine these quantiles are 0 and 100 per cent.
_LOW, _HIGH = 0.05, 0.95
NO_CHANGE = "no_change"
_LINES = ("superficial_aponeurosis", "middle_aponeurosis", "deep_aponeurosis")

SENTENCES = {
    NoLines.NO_GASTROCNEMIUS: "two aponeuroses that bound a gastrocnemius were not found",
    NoLines.NO_BELLY: "what lies between the first two lines does not look like a muscle belly",
    NoLines.NO_SOLEUS: "the deep edge of the soleus was not found",
    NoLines.CROSSED: "the lines that were found do not bound two muscles",
    Unread.DO_NOT_FIT: "a line leaves the picture",
    Unread.UNLIKE_TRAINING: "thickness, depth, width or scale are unlike those that the network was trained on",
}


@dataclass(frozen=True, slots=True)
class Shown:
    """One state of the report: its unit, where in the body, and its number from the network's means (4,)."""

    name: str
    unit: str
    site: Code
    read: Callable[[Floats], float]
    #: Without a scale it is told where its course changes by at least so much, in its unit: with noise alone, in a picture that
    #: stands still, by less than a tenth of that, in simulated movements by several times as much.
    least_change: float


def _mean_activity(states: Floats) -> float:
    return (activity_percent(float(states[1])) + activity_percent(float(states[2]))) / 2


SHOWN = (
    Shown("joint_angle", "deg", codes.ANKLE_JOINT, lambda states: float(states[0]), 1.5),
    Shown("activity", "%", codes.MUSCLE_OF_LOWER_LIMB, _mean_activity, 4.0),
    Shown("activity_gastrocnemius", "%", codes.GASTROCNEMIUS, lambda states: activity_percent(float(states[1])), 4.0),
    Shown("activity_soleus", "%", codes.SOLEUS, lambda states: activity_percent(float(states[2])), 4.0),
    # Without a scale its course follows the truth no better than by chance (model card).
    Shown("joint_moment", "N.m", codes.ANKLE_JOINT, lambda states: float(states[3]), inf),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StateFindings:
    """One cine, read frame by frame."""

    cine: Cine
    placement: Placement
    scale: Scale
    analysis: AnalysisUsed
    frames: tuple[FrameStates, ...]
    model: ModelUsed

    def all(self) -> tuple[Finding, ...]:
        """The states, their agreement with the pennation, image quality; `not_measured` alone where it shows too little."""
        read = sum(frame.mean is not None for frame in self.frames)
        if read == 0 or read < _SMALLEST_SHARE * len(self.frames):
            return (self._not_measured(read),)
        faults = self._faults(read)
        if grade_of(faults) is Grade.C:
            return (self._too_poor(faults),)
        course = smoothed(self.frames, self._times())
        if self._is_absolute():
            return (*(self._state(shown, course) for shown in SHOWN), *self._agreement(), self._image_quality(read, faults))
        moving = [shown for shown in SHOWN if _change(shown, course) >= shown.least_change]
        if not moving:
            return (self._unchanged(),)
        relative = (self._relative(shown, course) for shown in moving)
        still = [shown.name for shown in SHOWN if shown not in moving and shown.least_change < inf]
        return (*relative, *self._agreement(), self._image_quality(read, faults, still))

    def lines_of(self, frame: FrameStates) -> tuple[Polyline, ...]:
        """The three aponeuroses of a frame, in pixels of the stored frame; none where they were not found."""
        if frame.lines is None:
            return ()
        sector, region = self.placement.box, self.cine.region.box
        columns = np.linspace(sector.x0, sector.x1 - 1, frame.lines.shape[1]) + region.x0
        return tuple(
            Polyline(
                label=name,
                frame=frame.number,
                points=tuple((round(float(x), 2), round(float(y) + region.y0, 2)) for x, y in zip(columns, line, strict=True)),
            )
            for name, line in zip(_LINES, frame.lines, strict=True)
        )

    def _state(self, shown: Shown, course: Sequence[FrameStates]) -> Finding:
        """Median and range over the frames, with a band of 90 % against time."""
        values, low, high = (_values(shown, self.frames, deviations) for deviations in (0.0, -BAND_DEVIATIONS, BAND_DEVIATIONS))
        known = np.array([value for value in values if value is not None])
        lows, highs = (np.array([value for value in edge if value is not None]) for edge in (low, high))
        middle = float(np.median(known))
        interval = Interval(low=min(float(np.median(lows)), middle), high=max(float(np.median(highs)), middle), level=BAND)
        spread = wording.quantity_range(float(known.min()), float(known.max()), shown.unit)
        off = wording.quantity_range(interval.low, interval.high, shown.unit)
        counted = f"median of {len(known)} of {len(values)} frames"
        value = wording.quantity(middle, shown.unit)
        series = self._series(shown, values, course)
        return Finding(
            **self._common(shown.name, shown.site),
            kind=FindingKind.MEASUREMENT,
            value=middle,
            unit=shown.unit,
            statistic="median",
            range=(float(known.min()), float(known.max())),
            interval=interval,
            flags=(SIMULATED_PEOPLE, LEVEL_CAN_BE_OFF, "interval_from_simulation", *_above_strongest(series), *self._missing()),
            text=f"{wording.label(shown.name)} {value} ({spread}), {counted}; 90 % interval {off}.",
            evidence=self._evidence(self._best(values)),
            series=series,
        )

    def _relative(self, shown: Shown, course: Sequence[FrameStates]) -> Finding:
        """Without a scale: the course of the state as shares of its own range within the cine."""
        values = _values(shown, self.frames)
        known = np.array([value for value in values if value is not None])
        low, high = (float(np.quantile(known, share)) for share in (_LOW, _HIGH))
        reach = high - low
        shares, smooth_shares = (
            _rounded([None if value is None else 100 * (value - low) / reach for value in line])
            for line in (values, _values(shown, course))
        )
        numbers = 100 * (known - low) / reach
        name, middle = f"{shown.name}_relative", float(np.median(numbers))
        spread = wording.quantity_range(float(numbers.min()), float(numbers.max()), "%")
        counted = f"median of {len(known)} of {len(values)} frames"
        return Finding(
            **self._common(name, shown.site),
            kind=FindingKind.MEASUREMENT,
            value=middle,
            unit="%",
            statistic="median",
            range=(float(numbers.min()), float(numbers.max())),
            flags=(SIMULATED_PEOPLE, RELATIVE_ONLY, *self._missing()),
            text=f"{wording.label(name)} {wording.quantity(middle, '%')} ({spread}) of its own range in this cine, {counted}.",
            evidence=self._evidence(self._best(values)),
            series=Series(time_seconds=self._times(), values=shares, unit="%", smoothed=smooth_shares),
        )

    def _series(self, shown: Shown, values: Values, course: Sequence[FrameStates]) -> Series:
        """The network's numbers, their course and the band round that."""
        return Series(
            time_seconds=self._times(),
            values=_rounded(values),
            unit=shown.unit,
            smoothed=_rounded(_values(shown, course)),
            low=_rounded(_values(shown, course, -BAND_DEVIATIONS)),
            high=_rounded(_values(shown, course, BAND_DEVIATIONS)),
            level=BAND,
        )

    def _times(self) -> tuple[float | None, ...]:
        return tuple(self.cine.time_axis.at(frame.number) for frame in self.frames)

    def _agreement(self) -> tuple[Finding, ...]:
        """Whether what the network says rises and falls with the pennation of the gastrocnemius in the same frames."""
        found = agreement_of(self.frames)
        if found is None:
            return ()
        return (
            Finding(
                **self._common("agreement_with_pennation", codes.GASTROCNEMIUS),
                kind=FindingKind.QUALITY,
                value=found.together,
                unit="{ratio}",
                flags=(SIMULATED_PEOPLE, *(("low_agreement",) if found.is_low else ())),
                text=_agreement_text(found),
                evidence=self._evidence(),
            ),
        )

    def _image_quality(self, read: int, faults: Sequence[Fault], still: Sequence[str] = ()) -> Finding:
        reasons = self._reasons()
        counted = f"Of {len(self.frames)} frames, both muscles were read in {read}."
        why = "".join(f" In {count}, {SENTENCES[reason]}." for reason, count in reasons)
        return Finding(
            **self._common("image_quality", codes.MUSCLE_OF_LOWER_LIMB),
            kind=FindingKind.QUALITY,
            value=100 * read / len(self.frames),
            unit="%",
            flags=(grade_of(faults).flag, *(str(reason) for reason, _ in reasons)),
            text=counted + why + stated(faults) + _told_still(still),
            evidence=self._evidence(),
        )

    def _faults(self, read: int) -> tuple[Fault, ...]:
        """What is wrong with a cine whose states are told; all are light."""
        share = read / len(self.frames)
        found = {
            "some_frames_not_measured": (
                f"both muscles were read in {share:.0%} of the frames: hold the probe along them, with full contact",
                share < _GOOD_SHARE,
            ),
            RELATIVE_ONLY: (
                "the picture carries no scale: states are relative, and the moment is not told",
                not self._is_absolute(),
            ),
            "low_agreement": (
                "what the network says does not follow the pennation of the gastrocnemius",
                (found := agreement_of(self.frames)) is not None and found.is_low,
            ),
        }
        return tuple(Fault(reason=reason, text=text) for reason, (text, applies) in found.items() if applies)

    def _not_measured(self, read: int) -> Finding:
        reasons = self._reasons()
        reason = reasons[0][0] if reasons else NoLines.NO_GASTROCNEMIUS
        where = "in any frame" if not read else f"in more than {read} of {len(self.frames)} frames"
        return Finding(
            **self._common("not_measured", codes.MUSCLE_OF_LOWER_LIMB),
            kind=FindingKind.NOT_MEASURED,
            flags=(str(reason), Grade.C.flag),
            text=f"Not measured: gastrocnemius and soleus could not be read {where}; mostly, {SENTENCES[reason]}.",
            evidence=self._evidence(),
        )

    def _too_poor(self, faults: Sequence[Fault]) -> Finding:
        return Finding(
            **self._common("not_measured", codes.MUSCLE_OF_LOWER_LIMB),
            kind=FindingKind.NOT_MEASURED,
            flags=(*(fault.reason for fault in faults), Grade.C.flag),
            text=f"Not measured: the cine is graded C: {told(faults)}.",
            evidence=self._evidence(),
        )

    def _unchanged(self) -> Finding:
        return Finding(
            **self._common("not_measured", codes.MUSCLE_OF_LOWER_LIMB),
            kind=FindingKind.NOT_MEASURED,
            flags=(NO_CHANGE, RELATIVE_ONLY, Grade.C.flag),
            text=(
                "Not measured: the picture carries no scale, so that only changes can be told, and nothing changes in this cine:"
                " record a movement or a contraction, or send a calibrated cine."
            ),
            evidence=self._evidence(),
        )

    def _reasons(self) -> list[tuple[NoLines | Unread, int]]:
        return Counter(frame.reason for frame in self.frames if frame.reason is not None).most_common()

    def _is_absolute(self) -> bool:
        return self.scale.unit == "mm"

    def _missing(self) -> tuple[str, ...]:
        return ("some_frames_not_measured",) if any(frame.mean is None for frame in self.frames) else ()

    def _best(self, values: Values) -> FrameStates:
        """The frame nearest to the median."""
        summary = summarise(values, [1.0] * len(values))
        return self.frames[summary.best if summary else 0]

    def _common(self, name: str, site: Code) -> dict[str, object]:
        return said_by(name, cine=self.cine, analysis=self.analysis, model=self.model, site=site)

    def _evidence(self, *shown: FrameStates) -> Evidence:
        lines = self.lines_of(shown[0]) if shown else ()
        return evidence_of(self.cine, tuple(frame.number for frame in shown), scale=self.scale, lines=lines)


def _told_still(names: Sequence[str]) -> str:
    return (
        f" Unchanged in this cine, and so not told: {', '.join(wording.label(name).lower() for name in names)}." if names else ""
    )


def _agreement_text(found: Agreement) -> str:
    angle, activity = (wording.number(one, "{ratio}") for one in (found.angle, found.activity))
    together = wording.number(found.together, "{ratio}")
    return (
        f"Angle and activity, learnt from simulated people, together follow the pennation of the gastrocnemius with a rank"
        f" correlation of {together}"
        f" over {found.frames} frames; the angle alone with {angle}, the activity alone with {activity}."
    )


def _values(shown: Shown, frames: Sequence[FrameStates], deviations: float = 0.0) -> tuple[float | None, ...]:
    """Of each frame, so many standard deviations away; None where that is not known."""
    return tuple(None if (states := frame.away(deviations)) is None else shown.read(states) for frame in frames)


def _change(shown: Shown, course: Sequence[FrameStates]) -> float:
    """Between the quantiles of its course, in its unit."""
    known = [value for value in _values(shown, course) if value is not None]
    return float(np.quantile(known, _HIGH) - np.quantile(known, _LOW))


def _rounded(values: Values) -> tuple[float | None, ...]:
    return tuple(None if value is None else round(value, 4) for value in values)


def _above_strongest(series: Series) -> tuple[str, ...]:
    """The flag where the band of an activity does, so that whoever reads of more than 100 % is told why that can be."""
    is_above = series.unit == "%" and any(high is not None and high > _STRONGEST_PERCENT for high in series.high)
    return (ABOVE_STRONGEST,) if is_above else ()
