"""What all findings of one cine rest on: the instance, its scale and time, the frames, the model."""

from dataclasses import dataclass

import numpy as np

from service.core import codes
from service.core.cine import Cine
from service.core.findings import AnalysisUsed, CalibrationUsed, Evidence, FindingSite, ModelUsed, Polyline
from service.core.identifiers import derive_uid
from service.core.measure.architecture import FrameArchitecture
from service.core.measure.plane import Floats, Scale
from service.core.preprocess import Placement


@dataclass(frozen=True, slots=True, kw_only=True)
class Basis:
    """One cine, measured frame by frame."""

    cine: Cine
    placement: Placement
    scale: Scale
    analysis: AnalysisUsed
    frames: tuple[FrameArchitecture, ...]
    model: ModelUsed

    def common(self, name: str, *, of: str | None = None) -> dict[str, object]:
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

    def times(self) -> tuple[float | None, ...]:
        """Of each frame, None where the cine has no time axis."""
        return tuple(self.cine.time_axis.at(frame.number) for frame in self.frames)

    def seconds(self) -> tuple[float, ...] | None:
        """Of each frame, or None as a whole."""
        known = tuple(time for time in self.times() if time is not None)
        return known if len(known) == len(self.frames) else None

    def evidence(self, *shown: FrameArchitecture, lines: tuple[str, ...] = ()) -> Evidence:
        """The frames that show a finding, and lines of the first of them by their labels."""
        calibration = self.cine.region.calibration
        return Evidence(
            sop_instance_uid=self.cine.sop_instance_uid,
            frames=tuple(frame.number for frame in shown),
            region_index=self.cine.region.index,
            calibration=CalibrationUsed(
                mm_per_pixel_x=calibration.mm_per_pixel_x if self.scale.unit == "mm" else None,
                mm_per_pixel_y=calibration.mm_per_pixel_y if self.scale.unit == "mm" else None,
                source=calibration.source,
                reason=calibration.reason,
            ),
            time_seconds=tuple(self.cine.time_axis.at(frame.number) for frame in shown),
            lines=self._polylines(shown[0], lines) if shown else (),
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
