"""Storage Commitment on associations that we open (PS3.4 J): N-ACTION as SCU, N-EVENT-REPORT as SCP."""

import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog
from pydicom.dataset import Dataset
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import N_EVENT_REPORT
from pynetdicom.pdu import P_DATA_TF

from service.adapters.store_association import Context, Peer, open_association
from service.commitment_ports import CommitmentTerms
from service.core.commitment import (
    REQUEST_ACTION,
    STORAGE_COMMITMENT_INSTANCE,
    CommitmentRequest,
    CommitmentResult,
    CommitmentStatus,
    read_result,
    request_data_set,
    result_data_set,
    status_of,
)
from service.core.dataset_scan import IMPLICIT_LITTLE_ENDIAN
from service.core.dicom_syntaxes import STORAGE_COMMITMENT
from service.destination_settings import CommitmentSettings, DicomDestinationSettings
from service.errors import InputRejected, SonomyoError, Unavailable
from service.settings import KnownPeer

_EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
_CONTEXTS: tuple[Context, ...] = (
    (STORAGE_COMMITMENT, _EXPLICIT_LITTLE_ENDIAN),
    (STORAGE_COMMITMENT, IMPLICIT_LITTLE_ENDIAN),
)
#: What will not change by asking again: no such instance, argument, class, action or event, mistyped or not authorised.
_REFUSALS = frozenset({0x0112, 0x0113, 0x0114, 0x0115, 0x0117, 0x0118, 0x0119, 0x0122, 0x0123, 0x0124, 0x0211, 0x0212})
#: An association that ended, and a report that came by another way, are seen within this time.
_LOOK_SECONDS = 0.25
#: A report is kept in the database before our response to it leaves.
_RESPONSE_SECONDS = 30.0


class CommitmentScu:
    """Asks one destination; implements commitment_ports.CommittingDestination."""

    def __init__(self, *, peer: Peer, settings: CommitmentSettings) -> None:
        self._peer = peer
        self._wait_seconds = settings.wait_seconds
        self._terms = CommitmentTerms(
            ae_title=peer.ae_title,
            is_required=settings.required,
            deadline_seconds=settings.deadline_seconds,
            maximum_requests=settings.maximum_requests,
        )

    @property
    def terms(self) -> CommitmentTerms:
        """As configured."""
        return self._terms

    def ask(
        self, request: CommitmentRequest, *, answered: Callable[[CommitmentResult], None], is_answered: Callable[[], bool]
    ) -> None:
        """N-ACTION, then a while for reports on the same association. Raises Unavailable, InputRejected."""
        reports = _Reports(answered, request.transaction_uid)
        with _commitment_association(self._peer, handlers=reports.handlers()) as association:
            status, _ = _sent(
                association,
                lambda: association.send_n_action(
                    request_data_set(request), REQUEST_ACTION, STORAGE_COMMITMENT, STORAGE_COMMITMENT_INSTANCE
                ),
            )
            _judge(status, "the request for Storage Commitment")
            reports.wait(association, self._wait_seconds, is_answered)


class CommitmentPeer:
    """Reports to one peer at its own address; implements commitment_ports.ReportingPeer."""

    def __init__(self, *, settings: KnownPeer) -> None:
        self._settings = settings

    def report(self, result: CommitmentResult, *, calling_ae_title: str) -> None:
        """N-EVENT-REPORT, in the role of the SCP (PS3.4 J.3.3). Raises Unavailable, InputRejected."""
        with _commitment_association(self.peer(calling_ae_title), as_scp_of=STORAGE_COMMITMENT) as association:
            status, _ = _sent(
                association,
                lambda: association.send_n_event_report(
                    result_data_set(result), result.event_type, STORAGE_COMMITMENT, STORAGE_COMMITMENT_INSTANCE
                ),
            )
            _judge(status, "the report on Storage Commitment")

    def peer(self, calling_ae_title: str) -> Peer:
        """Whom to call."""
        settings = self._settings
        return Peer(
            host=settings.host,
            port=settings.port,
            ae_title=settings.ae_title,
            calling_ae_title=calling_ae_title,
            timeout_seconds=settings.timeout_seconds,
            tls=settings.tls,
        )


def peer_to_ask(destination: DicomDestinationSettings, settings: CommitmentSettings, *, calling_ae_title: str) -> Peer:
    """The application entity that stores, unless another one is set."""
    return Peer(
        host=settings.host or destination.host,
        port=settings.port or destination.port,
        ae_title=settings.ae_title or destination.ae_title,
        calling_ae_title=calling_ae_title,
        timeout_seconds=destination.timeout_seconds,
        tls=destination.tls,
    )


def probe(peer: Peer) -> None:
    """Whether a peer takes the presentation context; nothing is asked. Raises Unavailable, InputRejected."""
    with _commitment_association(peer):
        return


class _Reports:
    """What the peer reports on the association of our request; pynetdicom calls `take` and `sent` on threads of its own."""

    def __init__(self, answered: Callable[[CommitmentResult], None], transaction_uid: str) -> None:
        self._answered = answered
        self._transaction_uid = transaction_uid
        self._is_there = False
        #: A report was taken, and our response has not left yet: a release now would overtake it.
        self._owes_response = False
        self._changed = threading.Event()

    def handlers(self) -> list[evt.EventHandlerType]:
        """For the association."""
        return [(evt.EVT_N_EVENT_REPORT, self.take), (evt.EVT_PDU_SENT, self.sent)]

    def take(self, event: evt.Event) -> tuple[int, Dataset | None]:
        """Kept first, acknowledged then."""
        self._owes_response = True
        try:
            request = event.request
            information = request.EventInformation if isinstance(request, N_EVENT_REPORT) else None
            result = read_result(b"" if information is None else information.getvalue(), str(event.context.transfer_syntax))
            self._answered(result)
        except Exception as error:  # noqa: BLE001 - whatever it is, the peer gets a status
            status = status_of(error)
            fault = None if isinstance(error, SonomyoError) else error
            structlog.get_logger().warning("commitment_report_not_taken", status=f"0x{status:04X}", exc_info=fault)
            return status, None
        if result.transaction_uid == self._transaction_uid:
            self._is_there = True
        return CommitmentStatus.SUCCESS, None

    def sent(self, event: evt.Event) -> None:
        """A PDU left; after a report, one of data is our response."""
        if self._owes_response and isinstance(event.pdu, P_DATA_TF):
            self._owes_response = False
            self._changed.set()

    def wait(self, association: Association, seconds: float, is_answered: Callable[[], bool]) -> None:
        """Until the report is there, be it by another way, the association has ended or the time is over.

        A response that we owe then has some seconds more to leave.
        """
        # The waiting is bounded here: pynetdicom's own look at idleness would release beneath us.
        association.network_timeout = None
        ends = time.monotonic() + seconds
        while association.is_established and time.monotonic() < ends + (_RESPONSE_SECONDS if self._owes_response else 0.0):
            self._changed.wait(_LOOK_SECONDS)
            self._changed.clear()
            if not self._owes_response and (self._is_there or is_answered()):
                return


@contextmanager
def _commitment_association(
    peer: Peer, *, as_scp_of: str | None = None, handlers: list[evt.EventHandlerType] | None = None
) -> Iterator[Association]:
    try:
        with open_association(peer, _CONTEXTS, as_scp_of=as_scp_of, handlers=handlers or ()) as association:
            yield association
    except InputRejected as error:
        if error.reason != "no_accepted_context":
            raise
        raise InputRejected(f"{peer.ae_title} takes no Storage Commitment.", reason="no_accepted_context") from error


def _sent(association: Association, send: Callable[[], tuple[Dataset, Dataset | None]]) -> tuple[Dataset, Dataset | None]:
    try:
        return send()
    except (queue.Full, RuntimeError, OSError) as error:
        if association.is_established:
            association.abort()
        raise Unavailable("The association ended before there was an answer.", reason="association_lost") from error


def _judge(status: Dataset, what: str) -> None:
    """Raises Unavailable or InputRejected unless it is success or a warning (PS3.7 C)."""
    if "Status" not in status:
        raise Unavailable(f"The peer gave no answer to {what}.", reason="no_answer")
    value = int(status.Status)
    if value in _REFUSALS:
        raise InputRejected(f"The peer refused {what} for good, status 0x{value:04X}.", reason="refused")
    if value not in (0x0000, 0x0107, 0x0116) and not 0xB000 <= value < 0xC000:  # noqa: PLR2004 - warnings, PS3.7 C.3
        raise Unavailable(f"The peer could not take {what} now, status 0x{value:04X}.", reason="not_taken")
