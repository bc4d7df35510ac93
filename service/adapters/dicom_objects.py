"""Objects by their UIDs, as DICOMweb retrieves them: what came lies in the instance store, what we made in the database."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO

from pydantic import TypeAdapter
from sqlalchemy import ColumnElement, Engine, exists, func, select
from sqlalchemy.orm import Session

from service.adapters.dicom_search import search
from service.adapters.postgres import reading_session, vendor_errors_translated
from service.adapters.tables import InstanceRow, RenderedAttributesRow, RenderedRow, StudyRow
from service.core.instance import InstanceAttributes
from service.core.qido_query import Search
from service.dicom_views import FoundPage, HeldObject
from service.errors import NotFound, Removed, Unavailable
from service.ports import InstanceStore

_ATTRIBUTES = TypeAdapter(InstanceAttributes)
_PIECE_BYTES = 1 << 20


class PostgresDicomViews:
    """Implements dicom_views.DicomViews."""

    def __init__(self, *, engine: Engine, store: InstanceStore) -> None:
        self._engine = engine
        self._store = store

    def search(self, wanted: Search, *, study: str | None = None, series: str | None = None) -> FoundPage:
        """Within a study or series, or everywhere. Raises Unavailable, also when it takes too long."""
        return search(self._engine, wanted, study=study, series=series)

    def objects(self, study: str, series: str | None = None, instance: str | None = None) -> Sequence[HeldObject]:
        """What came before what we made, each by series and UID. Raises NotFound, Removed."""
        with reading_session(self._engine) as session:
            held = [*_received(session, study, series, instance), *_made(session, study, series, instance)]
            if held:
                return held
            if _was_held(session, study, series, instance):
                raise Removed("What is stored there was given up by retention; its reports are kept.")
            raise NotFound(_unknown(session, study, series, instance))

    def open(self, held: HeldObject) -> AbstractContextManager[Path]:
        """A local file with its bytes, for reading. Raises NotFound, Unavailable."""
        return self._open(held)

    @contextmanager
    def _open(self, held: HeldObject) -> Iterator[Path]:
        if held.storage_key is not None:
            yield self._store.path(held.storage_key)
            return
        with _scratch() as file:
            self._write(held.attributes.sop_instance_uid, file)
            yield Path(file.name)

    def _write(self, sop_instance_uid: str, file: IO[bytes]) -> None:
        """Piece by piece, so that no object is in memory as a whole."""
        named, content = RenderedRow.sop_instance_uid == sop_instance_uid, RenderedRow.content
        with vendor_errors_translated(), self._engine.connect() as connection:
            size = connection.execute(select(func.octet_length(content)).where(named)).scalar_one()
            for start in range(1, size + 1, _PIECE_BYTES):
                piece = select(func.substring(content, start, _PIECE_BYTES)).where(named)
                try:
                    file.write(connection.execute(piece).scalar_one())
                    file.flush()
                except OSError as error:
                    raise _no_room(error) from error


def _scratch() -> IO[bytes]:
    try:
        return tempfile.NamedTemporaryFile(suffix=".dcm")
    except OSError as error:
        raise _no_room(error) from error


def _no_room(error: OSError) -> Unavailable:
    return Unavailable(f"No temporary file can be written: {error.strerror}.", reason="temporary_file")


def _received(session: Session, study: str, series: str | None, instance: str | None) -> list[HeldObject]:
    query = select(InstanceRow).where(
        *_named(InstanceRow, study, series, instance),
        InstanceRow.is_current,
        ~InstanceRow.is_returned,
        InstanceRow.removed_at.is_(None),
    )
    return [
        HeldObject(
            attributes=_ATTRIBUTES.validate_python(row.attributes),
            size_bytes=row.size_bytes,
            version=row.storage_key.partition("/")[2].partition(".")[0],
            storage_key=row.storage_key,
        )
        for row in session.scalars(query.order_by(InstanceRow.series_instance_uid, InstanceRow.sop_instance_uid))
    ]


def _made(session: Session, study: str, series: str | None, instance: str | None) -> list[HeldObject]:
    """The newest version; an older one for who names its series or itself, as the documents after it do."""
    query = select(RenderedAttributesRow).where(*_named(RenderedAttributesRow, study, series, instance))
    if series is None:
        query = query.where(RenderedAttributesRow.is_newest)
    return [
        HeldObject(
            attributes=_ATTRIBUTES.validate_python(row.attributes),
            size_bytes=row.size_bytes,
            version=row.sop_instance_uid,
            storage_key=None,
        )
        for row in session.scalars(
            query.order_by(RenderedAttributesRow.series_instance_uid, RenderedAttributesRow.sop_instance_uid)
        )
    ]


def _was_held(session: Session, study: str, series: str | None, instance: str | None) -> bool:
    removed = exists().where(*_named(InstanceRow, study, series, instance), InstanceRow.removed_at.is_not(None))
    return bool(session.execute(select(removed)).scalar_one())


def _named(
    row: type[InstanceRow] | type[RenderedAttributesRow], study: str, series: str | None, instance: str | None
) -> list[ColumnElement[bool]]:
    conditions = [row.study_instance_uid == study]
    if series is not None:
        conditions.append(row.series_instance_uid == series)
    if instance is not None:
        conditions.append(row.sop_instance_uid == instance)
    return conditions


def _unknown(session: Session, study: str, series: str | None, instance: str | None) -> str:
    if session.get(StudyRow, study) is None:
        return "There is no study with that Study Instance UID."
    if instance is not None:
        return "There is no instance with these UIDs."
    return "The study has no such series." if series is not None else "Nothing of this study is held."
