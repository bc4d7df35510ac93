"""A PACS that is away, full, silent and broken by turns: the report waits, says why, and arrives once, by itself."""

import json
import threading
from collections import Counter
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
from pydicom.uid import Comprehensive3DSRStorage, ExplicitVRLittleEndian
from pynetdicom import evt
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.pdu import P_DATA_TF

from simulator.write import simulate
from tests.e2e.sending import send, study_of
from tests.integration.store_parts import Scp, running
from tests.running import RunningService, free_port, poll, running_service

pytestmark = pytest.mark.timeout(900)

Behaviour = Literal["full", "silent", "aborting", "cutting", "well"]
#: Small, so that the report takes many of them.
PDU_BYTES = 4096
TIMEOUT_SECONDS = 3.0
#: Back-off doubles with each attempt, and a busy machine needs more of them.
PATIENCE_SECONDS = 150.0
#: The message control header (PS3.8 E.2): the fragment is one of the command; it is the last one.
IS_OF_COMMAND, IS_LAST = 0b01, 0b10
#: By the service user (PS3.8 9.3.8).
A_ABORT = bytes.fromhex("07 00 00000004 00 00 00 00")


@dataclass
class Pacs:
    """Takes structured reports and nothing else, and behaves as it is told; it keeps what came whole, whatever it answers."""

    behaviour: Behaviour = "full"
    #: How often each behaviour was met.
    met: Counter[Behaviour] = field(default_factory=Counter)
    sop_instance_uids: set[str] = field(default_factory=set)
    #: Ends every silence.
    over: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._scp = Scp(self._answer)

    @property
    def received(self) -> list[bytes]:
        """Data sets, in the order that they came in."""
        return self._scp.received

    def running(self, port: int) -> AbstractContextManager[Scp]:
        """The peer, listening."""
        only = (Comprehensive3DSRStorage, ExplicitVRLittleEndian)
        handlers: list[evt.EventHandlerType] = [(evt.EVT_PDU_RECV, self._look)]
        return running(self._scp, only, port=port, maximum_pdu_size=PDU_BYTES, handlers=handlers)

    def _answer(self, event: evt.Event) -> int:
        behaviour = self.behaviour
        self.met[behaviour] += 1
        assert isinstance(event.request, C_STORE)
        self.sop_instance_uids.add(str(event.request.AffectedSOPInstanceUID))
        match behaviour:
            case "full":
                return 0xA700
            case "silent":
                self.over.wait(PATIENCE_SECONDS)
            case "aborting":
                event.assoc.abort(block=False)
        return 0x0000

    def _look(self, event: evt.Event) -> None:
        """Cuts the association amid the data set, before the next PDU is read: an abort by pynetdicom would read on meanwhile."""
        if self.behaviour == "cutting" and isinstance(event.pdu, P_DATA_TF) and _is_amid_data(event.pdu):
            self.met["cutting"] += 1
            connection = event.assoc.dul.socket
            assert connection is not None
            connection.send(A_ABORT)
            connection.close()


def _is_amid_data(pdu: P_DATA_TF) -> bool:
    values = (item.presentation_data_value for item in pdu.presentation_data_value_items)
    return any(value is not None and not value[0] & (IS_OF_COMMAND | IS_LAST) for value in values)


@dataclass
class Outbox:
    """What the report's JSON says of its way to the PACS."""

    service: RunningService
    study: str

    def delivery(self, kind: str) -> dict[str, Any]:
        """Where one object stands."""
        report = self.service.report(self.study)
        return next(one for one in report["delivery"] if one["kind"].partition(".")[0] == kind)

    def waits(self, error: str, *, after: int = 0) -> dict[str, Any]:
        """The report's delivery, once it is told to wait, after more attempts than that, for this reason."""

        def told() -> dict[str, Any] | None:
            one = self.delivery("sr")
            assert one["state"] == "pending", one
            return one if one["attempts"] > after and error in (one["last_error"] or "") else None

        return poll(told, timeout_seconds=PATIENCE_SECONDS, what=f"a delivery that waits because of {error!r}")

    def waits_after(self, pacs: Pacs, behaviour: Behaviour, error: str) -> dict[str, Any]:
        """The same, after the PACS has behaved so."""
        before = self.delivery("sr")["attempts"]
        pacs.behaviour = behaviour
        poll(lambda: pacs.met[behaviour], timeout_seconds=PATIENCE_SECONDS, what=f"an attempt that finds the PACS {behaviour}")
        return self.waits(error, after=before)

    def ends(self, kind: str, state: str) -> dict[str, Any]:
        """The delivery of an object, once it is in a state."""

        def ended() -> dict[str, Any] | None:
            one = self.delivery(kind)
            return one if one["state"] == state else None

        return poll(ended, timeout_seconds=PATIENCE_SECONDS, what=f"{kind} {state}")


def test_report_to_a_faulty_pacs_waits_visibly_and_arrives_once_by_itself(tmp_path: Path) -> None:
    (path,) = simulate("calf", tmp_path / "cines", n=1, seed=11, transfer_syntax="jpeg", number_of_frames=20)
    port, pacs = free_port(), Pacs()
    settings = {"name": "pacs", "host": "127.0.0.1", "port": port, "ae_title": "PACS", "kinds": ["sr", "seg"]}
    settings["timeout_seconds"] = TIMEOUT_SECONDS
    with running_service(tmp_path / "service", destinations=json.dumps([settings]), stable_age_seconds="60") as service:
        send(service, path)
        service.complete(study_of(path))
        outbox = Outbox(service, study_of(path))

        away = outbox.waits("cannot be reached")
        poll(lambda: outbox.delivery("sr")["next_attempt_at"], timeout_seconds=PATIENCE_SECONDS, what="the next attempt")

        with pacs.running(port):
            outbox.waits_after(pacs, "full", "0xA700")
            # The class that it does not take is told at once and holds nothing up.
            refused = outbox.ends("seg", "refused")
            assert "takes no such SOP class" in refused["last_error"]

            outbox.waits_after(pacs, "silent", "gave no answer")
            outbox.waits_after(pacs, "aborting", "gave no answer")

            whole = len(pacs.received)
            outbox.waits_after(pacs, "cutting", "")
            assert len(pacs.received) == whole

            pacs.behaviour = "well"
            delivered = outbox.ends("sr", "delivered")
            pacs.over.set()

        assert pacs.met["well"] == 1
        assert len(set(pacs.received)) == 1
        assert pacs.sop_instance_uids == {delivered["sop_instance_uid"]}
        assert (delivered["last_error"], delivered["next_attempt_at"]) == (None, None)
        assert delivered["attempts"] >= away["attempts"] + sum(pacs.met.values())
        assert outbox.delivery("seg")["state"] == "refused"
        # A job is closed after what it did is committed.
        poll(lambda: _states(service) == {"succeeded"}, timeout_seconds=PATIENCE_SECONDS, what="the end of every delivery's job")


def _states(service: RunningService) -> set[str]:
    jobs = service.api.get("/api/v1/jobs", params={"task": "deliver_report"}).json()["jobs"]
    return {job["state"] for job in jobs}
