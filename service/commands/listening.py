"""The listener's processes: files and rows are made to agree, then they listen until SIGTERM."""

import errno
import os
import signal
import socket
import threading
import time
from functools import partial

import pydicom.config

from service.adapters.association_rows import PostgresAssociationLog
from service.adapters.gate import make_gate
from service.adapters.instance_store import read_instance
from service.adapters.listener import Listener, SharedByProcesses
from service.adapters.listener_processes import ListenerProcesses
from service.adapters.listener_sockets import ListenerSockets
from service.adapters.migrations import check_revision
from service.adapters.reconciliation import ReadInstance, reconcile_until_settled
from service.adapters.retention import Retention
from service.bootstrap import Service
from service.settings import DicomSettings, Settings

_MOST_PROCESSES = 4
#: How long the sockets of a listener that was killed may still be held by processes that are dying.
_REBIND_SECONDS = 3.0


def run_listener(settings: Settings) -> None:
    """Run until SIGINT or SIGTERM. Raises Conflict when the database is not migrated."""
    engine = Service(settings).engine
    check_revision(engine)
    engine.dispose()
    # pynetdicom would hold each UID of a request against a pattern three times; the policy knows the ones that we take.
    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
    count = settings.dicom.processes or min(_MOST_PROCESSES, 2 * (os.cpu_count() or 1))
    sockets = _bind(settings.dicom)
    shared = SharedByProcesses.for_settings(settings.dicom, processes=count, sockets=sockets)
    ListenerProcesses(count, sockets, lambda row: _listen(settings, shared, row)).run()


def reader_of_orphans(settings: DicomSettings) -> ReadInstance:
    """Reads what the listener takes: a deflated file only where it accepts such."""
    return partial(read_instance, maximum_inflated_bytes=settings.maximum_object_bytes if settings.accept_deflated else None)


def _bind(settings: DicomSettings) -> ListenerSockets:
    until = time.monotonic() + _REBIND_SECONDS
    while True:
        try:
            return ListenerSockets(settings)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or time.monotonic() > until:
                raise
            time.sleep(0.05)


def _listen(settings: Settings, shared: SharedByProcesses, row: int) -> None:
    """One process; the first also keeps the store."""
    service = Service(settings)
    shared.take_row(row)
    name = f"{socket.gethostname()}:{settings.dicom.port}" + (f"/{row}" if row else "")
    associations = PostgresAssociationLog(engine=service.engine, listener=name)
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
        commitments=service.commitments,
        shared=shared,
    )
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    if row == 0:
        _keep_the_store(service, stop)
    listener.serve(stop)


def _keep_the_store(service: Service, stop: threading.Event) -> None:
    threading.Thread(target=_reconcile, args=(service, stop), name="reconcile", daemon=True).start()
    settings = service.settings
    retention = Retention(
        engine=service.engine,
        store=service.store,
        settings=settings.retention,
        destinations=[destination.name for destination in settings.destinations],
    )
    threading.Thread(target=retention.keep, args=(stop,), name="retention", daemon=True).start()


def _reconcile(service: Service, stop: threading.Event) -> None:
    """Beside the first associations, so that a large store does not keep the listener shut."""
    reconcile_until_settled(
        engine=service.engine,
        store=service.store,
        read=reader_of_orphans(service.settings.dicom),
        save=service.flow.store_instance,
        stop=stop,
    )
