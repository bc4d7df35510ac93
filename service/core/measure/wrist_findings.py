"""The frames of an examination become findings: the planes that were found, the median nerve, what is missing."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from service.core import codes, wording
from service.core.cine import Cine
from service.core.findings import AnalysisUsed, Evidence, Finding, FindingKind, ModelUsed, Polyline, Series
from service.core.measure.grounds import evidence_of, said_by, stored_points
from service.core.measure.plane import Scale
from service.core.measure.wrist_frames import BestFrames, GradedFrame, Nerve
from service.core.measure.wrist_structures import Structure
from service.core.preprocess import Placement
from service.core.quality import Grade
from service.core.wrist_planes import PLANES, Plane

_NERVE = "median_nerve"
#: Directions in which an outline is looked for.
_DIRECTIONS = 48


@dataclass(frozen=True, slots=True)
class Moment:
    """What is kept of a frame while the cine streams."""

    number: int
    plane: str | None
    grade: Grade | None
    nerve: Nerve | None


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
        """The planes in order, the nerve, the checklist; without any plane one finding, `not_measured`."""
        if not self.best.by_plane:
            return (self._nothing(),)
        planes = [self._plane(self.best.by_plane[plane.name]) for plane in PLANES if plane.name in self.best.by_plane]
        return (*planes, *self._nerve(), self._checklist())

    def _plane(self, frame: GradedFrame) -> Finding:
        plane, grade = _known(frame)
        why = "".join(f"; {fault.text}" for fault in frame.faults)
        return Finding(
            **self._common("standard_plane", of=plane.name),
            kind=FindingKind.CLASSIFICATION,
            value=plane.name,
            probability=frame.probability,
            flags=(f"grade_{grade.value.lower()}", *(fault.reason for fault in frame.faults)),
            text=f"{plane.name} {plane.title}: grade {grade}, best in frame {frame.number}{why}.",
            evidence=self._evidence(frame),
        )

    def _nerve(self) -> tuple[Finding, ...]:
        """Over the frames of the tunnel's inlet that are good enough; shown by the best of them."""
        shown = self.best.by_plane.get("S11")
        usable = [nerve for moment in self.moments if (nerve := _usable(moment)) is not None]
        if shown is None or not usable:
            return ()
        areas = [nerve.area_mm2 for nerve in usable if nerve.area_mm2 is not None]
        found = [self._nerve_finding("median_nerve_flattening", [n.flattening for n in usable], "{ratio}", shown)]
        if areas:
            found.insert(0, self._nerve_finding("median_nerve_area", areas, "mm2", shown))
        return tuple(found)

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
            text=f"{wording.label(name)} {wording.quantity(middle, unit)}{spread}{counted}, at the tunnel's inlet, {where}.",
            evidence=self._evidence(shown, lines=self._outline(shown.structures.get(_NERVE), shown.number)),
            series=self._series() if name == "median_nerve_area" else None,
        )

    def _checklist(self) -> Finding:
        missing, found = self.best.missing(), self.best.by_plane
        grades = Counter(_known(frame)[1] for frame in found.values())
        counted = ", ".join(f"{grades[grade]} graded {grade}" for grade in Grade if grades[grade])
        without = f" Missing: {', '.join(f'{plane.name} {plane.title}' for plane in missing)}." if missing else ""
        return Finding(
            **self._common("image_quality"),
            kind=FindingKind.QUALITY,
            value=100 * len(found) / len(PLANES),
            unit="%",
            flags=tuple(f"missing_{plane.name.lower()}" for plane in missing),
            text=f"Of the {len(PLANES)} standard planes {len(found)} were found, {counted}.{without}",
            evidence=self._evidence(),
        )

    def _nothing(self) -> Finding:
        return Finding(
            **self._common("not_measured"),
            kind=FindingKind.NOT_MEASURED,
            flags=("no_standard_plane",),
            text="Not measured: no frame shows one of the fifteen standard planes of wrist and hand.",
            evidence=self._evidence(),
        )

    def _series(self) -> Series:
        return Series(
            time_seconds=tuple(self.cine.time_axis.at(moment.number) for moment in self.moments),
            values=tuple(None if (nerve := _usable(moment)) is None else nerve.area_mm2 for moment in self.moments),
            unit="mm2",
        )

    def _outline(self, structure: Structure | None, frame: int) -> tuple[Polyline, ...]:
        """The farthest pixel of the structure in each direction from its middle, closed, as (column, row) of the stored frame."""
        if structure is None:
            return ()
        rows, columns = np.nonzero(structure.largest())
        points = np.stack([columns + structure.box[1].start, rows + structure.box[0].start], axis=1).astype(np.float64)
        around = points - points.mean(0)
        direction = np.floor((np.arctan2(around[:, 1], around[:, 0]) / (2 * np.pi) + 0.5) * _DIRECTIONS).astype(np.int64)
        far = np.hypot(around[:, 0], around[:, 1])
        outline = [points[direction == d][far[direction == d].argmax()] for d in range(_DIRECTIONS) if (direction == d).any()]
        return (
            Polyline(
                label=structure.name,
                frame=frame,
                points=stored_points(self.cine, self.placement, np.array([*outline, outline[0]])),
            ),
        )

    def _common(self, name: str, *, of: str | None = None) -> dict[str, object]:
        return said_by(name, cine=self.cine, analysis=self.analysis, model=self.model, site=codes.WRIST_JOINT, of=of)

    def _evidence(self, *frames: GradedFrame, lines: tuple[Polyline, ...] = ()) -> Evidence:
        return evidence_of(self.cine, tuple(frame.number for frame in frames), scale=self.scale, lines=lines)


def _usable(moment: Moment) -> Nerve | None:
    """The nerve of a frame that is good enough to measure in."""
    return moment.nerve if moment.grade in {Grade.A, Grade.B} else None


def _known(frame: GradedFrame) -> tuple[Plane, Grade]:
    """Of a frame that was kept as the best of its plane. Raises LookupError for one without."""
    if frame.plane is None or frame.grade is None:
        raise LookupError(f"frame {frame.number} shows no plane")
    return frame.plane, frame.grade
