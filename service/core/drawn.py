"""Aponeuroses that a person drew in one frame take the place of what the software measured over the cine."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Annotated

from pydantic import Field, FiniteFloat

from service.core.amendment import Author, Why, amendment_of, as_said, is_plausible, with_value
from service.core.findings import Evidence, Finding, FindingKind, Polyline, Value
from service.core.measure.architecture import FrameArchitecture
from service.core.measure.architecture_findings import QUANTITIES
from service.core.measure.drawn_lines import measure_lines
from service.core.measure.plane import Scale
from service.core.wording import label
from service.errors import InputRejected

ANALYSIS = "muscle_architecture"
SUPERFICIAL, DEEP = "superficial_aponeurosis", "deep_aponeurosis"

_LARGEST_PIXEL = 65_535
_Pixel = Annotated[FiniteFloat, Field(ge=0, le=_LARGEST_PIXEL)]
_Line = Annotated[
    tuple[tuple[_Pixel, _Pixel], ...],
    Field(min_length=2, max_length=200, description="Points (column, row) in pixels of the stored frame, 0-based."),
]
#: What lines alone tell; what needs the fascicles, too, is computed from it (`derived.py`).
_OF_LINES = frozenset(quantity.name for quantity in QUANTITIES if "fascicle" not in quantity.lines) - {"echo_intensity"}


class DrawnLines(Value):
    """The inner edges of both aponeuroses in one frame of a cine, as a person drew them."""

    sop_instance_uid: Annotated[str, Field(pattern=r"^[0-9.]{1,64}$")]
    frame: Annotated[int, Field(ge=1, description="A DICOM frame number, from 1.")]
    superficial: _Line
    deep: _Line
    why: Annotated[Why | None, Field(description="Of this change; where it is left out, the reason of the whole.")] = None


def draw(
    findings: Sequence[Finding], lines: DrawnLines, *, by: Author, at: datetime, why: str, except_for: Collection[str] = ()
) -> list[Finding]:
    """`findings` with what the lines tell of their cine, but for those in `except_for`, which the person typed.

    Thickness, its three places and both angles are those of the drawn frame. Raises InputRejected.
    """
    members = [finding for finding in findings if is_of_cine(finding, lines.sop_instance_uid)]
    if not members:
        raise InputRejected("No muscle architecture was measured in this cine: there are no lines to amend.", reason="no_lines")
    _check_frame(members, lines.frame)
    frame = measure_between(members, lines)
    values = {quantity.name: quantity.read(frame) for quantity in QUANTITIES if quantity.name in _OF_LINES}
    made = []
    for finding in findings:
        value = values.get(finding.name) if finding in members and finding.finding_id not in except_for else None
        made.append(finding if value is None else _drawn(finding, value, lines, by=by, at=at, why=lines.why or why))
    return made


def measure_between(members: Sequence[Finding], lines: DrawnLines) -> FrameArchitecture:
    """The frame between drawn lines, with the scale and the fascicles of a cine's findings. Raises InputRejected."""
    return measure_lines(
        lines.frame,
        lines.superficial,
        lines.deep,
        scale=_scale(members),
        fascicle_angle_deg=_fascicle_angle(members, lines.frame),
    )


def drawn_on(members: Sequence[Finding]) -> DrawnLines | None:
    """The lines that a person drew in a cine, read from the evidence of its thickness; None where nobody did."""
    for finding in members:
        if finding.name == "thickness" and finding.amended is not None and finding.amended.method == "drawn":
            lines = {line.label: line for line in finding.evidence.lines}
            return DrawnLines(
                sop_instance_uid=finding.evidence.sop_instance_uid,
                frame=lines[DEEP].frame,
                superficial=lines[SUPERFICIAL].points,
                deep=lines[DEEP].points,
            )
    return None


def is_of_cine(finding: Finding, sop_instance_uid: str) -> bool:
    """Whether a finding is a measurement of muscle architecture in one cine."""
    is_measured = finding.kind is FindingKind.MEASUREMENT and finding.analysis.name == ANALYSIS
    return is_measured and finding.evidence.sop_instance_uid == sop_instance_uid


def evidence_in(finding: Finding, lines: DrawnLines) -> Evidence:
    """Of a number that was measured between drawn lines."""
    said = as_said(finding)
    times = said.series.time_seconds if said.series else ()
    return said.evidence.model_copy(
        update={
            "frames": (lines.frame,),
            "time_seconds": (times[lines.frame - 1] if times else None,),
            "lines": (
                Polyline(label=SUPERFICIAL, frame=lines.frame, points=lines.superficial),
                Polyline(label=DEEP, frame=lines.frame, points=lines.deep),
            ),
        }
    )


def _drawn(finding: Finding, value: float, lines: DrawnLines, *, by: Author, at: datetime, why: str) -> Finding:
    said = as_said(finding)
    if not is_plausible(said, value):
        raise InputRejected(f"{label(said.name)} between these lines is not plausible: look at both again.", reason="implausible")
    amendment = amendment_of(said, by=by, at=at, why=why).model_copy(update={"method": "drawn"})
    return with_value(said, value, amendment, evidence_in(said, lines))


def _check_frame(members: Sequence[Finding], frame: int) -> None:
    counted = [len(finding.series.values) for finding in members if finding.series is not None]
    if counted and frame > max(counted):
        raise InputRejected(f"The cine has frames 1 to {max(counted)}: there is no frame {frame}.", reason="no_such_frame")


def _scale(members: Sequence[Finding]) -> Scale:
    """That of the cine's numbers: millimetres where its region is calibrated, square pixels otherwise."""
    for finding in members:
        used = finding.evidence.calibration
        if used is not None and used.mm_per_pixel_x is not None and used.mm_per_pixel_y is not None:
            return Scale(used.mm_per_pixel_x, used.mm_per_pixel_y, "mm")
    return Scale(1.0, 1.0, "{pixels}")


def _fascicle_angle(members: Sequence[Finding], frame: int) -> float | None:
    """As a person set it, or as the frame showed it; None where it was rejected, left out or not seen."""
    for finding in members:
        if finding.name != "fascicle_angle" or finding.is_rejected:
            continue
        if finding.amended is not None and not finding.is_computed:
            return finding.value if isinstance(finding.value, float) else None
        if finding.series is not None and frame not in finding.series.left_out:
            return finding.series.values[frame - 1] if frame <= len(finding.series.values) else None
    return None
