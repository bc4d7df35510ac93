"""Destinations by rule, from the arrival of an instance to what is told of it by HTTP, on a real database."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from service.core.instance import LIVE_MANUFACTURER
from service.core.routing import RoutingRule, RoutingRules
from service.core.rules_file import read_rules
from service.errors import NotMeasurable
from service.ports import UnitOfWorkFactory
from service.review import Review
from tests.fakes import FakeDestination
from tests.integration import api_parts
from tests.integration.flow_parts import STUDY, House, received
from tests.integration.test_captures import DrawingHouse
from tests.running import ROOT

SCANNERS = """
[[delivery_rules]]
name = "phantoms stay here"
calling_ae_titles = ["PHANTOM"]
send = false

[[delivery_rules]]
name = "signed to the record"
destinations = ["record"]
statuses = ["final"]
"""
DOUBTS = """
[[delivery_rules]]
name = "doubts to the reading room"
destinations = ["record"]
needs_review = true
"""


@pytest.fixture
def house(units: UnitOfWorkFactory, engine: Engine) -> House:
    made = House(units, engine)
    ruled(made, SCANNERS)
    return made


def ruled(house: House, toml: str) -> None:
    record = house.flow.destinations.get("record", FakeDestination(name="record"))
    destinations = {"pacs": house.destination, "record": record}
    house.flow = replace(house.flow, destinations=destinations, delivery_rules=read_rules(toml).delivery_rules)


def reported(house: House, calling: str = "US1", **changes: Any) -> None:
    house.flow.store_instance(replace(received(**changes), calling_ae_title=calling))
    house.flow.request_report(STUDY)
    house.work()


def gone_to(house: House, name: str) -> int:
    destination = house.flow.destinations[name]
    assert isinstance(destination, FakeDestination)
    return len(destination.received)


def test_report_goes_to_the_destinations_that_the_rules_choose_and_to_no_other(house: House) -> None:
    reported(house)
    report = house.report()
    assert report is not None
    assert [(delivery.destination, delivery.state) for delivery in report.delivery] == [("pacs", "delivered")]
    assert (gone_to(house, "pacs"), gone_to(house, "record")) == (1, 0)


def test_report_on_what_a_scanner_sent_that_is_kept_back_goes_nowhere(house: House) -> None:
    reported(house, "PHANTOM")
    assert house.report() is not None
    assert (gone_to(house, "pacs"), gone_to(house, "record")) == (0, 0)


def test_version_in_place_of_one_that_a_destination_has_goes_there_too(house: House) -> None:
    def unmeasurable() -> None:
        raise NotMeasurable("No muscle was recognised in any frame.", reason="no_muscle")

    ruled(house, DOUBTS)
    house.analysis.before = unmeasurable
    reported(house)
    assert gone_to(house, "record") == 1
    house.analysis.before = lambda: None
    house.flow.reanalyse(STUDY)
    house.work()
    report = house.report()
    assert report is not None
    assert (report.version, [finding.value for finding in report.findings], gone_to(house, "record")) == (2, [7.0], 2)


def test_report_without_doubts_does_not_go_where_doubts_go(house: House) -> None:
    ruled(house, DOUBTS)
    reported(house)
    assert (gone_to(house, "pacs"), gone_to(house, "record")) == (1, 0)


def test_decision_is_kept_when_the_rules_change(house: House) -> None:
    reported(house)
    report = house.report()
    assert report is not None
    with house.flow.units() as unit:
        before = unit.outbox.decisions(report.report_id)
    ruled(house, "")
    with house.flow.units() as unit:
        assert unit.outbox.decisions(report.report_id) == before
    assert {one.destination: (one.selected, one.rule) for one in before} == {"pacs": (True, None), "record": (False, None)}


def test_report_that_goes_nowhere_whatever_the_rules_say_keeps_the_reason(house: House) -> None:
    reported(house, manufacturer=LIVE_MANUFACTURER)
    report = house.report()
    assert report is not None
    with house.flow.units() as unit:
        kept = unit.outbox.decisions(report.report_id)
    assert {(one.selected, "live guidance" in one.why) for one in kept} == {(False, True)}


def test_calling_ae_title_chooses_an_analysis(house: House) -> None:
    rule = RoutingRule(name="the sports ward", analysis="muscle_architecture", calling_ae_titles=("US1",))
    house.flow = replace(house.flow, rules=RoutingRules(rules=(rule,)))
    house.flow.store_instance(replace(received("1.2.3"), calling_ae_title="US1"))
    house.flow.store_instance(replace(received("1.2.4"), calling_ae_title="US2"))
    with house.flow.units() as unit:
        (opened,) = unit.analyses.of_study(STUDY)
    assert (opened.sop_instance_uid, opened.rule) == ("1.2.3", "the sports ward")


# -- the example --

EXAMPLE = ROOT / "deploy" / "rules.example.toml"
TO_THE_RECORD = ["final", "cancelled"]


@pytest.mark.parametrize(
    ("steps", "told"), [([], []), (["withdraw"], []), (["sign"], ["final"]), (["sign", "withdraw"], TO_THE_RECORD)]
)
def test_example_sends_signed_reports_to_the_record_and_their_withdrawals_alone(
    house: House, steps: list[str], told: list[str]
) -> None:
    names = ("record", "hand-surgery", "reading-room")
    destinations = {name: FakeDestination(name=name) for name in names}
    house.flow = replace(
        house.flow, destinations=destinations, delivery_rules=read_rules(EXAMPLE.read_text(encoding="utf-8")).delivery_rules
    )
    review = Review(units=house.flow.units, publication=house.flow.publication, software=house.flow.software)
    reported(house)
    for step in steps:
        report = house.report()
        assert report is not None
        if step == "sign":
            review.sign(report.report_id, by=api_parts.ANNA)
        else:
            review.cancel(report.report_id, why="of another patient", by=api_parts.ANNA)
        house.work()
    with house.flow.units() as unit:
        assert [unit.reports.get(one.report_id).status for one in destinations["record"].received] == told
    assert [len(destinations[name].received) for name in names[1:]] == [0, 0]


# -- captures, which follow the report --

NO_CAPTURES = '[[delivery_rules]]\nname = "no captures"\nkinds = ["sr"]\n'


@pytest.fixture
def drawing(units: UnitOfWorkFactory, engine: Engine) -> DrawingHouse:
    return DrawingHouse(units, engine)


def test_capture_that_a_rule_leaves_out_is_not_made(drawing: DrawingHouse) -> None:
    drawing.flow = replace(drawing.flow, delivery_rules=read_rules(NO_CAPTURES).delivery_rules)
    reported(drawing)
    assert (drawing.sent(), drawing.captures.made) == (["sr"], [])


def test_capture_goes_as_was_decided_when_its_report_was_composed(drawing: DrawingHouse) -> None:
    drawing.work_until_capture()
    drawing.flow = replace(drawing.flow, delivery_rules=read_rules(NO_CAPTURES).delivery_rules)
    drawing.work()
    assert drawing.sent() == ["sr", "sc.1"]


# -- by HTTP --

EXPLAIN = f"/api/v1/studies/{api_parts.STUDY}/explain"


@pytest.fixture
def edge(engine: Engine, units: UnitOfWorkFactory, tmp_path: Path) -> Iterator[api_parts.House]:
    with api_parts.House(engine, units, tmp_path, delivery_rules=read_rules(SCANNERS).delivery_rules) as made:
        yield made


def test_explain_of_a_reported_study_tells_the_rule_of_each_analysis_and_destination(edge: api_parts.House) -> None:
    told = api_parts.reported(edge).get(EXPLAIN).json()
    assert told["report"]["version"] == 1
    (instance,) = told["instances"]
    seen = instance["looked_at"]
    assert (seen["number_of_frames"], seen["body_part_examined"], seen["calling_ae_title"]) == (3, None, None)
    analyses = {one["analysis_name"]: one for one in instance["analyses"]}
    ran, left_out = analyses["muscle_architecture"], analyses["wrist_hand"]
    assert (ran["selected"], ran["rule"], ran["is_kept"], ran["state"]) == (True, "muscle_architecture", True, "done")
    assert (left_out["selected"], left_out["rule"], left_out["is_kept"]) == (False, "wrist_hand", False)
    assert "Anatomic Region code is absent" in left_out["why"]
    (destination,) = told["destinations"]
    assert (destination["destination"], destination["selected"], destination["kinds"]) == ("pacs", True, ["sr"])
    assert destination["is_kept"]
    study = edge.client().get(f"/api/v1/studies/{api_parts.STUDY}").json()
    assert [(one["analysis_name"], one["rule"]) for one in study["analyses"]] == [("muscle_architecture", "muscle_architecture")]


def test_explain_before_there_is_a_report_tells_what_the_rules_would_decide(edge: api_parts.House) -> None:
    client = edge.client()
    api_parts.upload(client, api_parts.dicom_file()).raise_for_status()
    told = client.get(EXPLAIN).json()
    assert told["report"] is None
    assert [(one["selected"], one["is_kept"]) for one in told["destinations"]] == [(True, False)]


def test_explain_holds_no_patient(edge: api_parts.House) -> None:
    text = api_parts.reported(edge).get(EXPLAIN).text
    assert "Canary" not in text
    assert '"P1"' not in text


def test_explain_of_an_unknown_study_is_not_found(edge: api_parts.House) -> None:
    assert edge.client().get("/api/v1/studies/1.2.3.4/explain").status_code == 404
