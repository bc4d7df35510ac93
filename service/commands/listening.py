"""The listener's process: files and rows are made to agree, then it listens until SIGTERM."""

import logging
import signal
import socket
import threading

from service.adapters.association_rows import PostgresAssociationLog
from service.adapters.gate import make_gate
from service.adapters.instance_store import read_instance
from service.adapters.listener import Listener
from service.adapters.migrations import check_revision
from service.adapters.reconciliation import reconcile
from service.adapters.retention import Retention
from service.bootstrap import Service
from service.errors import Unavailable

_log = logging.getLogger("sonomyo.listener")


def run_listener(service: Service) -> None:
    """Run until SIGINT or SIGTERM. Raises Conflict when the database is not migrated."""
    settings = service.settings
    check_revision(service.engine)
    associations = PostgresAssociationLog(engine=service.engine, listener=f"{socket.gethostname()}:{settings.dicom.port}")
    associations.close_lost()
    listener = Listener(
        settings=settings.dicom,
        store=service.store,
        incoming=service.store.incoming.folder,
        save=service.flow.store_instance,
        associations=associations,
        gate=make_gate(
            engine=service.engine,
            free_bytes=service.store.free_bytes,
            reserve_bytes=settings.store.reserve_bytes,
            maximum_queued_jobs=settings.worker.maximum_queued_jobs,
        ),
        known_analyses=service.analyses,
    )
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    threading.Thread(target=_reconcile, args=(service,), name="reconcile", daemon=True).start()
    retention = Retention(engine=service.engine, store=service.store, settings=settings.retention)
    threading.Thread(target=retention.keep, args=(stop,), name="retention", daemon=True).start()
    listener.serve(stop)


def _reconcile(service: Service) -> None:
    """Beside the first associations, so that a large store does not keep the listener shut."""
    try:
        found = reconcile(engine=service.engine, store=service.store, read=read_instance, save=service.flow.store_instance)
    except Unavailable:
        _log.warning("reconciliation_postponed")
        return
    _log.info(
        "reconciled",
        extra={"files": found.files, "adopted": found.adopted, "unreadable": found.unreadable, "missing": len(found.missing)},
    )
