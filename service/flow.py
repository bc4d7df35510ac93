"""The story, in order: an instance is stored, its cine analysed, its study completed, the report composed and delivered.

Each step loads, calls core, then saves and defers the next job in one transaction; none is open during decoding,
inference or rendering. Every step can be repeated without harm. Whoever defers a job about a study holds that study's row
lock, so a waiting job never looks at the study before the change that it was deferred for.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from service.analysing import Analyser
from service.commitment import Commitments
from service.composing import Composer
from service.core.analyses.analysis import Analysis
from service.core.compose import Software
from service.core.conditions import Arrival
from service.core.delivery_rules import DeliveryRule
from service.core.pinned import of_no_use
from service.core.routing import RoutingDecision, RoutingRules, select_analyses
from service.delivering import Deliverer
from service.dispatch import Dispatch
from service.errors import InputRejected, NotFound
from service.ports import Arrivals, CineReader, Destination, InferenceServer, InstanceStore, UnitOfWork, UnitOfWorkFactory
from service.publication import (
    Capture,
    Publication,
    RejectionNotes,
    Renderer,
)
from service.records import ReceivedInstance, ShadowAnalysis, StoredAnalysis, StoredInstance, StudyState

#: States of an analysis that has findings, were they only that nothing can be measured.
_ENDED_WELL = ("done", "rejected")


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """The steps, and all that they need."""

    units: UnitOfWorkFactory
    arrivals: Arrivals
    store: InstanceStore
    reader: CineReader
    server: InferenceServer
    analyses: Mapping[str, Analysis]
    destinations: Mapping[str, Destination]
    renderers: Mapping[str, Renderer]
    rules: RoutingRules
    stable_age_seconds: float
    software: Software
    #: Versions of models, by name, that run beside the served ones; what they say is kept and never sent.
    shadow_models: Mapping[str, str] = field(default_factory=dict)
    #: None where no destination wants captures.
    capture: Capture | None = None
    #: None where no destination takes what they are about.
    rejections: RejectionNotes | None = None
    #: Which destinations get what; without any each gets all that it takes.
    delivery_rules: Sequence[DeliveryRule] = ()

    #: None where no destination is asked, and no peer may ask, what is held.
    commitments: Commitments | None = None

    @property
    def publication(self) -> Publication:
        """What makes the objects of a version and sends them."""
        return Publication(
            dispatch=Dispatch(self.destinations, self.delivery_rules),
            renderers=self.renderers,
            capture=self.capture,
            rejections=self.rejections,
        )

    @property
    def _analyser(self) -> Analyser:
        return Analyser(reader=self.reader, store=self.store, server=self.server, analyses=self.analyses)

    @property
    def _deliverer(self) -> Deliverer:
        return Deliverer(
            units=self.units, publication=self.publication, destinations=self.destinations, commitments=self.commitments
        )

    def store_instance(self, received: ReceivedInstance) -> StoredInstance:
        """One commit of the row and its jobs; C-STORE answers 0x0000 only after it returns. Raises Unavailable."""
        selected = self._selected(received.arrival)
        usual = self.arrivals.save(received, selected, after_seconds=self.stable_age_seconds)
        if usual is not None:
            return usual
        with self.units() as unit:
            replaced = self._current_of(unit, received.attributes.sop_instance_uid)
            stored = unit.instances.save(received, names_study=bool(selected) or self._was_analysed(replaced))
            if not stored.is_new:
                return stored
            if stored.disposition == "conflict":
                unit.jobs.compare_pixels(stored.instance_id)
            elif not stored.is_returned:
                self._begin_analyses(unit, stored, replaced)
            return stored

    def compare_pixels(self, instance_id: int) -> None:
        """A conflict whose decoded pixels equal the current instance's was only transcoded: it becomes the current one."""
        with self.units() as unit:
            other = unit.instances.get(instance_id)
            current = self._current_of(unit, other.attributes.sop_instance_uid)
        if current is None or other.disposition != "conflict" or not self._decode_alike(current, other):
            return
        with self.units() as unit:
            unit.instances.supersede(instance_id, names_study=self._was_analysed(other) or self._was_analysed(current))
            now = replace(unit.instances.get(instance_id), disposition="corrected")
            self._begin_analyses(unit, replace(now, previous_study_instance_uid=current.attributes.study_instance_uid), current)

    def analyse_instance(self, instance_id: int, analysis_name: str) -> None:
        """Decode, infer and measure one cine, outside any transaction. Raises Unavailable, ModelContractError.

        Findings are never taken from another instance, for a correction may change the scale or the time under equal pixels.
        """
        analysis = self._analyser.named(analysis_name)
        with self.units() as unit:
            instance = unit.instances.get(instance_id)
            opened = unit.analyses.get(instance_id, analysis_name)
        if opened is None or opened.state != "queued":
            return
        self._close(self._analyser.run(analysis, instance, opened), instance)

    def give_up_analysis(self, instance_id: int, analysis_name: str, reason: str) -> None:
        """The job is a dead letter: the study must not wait for it, and its report says what is missing."""
        with self.units() as unit:
            instance = unit.instances.get(instance_id)
            opened = unit.analyses.get(instance_id, analysis_name)
        if opened is not None and opened.state == "queued":
            self._close(replace(opened, state="failed", failure=reason), instance)

    def shadow_analysis(self, instance_id: int, analysis_name: str) -> None:
        """Run the models in shadow on an instance that was analysed, and keep what they say beside what is reported.

        Raises Unavailable, ModelContractError.
        """
        versions = self._in_shadow(analysis_name)
        with self.units() as unit:
            instance = unit.instances.get(instance_id)
            served = unit.analyses.get(instance_id, analysis_name)
        if not versions or served is None or served.state not in _ENDED_WELL:
            return
        made = self._analyser.run(self._analyser.named(analysis_name), instance, replace(served, model_versions=versions))
        with self.units() as unit:
            unit.shadows.save(
                ShadowAnalysis(
                    instance_id=instance_id,
                    analysis_name=analysis_name,
                    analysis_version=made.analysis_version,
                    model_versions=versions,
                    findings=made.findings,
                    served_findings=served.findings,
                )
            )

    def request_report(self, study_instance_uid: str, *, actor: str | None = None) -> None:
        """The report is wanted as soon as the analyses are done; `actor` stands in the audit trail. Raises NotFound."""
        with self.units() as unit:
            if unit.studies.lock(study_instance_uid).last_selected_at is None:
                unit.studies.touch(study_instance_uid)  # nothing in it is analysed: whoever asks for the report is told so
            unit.studies.request_completion(study_instance_uid)
            unit.jobs.complete_study(study_instance_uid, after_seconds=0)
            _record(unit, actor, "completion_requested", study_instance_uid)

    def complete_study(self, study_instance_uid: str) -> None:
        """Judge whether the study is complete now; if not, look again when it could be."""
        with self.units() as unit:
            study = unit.studies.lock(study_instance_uid)
            wait = self._seconds_to_wait(study, unit)
            if wait is None:
                return
            if wait > 0:
                unit.jobs.complete_study(study_instance_uid, after_seconds=wait)
                return
            unit.studies.mark_complete(study_instance_uid)
            if study.is_stale:
                unit.jobs.compose_report(study_instance_uid)

    def compose_report(self, study_instance_uid: str) -> None:
        """Save the next immutable report version, its rendered objects and the outbox, rendered while nothing is locked.

        What persons had amended is carried over where it still fits. Beside a signed version it is a draft, which waits.
        """
        Composer(units=self.units, publication=self.publication, rules=self.rules, software=self.software).compose(
            study_instance_uid
        )

    def capture_cine(self, report_id: str, instance_id: int, analysis_name: str, kind: str) -> None:
        """Draw what a report says of one analysis of one cine into its frames, outside any transaction, and send it.

        Nothing is made for a report that another version took the place of, or will. Raises InputRejected, NotFound, Unavailable.
        """
        with self.units() as unit:
            report = unit.reports.get(report_id)
            instance = unit.instances.get(instance_id)
            analysis = unit.analyses.get(instance_id, analysis_name)
            if self.capture is None or analysis is None or not self.publication.wants_capture(unit, report, analysis, kind):
                return
        with self.reader.open(self.store.path(instance.storage_key)) as cine:
            made = self.capture(report, kind, instance, analysis, cine)
        with self.units() as unit:
            study = unit.studies.lock(report.study.study_instance_uid)
            now = unit.analyses.get(instance_id, analysis_name)
            if now is not None and self.publication.wants_capture(unit, report, now, kind):
                unit.reports.save_rendered(made)
                self.publication.open_deliveries(unit, report, [kind], held=study.identity_hold)

    def give_up_capture(self, report_id: str, kind: str, reason: str) -> None:
        """The job is a dead letter, and says why; nothing waits for it."""
        with self.units() as unit:
            unit.reports.save_failure(report_id, kind, reason)

    def acknowledge_identity(self, study_instance_uid: str, *, actor: str | None = None) -> None:
        """A person confirms a changed identity: the deliveries that waited for it go. Raises NotFound."""
        with self.units() as unit:
            unit.studies.lock(study_instance_uid)
            for report_id, destination, kind in unit.studies.release_hold(study_instance_uid):
                unit.jobs.deliver_report(report_id, destination, kind)
            _record(unit, actor, "identity_acknowledged", study_instance_uid)

    def reanalyse(
        self, study_instance_uid: str, model_versions: Mapping[str, str] | None = None, *, actor: str | None = None
    ) -> None:
        """Run every analysis of a study again; a new report version follows.

        `model_versions` pins versions by model name, for this run. Raises NotFound, InputRejected for a model or a version that
        is not served, does not fit or is of no use in the study, Unavailable when a pin is given and Triton is away.
        """
        pinned = dict(model_versions or {})
        self._analyser.check(pinned)
        with self.units() as unit:
            unit.studies.lock(study_instance_uid)
            reopened = unit.analyses.reopen(study_instance_uid, pinned)
            self._check_of_use(pinned, {name for _, name in reopened}, unit.instances.current(study_instance_uid))
            for instance_id, analysis_name in reopened:
                unit.jobs.analyse_instance(instance_id, analysis_name)
            unit.studies.touch(study_instance_uid)
            unit.studies.request_completion(study_instance_uid)
            if not reopened:
                unit.jobs.complete_study(study_instance_uid, after_seconds=0)  # no analysis will end and ask for it
            _record(unit, actor, "reanalysis_requested", study_instance_uid, **({"models": pinned} if pinned else {}))

    def deliver_report(self, report_id: str, destination: str, kind: str) -> None:
        """Send the kept bytes of one object to one destination, if it still may go; then ask until it is known to be held.

        Raises Unavailable, to be retried, and Paused when nothing was tried; InputRejected for what is stored and not held.
        """
        self._deliverer.deliver(report_id, destination, kind)

    def report_commitment(self, request_id: int) -> None:
        """Tell a peer what we hold of what it asked for. Raises Unavailable, to be retried, InputRejected, NotFound."""
        if self.commitments is None:
            raise NotFound("This process knows no peer that asks for commitment.")
        self.commitments.report(request_id)

    def give_up_delivery(self, report_id: str, destination: str, kind: str, reason: str, *, final: bool) -> None:
        """Record a failed attempt; after the last one the delivery is a dead letter."""
        self._deliverer.give_up(report_id, destination, kind, reason, final=final)

    # -- parts of the steps above, in the order of use --

    def _begin_analyses(self, unit: UnitOfWork, stored: StoredInstance, replaced: StoredInstance | None) -> None:
        selected = self._selected(stored.arrival)
        if replaced is not None and not selected:
            # A correction may come by another way than the instance itself: what that one asked for still holds.
            selected = self._selected(Arrival(stored.attributes, replaced.called_ae_title, replaced.calling_ae_title))
        if not selected and not self._was_analysed(replaced):
            return
        study_instance_uid = stored.attributes.study_instance_uid
        unit.studies.touch(study_instance_uid, identity_changed=stored.identity_changed)
        unit.jobs.complete_study(study_instance_uid, after_seconds=self.stable_age_seconds)
        for decision in selected:
            unit.analyses.open(stored.instance_id, decision)
            unit.jobs.analyse_instance(stored.instance_id, decision.analysis_name)
        left = stored.previous_study_instance_uid
        if left is not None and left != study_instance_uid:
            unit.studies.touch(left, identity_changed=True)
            unit.jobs.complete_study(left, after_seconds=self.stable_age_seconds)

    def _current_of(self, unit: UnitOfWork, sop_instance_uid: str) -> StoredInstance | None:
        return next((row for row in unit.instances.all_of(sop_instance_uid) if row.is_current), None)

    def _was_analysed(self, instance: StoredInstance | None) -> bool:
        return instance is not None and bool(self._selected(instance.arrival))

    def _selected(self, arrival: Arrival) -> Sequence[RoutingDecision]:
        return [decision for decision in select_analyses(arrival, self.rules) if decision.selected]

    def _decode_alike(self, current: StoredInstance, other: StoredInstance) -> bool:
        try:
            with (
                self.reader.open(self.store.path(current.storage_key)) as one,
                self.reader.open(self.store.path(other.storage_key)) as two,
            ):
                if (one.number_of_frames, one.rows, one.columns) != (two.number_of_frames, two.rows, two.columns):
                    return False
                pairs = zip(one.frames(), two.frames(), strict=True)
                return all((left.pixels == right.pixels).all() for left, right in pairs)
        except InputRejected:
            return False

    def _in_shadow(self, analysis_name: str) -> dict[str, str]:
        """Versions of the models of one analysis that run in shadow; empty for one that this version does not have."""
        analysis = self.analyses.get(analysis_name)
        names = {model.model_name for model in analysis.models} if analysis is not None else set()
        return {name: version for name, version in self.shadow_models.items() if name in names}

    def _check_of_use(self, pinned: Mapping[str, str], running: Collection[str], instances: Sequence[StoredInstance]) -> None:
        routed = [select_analyses(instance.arrival, self.rules) for instance in instances]
        if said := of_no_use(pinned, self.analyses, running, routed):
            raise InputRejected(said, reason="model_of_no_use")

    def _close(self, outcome: StoredAnalysis, instance: StoredInstance) -> None:
        study_instance_uid = instance.attributes.study_instance_uid
        with self.units() as unit:
            study = unit.studies.lock(study_instance_uid)
            asked = unit.analyses.get(outcome.instance_id, outcome.analysis_name)
            if asked is not None and asked.model_versions != outcome.model_versions:
                return  # other models were asked for meanwhile, and their job waits
            unit.analyses.close(outcome)
            if outcome.state in _ENDED_WELL and self._in_shadow(outcome.analysis_name):
                unit.jobs.shadow_analysis(outcome.instance_id, outcome.analysis_name)
            if study.completion_requested or study.unfinished_analyses <= 1:
                unit.jobs.complete_study(study_instance_uid, after_seconds=0)

    def _seconds_to_wait(self, study: StudyState, unit: UnitOfWork) -> float | None:
        """0 when the study is complete, else seconds until it could be; None when nothing in it is analysed."""
        if study.last_selected_at is None:
            return None
        age = (unit.now() - study.last_selected_at).total_seconds()
        if study.unfinished_analyses:
            return max(self.stable_age_seconds, 1.0)
        if study.completion_requested or study.completed_at is not None:
            return 0.0
        if study.open_associations:
            return max(self.stable_age_seconds - age, 1.0)
        return max(self.stable_age_seconds - age, 0.0)


def _record(unit: UnitOfWork, actor: str | None, action: str, study_instance_uid: str, **detail: object) -> None:
    """Last in its transaction, for whoever writes an entry makes others wait; nothing where no person or program asked."""
    if actor is not None:
        unit.audit.append(actor=actor, action=action, subject=study_instance_uid, detail=detail)
