"""What the step that composes a report needs of one study, and what it makes of it: the next immutable version."""

from collections.abc import Sequence
from dataclasses import dataclass

from service.core.carry_over import CarriedOver, carry_over, with_words
from service.core.comparison import compare
from service.core.compose import Gaps, Software, compose
from service.core.findings import Finding
from service.core.identifiers import new_report_id
from service.core.report import Comparison, Report, StudyHeader
from service.core.report_life import current_of
from service.core.routing import RoutingRules, reason_left_out, select_analyses
from service.ports import UnitOfWork, UnitOfWorkFactory
from service.publication import Publication, is_official
from service.records import RenderedObject, StoredAnalysis, StoredInstance, StudyState


@dataclass(frozen=True, slots=True, kw_only=True)
class Composer:
    """Composes in one transaction, renders while nothing is locked, and saves in another one."""

    units: UnitOfWorkFactory
    publication: Publication
    rules: RoutingRules
    software: Software

    def compose(self, study_instance_uid: str) -> None:
        """Save the next version, its rendered objects and the outbox together; nothing where the newest one is up to date."""
        while True:  # again when something changed while it was rendered
            with self.units() as unit:
                ground = _look(unit, study_instance_uid)
                if ground is None:
                    return
                instances = unit.instances.current(study_instance_uid)
                analyses = unit.analyses.of_study(study_instance_uid)
                report = self._composed(unit, ground, instances, analyses)
            # Of a study in which nothing was analysed nobody asked to be told.
            is_told = bool(analyses or (ground.official and ground.official.findings))
            rendered = self.publication.render(report, instances, analyses) if is_told else None
            with self.units() as unit:
                now = _look(unit, study_instance_uid)
                if now is None:
                    return  # another one composed it, or waits for analyses that will ask for it
                if now.mark == ground.mark:
                    self._save(unit, ground, report, rendered, instances, analyses)
                    return

    def _composed(
        self, unit: UnitOfWork, ground: "_Ground", instances: Sequence[StoredInstance], analyses: Sequence[StoredAnalysis]
    ) -> Report:
        carried = carry_over(ground.current, [finding for analysis in analyses for finding in analysis.findings])
        report = compose(
            report_id=new_report_id(),
            study=ground.header,
            findings=carried.findings,
            comparisons=_comparisons(unit, ground, carried.findings),
            gaps=self._gaps(ground, instances, analyses, carried),
            previous=ground.official,
            created_at=unit.now(),
            software=self.software,
        )
        # Drafts beside a signed version all take its place, so numbers are not those of predecessors.
        number = 1 if ground.newest is None else ground.newest.version + 1
        return with_words(ground.current, report).model_copy(update={"version": number})

    def _gaps(
        self,
        ground: "_Ground",
        instances: Sequence[StoredInstance],
        analyses: Sequence[StoredAnalysis],
        carried: CarriedOver,
    ) -> Gaps:
        return Gaps(
            failures=[_failure_sentence(analysis) for analysis in analyses if analysis.state == "failed"],
            left_out=self._left_out(instances, analyses),
            dropped=carried.dropped,
            identity_hold=ground.study.identity_hold,
        )

    def _left_out(self, instances: Sequence[StoredInstance], analyses: Sequence[StoredAnalysis]) -> list[str]:
        """Why no analysis was selected, a clause for each instance without one."""
        analysed = {analysis.instance_id for analysis in analyses}
        others = [instance for instance in instances if instance.instance_id not in analysed]
        return [reason_left_out(select_analyses(instance.arrival, self.rules)) for instance in others]

    def _save(
        self,
        unit: UnitOfWork,
        ground: "_Ground",
        report: Report,
        rendered: Sequence[RenderedObject] | None,
        instances: Sequence[StoredInstance],
        analyses: Sequence[StoredAnalysis],
    ) -> None:
        """`rendered` is None for a version that nobody is told of."""
        unit.reports.save(report)
        if is_official(unit, report):
            unit.outbox.supersede_before(report)
        unit.studies.mark_reported(report.study.study_instance_uid)
        if rendered is None:
            reason = "nothing was analysed, and no destination asked to be told so"
            self.publication.dispatch.withhold(unit, report, reason)
            return
        self.publication.publish(unit, report, rendered, instances, analyses, held=ground.study.identity_hold)


@dataclass(frozen=True, slots=True)
class _Ground:
    """What a version rests on, beside instances and analyses."""

    study: StudyState
    header: StudyHeader
    newest: Report | None
    official: Report | None

    @property
    def current(self) -> Report | None:
        """The version whose amendments are carried over."""
        return current_of(self.newest, self.official) if self.newest and self.official else None

    @property
    def mark(self) -> tuple[object, ...]:
        """Another one where the version has to be made anew; analyses change only with the time in it."""
        versions = [report and report.report_id for report in (self.newest, self.official)]
        return *versions, self.header, self.study.last_selected_at, self.study.identity_hold


def _look(unit: UnitOfWork, study_instance_uid: str) -> _Ground | None:
    """The study stays locked; None where there is nothing to compose, or not yet. Raises NotFound."""
    study = unit.studies.lock(study_instance_uid)
    if not study.is_stale or study.unfinished_analyses:
        return None
    newest, official = unit.reports.newest(study_instance_uid), unit.reports.official(study_instance_uid)
    return _Ground(study, unit.studies.header(study_instance_uid), newest, official)


def _comparisons(unit: UnitOfWork, ground: _Ground, findings: Sequence[Finding]) -> tuple[Comparison, ...]:
    """Of a study whose identity is sure: in one on hold, left and right may be of two patients."""
    if ground.study.identity_hold:
        return ()
    return compare(ground.header, findings, unit.reports.earlier_of_patient(ground.header))


def _failure_sentence(analysis: StoredAnalysis) -> str:
    return f"{analysis.analysis_name} could not be completed for one instance ({analysis.failure}); it can be run again."
