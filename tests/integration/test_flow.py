"""The flow on a real PostgreSQL: each step, repeated and out of order, leaves one right state."""

import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Engine, text

from service.adapters.usual_arrival import PostgresArrivals
from service.core.analyses.analysis import DescribeModel, Infer, ModelSpec
from service.core.cine import Cine
from service.core.compose import Software
from service.core.findings import Finding, ModelUsed
from service.core.instance import ContentDigest, InstanceAttributes, PatientIdentity
from service.core.masks import MaskKeeper
from service.core.report import Report
from service.core.routing import RoutingRules
from service.errors import Conflict, InputRejected, ModelContractError, NotFound, Unavailable
from service.flow import Flow
from service.ports import ReceivedInstance, RenderedObject, StoredAnalysis, StoredInstance, UnitOfWorkFactory
from tests.fakes import FakeAnalysis, FakeDestination, FakeReader, FakeServer, FakeStore

STUDY = "1.2.826.0.1.3680043.8.498.1"
US_MULTI_FRAME = "1.2.840.10008.5.1.4.1.1.3.1"


def received(
    uid: str = "1.2.3", *, pixels: str = "pixels", attributes: str = "attributes", patient_id: str = "P1", **changes: Any
) -> ReceivedInstance:
    return ReceivedInstance(
        attributes=InstanceAttributes(
            **{
                "sop_instance_uid": uid,
                "sop_class_uid": US_MULTI_FRAME,
                "study_instance_uid": STUDY,
                "series_instance_uid": f"{STUDY}.1",
                "transfer_syntax_uid": "1.2.840.10008.1.2.1",
                "modality": "US",
                "identity": PatientIdentity(patient_id=patient_id, patient_name="Ivanov^Иван"),
                "number_of_frames": 3,
                "rows": 8,
                "columns": 8,
                "samples_per_pixel": 1,
                "photometric_interpretation": "MONOCHROME2",
                "has_pixel_data": True,
                **changes,
            }
        ),
        digest=ContentDigest(attributes=attributes, pixels=pixels),
        storage_key=f"{uid}-{attributes}-{pixels}",
        size_bytes=100,
    )


def render(report: Report, instances: Sequence[StoredInstance], _: Sequence[StoredAnalysis]) -> list[RenderedObject]:
    made = RenderedObject(
        sop_instance_uid=f"2.25.{report.version}",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.88.34",
        kind="sr",
        report_id=report.report_id,
        media_type="application/dicom",
        content=f"{report.report_id} over {len(instances)}".encode(),
    )
    return [made]


class House:
    """The flow with its fakes, and a worker that runs every job that is due, in order."""

    def __init__(self, units: UnitOfWorkFactory, engine: Engine) -> None:
        self.engine = engine
        self.analysis = FakeAnalysis()
        self.destination = FakeDestination()
        self.reader = FakeReader()
        self.flow = Flow(
            units=units,
            arrivals=PostgresArrivals(engine=engine),
            store=FakeStore(),
            reader=self.reader,
            server=FakeServer(),
            analyses={"muscle_architecture": self.analysis},
            destinations={"pacs": self.destination},
            renderers={"sr": render},
            rules=RoutingRules(),
            stable_age_seconds=60,
            software=Software(service_version="test"),
        )

    def work(self) -> None:
        """Run the jobs that are due until none is left."""
        while self.work_one():
            pass

    def work_one(self) -> bool:
        """Run the oldest job that is due; False when there is none."""
        job = self._claim()
        if job is not None:
            getattr(self.flow, job[0].removeprefix("sonomyo."))(**job[1])
        return job is not None

    def waiting(self) -> list[str]:
        with self.engine.connect() as connection:
            rows = connection.execute(text("SELECT task_name FROM procrastinate_jobs WHERE status = 'todo' ORDER BY id"))
            return [name.removeprefix("sonomyo.") for (name,) in rows]

    def age_study(self, seconds: float) -> None:
        """Let time pass for the study and its scheduled jobs."""
        with self.engine.begin() as connection:
            shift = {"seconds": seconds}
            connection.execute(
                text("UPDATE studies SET last_selected_at = last_selected_at - make_interval(secs => :seconds)"), shift
            )
            connection.execute(
                text("UPDATE procrastinate_jobs SET scheduled_at = scheduled_at - make_interval(secs => :seconds)"), shift
            )

    def report(self) -> Report | None:
        with self.flow.units() as unit:
            return unit.reports.newest(STUDY)

    def _claim(self) -> tuple[str, dict[str, Any]] | None:
        with self.engine.begin() as connection:
            row = connection.execute(
                text(
                    "UPDATE procrastinate_jobs SET status = 'doing' WHERE id = (SELECT id FROM procrastinate_jobs "
                    "WHERE status = 'todo' AND (scheduled_at IS NULL OR scheduled_at <= now()) ORDER BY id LIMIT 1) "
                    "RETURNING task_name, args"
                )
            ).one_or_none()
        return None if row is None else (row.task_name, row.args)


@pytest.fixture
def house(units: UnitOfWorkFactory, engine: Engine) -> House:
    return House(units, engine)


def test_instance_stored_and_requested_ends_in_one_report_delivered_once(house: House) -> None:
    house.flow.store_instance(received())
    house.flow.request_report(STUDY)
    house.work()
    report = house.report()
    assert report is not None
    assert (report.version, [finding.value for finding in report.findings]) == (1, [7.0])
    assert [delivery.state for delivery in report.delivery] == ["delivered"]
    assert len(house.destination.received) == 1


def test_study_before_stable_age_is_not_complete_and_after_it_is(house: House) -> None:
    house.flow.store_instance(received())
    house.work()
    assert house.report() is None
    house.age_study(61)
    house.work()
    assert house.report() is not None


def test_study_with_an_open_association_waits_for_its_end(house: House) -> None:
    with house.engine.begin() as connection:
        connection.execute(text("INSERT INTO associations (listener, peer_address) VALUES ('here', '127.0.0.1')"))
    house.flow.store_instance(replace(received(), association_id=1))
    house.age_study(61)
    house.work()
    assert house.report() is None
    with house.engine.begin() as connection:
        connection.execute(text("UPDATE associations SET closed_at = now()"))
    house.age_study(61)
    house.work()
    assert house.report() is not None


def test_identical_instance_again_changes_nothing(house: House) -> None:
    first = house.flow.store_instance(received())
    waiting = house.waiting()
    second = house.flow.store_instance(received())
    assert (second.instance_id, second.is_new) == (first.instance_id, False)
    assert house.waiting() == waiting


def test_identical_instance_under_another_file_head_has_the_size_of_the_file_that_replaced_the_first(house: House) -> None:
    house.flow.store_instance(received())
    assert house.flow.store_instance(replace(received(), size_bytes=110)).size_bytes == 110


def test_identical_instance_from_four_threads_is_stored_once(house: House) -> None:
    stored: list[StoredInstance] = []
    threads = [threading.Thread(target=lambda: stored.append(house.flow.store_instance(received()))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({one.instance_id for one in stored}) == 1
    assert sum(one.is_new for one in stored) == 1


def test_corrected_patient_is_analysed_anew_and_holds_delivery_until_acknowledged(house: House) -> None:
    house.flow.store_instance(received())
    house.flow.request_report(STUDY)
    house.work()
    corrected = house.flow.store_instance(received(attributes="corrected", patient_id="P2"))
    assert (corrected.disposition, corrected.identity_changed) == ("corrected", True)
    house.flow.request_report(STUDY)
    house.work()
    report = house.report()
    assert report is not None
    assert (report.version, report.study.patient_id, house.analysis.runs) == (2, "P2", 2)
    assert [delivery.state for delivery in report.delivery] == ["held"]
    house.flow.acknowledge_identity(STUDY)
    house.work()
    assert [sent.report_id for sent in house.destination.received][-1] == report.report_id


def test_correction_of_what_an_analysis_reads_is_measured_anew(house: House) -> None:
    """The same pixel bytes under another scale, another time axis or another photometric interpretation say something else."""
    house.flow.store_instance(received())
    house.flow.request_report(STUDY)
    house.work()
    corrected = house.flow.store_instance(received(attributes="other regions"))
    house.reader.grey = {corrected.storage_key: 14}
    house.flow.request_report(STUDY)
    house.work()
    report = house.report()
    assert report is not None
    assert (report.version, [finding.value for finding in report.findings]) == (2, [14.0])


def test_reanalysis_of_a_corrected_instance_runs_the_analysis_and_copies_nothing(house: House) -> None:
    house.flow.store_instance(received())
    house.flow.store_instance(received(attributes="corrected"))
    house.flow.request_report(STUDY)
    house.work()
    runs = house.analysis.runs
    house.flow.reanalyse(STUDY)
    house.work()
    assert house.analysis.runs == runs + 1


def test_corrected_study_uid_reports_the_new_study_and_empties_the_old_one(house: House) -> None:
    house.flow.store_instance(received())
    house.flow.request_report(STUDY)
    house.work()
    house.flow.store_instance(received(attributes="moved", study_instance_uid=f"{STUDY}.2"))
    house.flow.request_report(f"{STUDY}.2")
    house.flow.request_report(STUDY)
    house.work()
    with house.flow.units() as unit:
        moved = unit.reports.newest(f"{STUDY}.2")
    old = house.report()
    assert moved is not None
    assert old is not None
    assert (len(moved.findings), old.version, len(old.findings)) == (1, 2, 0)


def test_other_pixels_under_a_known_uid_are_kept_and_the_first_stays_current(house: House) -> None:
    first = house.flow.store_instance(received())
    other = house.flow.store_instance(received(pixels="others"))
    assert (other.disposition, other.is_current) == ("conflict", False)
    house.reader.grey = {first.storage_key: 7, other.storage_key: 9}
    house.work()
    with house.flow.units() as unit:
        assert [one.instance_id for one in unit.instances.current(STUDY)] == [first.instance_id]


def test_transcoded_pixels_that_decode_alike_supersede_the_first(house: House) -> None:
    house.flow.store_instance(received())
    other = house.flow.store_instance(received(pixels="transcoded", transfer_syntax_uid="1.2.840.10008.1.2.5"))
    house.work()
    with house.flow.units() as unit:
        assert [one.instance_id for one in unit.instances.current(STUDY)] == [other.instance_id]


def test_our_own_object_coming_back_is_marked_returned_and_triggers_nothing(house: House) -> None:
    house.flow.store_instance(received())
    house.flow.request_report(STUDY)
    house.work()
    waiting = house.waiting()
    back = house.flow.store_instance(
        received("2.25.1", sop_class_uid="1.2.840.10008.5.1.4.1.1.88.34", modality="SR", number_of_frames=None)
    )
    assert (back.is_returned, house.waiting()) == (True, waiting)
    report = house.report()
    assert report is not None
    assert report.version == 1


def test_second_instance_with_another_patient_holds_the_delivery_until_acknowledged(house: House) -> None:
    house.flow.store_instance(received())
    house.flow.store_instance(received("1.2.4", patient_id="P2"))
    house.flow.request_report(STUDY)
    house.work()
    report = house.report()
    assert report is not None
    assert (report.study.patient_id, [delivery.state for delivery in report.delivery]) == ("P2", ["held"])
    assert house.destination.received == []
    house.flow.acknowledge_identity(STUDY)
    house.work()
    assert len(house.destination.received) == 1


def test_instance_that_nothing_analyses_never_names_the_study(house: House) -> None:
    house.flow.store_instance(received())
    other = received(
        "1.2.4", patient_id="P9", sop_class_uid="1.2.840.10008.5.1.4.1.1.88.33", modality="SR", number_of_frames=None
    )
    house.flow.store_instance(other)
    house.flow.request_report(STUDY)
    house.work()
    report = house.report()
    assert report is not None
    assert (report.study.patient_id, [delivery.state for delivery in report.delivery]) == ("P1", ["delivered"])


def identity_of(house: House) -> tuple[str | None, str | None, str | None, bool]:
    with house.flow.units() as unit:
        header = unit.studies.header(STUDY)
        return header.patient_id, header.patient_name, header.accession_number, unit.studies.lock(STUDY).identity_hold


ANNA = PatientIdentity(patient_id="A", patient_name="Anna", patient_birth_date="19500101", accession_number="ACC-A")
BERT = PatientIdentity(patient_id="B", patient_name="Bert", accession_number="ACC-B")
SR: dict[str, Any] = {"sop_class_uid": "1.2.840.10008.5.1.4.1.1.88.33", "modality": "SR", "number_of_frames": None}


def test_study_known_from_what_nothing_analyses_is_named_anew_as_a_whole(house: House) -> None:
    house.flow.store_instance(received("1.2.9", identity=ANNA, **SR))
    house.flow.store_instance(received(identity=PatientIdentity(patient_name="Bert")))
    assert identity_of(house) == (None, "Bert", None, False)


def test_instance_that_nothing_analyses_fills_nothing_in(house: House) -> None:
    house.flow.store_instance(received(identity=PatientIdentity(patient_name="Anna")))
    house.flow.store_instance(received("1.2.9", identity=BERT, **SR))
    assert identity_of(house) == (None, "Anna", None, False)


def test_correction_with_the_same_identity_takes_nothing_from_the_study(house: House) -> None:
    house.flow.store_instance(received(identity=ANNA))
    same_but_less = PatientIdentity(patient_id="A", patient_name="Anna")
    house.flow.store_instance(received("1.2.4", identity=same_but_less))
    assert house.flow.store_instance(received("1.2.4", identity=same_but_less, attributes="other")).disposition == "corrected"
    assert identity_of(house) == ("A", "Anna", "ACC-A", False)


def test_resent_instance_does_not_rename_an_acknowledged_study(house: House) -> None:
    house.flow.store_instance(received(identity=ANNA))
    house.flow.store_instance(received("1.2.4", identity=BERT))
    assert identity_of(house) == ("B", "Bert", "ACC-B", True)
    house.flow.acknowledge_identity(STUDY)
    house.flow.store_instance(received(identity=ANNA, attributes="other"))
    assert identity_of(house) == ("B", "Bert", "ACC-B", False)


def test_correction_that_routing_would_not_select_still_holds_what_was_analysed(house: House) -> None:
    house.flow.store_instance(received(identity=ANNA))
    house.flow.request_report(STUDY)
    house.work()
    house.flow.store_instance(received(identity=BERT, attributes="other", modality="OT"))
    assert identity_of(house) == ("B", "Bert", "ACC-B", True)
    house.age_study(61)
    house.work()
    report = house.report()
    assert report is not None
    assert (report.version, report.study.patient_id) == (2, "B")


def test_transcoded_twin_in_another_study_empties_the_study_that_it_left(house: House) -> None:
    house.flow.store_instance(received())
    house.flow.request_report(STUDY)
    house.work()
    house.flow.store_instance(received(pixels="transcoded", study_instance_uid=f"{STUDY}.7"))
    house.work()
    house.age_study(61)
    house.work()
    report = house.report()
    assert report is not None
    assert (report.version, report.findings) == (2, ())


def test_second_instance_that_lacks_what_the_first_said_takes_nothing_away(house: House) -> None:
    house.flow.store_instance(received())
    house.flow.store_instance(received("1.2.4", identity=PatientIdentity(patient_id="P1")))
    house.flow.request_report(STUDY)
    house.work()
    report = house.report()
    assert report is not None
    assert (report.study.patient_name, [delivery.state for delivery in report.delivery]) == ("Ivanov^Иван", ["delivered"])


def test_late_instance_makes_a_new_version_and_the_first_stays_as_it_was(house: House) -> None:
    house.flow.store_instance(received())
    house.flow.request_report(STUDY)
    house.work()
    house.flow.store_instance(received("1.2.4"))
    house.age_study(61)
    house.work()
    with house.flow.units() as unit:
        versions = unit.reports.versions(STUDY)
    assert [(version.version, len(version.findings)) for version in versions] == [(1, 1), (2, 2)]
    assert versions[1].predecessor == versions[0].report_id


def test_instance_that_cannot_be_decoded_is_reported_as_not_measured(house: House) -> None:
    instance = received()
    house.reader.refused = frozenset({instance.storage_key})
    house.flow.store_instance(instance)
    house.flow.request_report(STUDY)
    house.work()
    report = house.report()
    assert report is not None
    assert [(finding.name, finding.flags) for finding in report.findings] == [("not_measured", ("pixel_data_too_short",))]


def test_analysis_given_up_lets_the_report_say_what_is_missing(house: House) -> None:
    def away() -> None:
        raise Unavailable("Triton does not answer.")

    house.analysis.before = away
    stored = house.flow.store_instance(received())
    house.flow.request_report(STUDY)
    with pytest.raises(Unavailable):
        house.flow.analyse_instance(stored.instance_id, "muscle_architecture")
    house.flow.give_up_analysis(stored.instance_id, "muscle_architecture", "unavailable: Triton does not answer.")
    house.analysis.before = lambda: None
    house.work()
    report = house.report()
    assert report is not None
    assert report.findings == ()
    assert "Triton does not answer" in report.limitations[0]


def test_reanalysis_makes_a_new_version(house: House) -> None:
    house.flow.store_instance(received())
    house.flow.request_report(STUDY)
    house.work()
    house.flow.reanalyse(STUDY)
    house.work()
    report = house.report()
    assert report is not None
    assert (report.version, house.analysis.runs) == (2, 2)


NETWORK = ModelSpec(model_name="network", model_version="1", inputs=(), outputs=(), max_batch_size=1)


class NetworkServer(FakeServer):
    """Tells of a model what it was asked for; version 3 has another output than this service reads."""

    def check(self, models: Sequence[ModelSpec]) -> None:
        if any(model.model_version == "3" for model in models):
            raise ModelContractError("network: output masks is FP32, UINT8 is expected")

    def describe(self, model: ModelSpec) -> ModelUsed:
        return ModelUsed(name=model.model_name, version=model.model_version, sha256="ab" * 32, evidence="real")


@dataclass
class NetworkAnalysis(FakeAnalysis):
    """Names the model that it was given."""

    models: tuple[ModelSpec, ...] = (NETWORK,)

    def analyse(self, cine: Cine, infer: Infer, describe: DescribeModel, keep: MaskKeeper | None = None) -> tuple[Finding, ...]:
        found = super().analyse(cine, infer, describe, keep)
        return tuple(finding.model_copy(update={"model": describe(NETWORK)}) for finding in found)


def use_network(house: House, *served: str) -> None:
    house.analysis = NetworkAnalysis()
    server = NetworkServer(served=served or ("1", "2"))
    house.flow = replace(house.flow, analyses={"muscle_architecture": house.analysis}, server=server)


def model_versions(house: House) -> list[str]:
    report = house.report()
    assert report is not None
    return [model.version for model in report.provenance.models]


def test_reanalysis_with_a_pinned_model_uses_that_version_and_the_next_one_does_not(house: House) -> None:
    use_network(house)
    house.flow.store_instance(received())
    house.flow.request_report(STUDY)
    house.work()
    assert model_versions(house) == ["1"]
    house.flow.reanalyse(STUDY, {"network": "2"})
    house.work()
    assert model_versions(house) == ["2"]
    house.flow.reanalyse(STUDY)
    house.work()
    assert model_versions(house) == ["1"]


def test_reanalysis_with_a_version_that_does_not_fit_is_refused_with_what_differs(house: House) -> None:
    use_network(house, "1", "3")
    house.flow.store_instance(received())
    house.flow.request_report(STUDY)
    house.work()
    with pytest.raises(InputRejected, match="output masks is FP32") as refused:
        house.flow.reanalyse(STUDY, {"network": "3"})
    assert refused.value.reason == "model_version_unfit"
    house.work()
    assert model_versions(house) == ["1"]


def test_reanalysis_asked_for_while_another_runs_ends_with_the_model_that_was_pinned(house: House) -> None:
    def ask_meanwhile() -> None:
        house.analysis.before = lambda: None
        house.flow.reanalyse(STUDY, {"network": "2"})

    use_network(house)
    house.analysis.before = ask_meanwhile
    house.flow.store_instance(received())
    house.work()
    assert model_versions(house) == ["2"]


@pytest.mark.parametrize(
    ("pinned", "said"),
    [
        ({"other": "1"}, "No analysis uses a model other; those in use: network."),
        ({"network": "9"}, "Version 9 of network is not served; there is 1, 2."),
    ],
)
def test_reanalysis_with_a_model_that_does_not_exist_is_refused_and_says_which_do(
    house: House, pinned: dict[str, str], said: str
) -> None:
    use_network(house)
    house.flow.store_instance(received())
    house.work()
    with pytest.raises(InputRejected, match=re.escape(said)):
        house.flow.reanalyse(STUDY, pinned)
    assert "analyse_instance" not in house.waiting()


@pytest.mark.parametrize("step", ["complete_study", "compose_report"])
def test_step_run_twice_makes_one_report(house: House, step: str) -> None:
    house.flow.store_instance(received())
    house.flow.request_report(STUDY)
    house.work()
    again: Callable[[str], None] = getattr(house.flow, step)
    again(STUDY)
    house.work()
    with house.flow.units() as unit:
        assert len(unit.reports.versions(STUDY)) == 1


def test_peer_that_refuses_for_good_closes_the_delivery_with_its_reason(house: House) -> None:
    def refuse() -> None:
        raise InputRejected("The peer answered 0x0122: SOP class not supported.")

    house.destination.before = refuse
    house.flow.store_instance(received())
    house.flow.request_report(STUDY)
    house.work()
    report = house.report()
    assert report is not None
    assert [(delivery.state, delivery.last_error) for delivery in report.delivery] == [
        ("refused", "The peer answered 0x0122: SOP class not supported.")
    ]


def pacs_away() -> None:
    raise Unavailable("The PACS does not answer.")


def report_that_waits_for_the_pacs(house: House) -> Report:
    """Version 1, composed while the PACS was away; its delivery is pending."""
    house.destination.before = pacs_away
    house.flow.store_instance(received())
    house.flow.request_report(STUDY)
    with pytest.raises(Unavailable):
        house.work()
    house.destination.before = lambda: None
    report = house.report()
    assert report is not None
    assert [delivery.state for delivery in report.delivery] == ["pending"]
    return report


def delivery_state(house: House, report_id: str) -> str:
    with house.flow.units() as unit:
        (delivery,) = unit.reports.get(report_id).delivery
        return delivery.state


def test_pending_delivery_of_another_patient_is_superseded_when_the_pacs_returns(house: House) -> None:
    first = report_that_waits_for_the_pacs(house)
    house.flow.store_instance(received(attributes="corrected", patient_id="P2"))
    house.flow.request_report(STUDY)
    house.work()
    house.flow.deliver_report(first.report_id, "pacs", "sr")
    assert (delivery_state(house, first.report_id), house.destination.received) == ("superseded", [])
    house.flow.acknowledge_identity(STUDY)
    house.work()
    newest = house.report()
    assert newest is not None
    assert [sent.report_id for sent in house.destination.received] == [newest.report_id]


def test_pending_delivery_of_another_patient_is_not_sent_before_the_next_version_either(house: House) -> None:
    first = report_that_waits_for_the_pacs(house)
    house.flow.store_instance(received(attributes="corrected", patient_id="P2"))
    house.flow.acknowledge_identity(STUDY)
    house.flow.deliver_report(first.report_id, "pacs", "sr")
    assert (delivery_state(house, first.report_id), house.destination.received) == ("superseded", [])


def test_pending_delivery_of_a_held_study_is_held_until_a_person_acknowledges(house: House) -> None:
    first = report_that_waits_for_the_pacs(house)
    with house.engine.begin() as connection:
        connection.execute(text("UPDATE studies SET identity_hold = true"))
    house.flow.deliver_report(first.report_id, "pacs", "sr")
    assert (delivery_state(house, first.report_id), house.destination.received) == ("held", [])
    house.flow.acknowledge_identity(STUDY)
    house.work()
    assert delivery_state(house, first.report_id) == "delivered"


def test_pending_delivery_gives_way_to_a_newer_version_of_the_same_patient(house: House) -> None:
    first = report_that_waits_for_the_pacs(house)
    house.flow.store_instance(received("1.2.4"))
    house.flow.request_report(STUDY)
    house.work()
    newest = house.report()
    assert newest is not None
    assert (delivery_state(house, first.report_id), delivery_state(house, newest.report_id)) == ("superseded", "delivered")
    house.flow.deliver_report(first.report_id, "pacs", "sr")
    assert [sent.report_id for sent in house.destination.received] == [newest.report_id]


def test_pending_delivery_of_a_study_that_was_emptied_is_superseded(house: House) -> None:
    first = report_that_waits_for_the_pacs(house)
    house.flow.store_instance(received(attributes="moved", study_instance_uid=f"{STUDY}.2"))
    house.flow.request_report(STUDY)
    house.flow.acknowledge_identity(STUDY)
    house.work()
    house.flow.deliver_report(first.report_id, "pacs", "sr")
    assert (delivery_state(house, first.report_id), house.destination.received) == ("superseded", [])


def test_pending_delivery_tells_when_it_is_tried_next(house: House) -> None:
    house.destination.before = pacs_away
    house.flow.store_instance(received())
    house.flow.request_report(STUDY)
    while "deliver_report" not in house.waiting():
        house.work_one()
    due = house.report()
    with house.engine.begin() as connection:
        statement = (
            "UPDATE procrastinate_jobs SET scheduled_at = '2030-01-02T03:04:05Z' WHERE task_name = 'sonomyo.deliver_report'"
        )
        connection.execute(text(statement))
    scheduled = house.report()
    house.destination.before = lambda: None
    with house.engine.begin() as connection:
        connection.execute(text("UPDATE procrastinate_jobs SET scheduled_at = NULL"))
    house.work()
    delivered = house.report()
    assert due is not None
    assert scheduled is not None
    assert delivered is not None
    assert due.delivery[0].next_attempt_at is not None
    assert scheduled.delivery[0].next_attempt_at == datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert (delivered.delivery[0].state, delivered.delivery[0].next_attempt_at) == ("delivered", None)


def test_version_that_was_on_its_way_while_the_next_was_composed_is_told_as_delivered(house: House) -> None:
    def compose_meanwhile() -> None:
        house.destination.before = lambda: None
        house.flow.store_instance(received("1.2.4"))
        house.flow.request_report(STUDY)
        house.work()

    first = report_that_waits_for_the_pacs(house)
    house.destination.before = compose_meanwhile
    house.flow.deliver_report(first.report_id, "pacs", "sr")
    assert delivery_state(house, first.report_id) == "delivered"


def status_of(house: House) -> tuple[str, bool]:
    """The study's status, and whether a request for completion still waits."""
    with house.engine.connect() as connection:
        row = connection.execute(text("SELECT status, completion_requested_at FROM studies")).one()
    return row.status, row.completion_requested_at is not None


def test_study_reported_by_request_stays_reported_at_its_stable_age_and_when_asked_again(house: House) -> None:
    house.flow.store_instance(received())
    house.flow.request_report(STUDY)
    house.work()
    assert status_of(house) == ("reported", False)
    house.age_study(61)
    house.work()
    assert status_of(house) == ("reported", False)
    house.flow.request_report(STUDY)
    house.work()
    assert status_of(house) == ("reported", False)


SCREEN: dict[str, Any] = {"sop_class_uid": "1.2.840.10008.5.1.4.1.1.7", "number_of_frames": None}


def test_report_counts_the_instances_that_no_analysis_is_for_by_reason(house: House) -> None:
    house.flow.store_instance(received("1.2.7", **SCREEN))
    house.flow.store_instance(received("1.2.8", **SCREEN))
    house.flow.store_instance(received("1.2.9", has_pixel_data=False))
    house.flow.store_instance(received())
    house.flow.request_report(STUDY)
    house.work()
    report = house.report()
    assert report is not None
    assert report.limitations[-2:] == (
        "2 stored instances were not analysed because a Secondary Capture is a picture of a screen, without a scale to trust.",
        "1 stored instance was not analysed because it has no pixel data.",
    )


def test_report_of_a_study_whose_only_instance_is_analysed_says_nothing_of_others(house: House) -> None:
    house.flow.store_instance(received())
    house.flow.request_report(STUDY)
    house.work()
    report = house.report()
    assert report is not None
    assert not [sentence for sentence in report.limitations if "stored instance" in sentence]


def test_study_that_nothing_analyses_ends_in_a_report_that_says_why_when_it_is_asked_for(house: House) -> None:
    house.flow.store_instance(received("1.2.7", **SCREEN))
    house.flow.request_report(STUDY)
    house.work()
    report = house.report()
    assert report is not None
    assert report.impression == "Nothing was measured: no instance of this study could be analysed."
    assert report.limitations == (
        "1 stored instance was not analysed because a Secondary Capture is a picture of a screen, without a scale to trust.",
    )
    assert (status_of(house), report.delivery) == (("reported", False), ())


def test_study_that_nothing_analyses_is_reported_once_however_often_it_is_asked_for(house: House) -> None:
    house.flow.store_instance(received("1.2.7", **SCREEN))
    for _ in range(2):
        house.flow.request_report(STUDY)
        house.work()
    report = house.report()
    assert report is not None
    assert (report.version, status_of(house)) == (1, ("reported", False))


def test_study_that_nothing_analyses_and_is_reanalysed_does_not_wait_for_ever(house: House) -> None:
    house.flow.store_instance(received("1.2.7", **SCREEN))
    house.flow.reanalyse(STUDY)
    house.work()
    assert (house.report() is not None, status_of(house)) == (True, ("reported", False))


def test_instance_analysed_after_an_empty_report_makes_the_next_version(house: House) -> None:
    house.flow.store_instance(received("1.2.7", **SCREEN))
    house.flow.request_report(STUDY)
    house.work()
    house.flow.store_instance(received())
    house.age_study(61)
    house.work()
    report = house.report()
    assert report is not None
    assert (report.version, len(report.findings), [delivery.state for delivery in report.delivery]) == (2, 1, ["delivered"])


def test_step_that_fails_before_its_commit_leaves_neither_rows_nor_jobs(house: House) -> None:
    def store_then_fail() -> None:
        with house.flow.units() as unit:
            unit.instances.save(received())
            unit.jobs.compose_report(STUDY)
            raise Conflict("stop")

    with pytest.raises(Conflict):
        store_then_fail()
    assert house.waiting() == []
    with pytest.raises(NotFound):
        house.flow.request_report(STUDY)


def test_report_row_changed_by_hand_is_refused_by_the_database(house: House) -> None:
    house.flow.store_instance(received())
    house.flow.request_report(STUDY)
    house.work()
    for statement in ("UPDATE reports SET version = 9", "DELETE FROM reports"):
        with pytest.raises(Exception, match="immutable"), house.engine.begin() as connection:
            connection.execute(text(statement))
