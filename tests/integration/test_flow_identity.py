"""Whose study it is: corrections, other patients, and what is held until a person acknowledges it."""

from typing import Any

import pytest
from sqlalchemy import Engine

from service.core.instance import PatientIdentity
from service.ports import UnitOfWorkFactory
from tests.integration.flow_parts import STUDY, House, received


@pytest.fixture
def house(units: UnitOfWorkFactory, engine: Engine) -> House:
    return House(units, engine)


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


def test_second_instance_that_lacks_what_the_first_said_takes_nothing_away(house: House) -> None:
    house.flow.store_instance(received())
    house.flow.store_instance(received("1.2.4", identity=PatientIdentity(patient_id="P1")))
    house.flow.request_report(STUDY)
    house.work()
    report = house.report()
    assert report is not None
    assert (report.study.patient_name, [delivery.state for delivery in report.delivery]) == ("Ivanov^Иван", ["delivered"])
