"""What analyses drew, read for a page of frames: of the kept masks only the bytes of those frames leave the database."""

from collections.abc import Mapping

from sqlalchemy import Engine, Row, Select, func, select
from sqlalchemy.orm import Session

from service.adapters.postgres import vendor_errors_translated
from service.adapters.report_rows import PostgresReportRows
from service.adapters.tables import AnalysisRow, InstanceRow
from service.core.findings import Finding
from service.core.masks import MaskIndex
from service.core.overlays import AnalysisOverlay, Overlays, is_of, overlay_of
from service.core.report import Report

_FIRST = 4


def find_overlays(engine: Engine, report_id: str, sop_instance_uid: str, frames: range) -> Overlays:
    """Of every analysis that a report has findings of. Raises NotFound for a report that does not exist."""
    with vendor_errors_translated(), Session(engine) as session:
        report = PostgresReportRows(session=session).get(report_id)
        findings = [finding for finding in report.findings if finding.evidence.sop_instance_uid == sop_instance_uid]
        names = dict.fromkeys(finding.analysis.name for finding in findings)
        return Overlays(
            report_id=report_id,
            sop_instance_uid=sop_instance_uid,
            first=frames.start,
            last=frames.stop - 1,
            analyses=tuple(_overlay(session, report, sop_instance_uid, name, frames) for name in names),
        )


def _overlay(session: Session, report: Report, sop_instance_uid: str, analysis: str, frames: range) -> AnalysisOverlay:
    said = report.findings_of(analysis, sop_instance_uid)
    stored = session.execute(_kept(report.study.study_instance_uid, sop_instance_uid, analysis)).one_or_none()
    if stored is None:
        return overlay_of(analysis, said, None, {}, {}, frames)
    if not is_of([Finding.model_validate(finding) for finding in stored.findings], said):
        return overlay_of(analysis, said, None, {}, {}, frames).model_copy(update={"is_superseded": True})
    if stored.first is None:
        return overlay_of(analysis, said, None, {}, {}, frames)
    index = MaskIndex.from_bytes(_slice(session, stored, 0, MaskIndex.length(stored.first)))
    masks, lines = (_some(session, stored, places, frames) for places in (index.frames, index.lines))
    return overlay_of(analysis, said, index, masks, lines, frames)


def _kept(study_instance_uid: str, sop_instance_uid: str, analysis: str) -> Select[int, list[object], bytes | None]:
    """The analysis of the current arrival of an instance, and of its masks the first bytes."""
    return (
        select(AnalysisRow.id, AnalysisRow.findings, func.substring(AnalysisRow.masks, 1, _FIRST).label("first"))
        .join(InstanceRow, InstanceRow.id == AnalysisRow.instance_id)
        .where(
            InstanceRow.study_instance_uid == study_instance_uid,
            InstanceRow.sop_instance_uid == sop_instance_uid,
            InstanceRow.is_current,
            ~InstanceRow.is_returned,
            AnalysisRow.analysis_name == analysis,
        )
    )


def _some(
    session: Session, stored: Row[int, list[object], bytes | None], places: Mapping[int, tuple[int, int]], frames: range
) -> dict[int, bytes]:
    """Those of the wanted frames, in one piece: neighbours lie beside each other."""
    wanted = {number: places[number] for number in frames if number in places}
    if not wanted:
        return {}
    begin = min(start for start, _ in wanted.values())
    end = max(start + length for start, length in wanted.values())
    piece = _slice(session, stored, begin, end - begin)
    return {number: piece[start - begin : start - begin + length] for number, (start, length) in wanted.items()}


def _slice(session: Session, stored: Row[int, list[object], bytes | None], start: int, length: int) -> bytes:
    query = select(func.substring(AnalysisRow.masks, start + 1, length)).where(AnalysisRow.id == stored.id)
    return bytes(session.execute(query).scalar_one())
