"""Whether a DICOMweb server holds what it was sent: looked up by QIDO-RS (PS3.18 10.6), for DICOMweb has no Storage Commitment.

It is a commitment to the rest of the service: the same transactions, states, attempts and dead letters.
"""

import json
import time
from collections.abc import Callable

from service.adapters.stow import exchange_with
from service.commitment_ports import CommitmentTerms
from service.core.commitment import CommitmentRequest, CommitmentResult, FailureReason
from service.destination_settings import SearchSettings, StowDestinationSettings
from service.errors import InputRejected, Unavailable

_OK, _NO_CONTENT, _FIRST_SERVER_ERROR = 200, 204, 500
#: What may pass: too long, too early, too many.
_PASSING = frozenset({408, 425, 429})
_SOP_INSTANCE_UID = "00080018"
_LOOK_SECONDS = 0.5


class StowConfirmation:
    """Asks one server; implements commitment_ports.CommittingDestination."""

    def __init__(self, *, settings: StowDestinationSettings, search: SearchSettings) -> None:
        self._settings = settings
        self._wait_seconds = search.wait_seconds
        self._terms = CommitmentTerms(
            ae_title="",  # no peer has none, so nobody can report in its place
            is_required=True,
            deadline_seconds=search.wait_seconds + settings.timeout_seconds,
            maximum_requests=search.maximum_requests,
        )

    @property
    def terms(self) -> CommitmentTerms:
        """As configured."""
        return self._terms

    def ask(
        self, request: CommitmentRequest, *, answered: Callable[[CommitmentResult], None], is_answered: Callable[[], bool]
    ) -> None:
        """Look for each object, for a while. Raises Unavailable, or InputRejected for a server that lets nobody search."""
        del is_answered  # nobody else answers
        ends = time.monotonic() + self._wait_seconds
        missing = [one for one in request.references if not self._finds(one.sop_instance_uid)]
        while missing and (left := ends - time.monotonic()) > 0:
            time.sleep(min(left, _LOOK_SECONDS))
            missing = [one for one in missing if not self._finds(one.sop_instance_uid)]
        answered(
            CommitmentResult(
                transaction_uid=request.transaction_uid,
                committed=tuple(one for one in request.references if one not in missing),
                failed=tuple((one, int(FailureReason.NO_SUCH_OBJECT_INSTANCE)) for one in missing),
            )
        )

    def _finds(self, sop_instance_uid: str) -> bool:
        status, body = exchange_with(
            self._settings, "GET", "instances", params={"SOPInstanceUID": sop_instance_uid, "limit": "1"}
        )
        if status == _NO_CONTENT:
            return False
        if status >= _FIRST_SERVER_ERROR or status in _PASSING:
            raise Unavailable(f"The server cannot search now ({status}).", reason="server_error")
        if status != _OK:
            said = f"The server stored the object and does not let us search for it ({status}): leave confirm_by_search out"
            raise InputRejected(f"{said}, or allow searches of instances.", reason="search_refused")
        return sop_instance_uid in _found(body)


def _found(body: bytes) -> list[str]:
    """SOP Instance UIDs of an answer in DICOM JSON; a server that knows no such key may give others."""
    try:
        return [uid for one in json.loads(body) for uid in one[_SOP_INSTANCE_UID]["Value"]]
    except (ValueError, TypeError, LookupError) as error:
        raise Unavailable("The answer to the search is no DICOM JSON.", reason="answer_unreadable") from error
