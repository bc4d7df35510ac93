"""The second story: a person reads the report, amends it, signs it, or withdraws it.

Each step locks the study, looks whether the version that the person saw is still the current one, and saves the next
version with its objects and the outbox in one transaction. Who the person is, the edge has found out.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from service.access import Person
from service.core.amendment import Author
from service.core.comparison import compare
from service.core.compose import Software
from service.core.findings import Finding
from service.core.identifiers import new_report_id
from service.core.report import Comparison, Report, ReportStatus, is_about_the_same
from service.core.report_life import Changes, Deed, Making, amend, cancel, current_of, is_repetition, sign
from service.errors import Conflict, NotFound, Outdated
from service.ports import StoredInstance, StudyState, UnitOfWork, UnitOfWorkFactory
from service.publication import Publication, as_shown, is_official

#: Makes the next version of the current one.
_Step = Callable[[UnitOfWork, StudyState, Report, Making], Report]


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """The steps; `organization` is the institution that persons answer to."""

    units: UnitOfWorkFactory
    publication: Publication
    software: Software
    organization: str | None = None

    def amend(self, report_id: str, changes: Changes, *, by: Person) -> Report:
        """A draft with the changes. Raises NotFound, Outdated, Conflict, InputRejected."""

        def step(unit: UnitOfWork, study: StudyState, report: Report, making: Making) -> Report:
            return self._amended(unit, study, report, changes, making)

        return self._make(report_id, "amended", changes.model_dump_json(exclude_unset=True), by, step)

    def preview(self, report_id: str, changes: Changes, *, by: Person) -> Report:
        """The draft that `amend` would make, which is stored nowhere. Raises as that does, but for Outdated."""
        with self.units() as unit:
            report = unit.reports.get(report_id)
            study = unit.studies.lock(report.study.study_instance_uid)
            newest, official = _standing(unit, study)
            return self._amended(unit, study, report, changes, self._making(unit, newest, official, by))

    def sign(self, report_id: str, *, by: Person) -> Report:
        """The person stands for the current draft. Raises NotFound, Outdated, Conflict."""

        def step(unit: UnitOfWork, study: StudyState, report: Report, making: Making) -> Report:
            if study.identity_hold:
                said = "The identity of the study was changed: acknowledge that first, so that it is sure whose report you sign."
                raise Conflict(said, reason="identity_hold")
            if not is_about_the_same(report.study, unit.studies.header(report.study.study_instance_uid)):
                said = "The patient or the order of the study was changed after this version was made: wait for the next one."
                raise Conflict(said, reason="identity_changed")
            return sign(report, making)

        return self._make(report_id, "signed", "", by, step)

    def cancel(self, report_id: str, *, why: str, by: Person) -> Report:
        """Withdraw the report, or give the draft up. Raises NotFound, Outdated, Conflict."""

        def step(_: UnitOfWork, __: StudyState, report: Report, making: Making) -> Report:
            return cancel(report, making, why=why)

        return self._make(report_id, "cancelled", why, by, step)

    # -- parts of the steps above, in the order of use --

    def _make(self, report_id: str, kind: Deed, asked: str, by: Person, step: _Step) -> Report:
        """The next version; the one that is there already when the same request comes again."""
        with self.units() as unit:
            seen = unit.reports.get(report_id)
            study = unit.studies.lock(seen.study.study_instance_uid)
            newest, official = _standing(unit, study)
            if is_repetition(newest, report_id, _author(by), kind, asked):
                return newest
            current = current_of(newest, official)
            if current.report_id != report_id:
                raise Outdated(_outdated(seen, current), report_id=current.report_id, version=current.version)
            made = step(unit, study, current, self._making(unit, newest, official, by))
            unit.reports.save(made, pictures_of=current.report_id)
            self._publish(unit, study, made)
            return unit.reports.get(made.report_id)

    def _making(self, unit: UnitOfWork, newest: Report, official: Report, by: Person) -> Making:
        return Making(
            report_id=new_report_id(),
            version=newest.version + 1,
            at=unit.now(),
            by=_author(by),
            organization=self.organization,
            official=official,
        )

    def _amended(self, unit: UnitOfWork, study: StudyState, report: Report, changes: Changes, making: Making) -> Report:
        def compared(findings: Sequence[Finding]) -> tuple[Comparison, ...]:
            if study.identity_hold:
                return ()
            return compare(report.study, findings, unit.reports.earlier_of_patient(report.study))

        return amend(report, changes, making, compare=compared, software=self.software)

    def _publish(self, unit: UnitOfWork, study: StudyState, report: Report) -> None:
        if is_official(unit, report):
            unit.outbox.supersede_before(report)
        pictures = unit.reports.pictures(report.report_id)
        analyses = [as_shown(analysis, report, pictures) for analysis in unit.analyses.of_study(report.study.study_instance_uid)]
        held = study.identity_hold and report.status is not ReportStatus.CANCELLED
        self.publication.publish(unit, report, _instances_behind(unit, report), analyses, held=held)


def _author(person: Person) -> Author:
    return Author(user_id=person.user_id, full_name=person.full_name)


def _standing(unit: UnitOfWork, study: StudyState) -> tuple[Report, Report]:
    """The newest version and the official one."""
    newest, official = unit.reports.newest(study.study_instance_uid), unit.reports.official(study.study_instance_uid)
    if newest is None or official is None:
        raise NotFound("This study has no report.")
    return newest, official


def _outdated(seen: Report, current: Report) -> str:
    what = f"Version {seen.version} is not the current one any more: "
    if current.status is ReportStatus.PRELIMINARY and seen.is_settled:
        return what + f"version {current.version}, a draft, waits beside it. Amend or sign that, or give it up first."
    return what + f"version {current.version} ({current.status}) is. Read it, and decide again."


def _instances_behind(unit: UnitOfWork, report: Report) -> list[StoredInstance]:
    """The study's instances, and what the report rests on and is elsewhere now."""
    current = list(unit.instances.current(report.study.study_instance_uid))
    known = {instance.attributes.sop_instance_uid for instance in current}
    uids = dict.fromkeys(finding.evidence.sop_instance_uid for finding in report.findings)
    rows = [
        sorted(unit.instances.all_of(uid), key=lambda row: (row.is_current, row.instance_id)) for uid in uids if uid not in known
    ]
    return [*current, *(several[-1] for several in rows if several)]
