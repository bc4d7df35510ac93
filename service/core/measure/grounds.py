"""What a finding of one cine stands on: who says it of what, and the frames, scale and pixels behind it."""

from service.core import codes
from service.core.cine import Cine
from service.core.findings import AnalysisUsed, CalibrationUsed, Code, Evidence, FindingSite, ModelUsed, Polyline
from service.core.identifiers import derive_uid
from service.core.measure.plane import Floats, Scale
from service.core.preprocess import Placement


def said_by(
    name: str, *, cine: Cine, analysis: AnalysisUsed, model: ModelUsed, site: Code, of: str | None = None
) -> dict[str, object]:
    """What every finding has; its identifier is a function of the instance, the analysis and the name, and of what it is said."""
    parts = (cine.sop_instance_uid, analysis.name, analysis.version, name)
    return {
        "finding_id": derive_uid(*parts) if of is None else derive_uid(*parts, of),
        "name": name,
        "analysis": analysis,
        "code": codes.FINDING_CODES[name],
        "site": FindingSite(code=site, laterality=cine.laterality),
        "model": model,
    }


def evidence_of(
    cine: Cine, frames: tuple[int, ...] = (), *, scale: Scale | None = None, lines: tuple[Polyline, ...] = ()
) -> Evidence:
    """DICOM frame numbers that show a finding; with a scale, where that comes from."""
    return Evidence(
        sop_instance_uid=cine.sop_instance_uid,
        frames=frames,
        region_index=cine.region.index,
        calibration=None if scale is None else _calibration(cine, scale),
        time_seconds=tuple(cine.time_axis.at(number) for number in frames),
        lines=lines,
        pixel_sha256=cine.pixel_sha256(),
    )


def stored_points(cine: Cine, placement: Placement, points: Floats) -> tuple[tuple[float, float], ...]:
    """Model pixels (P, 2) to (column, row) of the stored frame."""
    box = cine.region.box
    return tuple((round(float(x) + box.x0, 2), round(float(y) + box.y0, 2)) for x, y in placement.to_region(points))


def _calibration(cine: Cine, scale: Scale) -> CalibrationUsed:
    calibration, is_used = cine.region.calibration, scale.unit == "mm"
    return CalibrationUsed(
        mm_per_pixel_x=calibration.mm_per_pixel_x if is_used else None,
        mm_per_pixel_y=calibration.mm_per_pixel_y if is_used else None,
        source=calibration.source,
        reason=calibration.reason,
    )
