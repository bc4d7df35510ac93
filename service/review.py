"""The second story: a person reads the report, amends it, signs it, or withdraws it.

Each step locks the study, looks whether the version that the person saw is still the current one, and makes the next one.
That is rendered while nothing is locked; a second transaction looks again, and saves version, objects and outbox together.
Who the person is, the edge has found out.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from service.access import Person
from service.core.amendment import Author
from service.core.comparison import compare
from service.core.compose import Software
from service.core.findings import Finding
from service.core.identifiers import new_report_id
from service.core.report import Comparison, Report, ReportStatus, StudyHeader, is_about_the_same
from service.core.report_life import Changes, Deed, Making, amend, cancel, current_of, is_repetition, sign
from service.errors import Conflict, NotFound, Outdated
from service.ports import UnitOfWork, UnitOfWorkFactory
from service.publication import Publication, as_shown, is_official
from service.records import StoredAnalysis, StoredInstance, StudyState

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

        asked = changes.model_dump_json(exclude_unset=True)
        return self._make(report_id, "amended", asked, by, step, findings=len(changes.findings))

    def preview(self, report_id: str, changes: Changes, *, by: Person) -> Report:
        """The draft that `amend` would make, which is stored nowhere. Raises as that does, but for Outdated."""
        with self.units() as unit:
            ground = _look(unit, report_id)
            report = unit.reports.get(report_id)
            return self._amended(unit, ground.study, report, changes, self._making(unit, ground, _author(by)))

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

    def _make(self, report_id: str, kind: Deed, asked: str, by: Person, step: _Step, **detail: int) -> Report:
        """The next version with its audit entry; the one that is there already when the same request comes again."""
        author = _author(by)
        while True:  # again when somebody was quicker: what they did mostly refuses this step
            with self.units() as unit:
                ground = _look(unit, report_id)
                if is_repetition(ground.newest, report_id, author, kind, asked):
                    return ground.newest
                _check_current(unit, report_id, ground.current)
                made = step(unit, ground.study, ground.current, self._making(unit, ground, author))
                instances, analyses = _instances_behind(unit, made), _analyses_behind(unit, made, ground.current)
            rendered = self.publication.render(made, instances, analyses)
            with self.units() as unit:
                if _look(unit, report_id).mark != ground.mark:
                    continue
                unit.reports.save(made, pictures_of=ground.current.report_id)
                if is_official(unit, made):
                    unit.outbox.supersede_before(made)
                held = ground.study.identity_hold and made.status is not ReportStatus.CANCELLED
                self.publication.publish(unit, made, rendered, instances, analyses, held=held)
                _record(unit, by, kind, made, detail)
                return unit.reports.get(made.report_id)

    def _making(self, unit: UnitOfWork, ground: "_Ground", author: Author) -> Making:
        return Making(
            report_id=new_report_id(),
            version=ground.newest.version + 1,
            at=unit.now(),
            by=author,
            organization=self.organization,
            official=ground.official,
        )

    def _amended(self, unit: UnitOfWork, study: StudyState, report: Report, changes: Changes, making: Making) -> Report:
        def compared(findings: Sequence[Finding]) -> tuple[Comparison, ...]:
            if study.identity_hold:
                return ()
            return compare(report.study, findings, unit.reports.earlier_of_patient(report.study))

        return amend(report, changes, making, compare=compared, software=self.software)


@dataclass(frozen=True, slots=True)
class _Ground:
    """What a step rests on."""

    study: StudyState
    header: StudyHeader
    newest: Report
    official: Report

    @property
    def current(self) -> Report:
        """The version that can be changed."""
        return current_of(self.newest, self.official)

    @property
    def mark(self) -> tuple[object, ...]:
        """Another one where a step has to be made anew."""
        return self.newest.report_id, self.official.report_id, self.header, self.study.identity_hold


def _look(unit: UnitOfWork, report_id: str) -> _Ground:
    """The study stays locked. Raises NotFound."""
    study = unit.studies.lock(unit.reports.get(report_id).study.study_instance_uid)
    return _Ground(study, unit.studies.header(study.study_instance_uid), *_standing(unit, study))


def _check_current(unit: UnitOfWork, report_id: str, current: Report) -> None:
    """Raises Outdated for a version that something took the place of."""
    if current.report_id != report_id:
        said = _outdated(unit.reports.get(report_id), current)
        raise Outdated(said, report_id=current.report_id, version=current.version)


def _record(unit: UnitOfWork, by: Person, kind: Deed, made: Report, detail: Mapping[str, int]) -> None:
    """Last, for whoever writes an entry makes others wait."""
    told = {"version": made.version, "status": made.status.value, "of": made.act.report_id if made.act else None, **detail}
    unit.audit.append(actor=by.account, action=f"report_{kind}", subject=made.report_id, detail=told)


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


def _analyses_behind(unit: UnitOfWork, report: Report, before: Report) -> list[StoredAnalysis]:
    """With the pictures of the version before, which it shows, too."""
    pictures = unit.reports.pictures(before.report_id)
    return [as_shown(analysis, report, pictures) for analysis in unit.analyses.of_study(report.study.study_instance_uid)]
