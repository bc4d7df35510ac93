"""QIDO-RS in SQL: no file is read. The newest arrival comes first among studies; series and instances go by their UIDs.

A search without a narrow key is bounded by its page; one that no index helps goes over `studies` once, or over `instances`,
under a deadline.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from psycopg.errors import QueryCanceled
from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Row,
    Select,
    Subquery,
    Text,
    and_,
    any_,
    func,
    literal,
    or_,
    select,
    text,
    true,
    tuple_,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, distinct_on
from sqlalchemy.exc import OperationalError

from service.adapters.postgres import vendor_errors_translated
from service.adapters.search_conditions import condition
from service.adapters.tables import InstanceRow, RenderedAttributesRow, StudyRow
from service.core.qido_attributes import MODALITIES_IN_STUDY, Level, QidoAttribute
from service.core.qido_query import Equal, Matcher, Search
from service.dicom_views import Found, FoundPage
from service.errors import Unavailable

DEADLINE_SECONDS = 20
_STUDY_COLUMNS = (
    "study_instance_uid", "study_date", "study_time", "accession_number", "referring_physician_name", "study_description",
    "patient_name", "patient_id", "issuer_of_patient_id", "patient_birth_date", "patient_sex", "study_id",
)  # fmt: skip
#: What came, is current, and was not removed; what came back to us is among what we made.
_HELD = (InstanceRow.is_current, ~InstanceRow.is_returned, InstanceRow.removed_at.is_(None))


def search(engine: Engine, wanted: Search, *, study: str | None, series: str | None) -> FoundPage:
    """Raises Unavailable."""
    with vendor_errors_translated(), engine.connect() as connection, _deadline(connection):
        find = {Level.STUDY: _studies, Level.SERIES: _series, Level.INSTANCE: _instances}[wanted.level]
        return find(connection, wanted, study, series)


def held_objects() -> Subquery:
    """What came, is current and was not removed, and what we made in its newest version; what came back to us is that."""
    received = select(
        InstanceRow.study_instance_uid, InstanceRow.series_instance_uid, InstanceRow.sop_instance_uid, InstanceRow.attributes
    ).where(*_HELD)
    made = select(
        RenderedAttributesRow.study_instance_uid,
        RenderedAttributesRow.series_instance_uid,
        RenderedAttributesRow.sop_instance_uid,
        RenderedAttributesRow.attributes,
    ).where(RenderedAttributesRow.is_newest)
    return union_all(received, made).subquery("held")


def _studies(connection: Connection, wanted: Search, study: str | None, series: str | None) -> FoundPage:
    del study, series
    query = select(*_study_columns()).where(*(_study_condition(*match) for match in wanted.matches))
    if not any(attribute is MODALITIES_IN_STUDY for attribute, _ in wanted.matches):
        query = query.where(_is_held())
    rows, is_more = _page(connection, query.order_by(StudyRow.created_at.desc(), StudyRow.study_instance_uid.desc()), wanted)
    counts = _counts_of_studies(connection, [row.study_instance_uid for row in rows])
    return FoundPage([Found(row._asdict(), {}, counts[row.study_instance_uid]) for row in rows], is_more)


def _series(connection: Connection, wanted: Search, study: str | None, series: str | None) -> FoundPage:
    rows, is_more = _page(connection, _below_studies(wanted, study, series), wanted)
    counts = _counts_of_series(connection, [(row.study_instance_uid, row.series_instance_uid) for row in rows])
    derived = [{"NumberOfSeriesRelatedInstances": [counts[row.study_instance_uid, row.series_instance_uid]]} for row in rows]
    return FoundPage(_with_studies(connection, rows, derived), is_more)


def _instances(connection: Connection, wanted: Search, study: str | None, series: str | None) -> FoundPage:
    rows, is_more = _page(connection, _below_studies(wanted, study, series), wanted)
    derived = [{"AvailableTransferSyntaxUID": [row.attributes["transfer_syntax_uid"]]} for row in rows]
    return FoundPage(_with_studies(connection, rows, derived), is_more)


def _below_studies(wanted: Search, study: str | None, series: str | None) -> Select[Any]:
    """Series or instances. The order is the same for each page of a search, and so is the choice between two ways."""
    is_narrowed_below = any(attribute.level > Level.STUDY for attribute, _ in wanted.matches)
    if study is None and not is_narrowed_below:
        return _study_by_study(wanted)
    return _all_at_once(wanted, study, series)


def _study_by_study(wanted: Search) -> Select[Any]:
    """Down the list of studies, the newest arrival first, until the page is full."""
    held = held_objects()
    series, instance = held.c.series_instance_uid, held.c.sop_instance_uid
    part = select(series, instance, held.c.attributes).where(held.c.study_instance_uid == StudyRow.study_instance_uid)
    # Each instance is there once; said so, PostgreSQL does not merge this into one sort of all instances.
    key = (series,) if wanted.level == Level.SERIES else (series, instance)
    below = part.ext(distinct_on(*key)).order_by(series, instance).correlate(StudyRow).lateral("below")
    query = select(StudyRow.study_instance_uid, below.c.series_instance_uid, below.c.attributes)
    query = query.join_from(StudyRow, below, true())
    newest_first = (StudyRow.created_at.desc(), StudyRow.study_instance_uid.desc())
    query = query.order_by(*newest_first, below.c.series_instance_uid, below.c.sop_instance_uid)
    return query.where(*(_study_condition(*match) for match in wanted.matches))


def _all_at_once(wanted: Search, study: str | None, series: str | None) -> Select[Any]:
    """What matches among all instances, or those of a study or series, by UIDs."""
    held = held_objects()
    key = (held.c.study_instance_uid, held.c.series_instance_uid)
    query = select(*key, held.c.attributes).order_by(*key, held.c.sop_instance_uid)
    if wanted.level == Level.SERIES:
        query = query.ext(distinct_on(*key))
    if study is not None:
        query = query.where(held.c.study_instance_uid == study)
    if series is not None:
        query = query.where(held.c.series_instance_uid == series)
    of_study = [match for match in wanted.matches if match[0].level == Level.STUDY]
    if of_study:
        fitting = select(StudyRow.study_instance_uid).where(*(_study_condition(*match) for match in of_study))
        query = query.where(held.c.study_instance_uid.in_(fitting))
    return query.where(*(_condition(held, *match) for match in wanted.matches if match not in of_study))


def _condition(held: Subquery, attribute: QidoAttribute, matcher: Matcher) -> ColumnElement[bool]:
    own = {"SeriesInstanceUID": held.c.series_instance_uid, "SOPInstanceUID": held.c.sop_instance_uid}.get(attribute.keyword)
    if own is not None:
        return condition(own, attribute.vr, matcher)
    if attribute.source == "request" or attribute.name == "image_type":
        return _among_items(held, attribute, matcher)
    return condition(held.c.attributes[attribute.name].astext, attribute.vr, matcher)


def _among_items(held: Subquery, attribute: QidoAttribute, matcher: Matcher) -> ColumnElement[bool]:
    """Any item of a sequence, any value of several; rows of old have neither."""
    is_request = attribute.source == "request"
    listed = func.coalesce(held.c.attributes["request_attributes" if is_request else attribute.name], text("'[]'::jsonb"))
    if not is_request:
        value: ColumnElement[str] = func.jsonb_array_elements_text(listed, type_=Text()).column_valued("value")
        return select(1).where(condition(value, attribute.vr, matcher)).exists()
    item = func.jsonb_array_elements(listed, type_=JSONB()).column_valued("item")
    return select(1).where(condition(item[attribute.name].astext, attribute.vr, matcher)).exists()


def _study_condition(attribute: QidoAttribute, matcher: Matcher) -> ColumnElement[bool]:
    if attribute is MODALITIES_IN_STUDY:
        return _has_modality(matcher)
    return condition(getattr(StudyRow, attribute.name), attribute.vr, matcher)


def _is_held() -> ColumnElement[bool]:
    """Something of the study is there."""
    return or_(_any_received(), _any_made())


def _has_modality(matcher: Matcher) -> ColumnElement[bool]:
    """Of what is there; the study's own list spares most of the looking."""
    received = _any_received(condition(InstanceRow.attributes["modality"].astext, "CS", matcher))
    if isinstance(matcher, Equal):
        received = and_(or_(*(StudyRow.modalities.contains([value]) for value in matcher.values)), received)
    return or_(received, _any_made(condition(RenderedAttributesRow.attributes["modality"].astext, "CS", matcher)))


def _any_received(*narrower: ColumnElement[bool]) -> ColumnElement[bool]:
    """As a value and not by EXISTS, for which PostgreSQL may choose to read all instances once, for a page of ten."""
    query = select(1).where(InstanceRow.study_instance_uid == StudyRow.study_instance_uid, *_HELD, *narrower)
    return query.limit(1).correlate(StudyRow).scalar_subquery().is_not(None)


def _any_made(*narrower: ColumnElement[bool]) -> ColumnElement[bool]:
    of_study = RenderedAttributesRow.study_instance_uid == StudyRow.study_instance_uid
    query = select(1).where(of_study, RenderedAttributesRow.is_newest, *narrower)
    return query.limit(1).correlate(StudyRow).scalar_subquery().is_not(None)


def _with_studies(
    connection: Connection, rows: Sequence[Row[Any]], derived: Sequence[Mapping[str, Sequence[Any]]]
) -> list[Found]:
    uids = sorted({row.study_instance_uid for row in rows})
    query = select(*_study_columns()).where(StudyRow.study_instance_uid == any_(literal(uids, ARRAY(Text()))))
    studies = {row.study_instance_uid: row._asdict() for row in connection.execute(query)}
    return [Found(studies[row.study_instance_uid], row.attributes, each) for row, each in zip(rows, derived, strict=True)]


def _page(connection: Connection, query: Select[Any], wanted: Search) -> tuple[Sequence[Row[Any]], bool]:
    rows = connection.execute(query.limit(wanted.limit + 1).offset(wanted.offset)).all()
    return rows[: wanted.limit], len(rows) > wanted.limit


def _counts_of_studies(connection: Connection, uids: Sequence[str]) -> dict[str, dict[str, Sequence[Any]]]:
    held = held_objects()
    query = (
        select(
            held.c.study_instance_uid.label("uid"),
            func.count(held.c.series_instance_uid.distinct()).label("series"),
            func.count().label("instances"),
            _distinct(held.c.attributes["modality"].astext).label("modalities"),
            _distinct(held.c.attributes["sop_class_uid"].astext).label("classes"),
        )
        .where(held.c.study_instance_uid == any_(literal(list(uids), ARRAY(Text()))))
        .group_by(held.c.study_instance_uid)
    )
    counts: dict[str, dict[str, Sequence[Any]]] = {uid: {} for uid in uids}
    for row in connection.execute(query):
        counts[row.uid] = {
            "NumberOfStudyRelatedSeries": [row.series],
            "NumberOfStudyRelatedInstances": [row.instances],
            "ModalitiesInStudy": row.modalities or [],
            "SOPClassesInStudy": row.classes or [],
        }
    return counts


def _counts_of_series(connection: Connection, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], int]:
    held = held_objects()
    key = tuple_(held.c.study_instance_uid, held.c.series_instance_uid)
    query = select(held.c.study_instance_uid, held.c.series_instance_uid, func.count()).group_by(key)
    # Among these studies first, by the index; the pairs alone would be looked for one by one.
    studies = held.c.study_instance_uid == any_(literal(sorted({study for study, _ in keys}), ARRAY(Text())))
    rows = connection.execute(query.where(and_(studies, key.in_(keys)))) if keys else ()
    return {(study, series): count for study, series, count in rows}


def _distinct(value: ColumnElement[str]) -> ColumnElement[Any]:
    """Each value once, in order, without NULL."""
    return func.array_agg(value.distinct(), type_=ARRAY(Text())).filter(value.is_not(None))


def _study_columns() -> list[ColumnElement[Any]]:
    return [getattr(StudyRow, name) for name in _STUDY_COLUMNS]


@contextmanager
def _deadline(connection: Connection) -> Iterator[None]:
    connection.execute(text(f"SET LOCAL statement_timeout = '{DEADLINE_SECONDS}s'"))
    try:
        yield
    except OperationalError as error:
        if isinstance(error.orig, QueryCanceled):
            raise Unavailable(
                f"The search takes longer than {DEADLINE_SECONDS} s: narrow it by patient, accession number or study date.",
                reason="search_too_long",
            ) from error
        raise
