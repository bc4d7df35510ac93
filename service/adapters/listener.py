"""The C-STORE and C-ECHO listener: sockets, threads and their limits (PS3.4 A and B, PS3.8).

pynetdicom encodes and decodes the association PDUs. Its threads, queues and polling are not used: hazards P1 to P16 of
docs/adr/0003-listener.md live in them, and one blocking thread an association is faster.
"""

import selectors
import socket
import threading
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Self

import structlog

from service.adapters.incoming import IncomingFolder
from service.adapters.listener_admission import Admission, Siblings
from service.adapters.listener_association import AssociationSession
from service.adapters.listener_hooks import AssociationLog, CommitmentHooks, Gate, SaveInstance
from service.adapters.listener_record import AssociationArchive
from service.adapters.listener_services import CachedGate, ListenerServices
from service.adapters.listener_sockets import ListenerSockets, listens_beyond_loopback, server_context
from service.adapters.listener_transport import PduStream, PeerGone, PeerTooSlow
from service.core.association_policy import AllowedPeer, AssociationPolicy
from service.core.dataset_scan import DEFLATED_EXPLICIT
from service.core.dicom_syntaxes import STORAGE_COMMITMENT, STORAGE_SOP_CLASSES, TRANSFER_SYNTAXES, VERIFICATION
from service.ports import InstanceStore
from service.settings import DicomSettings

#: Connections that have not yet asked for an association; beyond it the oldest is closed.
_MAXIMUM_WAITING = 200
_HOUSEKEEPING_SECONDS = 5.0
_SWEEPS_EVERY = 12
#: How long a process that serves more connections than a sibling leaves a new one to it.
_LEAVE_TO_IDLER_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class SharedByProcesses:
    """What is made before the processes are forked; the sockets only where there are several."""

    admission: Admission
    siblings: Siblings
    sockets: ListenerSockets | None = None

    @classmethod
    def for_settings(cls, settings: DicomSettings, *, processes: int = 1, sockets: ListenerSockets | None = None) -> Self:
        """The limits of the settings, over so many processes."""
        admission = Admission(
            maximum=settings.maximum_associations,
            maximum_per_address=settings.maximum_associations_per_address,
            processes=processes,
        )
        return cls(admission, Siblings(processes), sockets)

    def take_row(self, row: int) -> None:
        """This process is number `row` from now on."""
        self.admission.take_row(row)
        self.siblings.take_row(row)


class Listener:
    """Accepts associations from `start` until `stop`."""

    def __init__(  # noqa: PLR0913 - each is one thing that the rest of the service lends it
        self,
        *,
        settings: DicomSettings,
        store: InstanceStore,
        incoming: Path,
        save: SaveInstance,
        associations: AssociationLog,
        gate: Gate,
        known_analyses: Collection[str],
        commitments: CommitmentHooks | None = None,
        shared: SharedByProcesses | None = None,
    ) -> None:
        unknown = sorted(set(settings.analysis_ae_titles.values()) - set(known_analyses))
        if unknown:
            raise ValueError(f"dicom.analysis_ae_titles: there is no analysis named {', '.join(unknown)}")
        shared = shared or SharedByProcesses.for_settings(settings)
        self._settings = settings
        self._tls = server_context(settings)
        self._incoming = IncomingFolder(incoming)
        self._archive = AssociationArchive(associations)
        self._services = ListenerServices(
            settings=settings,
            store=store,
            incoming=self._incoming,
            save=save,
            gate=CachedGate(gate),
            archive=self._archive,
            admission=shared.admission,
            policy=build_policy(settings, commits=commitments is not None),
            commitments=commitments,
        )
        self._drain = threading.Event()
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        #: Every open connection; those that still wait for their association request come with the time they came.
        self._connections: dict[threading.Thread, PduStream] = {}
        self._waiting: dict[threading.Thread, float] = {}
        self._siblings = shared.siblings
        self._sockets = shared.sockets
        self._threads: list[threading.Thread] = []

    @property
    def port(self) -> int:
        """The plain port, once started; the one that the system chose when 0 was set."""
        return self._bound.port(tls=False)

    @property
    def tls_port(self) -> int:
        """The TLS port, once started."""
        return self._bound.port(tls=True)

    def start(self) -> None:
        """Bind unless sockets were given, sweep what a killed process left behind, and accept.

        Raises OSError when a port is taken.
        """
        if self._sockets is None:
            self._sockets = ListenerSockets(self._settings)
        swept = self._incoming.sweep()
        log = structlog.get_logger()
        if listens_beyond_loopback(self._settings.host) and not self._settings.allowed_peers:
            log.warning("listener_open_to_any_peer", advice="set dicom.allowed_peers")
        log.info("listener_started", host=self._settings.host, ports=self._bound.ports, swept=swept)
        for name, target in (("accept", self._accept), ("housekeeping", self._keep_house)):
            thread = threading.Thread(target=target, name=f"listener-{name}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self, *, deadline_seconds: float = 20.0) -> None:
        """Accept no more, abort what is idle, let a C-STORE that is under way finish until the deadline, then cut."""
        self._drain.set()
        self._stopped.set()
        for thread in self._threads:
            thread.join()
        self._bound.close()
        until = monotonic() + deadline_seconds
        for thread in self._open_connections():
            thread.join(max(0.0, until - monotonic()))
        with self._lock:
            left = list(self._connections.items())
        for thread, stream in left:
            stream.interrupt()
            thread.join(1.0)
        self._archive.flush()
        structlog.get_logger().info("listener_stopped", cut=len(left))

    def serve(self, stop: threading.Event, *, deadline_seconds: float = 20.0) -> None:
        """Start, wait for `stop`, and stop."""
        self.start()
        stop.wait()
        self.stop(deadline_seconds=deadline_seconds)

    @property
    def _bound(self) -> ListenerSockets:
        if self._sockets is None:
            raise RuntimeError("the listener is not started")
        return self._sockets

    def _accept(self) -> None:
        with selectors.DefaultSelector() as selector:
            for each in self._bound.speaks_tls:
                selector.register(each, selectors.EVENT_READ)
            while not self._stopped.is_set():
                ready = selector.select(timeout=0.25)
                if ready and self._siblings.is_busiest():
                    self._stopped.wait(_LEAVE_TO_IDLER_SECONDS)
                for key, _ in ready:
                    assert isinstance(key.fileobj, socket.socket)  # noqa: S101 - for the type checker
                    self._accept_one(key.fileobj)

    def _accept_one(self, listening: socket.socket) -> None:
        try:
            connection, address = listening.accept()
        except BlockingIOError:
            return
        except OSError:
            # Out of descriptors: the oldest silent connection makes room.
            structlog.get_logger().warning("connection_not_accepted", waiting=len(self._waiting))
            self._close_oldest_waiting()
            self._stopped.wait(0.05)
            return
        if len(self._waiting) >= _MAXIMUM_WAITING:
            self._close_oldest_waiting()
        self._open(connection, (str(address[0]), int(address[1])), tls=self._bound.speaks_tls[listening])

    def _open(self, connection: socket.socket, peer: tuple[str, int], *, tls: bool) -> None:
        with suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        settings = self._settings
        stream = PduStream(
            connection,
            maximum_pdu_size=settings.maximum_pdu_size,
            pdu_timeout_seconds=settings.pdu_timeout_seconds,
            network_timeout_seconds=settings.network_timeout_seconds,
            minimum_bytes_per_second=settings.minimum_bytes_per_second,
            drain=self._drain,
        )
        session = AssociationSession(stream=stream, peer=peer, tls=tls, services=self._services)
        thread = threading.Thread(target=self._serve, args=(stream, session, tls), name="association", daemon=True)
        with self._lock:
            self._connections[thread] = stream
            self._waiting[thread] = monotonic()
            self._siblings.tell(len(self._connections))
        try:
            thread.start()
        except RuntimeError:
            self._forget(thread)
            stream.close()

    def _serve(self, stream: PduStream, session: AssociationSession, tls: bool) -> None:  # noqa: FBT001 - Thread's args
        thread = threading.current_thread()
        try:
            if tls and self._tls is not None:
                stream.handshake(self._tls)
            session.run(self._associated)
        except (PeerGone, PeerTooSlow) as error:
            structlog.get_logger().info("tls_refused", why=str(error))
            stream.close()
        finally:
            self._forget(thread)

    def _associated(self) -> None:
        """The current thread's connection no longer waits for its association request."""
        with self._lock:
            self._waiting.pop(threading.current_thread(), None)

    def _forget(self, thread: threading.Thread) -> None:
        with self._lock:
            self._connections.pop(thread, None)
            self._waiting.pop(thread, None)
            self._siblings.tell(len(self._connections))

    def _close_oldest_waiting(self) -> None:
        with self._lock:
            oldest = min(self._waiting, key=lambda thread: self._waiting[thread], default=None)
            if oldest is not None:
                del self._waiting[oldest]
                self._connections[oldest].interrupt()

    def _open_connections(self) -> list[threading.Thread]:
        with self._lock:
            return list(self._connections)

    def _keep_house(self) -> None:
        rounds = 0
        while not self._stopped.wait(_HOUSEKEEPING_SECONDS):
            rounds += 1
            try:
                self._archive.flush()
                self._archive.renew()
                if rounds % _SWEEPS_EVERY == 0:
                    self._incoming.sweep()
            except Exception:  # noqa: BLE001 - logged, and the house is kept again in a moment
                structlog.get_logger().exception("listener_housekeeping_failed")


def build_policy(settings: DicomSettings, *, commits: bool = False) -> AssociationPolicy:
    """What the settings say about who and what is taken, and Storage Commitment where it is offered."""
    syntaxes = frozenset(TRANSFER_SYNTAXES) | ({DEFLATED_EXPLICIT} if settings.accept_deflated else frozenset())
    uncompressed = frozenset(TRANSFER_SYNTAXES[:3])
    classes = (*STORAGE_SOP_CLASSES, *settings.private_sop_classes)
    return AssociationPolicy(
        called_ae_titles=frozenset({settings.ae_title, *settings.analysis_ae_titles}),
        allowed_peers=tuple(AllowedPeer(row.ae_title, row.address) for row in settings.allowed_peers),
        supported={
            **dict.fromkeys(classes, syntaxes),
            VERIFICATION: uncompressed,
            **({STORAGE_COMMITMENT: uncompressed} if commits else {}),
        },
    )
