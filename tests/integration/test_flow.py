"""The flow on a real PostgreSQL: each step, repeated and out of order, leaves one right state."""

import threading
from collections.abc import Callable
from dataclasses import replace

import pytest
from sqlalchemy import Engine, text

from service.errors import Conflict, NotFound, Unavailable
from service.ports import UnitOfWorkFactory
from service.records import StoredInstance
from tests.integration.flow_parts import STUDY, House, received, status_of


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
