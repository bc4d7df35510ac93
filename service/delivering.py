"""What the steps that send do with one object and one destination: send it, and write down what came of it."""

from collections.abc import Mapping
from dataclasses import dataclass

from service.commitment import AWAITING, Commitments
from service.core.report import Report
from service.errors import InputRejected, NotFound, Unavailable
from service.ports import Destination, UnitOfWork, UnitOfWorkFactory
from service.publication import Publication, is_rejection, obstacle, send_overtaken_again


@dataclass(frozen=True, slots=True, kw_only=True)
class Deliverer:
    """Loads in one transaction, sends while nothing is locked, and notes the answer in another one."""

    units: UnitOfWorkFactory
    publication: Publication
    destinations: Mapping[str, Destination]
    #: None where no destination is asked, and no peer may ask, what is held.
    commitments: Commitments | None

    def deliver(self, report_id: str, destination: str, kind: str) -> None:
        """Send the kept bytes if they still may go, then ask whether they are held. Raises Unavailable, Paused, InputRejected."""
        if self.commitments is not None and self.commitments.pursue(report_id, destination, kind):
            return
        with self.units() as unit:
            report = unit.reports.get(report_id)
            study = unit.studies.lock(report.study.study_instance_uid)
            if unit.outbox.lock(report_id, destination, kind).state != "pending":
                return
            found = None if is_rejection(kind) else obstacle(unit, report, study)
            if found is not None:
                unit.outbox.set_aside(report_id, destination, kind, state=found[0], reason=found[1])
                return
            target = self.destinations.get(destination)
            if target is None:
                raise NotFound(f"There is no destination named {destination}; it was removed from the settings.")
            unit.circuits.admit(destination)
            rendered = unit.reports.rendered(report_id, kind)
            began_at = unit.now()
        try:
            target.send(rendered)
        except Unavailable as error:
            with self.units() as unit:
                unit.circuits.failed(destination, str(error), began_at=began_at)
            raise
        except InputRejected as refused:
            self._end(report, destination, kind, state="refused", error=str(refused))
            return
        if self.commitments is None or not self.commitments.asks(destination):
            self._end(report, destination, kind, state="delivered", error=None)
            return
        self._end(report, destination, kind, state=AWAITING, error=None)
        self.commitments.pursue(report_id, destination, kind)

    def give_up(self, report_id: str, destination: str, kind: str, reason: str, *, final: bool) -> None:
        """Record a failed attempt; after the last one the delivery is a dead letter."""
        with self.units() as unit:
            if self.commitments is not None and self.commitments.note_failure(
                unit, report_id, destination, kind, reason, final=final
            ):
                return
            _close(unit, report_id, destination, kind, state="failed" if final else "pending", error=reason)

    def _end(self, report: Report, destination: str, kind: str, *, state: str, error: str | None) -> None:
        """The destination has answered: what waits for it goes, too."""
        delivery = report.report_id, destination, kind
        study_instance_uid = report.study.study_instance_uid
        with self.units() as unit:
            unit.studies.lock(study_instance_uid)
            was_superseded = unit.outbox.lock(*delivery).state == "superseded"
            if state == "delivered":
                send_overtaken_again(unit, *delivery)
            if _close(unit, *delivery, state=state, error=error) and state == AWAITING:
                unit.commitments.open(*delivery)
            official = unit.reports.official(study_instance_uid) if was_superseded else None
            if official is not None:
                self.publication.retract(unit, official)  # where it was withdrawn while this was on its way
            if unit.circuits.answered(destination):
                unit.jobs.hasten_deliveries(destination)


def _close(unit: UnitOfWork, report_id: str, destination: str, kind: str, *, state: str, error: str | None) -> bool:
    # What has gone out is told as delivered, even when a newer version took its place meanwhile.
    is_open = unit.outbox.lock(report_id, destination, kind).state == "pending" or state in ("delivered", AWAITING)
    if is_open:
        unit.outbox.close(report_id, destination, kind, state=state, error=error)
    return is_open
