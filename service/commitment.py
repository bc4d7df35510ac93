"""Storage Commitment (PS3.4 J): whether destinations hold what we delivered, and whether we hold what peers ask for.

A delivery to a destination that is asked waits, once it is stored, until the destination says that it holds the object. Each
question is a transaction, kept before it is asked; the first answer to it is kept before it is acknowledged, and the delivery's
job then does what follows. So nothing is lost by a crash at any point, and what comes twice changes nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

from service.commitment_ports import (
    AskedCommitment,
    CommittingDestination,
    HeldCopy,
    KeptRequest,
    ReceivedRequest,
    ReportingPeer,
)
from service.core.commitment import CommitmentRequest, CommitmentResult, KeptCopy, judge_copies, name_reason
from service.errors import InputRejected, NotFound, SonomyoError, Unavailable
from service.ports import InstanceStore, UnitOfWork, UnitOfWorkFactory

#: The state of a delivery that was stored and is not known to be held.
AWAITING = "awaiting_commitment"
#: Between a destination's failure and sending again, doubling.
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 30.0, 900.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Commitments:
    """The steps, in both roles."""

    units: UnitOfWorkFactory
    store: InstanceStore
    #: Those that are asked, by name.
    destinations: Mapping[str, CommittingDestination] = field(default_factory=dict)
    #: Those that may ask and whose address is known, by AE title.
    peers: Mapping[str, ReportingPeer] = field(default_factory=dict)

    # -- we ask (SCU) --

    def asks(self, destination: str) -> bool:
        """Whether what is stored there has to be committed."""
        return destination in self.destinations

    def pursue(self, report_id: str, destination: str, kind: str) -> bool:
        """Do what is next for a delivery that was stored; False when this one does not wait for a commitment.

        Raises Unavailable and Paused, to be tried again, and InputRejected (`not_committed`) after the last request.
        """
        with self.units() as unit:
            if unit.outbox.lock(report_id, destination, kind).state != AWAITING:
                return False
            due = self._next(unit, report_id, destination, kind)
        if isinstance(due, InputRejected):
            raise due
        if due is not None and self._ask(due):
            self.pursue(report_id, destination, kind)
        return True

    def answer(self, result: CommitmentResult, *, ae_title: str) -> None:
        """A peer reports; returns after the commit.

        Raises NotFound when no such transaction was opened with it, InputRejected when the report misses its object.
        """
        with self.units() as unit:
            asked = unit.commitments.find(result.transaction_uid)
            if asked is None or not self._is_of(asked.destination, ae_title):
                raise NotFound("No such transaction was opened with this AE title.")
            delivery = asked.report_id, asked.destination, asked.kind
            reason = result.failure_of(asked.reference.sop_instance_uid)
            state = unit.outbox.lock(*delivery).state
            if not unit.commitments.answer(asked.transaction_uid, reason):
                return
            if reason is None and state in ("pending", "failed"):
                # Late, but it holds the object: there is nothing to send again, or to be mended.
                unit.outbox.set_aside(*delivery, state=AWAITING, reason=None)
                state = AWAITING
            if state == AWAITING:
                unit.jobs.hasten_delivery(*delivery)

    def note_failure(self, unit: UnitOfWork, report_id: str, destination: str, kind: str, reason: str, *, final: bool) -> bool:
        """Record that a request failed; False when this delivery does not wait for a commitment."""
        if unit.outbox.lock(report_id, destination, kind).state != AWAITING:
            return False
        asked = unit.commitments.of_delivery(report_id, destination, kind)
        if any(one.state == "committed" for one in asked):
            unit.outbox.set_aside(report_id, destination, kind, state="delivered", reason=None)
            return True
        is_missing = bool(asked) and asked[-1].state == "failed"
        state = AWAITING if not final else "failed" if is_missing or self._is_required(destination) else "delivered"
        unit.outbox.set_aside(report_id, destination, kind, state=state, reason=reason)
        return True

    # -- we are asked (SCP) --

    def keep(self, request: CommitmentRequest, *, calling_ae_title: str, called_ae_title: str) -> KeptRequest:
        """One commit of the request and, where the peer's address is known, of the job that reports; then 0x0000."""
        has_address = calling_ae_title in self.peers
        with self.units() as unit:
            request_id = unit.commitments.keep(request, calling_ae_title=calling_ae_title, called_ae_title=called_ae_title)
            if has_address:
                unit.jobs.report_commitment(request_id)
        return KeptRequest(request_id, is_reported_here=not has_address)

    def judge(self, request_id: int) -> CommitmentResult:
        """What we hold at this moment of what a request names. Raises NotFound, Unavailable."""
        _, result = self._judge(request_id)
        return result

    def report(self, request_id: int) -> None:
        """Tell the peer, on an association of our own. Raises Unavailable, InputRejected, NotFound."""
        received, result = self._judge(request_id)
        if received.state == "reported":
            return
        try:
            self._peer(received.calling_ae_title).report(result, calling_ae_title=received.called_ae_title)
        except SonomyoError as error:
            with self.units() as unit:
                unit.commitments.not_reported(request_id, f"{error.reason}: {error}")
            raise
        self.reported(request_id, result)

    def reported(self, request_id: int, result: CommitmentResult) -> None:
        """The peer has answered the report."""
        with self.units() as unit:
            unit.commitments.reported(request_id, result)

    # -- parts of the steps above, in the order of use --

    def _next(self, unit: UnitOfWork, report_id: str, destination: str, kind: str) -> AskedCommitment | InputRejected | None:
        """What to ask now, or why it ends; None when it is settled, or waits for its deadline."""
        delivery = report_id, destination, kind
        target = self.destinations.get(destination)
        asked = unit.commitments.of_delivery(*delivery)
        if target is None or any(one.state == "committed" for one in asked):
            unit.outbox.set_aside(*delivery, state="delivered", reason=None)
            return None
        newest = asked[-1] if asked else None
        if newest is not None and newest.state == "failed":
            return self._send_again(unit, target, asked)
        if newest is not None and newest.accepted_at is not None:
            left = (newest.accepted_at + timedelta(seconds=target.terms.deadline_seconds) - unit.now()).total_seconds()
            if newest.state == "asked" and left > 0:
                unit.jobs.deliver_report(*delivery, after_seconds=left)
                return None
            unit.commitments.expire(newest.transaction_uid)
            if _counted(asked) >= target.terms.maximum_requests:
                return self._end_unanswered(unit, target, newest)
            newest = None
        unit.circuits.admit(destination)
        return newest or unit.commitments.open(*delivery)

    def _send_again(
        self, unit: UnitOfWork, target: CommittingDestination, asked: Sequence[AskedCommitment]
    ) -> InputRejected | None:
        newest, counted = asked[-1], _counted(asked)
        delivery = newest.report_id, newest.destination, newest.kind
        said = f"The destination says that it does not hold the object ({name_reason(newest.failure_reason or 0)})"
        if counted >= target.terms.maximum_requests:
            unit.commitments.discount(*delivery)
            return InputRejected(f"{said}, though it was sent {counted} times.", reason="not_committed")
        unit.outbox.set_aside(*delivery, state="pending", reason=f"{said}; it is sent again.")
        pause = min(_FIRST_PAUSE_SECONDS * 2 ** max(counted - 1, 0), _LONGEST_PAUSE_SECONDS)
        unit.jobs.deliver_report(*delivery, after_seconds=pause)
        return None

    def _end_unanswered(self, unit: UnitOfWork, target: CommittingDestination, newest: AskedCommitment) -> InputRejected | None:
        delivery, terms = (newest.report_id, newest.destination, newest.kind), target.terms
        said = f"The destination stored the object and did not say within {terms.deadline_seconds:g} s that it holds it,"
        ended = InputRejected(f"{said} asked {terms.maximum_requests} times.", reason="not_committed")
        unit.commitments.discount(*delivery)
        if terms.is_required:
            return ended
        unit.outbox.set_aside(*delivery, state="delivered", reason=f"{ended.reason}: {ended}")
        return None

    def _ask(self, asked: AskedCommitment) -> bool:
        """False when the destination will take no request; what it reports meanwhile is kept as any other answer."""
        target = self.destinations[asked.destination]
        request = CommitmentRequest(transaction_uid=asked.transaction_uid, references=(asked.reference,))
        with self.units() as unit:
            began_at = unit.now()
        refusal = None
        try:
            target.ask(
                request,
                answered=partial(self.answer, ae_title=target.terms.ae_title),
                is_answered=partial(self._is_answered, asked.transaction_uid),
            )
        except Unavailable as error:
            with self.units() as unit:
                unit.circuits.failed(asked.destination, str(error), began_at=began_at)
            raise
        except InputRejected as error:
            refusal = error
        with self.units() as unit:
            if refusal is None:
                unit.commitments.accepted(asked.transaction_uid)
            else:
                self._end_refused(unit, target, asked, str(refusal))
            if unit.circuits.answered(asked.destination):
                unit.jobs.hasten_deliveries(asked.destination)
        return refusal is None

    def _is_answered(self, transaction_uid: str) -> bool:
        with self.units() as unit:
            asked = unit.commitments.find(transaction_uid)
        return asked is None or asked.state in ("committed", "failed")

    def _end_refused(self, unit: UnitOfWork, target: CommittingDestination, asked: AskedCommitment, why: str) -> None:
        delivery = asked.report_id, asked.destination, asked.kind
        if unit.outbox.lock(*delivery).state == AWAITING:
            state = "refused" if target.terms.is_required else "delivered"
            unit.outbox.set_aside(*delivery, state=state, reason=why)

    def _is_of(self, destination: str, ae_title: str) -> bool:
        target = self.destinations.get(destination)
        return target is not None and target.terms.ae_title == ae_title

    def _is_required(self, destination: str) -> bool:
        target = self.destinations.get(destination)
        return target is not None and target.terms.is_required

    def _peer(self, ae_title: str) -> ReportingPeer:
        try:
            return self.peers[ae_title]
        except KeyError:
            said = f"No address of the AE title {ae_title} is known any more; SONOMYO_DICOM__PEERS names it."
            raise NotFound(said) from None

    def _judge(self, request_id: int) -> tuple[ReceivedRequest, CommitmentResult]:
        with self.units() as unit:
            received = unit.commitments.received(request_id)
            references = received.request.references
            copies = unit.commitments.copies([each.sop_instance_uid for each in references])
        judged = [
            (each, judge_copies(each, [self._look(one) for one in copies.get(each.sop_instance_uid, ())])) for each in references
        ]
        return received, CommitmentResult(
            transaction_uid=received.request.transaction_uid,
            committed=tuple(each for each, reason in judged if reason is None),
            failed=tuple((each, int(reason)) for each, reason in judged if reason is not None),
        )

    def _look(self, copy: HeldCopy) -> KeptCopy:
        """The row alone is no proof: the file must be there, and as long as it was."""
        if copy.storage_key is None:
            return KeptCopy(copy.sop_class_uid, "whole")
        try:
            size_bytes = self.store.path(copy.storage_key).stat().st_size
        except (NotFound, FileNotFoundError):
            return KeptCopy(copy.sop_class_uid, "missing")
        except OSError:
            return KeptCopy(copy.sop_class_uid, "altered")
        return KeptCopy(copy.sop_class_uid, "whole" if size_bytes == copy.size_bytes else "altered")


def _counted(asked: Sequence[AskedCommitment]) -> int:
    return sum(one.counts for one in asked)
