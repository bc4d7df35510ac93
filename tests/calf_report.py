"""A muscle architecture report of a calf, as the analysis writes one, with numbers that a test can recognise."""

import math
import statistics
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from service.core.compose import Gaps, Software, compose
from service.core.findings import (
    AnalysisUsed,
    CalibrationUsed,
    Code,
    Evidence,
    Finding,
    FindingKind,
    FindingSite,
    ModelUsed,
    Polyline,
    Series,
)
from service.core.identifiers import ReportID
from service.core.instance import InstanceAttributes
from service.core.report import Report, StudyHeader

FRAMES = 60
STUDY_UID = "2.25.1001"
CREATED_AT = datetime(2026, 11, 20, 9, 30, 15, 250000, tzinfo=UTC)
SOFTWARE = Software(service_version="0.1.0", configuration_sha256="c0" * 32)
#: Name, unit, mean, half swing of the contraction, labels of its lines.
MEASUREMENTS = (
    ("thickness", "mm", 17.5, 0.9, ("superficial_aponeurosis", "deep_aponeurosis")),
    ("pennation_angle", "deg", 21.0, 4.5, ("deep_aponeurosis", "fascicle")),
    ("fascicle_angle", "deg", -19.2, 4.5, ("fascicle",)),
    ("superficial_aponeurosis_angle", "deg", -1.2, 0.4, ("superficial_aponeurosis",)),
    ("deep_aponeurosis_angle", "deg", 1.8, 0.4, ("deep_aponeurosis",)),
    ("fascicle_length", "mm", 49.7, -8.0, ("fascicle",)),
    ("echo_intensity", "1", 87.4, 1.2, ()),
)
LINES = {
    "superficial_aponeurosis": ((40.0, 152.0), (320.0, 148.5), (600.0, 146.0)),
    "deep_aponeurosis": ((40.0, 368.0), (320.0, 374.25), (600.0, 385.0)),
    "fascicle": ((180.5, 371.0), (700.0, 147.0)),
}
MODEL = ModelUsed(
    name="muscle_segmentation", version="1", sha256="ab" * 32, evidence="real", runtime="onnxruntime", precision="fp32"
)
ANALYSIS = AnalysisUsed(name="muscle_architecture", version="1.0.0")
CALIBRATION = CalibrationUsed(mm_per_pixel_x=0.08, mm_per_pixel_y=0.08, source="SequenceOfUltrasoundRegions item 1")


def header(**changes: Any) -> StudyHeader:
    return StudyHeader(
        **{
            "study_instance_uid": STUDY_UID,
            "accession_number": "A-17",
            "patient_id": "P-42",
            "patient_name": "Doe^Jane",
            "patient_birth_date": "19700102",
            "patient_sex": "F",
            "study_date": "20261120",
            "study_time": "090000",
            "study_id": "S1",
            "description": "Calf dynamic",
            **changes,
        }
    )


def instance(sop_instance_uid: str = "2.25.1", **changes: Any) -> InstanceAttributes:
    attributes: dict[str, Any] = {
        "sop_instance_uid": sop_instance_uid,
        "sop_class_uid": "1.2.840.10008.5.1.4.1.1.3.1",
        "study_instance_uid": STUDY_UID,
        "series_instance_uid": "2.25.77",
        "transfer_syntax_uid": "1.2.840.10008.1.2.4.50",
        "modality": "US",
        "number_of_frames": FRAMES,
        "rows": 480,
        "columns": 640,
        "has_pixel_data": True,
    }
    return InstanceAttributes(**(attributes | changes))


def cine_findings(sop_instance_uid: str = "2.25.1", *, calibrated: bool = True) -> tuple[Finding, ...]:
    return tuple(_measurement(sop_instance_uid, *row, calibrated=calibrated) for row in MEASUREMENTS)


def _measurement(
    uid: str, name: str, unit: str, mean: float, swing: float, labels: Sequence[str], *, calibrated: bool
) -> Finding:
    times = tuple(frame / 30 for frame in range(FRAMES))
    values = tuple(None if frame in {4, 5} else mean - swing * math.cos(math.pi * frame / 30) for frame in range(FRAMES))
    known = sorted(value for value in values if value is not None)
    if unit == "mm" and not calibrated:
        unit = "{pixels}"
    return Finding(
        finding_id=f"{uid}:{name}",
        name=name,
        kind=FindingKind.MEASUREMENT,
        analysis=ANALYSIS,
        site=FindingSite(laterality="left", code=Code(scheme="SCT", value="53840002", meaning="Calf")),
        value=statistics.median(known),
        unit=unit,
        text=f"{name} over {len(known)} frames",
        statistic="median",
        range=(known[0], known[-1]),
        series=Series(time_seconds=times, values=values, unit=unit),
        model=MODEL,
        evidence=Evidence(
            sop_instance_uid=uid,
            frames=(31,),
            region_index=1,
            calibration=CALIBRATION if calibrated else CalibrationUsed(source="none", reason="the cine has no calibrated region"),
            time_seconds=(1.0,),
            lines=tuple(Polyline(label=label, frame=31, points=LINES[label]) for label in labels),
            pixel_sha256="cd" * 32,
        ),
    )


def not_measured(sop_instance_uid: str = "2.25.2", text: str = "No muscle was recognised in any frame.") -> Finding:
    return Finding(
        finding_id=f"{sop_instance_uid}:not_measured",
        name="not_measured",
        kind=FindingKind.NOT_MEASURED,
        analysis=ANALYSIS,
        text=text,
        flags=("no_muscle",),
        model=MODEL,
        evidence=Evidence(sop_instance_uid=sop_instance_uid, frames=(1,)),
    )


def quality(sop_instance_uid: str = "2.25.1", value: float = 100 * 58 / 60) -> Finding:
    return Finding(
        finding_id=f"{sop_instance_uid}:image_quality",
        name="image_quality",
        kind=FindingKind.QUALITY,
        analysis=ANALYSIS,
        value=value,
        unit="%",
        flags=("no_coherent_fascicles",),
        text="Aponeuroses and fascicles were measured in 58 of 60 frames. In 2, no fascicles of one direction were found.",
        model=MODEL,
        evidence=Evidence(sop_instance_uid=sop_instance_uid),
    )


def calf_report(
    *,
    study: StudyHeader | None = None,
    findings: Sequence[Finding] | None = None,
    previous: Report | None = None,
    gaps: Gaps | None = None,
) -> Report:
    number = 1 if previous is None else previous.version + 1
    return compose(
        report_id=ReportID(f"00000000-0000-4000-8000-{number:012}"),
        study=study or header(),
        findings=cine_findings() if findings is None else findings,
        gaps=gaps or Gaps(),
        previous=previous,
        created_at=CREATED_AT,
        software=SOFTWARE,
    )
