"""What all findings of one cine rest on: the instance, its scale and time, the frames, the model."""

from dataclasses import dataclass

from service.core import codes
from service.core.cine import Cine
from service.core.findings import AnalysisUsed, Evidence, ModelUsed, Polyline
from service.core.measure.architecture import FrameArchitecture
from service.core.measure.grounds import evidence_of, said_by, stored_points
from service.core.measure.plane import Scale
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
        """What every finding of this cine has."""
        return said_by(name, cine=self.cine, analysis=self.analysis, model=self.model, site=codes.SKELETAL_MUSCLE, of=of)

    def times(self) -> tuple[float | None, ...]:
        """Of each frame, None where the cine has no time axis."""
        return tuple(self.cine.time_axis.at(frame.number) for frame in self.frames)

    def seconds(self) -> tuple[float, ...] | None:
        """Of each frame, or None as a whole."""
        known = tuple(time for time in self.times() if time is not None)
        return known if len(known) == len(self.frames) else None

    def evidence(self, *shown: FrameArchitecture, lines: tuple[str, ...] = ()) -> Evidence:
        """The frames that show a finding, and lines of the first of them by their labels."""
        drawn = tuple(line for line in self.lines_of(shown[0]) if line.label in lines) if shown else ()
        return evidence_of(self.cine, tuple(frame.number for frame in shown), scale=self.scale, lines=drawn)

    def lines_of(self, frame: FrameArchitecture) -> tuple[Polyline, ...]:
        """All that was measured along in a frame, in pixels of the stored frame; none where nothing was."""
        if frame.lines is None:
            return ()
        drawn = [
            ("superficial_aponeurosis", frame.lines.superficial),
            ("deep_aponeurosis", frame.lines.deep),
            *(("fascicle", segment) for segment in frame.lines.fascicles),
        ]
        return tuple(
            Polyline(label=name, frame=frame.number, points=stored_points(self.cine, self.placement, points))
            for name, points in drawn
        )
