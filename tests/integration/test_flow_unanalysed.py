"""Instances that no analysis is for: counted with their reason, and a study of nothing else is reported, too."""

from typing import Any

import pytest
from sqlalchemy import Engine

from service.ports import UnitOfWorkFactory
from tests.integration.flow_parts import STUDY, House, received, status_of


@pytest.fixture
def house(units: UnitOfWorkFactory, engine: Engine) -> House:
    return House(units, engine)


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
