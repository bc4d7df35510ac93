"""What becomes of a version of a report once it is made: its objects, and whether they go out.

A draft goes out as long as nobody has signed; once a version is signed, a later draft waits for its own signature.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from service.core.amendment import as_said
from service.core.cine import Cine
from service.core.delivery_rules import REJECTION, RETRACTED, SAYS_SO
from service.core.findings import Finding
from service.core.instance import LIVE_MANUFACTURER
from service.core.render.drawn_frame import drew_something
from service.core.report import Report, ReportStatus, SentObject, is_about_the_same
from service.dispatch import Dispatch
from service.ports import UnitOfWork
from service.records import RenderedObject, StoredAnalysis, StoredInstance, StudyState

#: Renders one kind of object from a report, the instances that it rests on and what was made of them.
Renderer = Callable[[Report, Sequence[StoredInstance], Sequence[StoredAnalysis]], Sequence[RenderedObject]]
#: Draws what a report says of one analysis of one cine into a capture of that kind.
Capture = Callable[[Report, str, StoredInstance, StoredAnalysis, Cine], RenderedObject]
#: Kinds of captures begin so: `sc.1`.
CAPTURE = "sc"
#: Kinds of which a receiver keeps one for all versions of a report: what arrives last stands.
_REWRITTEN = frozenset({"fhir"})


@dataclass(frozen=True, slots=True)
class RejectionNotes:
    """What tells destinations that objects must not be used any more."""

    #: Of a withdrawn report, as an object of that kind.
    render: Callable[[Report, str, Sequence[SentObject]], RenderedObject]
    #: SOP Instance UIDs that a note names.
    names: Callable[[RenderedObject], Collection[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """Renders versions, and opens their deliveries."""

    dispatch: Dispatch
    renderers: Mapping[str, Renderer]
    #: None where no destination wants captures.
    capture: Capture | None = None
    #: None where no destination takes what they are about.
    rejections: RejectionNotes | None = None

    def render(
        self, report: Report, instances: Sequence[StoredInstance], analyses: Sequence[StoredAnalysis]
    ) -> Sequence[RenderedObject]:
        """Every object of a version but captures, which need pixels. Slow: done outside of transactions where it can be."""
        if _refers_nowhere(instances) is not None:
            return ()
        renderers = [render for kind, render in self.renderers.items() if self._is_made(kind, report)]
        return [made for render in renderers for made in render(report, instances, analyses)]

    def publish(
        self,
        unit: UnitOfWork,
        report: Report,
        rendered: Sequence[RenderedObject],
        instances: Sequence[StoredInstance],
        analyses: Sequence[StoredAnalysis],
        *,
        held: bool,
    ) -> None:
        """Keep the objects of a version that was saved, and send them unless it is a draft beside a signed one."""
        if (reason := _refers_nowhere(instances)) is not None:
            self.dispatch.withhold(unit, report, reason)
            return
        for made in rendered:
            unit.reports.save_rendered(made)
        if not is_official(unit, report):
            self.dispatch.withhold(unit, report, "it is a draft beside a signed version")
            return
        self.dispatch.decide(unit, report, instances, analyses)
        self.open_deliveries(unit, report, [made.kind for made in rendered], held=held)
        self._ask_for_captures(unit, report, analyses)
        self.retract(unit, report)

    def open_deliveries(self, unit: UnitOfWork, report: Report, kinds: Sequence[str], *, held: bool) -> None:
        """A row and a job for each object that a destination is to have, by what was decided for the report."""
        for decision in self.dispatch.decisions(unit, report):
            for kind in sorted(kind for kind in kinds if kind.partition(".")[0] in decision.kinds):
                self._open(unit, report, decision.destination, kind, held=held)

    def retract(self, unit: UnitOfWork, report: Report) -> None:
        """Tell whoever has key images, segmentations or captures of a withdrawn report so, each of what it has.

        Repeated, it tells of what was still on its way before. A note is small, so it is rendered while the study is locked:
        nothing can be delivered unseen between looking and telling.
        """
        if self.rejections is None or report.status is not ReportStatus.CANCELLED or not is_official(unit, report):
            return
        notes = unit.outbox.rejections(report)
        told = [(destination, self.rejections.names(note)) for destination, note in notes]
        made_before = len({note.kind for _, note in notes if note.report_id == report.report_id})
        goes = {one.destination for one in self.dispatch.decisions(unit, report) if one.selected or one.rule is None}
        untold: dict[tuple[SentObject, ...], list[str]] = {}
        for destination, sent in unit.outbox.sent(report, RETRACTED).items():
            known = {uid for name, uids in told if name == destination for uid in uids}
            left = tuple(one for one in sent if one.sop_instance_uid not in known)
            if left and destination in goes:
                untold.setdefault(left, []).append(destination)
        for number, (left, destinations) in enumerate(untold.items(), start=made_before + 1):
            made = self.rejections.render(report, f"{REJECTION}.{number}", left)
            unit.reports.save_rendered(made)
            for destination in destinations:
                self._open(unit, report, destination, made.kind, held=False)

    def wants_capture(self, unit: UnitOfWork, report: Report, analysis: StoredAnalysis, kind: str) -> bool:
        """Not one that is there, nor of a report that is not the official one, or whose analysis was asked for anew since."""
        study = unit.studies.lock(report.study.study_instance_uid)
        found = obstacle(unit, report, study)
        is_superseded = found is not None and found[0] == "superseded"
        is_current = analysis.state != "queued" and is_as_reported(analysis, report)
        return is_current and not is_superseded and not unit.reports.is_rendered(report.report_id, kind)

    def _open(self, unit: UnitOfWork, report: Report, destination: str, kind: str, *, held: bool) -> None:
        unit.outbox.open(report.report_id, destination, kind, state="held" if held else "pending")
        if not held:
            unit.jobs.deliver_report(report.report_id, destination, kind)

    def _is_made(self, kind: str, report: Report) -> bool:
        return report.status is not ReportStatus.CANCELLED or kind in SAYS_SO

    def _ask_for_captures(self, unit: UnitOfWork, report: Report, analyses: Sequence[StoredAnalysis]) -> None:
        """One for each analysis that drew something, of one cine each; they need pixels, and so a step of their own."""
        if self.capture is None or report.status is ReportStatus.CANCELLED:
            return
        if not any(CAPTURE in decision.kinds for decision in self.dispatch.decisions(unit, report)):
            return
        drawn = [analysis for analysis in analyses if drew_something(analysis.masks, analysis.findings)]
        for number, one in enumerate(drawn, start=1):
            unit.jobs.capture_cine(report.report_id, one.instance_id, one.analysis_name, f"{CAPTURE}.{number}")


def _refers_nowhere(instances: Sequence[StoredInstance]) -> str | None:
    """Why what is made of a report would lead nowhere, as a clause."""
    if not instances:
        return "all instances were moved to another study, and there is nothing left that an object could refer to"
    if all(instance.attributes.manufacturer == LIVE_MANUFACTURER for instance in instances):
        return "nobody else has the pictures that live guidance keeps, and what refers to them would lead nowhere"
    return None


def is_rejection(kind: str) -> bool:
    """Whether an object is a rejection note: nothing later takes its place."""
    return kind.partition(".")[0] == REJECTION


def obstacle(unit: UnitOfWork, report: Report, study: StudyState) -> tuple[str, str] | None:
    """Why a report must not be sent now, as a state and a sentence: it may have waited long for its destination."""
    official = unit.reports.official(study.study_instance_uid)
    if official is not None and official.report_id != report.report_id:
        if official.version > report.version:
            return "superseded", f"Version {official.version} has taken its place."
        return "superseded", f"It is a draft beside the signed version {official.version}, and goes once it is signed itself."
    if report.status is ReportStatus.CANCELLED:
        return None  # whoever has the withdrawn report must hear of it, under the identity that it had
    if not is_about_the_same(report.study, unit.studies.header(study.study_instance_uid)):
        return "superseded", "The patient or the order of its study was changed after it was made."
    if study.identity_hold:
        return "held", "The identity of its study was changed; a person has to acknowledge that."
    return None


def is_official(unit: UnitOfWork, report: Report) -> bool:
    """Whether a saved version is the one that receivers are to have."""
    official = unit.reports.official(report.study.study_instance_uid)
    return official is None or official.report_id == report.report_id


def send_overtaken_again(unit: UnitOfWork, report_id: str, destination: str, kind: str) -> None:
    """A version that arrives after a newer one has arrived stands in its place there: then the newer one goes once more."""
    if kind not in _REWRITTEN:
        return
    report = unit.reports.get(report_id)
    unit.studies.lock(report.study.study_instance_uid)
    official = unit.reports.official(report.study.study_instance_uid)
    if official is None or official.version <= report.version:
        return
    if any((one.destination, one.kind, one.state) == (destination, kind, "delivered") for one in official.delivery):
        reason = f"Version {report.version} arrived after it, and may stand in its place."
        unit.outbox.set_aside(official.report_id, destination, kind, state="pending", reason=reason)
        unit.jobs.deliver_report(official.report_id, destination, kind)


def is_as_reported(analysis: StoredAnalysis, report: Report) -> bool:
    """Whether an analysis says now what the report has of it, amended or not, whatever followed from that."""
    said = [_said_of(finding) for finding in report.findings]
    return all(_said_of(finding) in said for finding in analysis.findings)


def _said_of(finding: Finding) -> tuple[object, ...]:
    """What the software said, and of what, without words and flags: these tell of amended findings beside it, too."""
    said = as_said(finding)
    return said.finding_id, said.model, said.value, said.evidence


def as_shown(analysis: StoredAnalysis, report: Report, pictures: Mapping[str, bytes]) -> StoredAnalysis:
    """An analysis with the picture that the report shows, and without masks that it does not rest on."""
    masks = analysis.masks if is_as_reported(analysis, report) else None
    return replace(analysis, picture=pictures.get(analysis.sop_instance_uid), masks=masks)
