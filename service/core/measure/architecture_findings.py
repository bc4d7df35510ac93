"""The frames of a cine, measured, become the findings of muscle architecture."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from service.core import wording
from service.core.findings import Finding, FindingKind, Interval, Series
from service.core.measure.architecture import THICKNESS_AT, FrameArchitecture, Reason
from service.core.measure.architecture_quality import cine_faults, is_mostly_extrapolated
from service.core.measure.basis import Basis
from service.core.measure.checks import OF_LINES, Doubt, Doubts, find_doubts
from service.core.measure.contraction_findings import Course, contraction_findings
from service.core.measure.intervals import load_calibration
from service.core.measure.series import Summary, summarise
from service.core.measure.smoothing import Smoothed, smooth
from service.core.quality import Fault, Grade, grade_of, stated, told

#: A cine shows muscle when at least this share of its frames does.
_SMALLEST_SHARE = 0.2
#: So many fragments make a frame as good a witness as it gets.
_MANY_FRAGMENTS = 8
_LENGTH = "length"

SENTENCES = {
    Reason.NO_APONEUROSES: "two aponeuroses that bound a muscle were not found",
    Reason.NOT_ONE_MUSCLE: "the lines that were found do not bound one muscle",
    Reason.NO_MUSCLE_BELLY: "what lies between the lines does not look like a muscle belly",
    Reason.WEAK_EVIDENCE: "lines, belly and fascicles together are too faint for a muscle",
    Reason.NO_FASCICLES: "no fascicles of one direction were found between the aponeuroses",
    Reason.IMPLAUSIBLE: "the geometry is not that of a human muscle",
}
DOUBT_SENTENCES = {
    Doubt.LINES_OUT_OF_ORDER: "the belly's thickness contradicts the course of the aponeuroses",
    Doubt.LINES_JUMP: "an aponeurosis jumps as tissue cannot",
    Doubt.FASCICLES_TURNED: "the fascicles lean the other way than in most frames",
    Doubt.FASCICLES_JUMP: "the fascicles jump as tissue cannot",
    Doubt.LENGTH_CONTRADICTED: "the fascicles' length contradicts thickness and angles",
}


@dataclass(frozen=True, slots=True)
class Quantity:
    """One measurement of the report: how it is read from a frame and which lines show it."""

    name: str
    unit: str
    read: Callable[[FrameArchitecture], float | None]
    evidence: Callable[[FrameArchitecture], float]
    lines: tuple[str, ...]
    is_smoothed: bool = True

    def is_doubted(self, doubts: frozenset[Doubt]) -> bool:
        """True when the number of a frame with these doubts takes part in nothing: fascicles rest on the lines, too."""
        return bool(doubts if "fascicle" in self.lines else doubts & OF_LINES)


def _of_aponeuroses(frame: FrameArchitecture) -> float:
    return min(1.0, frame.traced_share)


def _of_fascicles(frame: FrameArchitecture) -> float:
    return min(1.0, frame.fragments / _MANY_FRAGMENTS) * frame.concentration * min(1.0, frame.traced_share)


def _of_length(frame: FrameArchitecture) -> float:
    return 1 - (1.0 if frame.extrapolated_share is None else frame.extrapolated_share)


def _unseen_percent(frame: FrameArchitecture) -> float | None:
    """Of a fascicle whose length was measured."""
    share = frame.extrapolated_share
    return None if share is None or frame.fascicle_length is None else 100 * share


def _gap(place: int, frame: FrameArchitecture) -> float | None:
    return frame.gaps[place] if frame.gaps else None


_BOTH = ("superficial_aponeurosis", "deep_aponeurosis")
QUANTITIES = (
    Quantity("thickness", _LENGTH, lambda frame: frame.thickness, _of_aponeuroses, _BOTH),
    Quantity("pennation_angle", "deg", lambda frame: frame.pennation_deg, _of_fascicles, ("deep_aponeurosis", "fascicle")),
    Quantity("fascicle_angle", "deg", lambda frame: frame.fascicle_angle_deg, _of_fascicles, ("fascicle",)),
    Quantity("superficial_aponeurosis_angle", "deg", lambda frame: frame.superficial_angle_deg, _of_aponeuroses, _BOTH[:1]),
    Quantity("deep_aponeurosis_angle", "deg", lambda frame: frame.deep_angle_deg, _of_aponeuroses, _BOTH[1:]),
    Quantity("fascicle_length", _LENGTH, lambda frame: frame.fascicle_length, _of_length, (*_BOTH, "fascicle")),
    Quantity("fascicle_extrapolated_share", "%", _unseen_percent, _of_length, (*_BOTH, "fascicle"), is_smoothed=False),
    *(
        Quantity(f"thickness_at_{round(100 * share)}_percent", _LENGTH, partial(_gap, place), _of_aponeuroses, _BOTH)
        for place, share in enumerate(THICKNESS_AT)
    ),
    Quantity("echo_intensity", "1", lambda frame: frame.echo_intensity, _of_aponeuroses, _BOTH, is_smoothed=False),
)


@dataclass(frozen=True, slots=True)
class _Measured:
    """One quantity over all frames."""

    quantity: Quantity
    #: As read from each frame, impossible ones too.
    values: tuple[float | None, ...]
    #: Numbers of the frames whose value is impossible.
    left_out: tuple[int, ...]
    summary: Summary | None
    curve: Smoothed | None


class ArchitectureFindings(Basis):
    """All that one cine's frames say; `all()` is never empty."""

    __slots__ = ()

    def all(self) -> tuple[Finding, ...]:
        """A finding a quantity, contractions, image quality; `not_measured` alone when the cine shows no muscle."""
        frames = self.frames
        shown = sum(frame.shows_muscle for frame in frames)
        if shown == 0 or shown < _SMALLEST_SHARE * len(frames):
            return (self._no_muscle(shown),)
        if all(frame.pennation_deg is None for frame in frames):
            return (self._no_fascicles(shown),)
        doubts = find_doubts(frames, self.seconds())
        faults = cine_faults(frames, doubts)
        if grade_of(faults) is Grade.C:
            return (self._too_poor(faults),)
        measured = {quantity.name: self._measure(quantity, doubts) for quantity in QUANTITIES}
        course = Course(*(measured[name].curve for name in ("pennation_angle", "thickness", "fascicle_length")))
        return (
            *map(self._quantity, measured.values()),
            *contraction_findings(self, course),
            self._image_quality(shown, doubts, faults),
        )

    def _measure(self, quantity: Quantity, doubts: Doubts) -> _Measured:
        frames = self.frames
        values = tuple(quantity.read(frame) for frame in frames)
        doubted = {index for index, found in doubts.items() if values[index] is not None and quantity.is_doubted(found)}
        used = [None if index in doubted else value for index, value in enumerate(values)]
        evidence = [quantity.evidence(frame) for frame in frames]
        return _Measured(
            quantity=quantity,
            values=values,
            left_out=tuple(frames[index].number for index in sorted(doubted)),
            summary=summarise(used, evidence),
            curve=smooth(used, evidence, self.seconds()) if quantity.is_smoothed else None,
        )

    def _no_muscle(self, shown: int) -> Finding:
        reasons = Counter(frame.reason for frame in self.frames if frame.reason)
        reason = reasons.most_common(1)[0][0] if reasons else Reason.NO_APONEUROSES
        where = "in any frame" if not shown else f"in more than {shown} of {len(self.frames)} frames"
        return Finding(
            **self.common("not_measured"),
            kind=FindingKind.NOT_MEASURED,
            flags=(str(reason), Grade.C.flag),
            text=f"Not measured: no muscle between two aponeuroses was recognised {where}; mostly, {SENTENCES[reason]}.",
            evidence=self.evidence(),
        )

    def _no_fascicles(self, shown: int) -> Finding:
        """Two lines alone may be an artefact: of DL_Track's training frames that are measured, one in forty has no fascicles."""
        return Finding(
            **self.common("not_measured"),
            kind=FindingKind.NOT_MEASURED,
            flags=(str(Reason.NO_FASCICLES), Grade.C.flag),
            text=(
                f"Not measured: two lines were found in {shown} of {len(self.frames)} frames,"
                f" but {SENTENCES[Reason.NO_FASCICLES]} in any: this may be no muscle."
            ),
            evidence=self.evidence(),
        )

    def _too_poor(self, faults: Sequence[Fault]) -> Finding:
        """Each fault alone could be lived with; together they leave no number to trust."""
        return Finding(
            **self.common("not_measured"),
            kind=FindingKind.NOT_MEASURED,
            flags=(*(fault.reason for fault in faults), Grade.C.flag),
            text=f"Not measured: the cine is graded C: {told(faults)}.",
            evidence=self.evidence(),
        )

    def _quantity(self, measured: _Measured) -> Finding:
        quantity, summary = measured.quantity, measured.summary
        if summary is None:
            return self._quantity_not_measured(quantity)
        best, unit = self.frames[summary.best], self._unit(quantity)
        return Finding(
            **self.common(quantity.name),
            kind=FindingKind.MEASUREMENT,
            value=summary.median,
            unit=unit,
            statistic="median",
            range=(summary.low, summary.high),
            interval=self._interval(quantity, summary),
            flags=self._flags(measured, summary),
            text=self._text(quantity, summary, best),
            evidence=self.evidence(best, lines=quantity.lines),
            series=self._series(measured, unit),
        )

    def _interval(self, quantity: Quantity, summary: Summary) -> Interval | None:
        """None without a scale for what leans on the picture's aspect, which is only assumed then."""
        if self.scale.unit != "mm" and "fascicle" in quantity.lines:
            return None
        return load_calibration().interval(quantity.name, summary.median, summary.measured, self.model.sha256)

    def _series(self, measured: _Measured, unit: str) -> Series:
        curve = measured.curve
        return Series(
            time_seconds=self.times(),
            values=measured.values,
            unit=unit,
            smoothed=_rounded(curve.values) if curve else (),
            low=_rounded(curve.low()) if curve else (),
            high=_rounded(curve.high()) if curve else (),
            left_out=measured.left_out,
        )

    def _quantity_not_measured(self, quantity: Quantity) -> Finding:
        """Of a cine that shows muscle, but not this of it."""
        reasons = Counter(frame.reason for frame in self.frames if frame.shows_muscle and frame.reason)
        reason = reasons.most_common(1)[0][0] if reasons else Reason.IMPLAUSIBLE
        return Finding(
            **self.common("not_measured", of=quantity.name),
            kind=FindingKind.NOT_MEASURED,
            flags=(str(reason), quantity.name),
            text=f"Not measured: {wording.label(quantity.name).lower()}, for {SENTENCES[reason]} in any frame.",
            evidence=self.evidence(),
        )

    def _image_quality(self, shown: int, doubts: Doubts, faults: Sequence[Fault]) -> Finding:
        frames = self.frames
        reasons = Counter(frame.reason for frame in frames if frame.reason).most_common()
        doubted = Counter(doubt for found in doubts.values() for doubt in sorted(found)).most_common()
        why = "".join(f" In {count}, {SENTENCES[reason]}." for reason, count in reasons)
        fascicles = sum(frame.pennation_deg is not None for frame in frames)
        measured = f"Of {len(frames)} frames, a muscle was measured in {shown}, its fascicles in {fascicles}."
        return Finding(
            **self.common("image_quality"),
            kind=FindingKind.QUALITY,
            value=100 * shown / len(frames),
            unit="%",
            flags=(grade_of(faults).flag, *(str(one) for one, _ in (*reasons, *doubted))),
            text=measured + why + _doubted(doubted) + stated(faults),
            evidence=self.evidence(),
        )

    def _unit(self, quantity: Quantity) -> str:
        return self.scale.unit if quantity.unit == _LENGTH else quantity.unit

    def _flags(self, measured: _Measured, summary: Summary) -> tuple[str, ...]:
        quantity = measured.quantity
        is_length = quantity.name == "fascicle_length"
        flags = {
            "not_calibrated": quantity.unit == _LENGTH and self.scale.unit != "mm",
            "square_pixels_assumed": quantity.unit == "deg" and self.scale.unit != "mm",
            "some_frames_not_measured": summary.measured < len(self.frames),
            "impossible_frames_left_out": bool(measured.left_out),
            "interval_from_simulation": self._interval(quantity, summary) is not None,
            "mostly_extrapolated": is_length and is_mostly_extrapolated(self.frames),
        }
        return tuple(flag for flag, applies in flags.items() if applies)

    def _text(self, quantity: Quantity, summary: Summary, best: FrameArchitecture) -> str:
        unit = self._unit(quantity)
        spread = f" ({wording.quantity_range(summary.low, summary.high, unit)})" if summary.measured > 1 else ""
        counted = f"median of {summary.measured} of {len(self.frames)} frames, " if len(self.frames) > 1 else ""
        share = best.extrapolated_share
        continued = f"; {100 * share:.0f} % of it continued beyond what is seen" if _is_length(quantity) and share else ""
        value = wording.quantity(summary.median, unit)
        name = wording.label(quantity.name)
        return f"{name} {value}{spread}, {counted}shown best by frame {best.number}{continued}."


def _doubted(doubts: list[tuple[Doubt, int]]) -> str:
    return "".join(f" In {count}, {DOUBT_SENTENCES[doubt]}: impossible, and left out." for doubt, count in doubts)


def _rounded(values: tuple[float | None, ...]) -> tuple[float | None, ...]:
    """A curve is drawn and compared; more digits only make the report long."""
    return tuple(None if value is None else round(value, 4) for value in values)


def _is_length(quantity: Quantity) -> bool:
    return quantity.name == "fascicle_length"
