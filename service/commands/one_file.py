"""`sonomyo analyze`: the same reader, analyses, composition and renderers as the service, on one file."""

from datetime import UTC, datetime
from pathlib import Path

from service.adapters.instance_store import read_instance
from service.bootstrap import Service
from service.core.analyses.analysis import Analysis
from service.core.compose import compose
from service.core.evidence import draw_evidence, not_measured
from service.core.findings import Finding
from service.core.instance import InstanceAttributes
from service.core.report import Report, StudyHeader
from service.core.routing import select_analyses
from service.errors import InputRejected, NotFound, NotMeasurable


def analyze_file(service: Service, file: Path, output: Path, wanted: str | None) -> Report:
    """Write report.json, report.html and sr.dcm into `output`. Raises InputRejected, NotFound, Unavailable."""
    attributes, _ = read_instance(file)
    findings: list[Finding] = []
    picture: bytes | None = None
    for analysis in _choose(service, attributes, wanted):
        made, picture = _analyse(service, analysis, file, attributes.sop_instance_uid)
        findings.extend(made)
    report = compose(study=_header(attributes), findings=findings, created_at=datetime.now(UTC), software=service.software)
    output.mkdir(parents=True, exist_ok=True)
    (output / "report.json").write_text(report.model_dump_json(indent=2), encoding="utf-8")
    (output / "report.html").write_text(service.html(report, {} if picture is None else {attributes.sop_instance_uid: picture}))
    (output / "sr.dcm").write_bytes(service.structured_report(report, [attributes]).content)
    return report


def _choose(service: Service, attributes: InstanceAttributes, wanted: str | None) -> list[Analysis]:
    if wanted is not None:
        if wanted not in service.analyses:
            raise NotFound(f"There is no analysis named {wanted}; there are: {', '.join(sorted(service.analyses))}.")
        return [service.analyses[wanted]]
    decisions = select_analyses(attributes, None, service.rules)
    chosen = [service.analyses[decision.analysis_name] for decision in decisions if decision.selected]
    if not chosen:
        raise InputRejected("No analysis applies: " + "; ".join(decision.why for decision in decisions), reason="not_routed")
    return chosen


def _analyse(service: Service, analysis: Analysis, file: Path, sop_instance_uid: str) -> tuple[tuple[Finding, ...], bytes | None]:
    try:
        with service.reader.open(file) as cine:
            findings = analysis.analyse(cine, service.server.infer, service.server.describe)
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
