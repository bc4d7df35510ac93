"""Rows of `rendered_attributes` for objects that were made before there were any."""

from collections.abc import Sequence

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from service.adapters.postgres import vendor_errors_translated
from service.adapters.rendered_attributes import DICOM, save_attributes, to_rendered
from service.adapters.report_rows import is_official
from service.adapters.tables import RenderedAttributesRow, RenderedRow


def describe_rendered(engine: Engine) -> None:
    """Each such object is read once, by `sonomyo migrate`; nothing is done when there is none. Raises Unavailable."""
    for uid in _undescribed(engine):
        with vendor_errors_translated(), Session(engine) as session, session.begin():
            row = session.get_one(RenderedRow, uid)
            save_attributes(session, to_rendered(row), is_shown=is_official(session, row.report_id))


def _undescribed(engine: Engine) -> Sequence[str]:
    described = select(RenderedAttributesRow).where(RenderedAttributesRow.sop_instance_uid == RenderedRow.sop_instance_uid)
    query = select(RenderedRow.sop_instance_uid).where(RenderedRow.media_type == DICOM, ~described.exists())
    with vendor_errors_translated(), engine.connect() as connection:
        return connection.execute(query).scalars().all()
