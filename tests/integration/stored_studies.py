"""Studies as the listener leaves them: real files in a real store, real rows, and reports in the states that matter."""

import zlib
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, insert, text

from service.adapters.instance_store import FileInstanceStore, read_instance
from service.adapters.tables import DeliveryRow, RenderedRow, ReportRow
from service.core.dataset_scan import DEFLATED_EXPLICIT
from service.core.part10 import encode_head
from service.ports import UnitOfWorkFactory
from service.records import ReceivedInstance, StoredInstance
from tests.integration.listener_parts import EXPLICIT, US, encode, ultrasound


def store_instance(
    units: UnitOfWorkFactory, store: FileInstanceStore, uid: str, *, study: str, deflated: bool = False, **changes: Any
) -> StoredInstance:
    """Durable file, then a committed row."""
    head = encode_head(sop_class_uid=US, sop_instance_uid=uid, transfer_syntax_uid=DEFLATED_EXPLICIT if deflated else EXPLICIT)
    data_set = encode(ultrasound(SOPInstanceUID=uid, StudyInstanceUID=study, SeriesInstanceUID=f"{study}.5", **changes))
    with store.incoming.create() as file:
        file.write(head + (zlib.compress(data_set, wbits=-15) if deflated else data_set))
        attributes, digest = read_instance(file.path, maximum_inflated_bytes=1 << 20 if deflated else None)
        size_bytes = file.size_bytes()
        key = store.adopt(file.path, digest)
    with units() as unit:
        return unit.instances.save(ReceivedInstance(attributes=attributes, digest=digest, storage_key=key, size_bytes=size_bytes))


def age_study(engine: Engine, study: str, *, days: float) -> None:
    """Nothing has arrived for it since then."""
    change = text(
        "UPDATE studies SET last_received_at = now() - make_interval(secs => :seconds) WHERE study_instance_uid = :study"
    )
    with engine.begin() as connection:
        connection.execute(change, {"seconds": days * 86400, "study": study})


def save_report(engine: Engine, study: str, *, status: str = "preliminary", version: int = 1) -> str:
    """One version with its SR; gives the report's identifier."""
    report_id = f"{study}-{version}"
    with engine.begin() as connection:
        connection.execute(
            insert(ReportRow).values(report_id=report_id, study_instance_uid=study, version=version, status=status, body={})
        )
        connection.execute(
            insert(RenderedRow).values(
                sop_instance_uid=f"{study}.9.{version}",
                sop_class_uid="1.2.840.10008.5.1.4.1.1.88.34",
                report_id=report_id,
                kind="sr",
                media_type="application/dicom",
                content=b"SR of " + study.encode(),
            )
        )
    return report_id


def save_delivery(engine: Engine, report_id: str, *, state: str, destination: str = "pacs") -> None:
    """One row of the outbox."""
    with engine.begin() as connection:
        connection.execute(insert(DeliveryRow).values(report_id=report_id, destination=destination, kind="sr", state=state))


def removed(engine: Engine, study: str) -> list[bool]:
    """For each row of a study, whether its bytes were given up."""
    query = text("SELECT removed_at IS NOT NULL FROM instances WHERE study_instance_uid = :study ORDER BY id")
    with engine.connect() as connection:
        return list(connection.execute(query, {"study": study}).scalars())


def stored_files(store: FileInstanceStore) -> dict[str, bytes]:
    """Everything in the store."""
    return {key: Path(store.path(key)).read_bytes() for key in store.keys()}  # noqa: SIM118 - a port, not a dict
