"""Our listener with Storage Commitment over a real database, and a peer (pynetdicom) in either role."""

import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import N_EVENT_REPORT
from pynetdicom.pdu import P_DATA_TF
from pynetdicom.presentation import build_context, build_role
from sqlalchemy import Engine, text

from service.adapters.association_rows import PostgresAssociationLog
from service.adapters.commitment_scu import CommitmentPeer, CommitmentScu, peer_to_ask
from service.adapters.instance_store import FileInstanceStore
from service.adapters.listener import Listener
from service.commitment import Commitments
from service.core.commitment import (
    STORAGE_COMMITMENT_INSTANCE,
    CommitmentRequest,
    CommitmentResult,
    Reference,
    read_result,
    request_data_set,
)
from service.core.dicom_syntaxes import STORAGE_COMMITMENT
from service.destination_settings import CommitmentSettings, DicomDestinationSettings
from service.ports import UnitOfWorkFactory
from service.settings import DicomSettings, KnownPeer
from tests.integration.flow_parts import House
from tests.integration.listener_parts import EXPLICIT, IMPLICIT, US, ultrasound, wait_until

PATIENT, WELL_KNOWN = "Muster", STORAGE_COMMITMENT_INSTANCE


class CommittingHouse(House):
    """The flow with a listener; `pacs` is a destination that is asked, `peers` are those whose address is known."""

    def __init__(
        self, units: UnitOfWorkFactory, engine: Engine, root: Path, *, peers: Sequence[KnownPeer] = (), **asked: Any
    ) -> None:
        super().__init__(units, engine)
        self.root = root
        self.store = FileInstanceStore(root=root / "store")
        destinations = {}
        if asked:
            port, tls = asked.pop("port"), asked.pop("tls", None)
            terms = CommitmentSettings(**{"wait_seconds": 0, **asked})
            settings = DicomDestinationSettings(
                name="pacs", host="127.0.0.1", port=port, ae_title="PACS", timeout_seconds=5, tls=tls
            )
            peer = peer_to_ask(settings, terms, calling_ae_title="SONOMYO")
            destinations["pacs"] = CommitmentScu(peer=peer, settings=terms)
        self.commitments = Commitments(
            units=units,
            store=self.store,
            destinations=destinations,
            peers={peer.ae_title: CommitmentPeer(settings=peer) for peer in peers},
        )
        self.flow = replace(self.flow, commitments=self.commitments)

    @contextmanager
    def listening(self, *, gate: Callable[[], str | None] = lambda: None, port: int = 0, **tls: Any) -> Iterator[int]:
        """Gives the port, with TLS that of TLS."""
        listener = Listener(
            settings=DicomSettings(port=port, **tls),
            store=self.store,
            incoming=self.store.incoming.folder,
            save=self.flow.store_instance,
            associations=PostgresAssociationLog(engine=self.engine, listener="here"),
            gate=gate,
            known_analyses=("muscle_architecture",),
            commitments=self.commitments,
        )
        listener.start()
        try:
            yield listener.tls_port if tls else listener.port
        finally:
            listener.stop(deadline_seconds=1.0)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with self.engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(query))]

    def delivery(self) -> tuple[str, int, str]:
        """State, attempts and last error of the only one."""
        ((state, attempts, error),) = self.rows("SELECT state, attempts, coalesce(last_error, '') FROM deliveries")
        return state, attempts, error

    def transactions(self) -> list[str]:
        return [state for (state,) in self.rows("SELECT state FROM commitments_asked ORDER BY number")]

    def let_pass(self, seconds: float) -> None:
        """Time, for deadlines and the jobs that wait for them."""
        with self.engine.begin() as connection:
            shift = {"by": seconds}
            connection.execute(text("UPDATE commitments_asked SET accepted_at = accepted_at - make_interval(secs => :by)"), shift)
            connection.execute(
                text("UPDATE procrastinate_jobs SET scheduled_at = scheduled_at - make_interval(secs => :by)"), shift
            )


@dataclass
class Peer:
    """An application entity that takes N-ACTION and N-EVENT-REPORT on a port of its own, and keeps what it is told."""

    #: Answers each N-ACTION.
    action_status: int = 0x0000
    event_status: int = 0x0000
    #: On the same association, right after the answer to N-ACTION: Failure Reason, or None for committed.
    reports_here: list[int | None] = field(default_factory=list)
    stored: list[str] = field(default_factory=list)
    asked: list[tuple[str, list[str]]] = field(default_factory=list)
    results: list[CommitmentResult] = field(default_factory=list)
    roles: list[tuple[bool, bool]] = field(default_factory=list)
    callers: list[str] = field(default_factory=list)
    #: Statuses that were answered to reports on the same association.
    report_statuses: list[int] = field(default_factory=list)
    is_due: bool = False
    #: A report was taken on an association that we opened, and our answer has not left yet.
    owes_answer: bool = False
    port: int = 0

    @contextmanager
    def running(self, *, port: int = 0, takes_commitment: bool = True, tls: ssl.SSLContext | None = None) -> "Iterator[Peer]":
        entity = AE(ae_title="PACS")
        entity.add_supported_context("1.2.840.10008.1.1")
        entity.add_supported_context(SR, EXPLICIT)
        if takes_commitment:
            entity.add_supported_context(STORAGE_COMMITMENT, [EXPLICIT, IMPLICIT], scu_role=True, scp_role=True)
        handlers: list[Any] = [
            (evt.EVT_C_STORE, self._store),
            (evt.EVT_N_ACTION, self._act),
            (evt.EVT_N_EVENT_REPORT, self.take_report),
            (evt.EVT_PDU_SENT, self._sent),
        ]
        server = entity.start_server(("127.0.0.1", port), block=False, evt_handlers=handlers, ssl_context=tls)
        assert server is not None
        self.port = server.server_address[1]
        try:
            yield self
        finally:
            server.shutdown()

    def report(self, port: int, transaction_uid: str, reason: int | None, *, role: bool = True, **changes: Any) -> int:
        """N-EVENT-REPORT on an association of its own; gives the status."""
        uid = next(uids for transaction, uids in self.asked if transaction == transaction_uid)[0]
        caller = {"calling": changes.pop("calling", "PACS"), "tls": changes.pop("tls", None)}
        with associated(port, as_scp=role, **caller) as association:
            return send_report(association, transaction_uid, changes.pop("uid", uid), reason, **changes)

    def take_report_here(self, event: evt.Event) -> tuple[int, None]:
        """On an association of ours: it is not released before the answer has left, which pynetdicom sends on another thread."""
        self.owes_answer = True
        return self.take_report(event)

    def answer_left(self, event: evt.Event) -> None:
        """A PDU left; after a report, one of data is our answer."""
        if isinstance(event.pdu, P_DATA_TF):
            self.owes_answer = False

    def take_report(self, event: evt.Event) -> tuple[int, None]:
        assert isinstance(event.request, N_EVENT_REPORT)
        assert event.request.EventInformation is not None
        data_set = event.request.EventInformation.getvalue()
        self.results.append(read_result(data_set, str(event.context.transfer_syntax)))
        negotiated = event.assoc.requestor.role_selection.get(STORAGE_COMMITMENT)  # type: ignore[call-overload]  # pynetdicom's stubs know no UID here
        self.roles.append((negotiated.scu_role, negotiated.scp_role) if negotiated else (True, False))
        self.callers.append(str(event.assoc.requestor.ae_title))
        return self.event_status, None

    def _store(self, event: evt.Event) -> int:
        self.stored.append(str(event.dataset.SOPInstanceUID))
        return 0x0000

    def _act(self, event: evt.Event) -> tuple[int, None]:
        information = event.action_information
        uids = [str(item.ReferencedSOPInstanceUID) for item in information.ReferencedSOPSequence]
        self.asked.append((str(information.TransactionUID), uids))
        self.callers.append(str(event.assoc.requestor.ae_title))
        self.is_due = bool(self.reports_here)
        return self.action_status, None

    def _sent(self, event: evt.Event) -> None:
        if self.is_due and isinstance(event.pdu, P_DATA_TF):
            # The answer to N-ACTION has left.
            self.is_due = False
            reason, (transaction, (uid, *_)) = self.reports_here.pop(0), self.asked[-1]

            def report() -> None:
                self.report_statuses.append(send_report(event.assoc, transaction, uid, reason))

            threading.Thread(target=report, daemon=True).start()


SR = "1.2.840.10008.5.1.4.1.1.88.34"


def send_report(
    association: Association, transaction_uid: str, uid: str, reason: int | None, *, event_type: int | None = None, **changes: Any
) -> int:
    """Gives the status, -1 when there was no answer."""
    data_set, item = Dataset(), Dataset()
    data_set.TransactionUID = changes.get("transaction", transaction_uid)
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = SR, uid
    if reason is None:
        data_set.ReferencedSOPSequence = [item]
    else:
        item.FailureReason = reason
        data_set.FailedSOPSequence = [item]
    kind = event_type or (1 if reason is None else 2)
    status, _ = association.send_n_event_report(data_set, kind, STORAGE_COMMITMENT, changes.get("instance", WELL_KNOWN))
    return int(status.get("Status", -1))


@contextmanager
def associated(
    port: int,
    *,
    calling: str = "PACS",
    as_scp: bool = False,
    peer: Peer | None = None,
    syntax: str = EXPLICIT,
    tls: ssl.SSLContext | None = None,
) -> Iterator[Association]:
    """An association with our listener; `peer` takes what we report on it."""
    entity = AE(ae_title=calling)
    handlers: list[Any] = []
    if peer is not None:
        handlers = [(evt.EVT_N_EVENT_REPORT, peer.take_report_here), (evt.EVT_PDU_SENT, peer.answer_left)]
    association = entity.associate(
        "127.0.0.1",
        port,
        contexts=[build_context(US, EXPLICIT), build_context(STORAGE_COMMITMENT, syntax)],
        ae_title="SONOMYO",
        ext_neg=[build_role(STORAGE_COMMITMENT, scp_role=True)] if as_scp else [],
        evt_handlers=handlers,
        tls_args=None if tls is None else (tls, "127.0.0.1"),
    )
    assert association.is_established
    try:
        yield association
    finally:
        if peer is not None:
            wait_until(lambda: not (peer.owes_answer and association.is_established))
        association.release()


def store(association: Association, *uids: str) -> None:
    for uid in uids:
        data_set = ultrasound(SOPInstanceUID=uid)
        data_set.file_meta = FileMetaDataset()
        data_set.file_meta.TransferSyntaxUID = UID(EXPLICIT)
        assert association.send_c_store(data_set).Status == 0


def ask(association: Association, transaction_uid: str, *references: tuple[str, str], **changes: Any) -> int:
    """N-ACTION; gives the status."""
    asked = CommitmentRequest(transaction_uid=transaction_uid, references=tuple(Reference(*each) for each in references))
    status, _ = association.send_n_action(
        changes.get("data_set", request_data_set(asked)),
        changes.get("action", 1),
        STORAGE_COMMITMENT,
        changes.get("instance", WELL_KNOWN),
    )
    return int(status.Status)


def known(port: int, **changes: Any) -> KnownPeer:
    return KnownPeer(**{"ae_title": "PACS", "host": "127.0.0.1", "port": port, "timeout_seconds": 5, **changes})


def outcomes(result: CommitmentResult) -> dict[str, int | None]:
    """SOP Instance UID -> Failure Reason, None when we hold it."""
    held: dict[str, int | None] = {reference.sop_instance_uid: None for reference in result.committed}
    return held | {reference.sop_instance_uid: reason for reference, reason in result.failed}


def wait_for_result(peer: Peer) -> dict[str, int | None]:
    wait_until(lambda: bool(peer.results))
    return outcomes(peer.results[-1])
