"""Rows of `rendered_attributes`: what the objects that we made say of themselves, for QIDO-RS and WADO-RS."""

import structlog
from pydantic import TypeAdapter
from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from service.adapters.tables import RenderedAttributesRow, RenderedRow, ReportRow
from service.core.attributes import WANTED, read_attributes
from service.core.dataset_scan import DataSetScanner
from service.core.instance import InstanceAttributes
from service.core.part10 import MAXIMUM_HEAD_BYTES, parse_head
from service.errors import InputRejected
from service.records import RenderedObject

DICOM = "application/dicom"
_ATTRIBUTES = TypeAdapter(InstanceAttributes)


def save_attributes(session: Session, rendered: RenderedObject, *, is_shown: bool) -> None:
    """Of an object of a report, shown where that is its study's official one; messages and notices are no DICOM.

    A second call with the same UID is a no-op.
    """
    if rendered.media_type != DICOM:
        return
    try:
        attributes = attributes_of(rendered.content)
    except InputRejected as error:
        # The report goes out all the same: only DICOMweb does not show this object.
        uid = rendered.sop_instance_uid
        structlog.get_logger().error("rendered_object_unreadable", sop_instance_uid=uid, reason=error.reason)
        return
    statement = insert(RenderedAttributesRow).values(
        sop_instance_uid=rendered.sop_instance_uid,
        study_instance_uid=select(ReportRow.study_instance_uid)
        .where(ReportRow.report_id == rendered.report_id)
        .scalar_subquery(),
        series_instance_uid=attributes.series_instance_uid,
        attributes=_ATTRIBUTES.dump_python(attributes, mode="json"),
        size_bytes=len(rendered.content),
        is_newest=is_shown,
    )
    session.execute(statement.on_conflict_do_nothing())


def to_rendered(row: RenderedRow) -> RenderedObject:
    """The port's value of one row."""
    return RenderedObject(
        sop_instance_uid=row.sop_instance_uid,
        sop_class_uid=row.sop_class_uid,
        kind=row.kind,
        report_id=row.report_id,
        media_type=row.media_type,
        content=row.content,
    )


def supersede_attributes(session: Session, study_instance_uid: str) -> None:
    """A new version of the study's report is official: objects of older ones are found by their UIDs alone from now on."""
    of_study = RenderedAttributesRow.study_instance_uid == study_instance_uid
    session.execute(update(RenderedAttributesRow).where(of_study, RenderedAttributesRow.is_newest).values(is_newest=False))


def attributes_of(content: bytes) -> InstanceAttributes:
    """What a file in memory says. Raises InputRejected."""
    transfer_syntax_uid, offset = parse_head(content[:MAXIMUM_HEAD_BYTES])
    scanner = DataSetScanner(transfer_syntax_uid=transfer_syntax_uid, wanted=WANTED)
    scanner.feed(memoryview(content)[offset:])
    return read_attributes(scanner.finish())
