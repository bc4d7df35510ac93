"""Rows of `instances`: duplicates are judged by content, and nothing is overwritten (architecture decision 2)."""

from collections.abc import Sequence
from dataclasses import replace

from pydantic import TypeAdapter
from sqlalchemy import case, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from service.adapters.tables import InstanceRow, RenderedRow, StudyRow
from service.core.instance import ContentDigest, InstanceAttributes
from service.errors import NotFound
from service.records import ReceivedInstance, StoredInstance

_ATTRIBUTES = TypeAdapter(InstanceAttributes)


class PostgresInstanceRows:
    """Implements ports.InstanceRows."""

    def __init__(self, *, session: Session) -> None:
        self._session = session

    def save(self, received: ReceivedInstance, *, names_study: bool = True) -> StoredInstance:
        """Insert one arrival, or find the row of an identical one; `names_study`: its identity becomes the study's."""
        uid = received.attributes.sop_instance_uid
        # Two arrivals of one UID take turns; the lock goes with the transaction.
        self._session.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:uid, 0))"), {"uid": uid})
        rows = self._session.scalars(select(InstanceRow).where(InstanceRow.sop_instance_uid == uid)).all()
        current = next((row for row in rows if row.is_current), None)
        identical = next((row for row in rows if _is_identical(row, received)), None)
        if identical is not None and (identical.is_current or identical.disposition == "conflict"):
            # The file under this key was replaced by its equal, whose File Meta Information may have another length.
            identical.removed_at, identical.size_bytes = None, received.size_bytes
            return to_stored(identical)
        return self._save_other(received, current, identical, names_study=names_study)

    def get(self, instance_id: int) -> StoredInstance:
        """Raises NotFound."""
        row = self._session.get(InstanceRow, instance_id)
        if row is None:
            raise NotFound(f"There is no instance {instance_id}.")
        return to_stored(row)

    def all_of(self, sop_instance_uid: str) -> Sequence[StoredInstance]:
        """Every row kept under one SOP Instance UID, oldest first."""
        found = self._session.scalars(
            select(InstanceRow).where(InstanceRow.sop_instance_uid == sop_instance_uid).order_by(InstanceRow.id)
        )
        return [to_stored(row) for row in found]

    def current(self, study_instance_uid: str) -> Sequence[StoredInstance]:
        """The current row of each SOP Instance UID of a study, returned ones left out, oldest first."""
        found = self._session.scalars(
            select(InstanceRow)
            .where(InstanceRow.study_instance_uid == study_instance_uid, InstanceRow.is_current, ~InstanceRow.is_returned)
            .order_by(InstanceRow.id)
        )
        return [to_stored(row) for row in found]

    def supersede(self, instance_id: int, *, names_study: bool = True) -> None:
        """Make a row kept as a conflict the current one."""
        row = self._session.get(InstanceRow, instance_id, with_for_update=True)
        if row is None or row.disposition != "conflict":
            return
        current = self._current_row(row.sop_instance_uid)
        if current is not None:
            row.identity_changed = _identity(row) != _identity(current)
            current.is_current = False
            self._session.flush()
        row.is_current, row.disposition = True, "corrected"
        self._session.flush()
        self._save_study(_ATTRIBUTES.validate_python(row.attributes), renamed=names_study and row.identity_changed)

    def _current_row(self, sop_instance_uid: str) -> InstanceRow | None:
        return self._session.scalars(
            select(InstanceRow).where(InstanceRow.sop_instance_uid == sop_instance_uid, InstanceRow.is_current)
        ).one_or_none()

    def _save_other(
        self, received: ReceivedInstance, current: InstanceRow | None, known: InstanceRow | None, *, names_study: bool
    ) -> StoredInstance:
        returned = self._is_ours(received.attributes.sop_instance_uid)
        disposition = _judge(received, current, returned=returned)
        becomes_current = disposition != "conflict"
        changed = current is not None and becomes_current and _identity(current) != _identity_of(received.attributes)
        if becomes_current and not returned:
            self._save_study(received.attributes, renamed=names_study and (changed or current is None))
        else:
            self._ensure_study(received.attributes)
        if current is not None and becomes_current:
            current.is_current = False
            self._session.flush()
        row = known or _new_row(received)
        row.disposition, row.is_current, row.is_returned, row.identity_changed = disposition, becomes_current, returned, changed
        row.removed_at = None
        self._session.add(row)
        self._session.flush()
        previous = None if current is None else current.study_instance_uid
        return replace(to_stored(row), is_new=True, previous_study_instance_uid=previous)

    def _is_ours(self, sop_instance_uid: str) -> bool:
        return self._session.get(RenderedRow, sop_instance_uid) is not None

    def _ensure_study(self, attributes: InstanceAttributes) -> None:
        statement = insert(StudyRow).values(study_instance_uid=attributes.study_instance_uid, **study_identity(attributes))
        self._session.execute(statement.on_conflict_do_nothing())

    def _save_study(self, attributes: InstanceAttributes, *, renamed: bool) -> None:
        """`renamed`: who the study is about is now what this instance says, as a whole; else only a new study learns it."""
        identity = study_identity(attributes)
        statement = insert(StudyRow).values(
            study_instance_uid=attributes.study_instance_uid,
            modalities=[attributes.modality] if attributes.modality else [],
            **identity,
        )
        is_known = StudyRow.modalities.op("@>")(statement.excluded.modalities)
        modalities = case((is_known, StudyRow.modalities), else_=StudyRow.modalities.op("||")(statement.excluded.modalities))
        self._session.execute(
            statement.on_conflict_do_update(
                index_elements=[StudyRow.study_instance_uid],
                set_={
                    **{name: getattr(statement.excluded, name) for name in identity if renamed},
                    "modalities": modalities,
                    "last_received_at": func.now(),
                },
            )
        )


def to_stored(row: InstanceRow) -> StoredInstance:
    """The port's value of one row."""
    return StoredInstance(
        instance_id=row.id,
        attributes=_ATTRIBUTES.validate_python(row.attributes),
        digest=ContentDigest(attributes=row.attributes_digest, pixels=row.pixels_digest),
        storage_key=row.storage_key,
        size_bytes=row.size_bytes,
        disposition=row.disposition,
        is_new=False,
        identity_changed=row.identity_changed,
        previous_study_instance_uid=None,
        is_current=row.is_current,
        is_returned=row.is_returned,
        called_ae_title=row.called_ae_title,
        calling_ae_title=row.calling_ae_title,
        received_at=row.received_at,
    )


def _is_identical(row: InstanceRow, received: ReceivedInstance) -> bool:
    return (row.attributes_digest, row.pixels_digest) == (received.digest.attributes, received.digest.pixels)


def _judge(received: ReceivedInstance, current: InstanceRow | None, *, returned: bool) -> str:
    if returned:
        return "returned"
    if current is None:
        return "current"
    return "corrected" if current.pixels_digest == received.digest.pixels else "conflict"


def _identity(row: InstanceRow) -> tuple[str | None, ...]:
    return _identity_of(_ATTRIBUTES.validate_python(row.attributes))


def _identity_of(attributes: InstanceAttributes) -> tuple[str | None, ...]:
    identity = attributes.identity
    return (
        identity.patient_id,
        identity.issuer_of_patient_id,
        identity.patient_name,
        identity.patient_birth_date,
        identity.accession_number,
        attributes.study_instance_uid,
    )


def study_identity(attributes: InstanceAttributes) -> dict[str, str | None]:
    """What an instance says of its study, by column of `studies`."""
    identity = attributes.identity
    return {
        "patient_id": identity.patient_id,
        "issuer_of_patient_id": identity.issuer_of_patient_id,
        "patient_name": identity.patient_name,
        "patient_birth_date": identity.patient_birth_date,
        "patient_sex": identity.patient_sex,
        "accession_number": identity.accession_number,
        "study_date": attributes.study_date,
        "study_time": attributes.study_time,
        "study_id": attributes.study_id,
        "study_description": attributes.study_description,
        "referring_physician_name": attributes.referring_physician_name,
    }


def _new_row(received: ReceivedInstance) -> InstanceRow:
    attributes = received.attributes
    return InstanceRow(
        sop_instance_uid=attributes.sop_instance_uid,
        sop_class_uid=attributes.sop_class_uid,
        study_instance_uid=attributes.study_instance_uid,
        series_instance_uid=attributes.series_instance_uid,
        transfer_syntax_uid=attributes.transfer_syntax_uid,
        attributes=_ATTRIBUTES.dump_python(attributes, mode="json"),
        attributes_digest=received.digest.attributes,
        pixels_digest=received.digest.pixels,
        storage_key=received.storage_key,
        size_bytes=received.size_bytes,
        calling_ae_title=received.calling_ae_title,
        called_ae_title=received.called_ae_title,
        peer_address=received.peer_address,
        association_id=received.association_id,
    )
