"""Which destinations a report goes to: decided by the rules once, when it is composed, and kept."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from service.core.delivery_rules import (
    NOBODY,
    Analysed,
    DeliveryDecision,
    DeliveryRule,
    DeliverySubject,
    choose_destinations,
    needs_review,
    withheld,
)
from service.core.findings import Finding
from service.core.report import Report, ReportStatus
from service.ports import Destination, UnitOfWork
from service.records import StoredAnalysis, StoredInstance


@dataclass(frozen=True, slots=True)
class Dispatch:
    """Destinations, and the rules over them."""

    destinations: Mapping[str, Destination]
    rules: Sequence[DeliveryRule] = ()

    def decisions(self, unit: UnitOfWork, report: Report) -> Sequence[DeliveryDecision]:
        """One for each destination; what is made of the report later goes as was decided when it was composed."""
        kept = unit.outbox.decisions(report.report_id)
        if kept:
            return kept
        study = report.study.study_instance_uid
        return self.decide(unit, report, unit.instances.current(study), unit.analyses.without_pictures(study))

    def decide(
        self, unit: UnitOfWork, report: Report, instances: Sequence[StoredInstance], analyses: Sequence[StoredAnalysis]
    ) -> Sequence[DeliveryDecision]:
        """By what the report rests on; kept."""
        subject = subject_of(report.status, report.findings, instances, analyses)
        made = self.choose(subject, reached=unit.outbox.reached(report))
        unit.outbox.keep_decisions(report.report_id, made)
        return made

    def withhold(self, unit: UnitOfWork, report: Report, reason: str) -> None:
        """It goes nowhere, whatever the rules say; `reason` is a clause."""
        unit.outbox.keep_decisions(report.report_id, withheld(self.destinations, reason))

    def choose(self, subject: DeliverySubject, *, reached: Mapping[str, Collection[str]] = NOBODY) -> Sequence[DeliveryDecision]:
        """What the rules say now."""
        takes = {name: destination.kinds for name, destination in self.destinations.items()}
        return choose_destinations(subject, takes, self.rules, reached=reached)


def subject_of(
    status: ReportStatus, findings: Sequence[Finding], instances: Sequence[StoredInstance], analyses: Sequence[StoredAnalysis]
) -> DeliverySubject:
    """What the rules look at of a report over these instances."""
    arrivals = {instance.instance_id: instance.arrival for instance in instances}
    return DeliverySubject(
        status=status,
        analysed=tuple(Analysed(arrivals[one.instance_id], one.analysis_name) for one in analyses if one.instance_id in arrivals),
        needs_review=needs_review(status, findings, is_incomplete=any(one.state == "failed" for one in analyses)),
    )
