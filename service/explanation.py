"""Which rule chose each analysis of a study and each destination of its report, as was decided then, or would be now."""

from collections.abc import Sequence
from dataclasses import dataclass

from service.core.conditions import LookedAt, looked_at
from service.core.delivery_rules import NOBODY, DeliveryDecision
from service.core.findings import Value
from service.core.report import Report, ReportStatus
from service.core.routing import RoutingDecision, RoutingRules, select_analyses
from service.dispatch import Dispatch, subject_of
from service.ports import UnitOfWork, UnitOfWorkFactory
from service.records import StoredAnalysis, StoredInstance
from service.views import ReportSummary


class ExplainedAnalysis(Value):
    """Whether one analysis runs on one instance, and why."""

    analysis_name: str
    selected: bool
    #: The name of the rule that decided, or `analysis_ae_titles`.
    rule: str | None
    why: str
    #: True: as it was decided when the instance came. False: as the rules would decide now.
    is_kept: bool
    #: Of one that was selected: queued, done, rejected or failed.
    state: str | None = None


class ExplainedInstance(Value):
    """One current instance of a study, and what the rules looked at."""

    instance_id: int
    sop_instance_uid: str
    looked_at: LookedAt
    analyses: tuple[ExplainedAnalysis, ...]


class ExplainedDestination(Value):
    """Whether a report goes to one destination, and why."""

    destination: str
    selected: bool
    #: Those of the destination's kinds that go.
    kinds: tuple[str, ...]
    #: The name of the rule that decided; null where none did.
    rule: str | None
    why: str
    #: True: as it was decided when the report was composed. False: as the rules would decide now.
    is_kept: bool


class StudyExplanation(Value):
    """Which rule chose what of one study."""

    study_instance_uid: str
    #: The newest version, which the destinations are of; null where there is none, and they are those of a preliminary one.
    report: ReportSummary | None
    instances: tuple[ExplainedInstance, ...]
    destinations: tuple[ExplainedDestination, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Explainer:
    """Reads what was decided, and asks the rules for the rest."""

    units: UnitOfWorkFactory
    rules: RoutingRules
    dispatch: Dispatch

    def study(self, study_instance_uid: str) -> StudyExplanation:
        """Raises NotFound, Unavailable."""
        with self.units() as unit:
            unit.studies.header(study_instance_uid)
            report = unit.reports.newest(study_instance_uid)
            instances = unit.instances.current(study_instance_uid)
            analyses = unit.analyses.without_pictures(study_instance_uid)
            return StudyExplanation(
                study_instance_uid=study_instance_uid,
                report=None if report is None else _summary(report),
                instances=tuple(self._instance(one, analyses) for one in instances),
                destinations=self._destinations(unit, report, instances, analyses),
            )

    def _instance(self, instance: StoredInstance, analyses: Sequence[StoredAnalysis]) -> ExplainedInstance:
        kept = {one.analysis_name: one for one in analyses if one.instance_id == instance.instance_id}
        now = {decision.analysis_name: decision for decision in select_analyses(instance.arrival, self.rules)}
        return ExplainedInstance(
            instance_id=instance.instance_id,
            sop_instance_uid=instance.attributes.sop_instance_uid,
            looked_at=looked_at(instance.arrival),
            analyses=tuple(
                _kept_analysis(kept[name]) if name in kept else analysis_now(now[name]) for name in dict.fromkeys((*now, *kept))
            ),
        )

    def _destinations(
        self, unit: UnitOfWork, report: Report | None, instances: Sequence[StoredInstance], analyses: Sequence[StoredAnalysis]
    ) -> tuple[ExplainedDestination, ...]:
        kept = [] if report is None else unit.outbox.decisions(report.report_id)
        if kept:
            return tuple(told_destination(one, is_kept=True) for one in kept)
        status = ReportStatus.PRELIMINARY if report is None else report.status
        findings = [finding for one in analyses for finding in one.findings] if report is None else report.findings
        reached = NOBODY if report is None else unit.outbox.reached(report)
        decisions = self.dispatch.choose(subject_of(status, findings, instances, analyses), reached=reached)
        return tuple(told_destination(one, is_kept=False) for one in decisions)


def _summary(report: Report) -> ReportSummary:
    return ReportSummary(
        report_id=report.report_id, version=report.version, status=report.status.value, created_at=report.created_at
    )


def _kept_analysis(kept: StoredAnalysis) -> ExplainedAnalysis:
    return ExplainedAnalysis(
        analysis_name=kept.analysis_name, selected=True, rule=kept.rule, why=kept.why, is_kept=True, state=kept.state
    )


def analysis_now(decision: RoutingDecision) -> ExplainedAnalysis:
    """As the rules decide now."""
    return ExplainedAnalysis(
        analysis_name=decision.analysis_name, selected=decision.selected, rule=decision.rule, why=decision.why, is_kept=False
    )


def told_destination(decision: DeliveryDecision, *, is_kept: bool) -> ExplainedDestination:
    """As it is told."""
    return ExplainedDestination(
        destination=decision.destination,
        selected=decision.selected,
        kinds=decision.kinds,
        rule=decision.rule,
        why=decision.why,
        is_kept=is_kept,
    )
