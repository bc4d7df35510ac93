"""What a report's analyses drew in the frames of one cine, for whoever draws it over them: a page of frames at a time."""

import base64
from collections.abc import Mapping, Sequence
from typing import Annotated, Self

from pydantic import Field

from service.core.amendment import as_said
from service.core.finding_identity import OF_ALL_CINES
from service.core.findings import Finding, Polyline, ShownFrame, Value
from service.core.masks import MaskIndex, MaskLayout, unpack_lines
from service.core.render.overlay import colour_of, kind_of, standing_lines
from service.core.wrist_planes import PLANES

_TITLES = {plane.name: plane.title for plane in PLANES}


class Drawn(Value):
    """A segment or a kind of line: its stable name, what people call it, and its colour as `#rrggbb`."""

    name: str
    label: str
    colour: str

    @classmethod
    def of(cls, name: str) -> Self:
        """As pictures and captures have it."""
        red, green, blue = colour_of(name)
        return cls(name=name, label=kind_of(name), colour=f"#{red:02x}{green:02x}{blue:02x}")


class MaskGrid(Value):
    """Where maps lie: `height` x `width` points over the rectangle of stored pixels from (`x0`, `y0`) to before (`x1`, `y1`)."""

    segments: tuple[Drawn, ...]
    height: int
    width: int
    x0: int
    y0: int
    x1: int
    y1: int


class OverlayLine(Value):
    """Points (column, row) in pixels of the stored frame, 0-based (PS3.3 C.18.6)."""

    label: str
    points: tuple[tuple[float, float], ...]
    #: Whether a person drew it, in the place of the software's of that label.
    is_amended: bool = False


class OverlayFrame(Value):
    """What is drawn in one frame, numbered from 1."""

    frame: int
    #: Base64 of the zlib-compressed bits (RFC 1950) of `segments` x `height` x `width`, most significant bit first.
    masks: str | None = None
    lines: tuple[OverlayLine, ...] = ()
    #: Of a wrist: the plane, its grade and why.
    shown: ShownFrame | None = None
    title: str | None = None


class AnalysisOverlay(Value):
    """What one analysis drew; frames in which it drew nothing are left out."""

    analysis: str
    #: Null where no maps are kept, or those that are kept are of a later analysis than the report rests on.
    grid: MaskGrid | None = None
    is_superseded: bool = False
    #: Of every kind of line in this page.
    kinds: tuple[Drawn, ...] = ()
    frames: tuple[OverlayFrame, ...] = ()


class Overlays(Value):
    """One page: frames `first` to `last` of one cine."""

    report_id: str
    sop_instance_uid: str
    first: Annotated[int, Field(ge=1)]
    last: int
    analyses: tuple[AnalysisOverlay, ...]


def overlay_of(
    analysis: str,
    findings: Sequence[Finding],
    index: MaskIndex | None,
    masks: Mapping[int, bytes],
    lines: Mapping[int, bytes],
    frames: range,
) -> AnalysisOverlay:
    """Of the frames in `frames`: packed maps and lines by frame; where no line is kept, those that the findings show.

    A line that a person drew takes the place of the software's of the same label, in its frame.
    """
    if any(map(standing_lines, findings)):  # outlines say it in every frame; the areas are kept for one
        index, masks = None, {}
    findings = [finding for finding in findings if not finding.is_rejected]
    standing = tuple(line for finding in findings for line in standing_lines(finding))
    shown = {one.frame: one for finding in findings for one in finding.shown_frames}
    said = [as_said(finding) for finding in findings]
    amended = tuple(dict.fromkeys(line for finding in findings for line in amended_lines(finding)))
    drawn = {number: _drawn(standing or _lines(lines.get(number), said, number), amended, number) for number in frames}
    made = tuple(
        _frame(number, masks.get(number), drawn[number], shown.get(number))
        for number in frames
        if number in masks or drawn[number] or number in shown
    )
    kinds = dict.fromkeys(line.label for one in drawn.values() for line in one)
    return AnalysisOverlay(
        analysis=analysis,
        grid=None if index is None else _grid(index.layout),
        kinds=tuple(map(Drawn.of, kinds)),
        frames=made,
    )


def amended_lines(finding: Finding) -> tuple[Polyline, ...]:
    """Those that a person drew for a finding, or for one that it is computed from; none where it rests on the software's."""
    said = None if finding.amended is None else finding.amended.original.evidence
    return () if said is None or said.lines == finding.evidence.lines else finding.evidence.lines


def is_of(stored: Sequence[Finding], reported: Sequence[Finding]) -> bool:
    """Whether a report rests on what is stored of an analysis: the same pixels, the same analysis, the same weights.

    What several cines say together is the report's own, and stored with none of them.
    """
    of_cine = {_grounds(finding) for finding in reported if finding.name not in OF_ALL_CINES}
    return {_grounds(finding) for finding in stored} >= of_cine


def _grounds(finding: Finding) -> tuple[object, ...]:
    return finding.name, finding.analysis, finding.model, finding.evidence.pixel_sha256


def _lines(packed: bytes | None, findings: Sequence[Finding], number: int) -> Sequence[Polyline]:
    if packed is not None:
        return unpack_lines(packed, number)
    # Each line once, for several findings may rest on it.
    return tuple(dict.fromkeys(line for finding in findings for line in finding.evidence.lines if line.frame == number))


def _drawn(software: Sequence[Polyline], amended: Sequence[Polyline], number: int) -> tuple[OverlayLine, ...]:
    persons = [line for line in amended if line.frame == number]
    labels = {line.label for line in persons}
    kept = (OverlayLine(label=line.label, points=line.points) for line in software if line.label not in labels)
    return (*kept, *(OverlayLine(label=line.label, points=line.points, is_amended=True) for line in persons))


def _frame(number: int, masks: bytes | None, lines: tuple[OverlayLine, ...], shown: ShownFrame | None) -> OverlayFrame:
    return OverlayFrame(
        frame=number,
        masks=None if masks is None else base64.b64encode(masks).decode("ascii"),
        lines=lines,
        shown=shown,
        title=None if shown is None or shown.plane is None else _TITLES.get(shown.plane),
    )


def _grid(layout: MaskLayout) -> MaskGrid:
    box = layout.box
    return MaskGrid(
        segments=tuple(map(Drawn.of, layout.segments)),
        height=layout.height,
        width=layout.width,
        x0=box.x0,
        y0=box.y0,
        x1=box.x1,
        y1=box.y1,
    )
