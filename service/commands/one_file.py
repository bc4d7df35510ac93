"""`sonomyo analyze`: the same reader, analyses, composition and renderers as the service, on one file."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from service.adapters.instance_store import read_instance
from service.bootstrap import Service
from service.core.analyses.analysis import Analysis
from service.core.compose import compose
from service.core.conditions import Arrival
from service.core.evidence import draw_evidence, not_measured
from service.core.findings import Finding
from service.core.identifiers import new_report_id
from service.core.instance import InstanceAttributes
from service.core.languages import LanguageTag
from service.core.masks import MaskKeeper
from service.core.render.drawn_frame import drew_something
from service.core.report import Report, StudyHeader
from service.core.routing import select_analyses
from service.errors import InputRejected, NotFound, NotMeasurable


@dataclass(frozen=True, slots=True)
class Plan:
    """What a file holds, and which analyses are to run on it."""

    file: Path
    attributes: InstanceAttributes
    analyses: Sequence[Analysis]


def plan(service: Service, file: Path, wanted: str | None) -> Plan:
    """Read and route, which needs no server. Raises InputRejected, NotFound, Unavailable."""
    attributes, _ = read_instance(file)
    return Plan(file, attributes, _choose(service, attributes, wanted))


def analyze_file(service: Service, plan: Plan, output: Path, language: LanguageTag | None = None) -> Report:
    """Write report.json, report.html, report.pdf, sr.dcm and, where there are some, ko.dcm, seg.dcm and sc.dcm into `output`.

    The folder is there. Page and PDF are in the language of the settings unless one is given.
    Raises Unavailable, ModelContractError.
    """
    attributes = plan.attributes
    findings: list[Finding] = []
    picture: bytes | None = None
    masks: list[tuple[str, str, bytes]] = []
    drawn: list[tuple[str, bytes | None]] = []
    for analysis in plan.analyses:
        keeper = MaskKeeper()
        made, picture = _analyse(service, analysis, plan.file, attributes.sop_instance_uid, keeper)
        findings.extend(made)
        kept = keeper.kept()
        packed = None if kept is None else kept.to_bytes()
        if packed is not None:
            masks.append((attributes.sop_instance_uid, analysis.name, packed))
        if drew_something(packed, made):
            drawn.append((analysis.name, packed))
    report = compose(
        report_id=new_report_id(),
        study=_header(attributes),
        findings=findings,
        created_at=datetime.now(UTC),
        software=service.software,
    )
    (output / "report.json").write_text(report.model_dump_json(indent=2), encoding="utf-8")
    pictures = {} if picture is None else {attributes.sop_instance_uid: picture}
    (output / "report.html").write_text(service.rendering.html(report, pictures, language), encoding="utf-8")
    (output / "report.pdf").write_bytes(service.rendering.pdf(report, pictures, language))
    (output / "sr.dcm").write_bytes(service.rendering.structured_report(report, [attributes]).content)
    if (key_objects := service.rendering.key_objects(report, [attributes])) is not None:
        (output / "ko.dcm").write_bytes(key_objects.content)
    for number, segmentation in enumerate(service.rendering.segmentations(report, [attributes], masks)):
        name = "seg.dcm" if number == 0 else f"seg-{number + 1}.dcm"
        (output / name).write_bytes(segmentation.content)
    for number, (analysis_name, packed) in enumerate(drawn, start=1):
        name = "sc.dcm" if number == 1 else f"sc-{number}.dcm"
        with service.reader.open(plan.file) as cine:
            capture = service.rendering.capture(report, f"sc.{number}", attributes, analysis_name, packed, cine)
        (output / name).write_bytes(capture.content)
    return report


def _choose(service: Service, attributes: InstanceAttributes, wanted: str | None) -> list[Analysis]:
    if wanted is not None:
        if wanted not in service.analyses:
            raise NotFound(f"There is no analysis named {wanted}; there are: {', '.join(sorted(service.analyses))}.")
        return [service.analyses[wanted]]
    decisions = select_analyses(Arrival(attributes), service.rules)
    chosen = [service.analyses[decision.analysis_name] for decision in decisions if decision.selected]
    if not chosen:
        raise InputRejected("No analysis applies: " + "; ".join(decision.why for decision in decisions), reason="not_routed")
    return chosen


def _analyse(
    service: Service, analysis: Analysis, file: Path, sop_instance_uid: str, keeper: MaskKeeper
) -> tuple[tuple[Finding, ...], bytes | None]:
    try:
        with service.reader.open(file) as cine:
            findings = analysis.analyse(cine, service.server.infer, service.server.describe, keeper)
            return findings, draw_evidence(cine, findings)
    except (InputRejected, NotMeasurable) as refused:
        return (not_measured(analysis, sop_instance_uid, refused),), None


def _header(attributes: InstanceAttributes) -> StudyHeader:
    identity = attributes.identity
    return StudyHeader(
        study_instance_uid=attributes.study_instance_uid,
        accession_number=identity.accession_number,
        patient_id=identity.patient_id,
        patient_name=identity.patient_name,
        patient_birth_date=identity.patient_birth_date,
        patient_sex=identity.patient_sex,
        issuer_of_patient_id=identity.issuer_of_patient_id,
        study_date=attributes.study_date,
        study_time=attributes.study_time,
        study_id=attributes.study_id,
        referring_physician_name=attributes.referring_physician_name,
        description=attributes.study_description,
    )
