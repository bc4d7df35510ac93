"""Rows of `rendered_attributes` for objects that were made before there were any."""

from collections.abc import Sequence

from sqlalchemy import Engine, select, text
from sqlalchemy.orm import Session

from service.adapters.postgres import vendor_errors_translated
from service.adapters.rendered_attributes import DICOM, save_attributes, to_rendered
from service.adapters.tables import RenderedAttributesRow, RenderedRow

_SUPERSEDE = text(
    "UPDATE rendered_attributes a SET is_newest = false FROM rendered_objects o JOIN reports r ON r.report_id = o.report_id"
    " WHERE o.sop_instance_uid = a.sop_instance_uid AND a.is_newest"
    " AND EXISTS (SELECT FROM reports n WHERE n.study_instance_uid = r.study_instance_uid AND n.version > r.version)"
)


def describe_rendered(engine: Engine) -> None:
    """Each such object is read once, by `sonomyo migrate`; nothing is done when there is none. Raises Unavailable."""
    undescribed = _undescribed(engine)
    for uid in undescribed:
        with vendor_errors_translated(), Session(engine) as session, session.begin():
            save_attributes(session, to_rendered(session.get_one(RenderedRow, uid)))
    if undescribed:
        with vendor_errors_translated(), engine.begin() as connection:
            connection.execute(_SUPERSEDE)


def _undescribed(engine: Engine) -> Sequence[str]:
    described = select(RenderedAttributesRow).where(RenderedAttributesRow.sop_instance_uid == RenderedRow.sop_instance_uid)
    query = select(RenderedRow.sop_instance_uid).where(RenderedRow.media_type == DICOM, ~described.exists())
    with vendor_errors_translated(), engine.connect() as connection:
        return connection.execute(query).scalars().all()
