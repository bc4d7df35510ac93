"""The frames of an examination become findings: the planes that were found, the median nerve, what is missing."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from service.core import codes, wording
from service.core.cine import Cine
from service.core.findings import AnalysisUsed, Evidence, Finding, FindingKind, ModelUsed, Polyline, ShownFrame
from service.core.measure.grounds import evidence_of, said_by, stored_points
from service.core.measure.plane import Scale
from service.core.measure.wrist_frames import BestFrames, GradedFrame, Nerve
from service.core.measure.wrist_structures import Points
from service.core.preprocess import Placement
from service.core.quality import Grade
from service.core.wrist_planes import PLANES, Plane

#: Of the finding that there is one of for each plane.
PLANE_NAME = "standard_plane"
_NERVE = "median_nerve"
#: Of numbers about the nerve, until the network draws it better: see its card.
UNCERTAIN_NERVE = "nerve_outline_uncertain"
#: At the tunnel's inlet, with its 95 % interval over 73 studies (Roll et al., J Diagn Med Sonogr 2023, 39:492,
#: doi:10.1177/87564793231176009): of a mean, no norm for one patient.
REFERENCES = {"median_nerve_area": "mean of healthy people 8.7 mm² (8.2 to 9.1), Roll 2023"}


@dataclass(frozen=True, slots=True)
class Moment:
    """What is kept of a frame while the cine streams."""

    shown: ShownFrame
    nerve: Nerve | None

    @classmethod
    def of(cls, frame: GradedFrame) -> "Moment":
        """Names and numbers only."""
        shown = ShownFrame(
            frame=frame.number,
            plane=None if frame.plane is None else frame.plane.name,
            probability=round(frame.probability, 4),
            grade=None if frame.grade is None else frame.grade.value,
            reasons=tuple(fault.reason for fault in frame.faults),
            structures=tuple(sorted(frame.structures)),
        )
        return cls(shown, frame.nerve)


@dataclass(frozen=True, slots=True, kw_only=True)
class WristFindings:
    """One cine, graded frame by frame."""

    cine: Cine
    placement: Placement
    scale: Scale
    analysis: AnalysisUsed
    model: ModelUsed
    moments: tuple[Moment, ...]
    best: BestFrames

    def all(self) -> tuple[Finding, ...]:
        """The planes in order, the nerve, how good the frames are; without any plane one finding, `not_measured`."""
        if not self.best.by_plane:
            return (self._nothing(),)
        planes = [self._plane(self.best.by_plane[plane.name]) for plane in PLANES if plane.name in self.best.by_plane]
        return (*planes, *self._nerve(), self._image_quality())

    def _plane(self, frame: GradedFrame) -> Finding:
        plane, grade = _known(frame)
        why = "".join(f"; {fault.text}" for fault in frame.faults)
        return Finding(
            **self._common(PLANE_NAME, of=plane.name),
            kind=FindingKind.CLASSIFICATION,
            value=plane.name,
            probability=frame.probability,
            flags=(grade.flag, *(fault.reason for fault in frame.faults)),
            text=f"{plane.name} {plane.title}: grade {grade}, best in frame {frame.number}{why}.",
            evidence=self._evidence(frame, lines=self._outlines(frame, [name for name, _ in plane.required])),
        )

    def _nerve(self) -> tuple[Finding, ...]:
        """Over the frames of the tunnel's inlet that are good enough; shown by the best of them."""
        shown = self.best.by_plane.get("S11")
        usable = [nerve for moment in self.moments if (nerve := _usable(moment)) is not None]
        areas = [nerve.area_mm2 for nerve in usable if nerve.area_mm2 is not None]
        # Without a scale it is not known that a pixel is as wide as it is high either, which the flattening needs.
        if shown is None or not areas:
            return ()
        return (
            self._nerve_finding("median_nerve_area", areas, "mm2", shown),
            self._nerve_finding("median_nerve_flattening", [nerve.flattening for nerve in usable], "{ratio}", shown),
        )

    def _nerve_finding(self, name: str, values: Sequence[float], unit: str, shown: GradedFrame) -> Finding:
        middle, low, high = float(np.median(values)), min(values), max(values)
        spread = f" ({wording.quantity_range(low, high, unit)})" if len(values) > 1 else ""
        counted = f", median of {len(values)} frames" if len(values) > 1 else ""
        where = f"shown best by frame {shown.number}"
        return Finding(
            **self._common(name),
            kind=FindingKind.MEASUREMENT,
            value=middle,
            unit=unit,
            statistic="median",
            range=(low, high),
            reference_range=REFERENCES.get(name),
            flags=(UNCERTAIN_NERVE,),
            text=f"{wording.label(name)} {wording.quantity(middle, unit)}{spread}{counted}, at the tunnel's inlet, {where}.",
            evidence=self._evidence(shown, lines=self._measured_outline(shown)),
        )

    def _image_quality(self) -> Finding:
        grades = Counter(moment.shown.grade for moment in self.moments)
        counted = ", ".join(f"{grades[grade.value]} are graded {grade}" for grade in Grade if grades[grade.value])
        without = f", {grades[None]} show no standard plane" if grades[None] else ""
        return Finding(
            **self._common("image_quality"),
            kind=FindingKind.QUALITY,
            value=100 * (grades["A"] + grades["B"]) / len(self.moments),
            unit="%",
            flags=(self._grade().flag, *self._reasons()),
            text=f"Of {len(self.moments)} frames {counted}{without}.",
            evidence=self._evidence(),
            shown_frames=tuple(moment.shown for moment in self.moments),
        )

    def _grade(self) -> Grade:
        """Of the cine: that of its best frame."""
        return min(Grade(moment.shown.grade) for moment in self.moments if moment.shown.grade is not None)

    def _reasons(self) -> tuple[str, ...]:
        """The commonest faults of a cine without a single frame graded A."""
        if self._grade() is Grade.A:
            return ()
        counted = Counter(reason for moment in self.moments for reason in moment.shown.reasons)
        return tuple(reason for reason, _ in counted.most_common(3))

    def _nothing(self) -> Finding:
        return Finding(
            **self._common("not_measured"),
            kind=FindingKind.NOT_MEASURED,
            flags=("no_standard_plane", Grade.C.flag),
            text="Not measured: no frame shows one of the fifteen standard planes of wrist and hand.",
            evidence=self._evidence(),
        )

    def _measured_outline(self, frame: GradedFrame) -> tuple[Polyline, ...]:
        """Of the nerve's largest piece, which is what was measured."""
        if frame.closer is not None:
            closer = frame.closer
            return (self._line(_NERVE, frame, closer.structure.outline(), closer.placement),)
        nerve = frame.structures.get(_NERVE)
        return () if nerve is None else (self._line(_NERVE, frame, nerve.outline(), self.placement),)

    def _line(self, name: str, frame: GradedFrame, points: Points, placement: Placement) -> Polyline:
        return Polyline(label=name, frame=frame.number, points=stored_points(self.cine, placement, points))

    def _outlines(self, frame: GradedFrame, names: Iterable[str]) -> tuple[Polyline, ...]:
        """Of each structure that was drawn in the frame, closed, as (column, row) of the stored frame; the nerve as measured."""
        found: list[Polyline] = []
        for name in names:
            if name == _NERVE and frame.closer is not None:
                found += self._measured_outline(frame)
            elif name in frame.structures:
                outlines = frame.structures[name].outlines()
                found += [self._line(name, frame, points, self.placement) for points in outlines]
        return tuple(found)

    def _common(self, name: str, *, of: str | None = None) -> dict[str, object]:
        return said_by(name, cine=self.cine, analysis=self.analysis, model=self.model, site=codes.WRIST_JOINT, of=of)

    def _evidence(self, *frames: GradedFrame, lines: tuple[Polyline, ...] = ()) -> Evidence:
        return evidence_of(self.cine, tuple(frame.number for frame in frames), scale=self.scale, lines=lines)


def _usable(moment: Moment) -> Nerve | None:
    """The nerve of a frame that is good enough to measure in."""
    return moment.nerve if moment.shown.grade in {"A", "B"} else None


def _known(frame: GradedFrame) -> tuple[Plane, Grade]:
    """Of a frame that was kept as the best of its plane. Raises LookupError for one without."""
    if frame.plane is None or frame.grade is None:
        raise LookupError(f"frame {frame.number} shows no plane")
    return frame.plane, frame.grade
