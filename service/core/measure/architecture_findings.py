"""The frames of a cine, measured, become the findings of muscle architecture."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from service.core import codes, wording
from service.core.cine import Cine
from service.core.findings import (
    AnalysisUsed,
    CalibrationUsed,
    Evidence,
    Finding,
    FindingKind,
    FindingSite,
    ModelUsed,
    Polyline,
    Series,
)
from service.core.identifiers import derive_uid
from service.core.measure.architecture import LARGEST_EXTRAPOLATED_SHARE, FrameArchitecture, Reason
from service.core.measure.plane import Floats, Scale
from service.core.measure.series import Summary, summarise
from service.core.preprocess import Placement

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


@dataclass(frozen=True, slots=True)
class Quantity:
    """One measurement of the report: how it is read from a frame and which lines show it."""

    name: str
    unit: str
    read: Callable[[FrameArchitecture], float | None]
    evidence: Callable[[FrameArchitecture], float]
    lines: tuple[str, ...]


def _of_aponeuroses(frame: FrameArchitecture) -> float:
    return min(1.0, frame.traced_share)


def _of_fascicles(frame: FrameArchitecture) -> float:
    return min(1.0, frame.fragments / _MANY_FRAGMENTS) * frame.concentration * min(1.0, frame.traced_share)


def _of_length(frame: FrameArchitecture) -> float:
    return 1 - (1.0 if frame.extrapolated_share is None else frame.extrapolated_share)


_BOTH = ("superficial_aponeurosis", "deep_aponeurosis")
QUANTITIES = (
    Quantity("thickness", _LENGTH, lambda frame: frame.thickness, _of_aponeuroses, _BOTH),
    Quantity("pennation_angle", "deg", lambda frame: frame.pennation_deg, _of_fascicles, ("deep_aponeurosis", "fascicle")),
    Quantity("fascicle_angle", "deg", lambda frame: frame.fascicle_angle_deg, _of_fascicles, ("fascicle",)),
    Quantity("superficial_aponeurosis_angle", "deg", lambda frame: frame.superficial_angle_deg, _of_aponeuroses, _BOTH[:1]),
    Quantity("deep_aponeurosis_angle", "deg", lambda frame: frame.deep_angle_deg, _of_aponeuroses, _BOTH[1:]),
    Quantity("fascicle_length", _LENGTH, lambda frame: frame.fascicle_length, _of_length, (*_BOTH, "fascicle")),
    Quantity("echo_intensity", "1", lambda frame: frame.echo_intensity, _of_aponeuroses, _BOTH),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchitectureFindings:
    """All that one cine's frames say; `all()` is never empty."""

    cine: Cine
    placement: Placement
    scale: Scale
    analysis: AnalysisUsed
    frames: tuple[FrameArchitecture, ...]
    model: ModelUsed

    def all(self) -> tuple[Finding, ...]:
        """One finding a quantity and the image quality; `not_measured` alone when the cine shows no muscle."""
        shown = sum(frame.shows_muscle for frame in self.frames)
        if shown == 0 or shown < _SMALLEST_SHARE * len(self.frames):
            return (self._no_muscle(shown),)
        return (*(self._quantity(quantity) for quantity in QUANTITIES), self._image_quality(shown))

    def _no_muscle(self, shown: int) -> Finding:
        reasons = Counter(frame.reason for frame in self.frames if frame.reason)
        reason = reasons.most_common(1)[0][0] if reasons else Reason.NO_APONEUROSES
        where = "in any frame" if not shown else f"in more than {shown} of {len(self.frames)} frames"
        return Finding(
            **self._common("not_measured"),
            kind=FindingKind.NOT_MEASURED,
            flags=(str(reason),),
            text=f"Not measured: no muscle between two aponeuroses was recognised {where}; mostly, {SENTENCES[reason]}.",
            evidence=self._evidence(),
        )

    def _quantity(self, quantity: Quantity) -> Finding:
        values = tuple(quantity.read(frame) for frame in self.frames)
        summary = summarise(values, [quantity.evidence(frame) for frame in self.frames])
        if summary is None:
            return self._quantity_not_measured(quantity)
        best, unit = self.frames[summary.best], self._unit(quantity)
        return Finding(
            **self._common(quantity.name),
            kind=FindingKind.MEASUREMENT,
            value=summary.median,
            unit=unit,
            statistic="median",
            range=(summary.low, summary.high),
            flags=self._flags(quantity, summary),
            text=self._text(quantity, summary, best),
            evidence=self._evidence(best, quantity.lines),
            series=Series(time_seconds=self._times(), values=values, unit=unit),
        )

    def _quantity_not_measured(self, quantity: Quantity) -> Finding:
        """Of a cine that shows muscle, but not this of it."""
        reasons = Counter(frame.reason for frame in self.frames if frame.shows_muscle and frame.reason)
        reason = reasons.most_common(1)[0][0] if reasons else Reason.IMPLAUSIBLE
        return Finding(
            **self._common("not_measured", of=quantity.name),
            kind=FindingKind.NOT_MEASURED,
            flags=(str(reason), quantity.name),
            text=f"Not measured: {wording.label(quantity.name).lower()}, for {SENTENCES[reason]} in any frame.",
            evidence=self._evidence(),
        )

    def _image_quality(self, shown: int) -> Finding:
        total = len(self.frames)
        reasons = Counter(frame.reason for frame in self.frames if frame.reason)
        why = "".join(f" In {count}, {SENTENCES[reason]}." for reason, count in reasons.most_common())
        fascicles = sum(frame.pennation_deg is not None for frame in self.frames)
        return Finding(
            **self._common("image_quality"),
            kind=FindingKind.QUALITY,
            value=100 * shown / total,
            unit="%",
            flags=tuple(str(reason) for reason, _ in reasons.most_common()),
            text=f"Of {total} frames, a muscle was measured in {shown}, its fascicles in {fascicles}.{why}",
            evidence=self._evidence(),
        )

    def _common(self, name: str, *, of: str | None = None) -> dict[str, object]:
        """What every finding of this cine has; its identifier is a function of the instance, the analysis and the name."""
        parts = (self.cine.sop_instance_uid, self.analysis.name, self.analysis.version, name)
        return {
            "finding_id": derive_uid(*parts) if of is None else derive_uid(*parts, of),
            "name": name,
            "analysis": self.analysis,
            "code": codes.FINDING_CODES[name],
            "site": FindingSite(code=codes.SKELETAL_MUSCLE, laterality=self.cine.laterality),
            "model": self.model,
        }

    def _unit(self, quantity: Quantity) -> str:
        return self.scale.unit if quantity.unit == _LENGTH else quantity.unit

    def _times(self) -> tuple[float | None, ...]:
        return tuple(self.cine.time_axis.at(frame.number) for frame in self.frames)

    def _flags(self, quantity: Quantity, summary: Summary) -> tuple[str, ...]:
        shares = [frame.extrapolated_share for frame in self.frames if frame.extrapolated_share is not None]
        is_length = quantity.name == "fascicle_length"
        flags = {
            "not_calibrated": quantity.unit == _LENGTH and self.scale.unit != "mm",
            "square_pixels_assumed": quantity.unit == "deg" and self.scale.unit != "mm",
            "some_frames_not_measured": summary.measured < len(self.frames),
            "mostly_extrapolated": is_length and bool(shares) and float(np.median(shares)) > LARGEST_EXTRAPOLATED_SHARE,
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

    def _evidence(self, best: FrameArchitecture | None = None, lines: tuple[str, ...] = ()) -> Evidence:
        calibration = self.cine.region.calibration
        return Evidence(
            sop_instance_uid=self.cine.sop_instance_uid,
            frames=(best.number,) if best else (),
            region_index=self.cine.region.index,
            calibration=CalibrationUsed(
                mm_per_pixel_x=calibration.mm_per_pixel_x if self.scale.unit == "mm" else None,
                mm_per_pixel_y=calibration.mm_per_pixel_y if self.scale.unit == "mm" else None,
                source=calibration.source,
                reason=calibration.reason,
            ),
            time_seconds=(self.cine.time_axis.at(best.number),) if best else (),
            lines=self._polylines(best, lines) if best else (),
            pixel_sha256=self.cine.pixel_sha256(),
        )

    def _polylines(self, frame: FrameArchitecture, wanted: tuple[str, ...]) -> tuple[Polyline, ...]:
        if frame.lines is None:
            return ()
        drawn = [
            ("superficial_aponeurosis", frame.lines.superficial),
            ("deep_aponeurosis", frame.lines.deep),
            *(("fascicle", segment) for segment in frame.lines.fascicles),
        ]
        return tuple(
            Polyline(label=name, frame=frame.number, points=self._stored(points)) for name, points in drawn if name in wanted
        )

    def _stored(self, points: Floats) -> tuple[tuple[float, float], ...]:
        """Model pixels (P, 2) to (column, row) of the stored frame."""
        box = self.cine.region.box
        region = self.placement.to_region(points) + np.array([box.x0, box.y0])
        return tuple((round(float(x), 2), round(float(y), 2)) for x, y in region)


def _is_length(quantity: Quantity) -> bool:
    return quantity.name == "fascicle_length"
