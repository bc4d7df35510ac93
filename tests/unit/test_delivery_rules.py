"""Which destinations get a report, and the sentence that says why."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.conditions import Arrival
from service.core.delivery_rules import (
    Analysed,
    DeliveryDecision,
    DeliverySubject,
    choose_destinations,
    needs_review,
)
from service.core.instance import InstanceAttributes, PatientIdentity
from service.core.report import ReportStatus
from service.core.rules_file import Rules, read_rules
from service.errors import InputRejected
from tests.calf_report import cine_findings, instance, not_measured

PACS, RECORD = ("ko", "pdf", "sr"), ("oru",)
DESTINATIONS = {"pacs": PACS, "record": RECORD}
ANALYSES = ("muscle_architecture", "muscle_state", "myofascial_pain", "wrist_hand", "motor_units")


def analysed(analysis: str = "muscle_architecture", calling: str | None = "US1", **changes: Any) -> Analysed:
    attributes: InstanceAttributes = replace(instance(), **changes)
    return Analysed(Arrival(attributes, "SONOMYO", calling), analysis)


def subject(*of: Analysed, status: ReportStatus = ReportStatus.PRELIMINARY, review: bool = False) -> DeliverySubject:
    return DeliverySubject(status=status, analysed=of or (analysed(),), needs_review=review)


def rules(toml: str) -> Rules:
    return read_rules(toml, ANALYSES, DESTINATIONS)


def rule(*lines: str, name: str = "r") -> str:
    return "\n".join(["[[delivery_rules]]", f'name = "{name}"', *lines, ""])


def decide(toml: str, about: DeliverySubject | None = None, **reached: Sequence[str]) -> Mapping[str, DeliveryDecision]:
    made = choose_destinations(about or subject(), DESTINATIONS, rules(toml).delivery_rules, reached=reached)
    assert [one.destination for one in made] == list(DESTINATIONS)
    return {one.destination: one for one in made}


def test_destination_without_any_rule_gets_all_that_it_takes() -> None:
    made = decide("")
    assert {name: (one.selected, one.kinds, one.rule) for name, one in made.items()} == {
        "pacs": (True, PACS, None),
        "record": (True, RECORD, None),
    }


def test_rule_that_applies_sends_and_is_named() -> None:
    made = decide(rule('destinations = ["record"]', 'analyses = ["muscle_architecture"]', name="calves to the record"))
    assert (made["record"].selected, made["record"].rule) == (True, "calves to the record")
    assert "calves to the record" in made["record"].why
    assert made["pacs"].rule is None
    assert made["pacs"].selected


def test_rule_that_does_not_apply_leaves_out_its_destinations_alone() -> None:
    made = decide(rule('destinations = ["record"]', 'statuses = ["final"]', name="signed"))
    assert (made["record"].selected, made["record"].kinds) == (False, ())
    assert "signed: the report is preliminary and the rule asks for final" in made["record"].why
    assert made["pacs"].selected


@pytest.mark.parametrize(
    ("condition", "word"),
    [
        ('statuses = ["final", "amended"]', "final or amended"),
        ("needs_review = true", "nothing in the report needs review"),
        ('analyses = ["wrist_hand"]', "analysed by muscle_architecture"),
        ('called_ae_titles = ["OTHER"]', "not sent to one of the AE titles"),
        ('calling_ae_titles = ["us1"]', "not sent by one of the AE titles"),
        ('body_parts = ["WRIST"]', "Body Part Examined is not one"),
        ('none_of_body_parts = ["leg"]', "leaves out"),
        ('anatomic_region_codes = ["74670003"]', "Anatomic Region code is absent"),
        ('manufacturers = ["ACME"]', "Manufacturer is absent"),
        ("minimum_frames = 61", "at least 61"),
    ],
)
def test_condition_that_fails_is_named_and_keeps_the_report(condition: str, word: str) -> None:
    made = decide(rule(condition), subject(analysed(body_part_examined="LEG")))
    assert not any(one.selected for one in made.values())
    assert all(word in one.why for one in made.values())


@pytest.mark.parametrize(
    "condition",
    [
        'statuses = ["preliminary"]',
        "needs_review = false",
        'analyses = ["muscle_architecture"]',
        'called_ae_titles = ["SONOMYO"]',
        'calling_ae_titles = ["US1"]',
        'body_parts = ["leg"]',
        'none_of_body_parts = ["WRIST"]',
        'manufacturers = ["acme "]',
        "minimum_frames = 60",
    ],
)
def test_condition_that_holds_sends(condition: str) -> None:
    made = decide(rule(condition), subject(analysed(body_part_examined="LEG", manufacturer="Acme")))
    assert {(one.selected, one.rule) for one in made.values()} == {(True, "r")}


def test_report_of_several_instances_goes_when_one_of_them_meets_all_conditions() -> None:
    toml = rule('analyses = ["wrist_hand"]', 'calling_ae_titles = ["US2"]')
    both = analysed("wrist_hand", calling="US2")
    assert decide(toml, subject(analysed(), both))["pacs"].selected
    half, other_half = analysed("wrist_hand"), analysed(calling="US2")
    made = decide(toml, subject(half, other_half))["pacs"]
    assert not made.selected
    assert "not sent by" in made.why
    assert "analysed by muscle_architecture" in made.why


def test_first_rule_that_applies_decides() -> None:
    kept_back = rule('calling_ae_titles = ["US1"]', "send = false", name="phantoms")
    sent = rule('destinations = ["record"]', name="all")
    first, second = decide(kept_back + sent)["record"], decide(sent + kept_back)["record"]
    assert (first.selected, first.rule) == (False, "phantoms")
    assert (second.selected, second.rule) == (True, "all")


def test_rule_that_keeps_back_and_does_not_apply_leaves_everything_as_it_was() -> None:
    made = decide(rule('calling_ae_titles = ["OTHER"]', "send = false"))
    assert {(one.selected, one.rule) for one in made.values()} == {(True, None)}


def test_kinds_of_a_rule_narrow_what_a_destination_takes() -> None:
    made = decide(rule('kinds = ["pdf", "sr"]'))
    assert (made["pacs"].selected, made["pacs"].kinds) == (True, ("pdf", "sr"))
    assert (made["record"].selected, made["record"].kinds, made["record"].rule) == (False, (), "r")


def test_destination_that_has_an_earlier_version_gets_what_takes_its_place_in_the_same_kinds() -> None:
    toml = rule("needs_review = true")
    assert not decide(toml)["pacs"].selected
    made = decide(toml, pacs=["pdf", "sc"])
    assert (made["pacs"].selected, made["pacs"].kinds, made["record"].selected) == (True, ("pdf",), False)
    assert "takes the place" in made["pacs"].why


def test_destination_that_has_an_earlier_version_is_kept_back_by_a_rule_that_says_so() -> None:
    assert not decide(rule('statuses = ["preliminary"]', "send = false"), pacs=["sr"])["pacs"].selected


def test_report_on_nothing_meets_no_condition_on_instances_and_every_other() -> None:
    nothing = DeliverySubject(status=ReportStatus.PRELIMINARY, analysed=(), needs_review=False)
    made = decide(
        rule('body_parts = ["LEG"]', 'destinations = ["pacs"]') + rule('destinations = ["record"]', name="all"), nothing
    )
    assert (made["pacs"].selected, made["record"].selected) == (False, True)
    assert "nothing in the study was analysed" in made["pacs"].why


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        (rule('destinations = ["pasc"]'), ["delivery rule 1 (r)", "pasc", "SONOMYO_DESTINATIONS", "pacs, record"]),
        (rule(name="a") + rule('analyses = ["knee"]', name="b"), ["delivery rule 2 (b)", "knee", "wrist_hand"]),
        (rule('kinds = ["pfd"]'), ["pfd", "none of its destinations"]),
        (rule('destinations = ["pacs", "record"]', 'kinds = ["sr"]'), ["sends only sr to record", "oru"]),
        (rule("send = false", 'kinds = ["sr"]'), ["delivery rule 1", "send is false"]),
        (rule('statuses = ["done"]'), ["delivery rule 1: statuses.0", "preliminary"]),
        (rule('destination = ["pacs"]'), ["delivery rule 1: destination", "Extra"]),
        ("[[delivery_rules]]\nsend = true\n", ["delivery rule 1: name"]),
        (rule() + rule(), ["delivery_rules: two have the name r"]),
        ('[[rules]]\nname = "x"\nanalysis = "wrist_hand"\nminimum_frames = 0\n', ["rule 1: minimum_frames"]),
    ],
)
def test_wrong_rule_is_refused_and_named(toml: str, words: list[str]) -> None:
    with pytest.raises(InputRejected) as refused:
        rules(toml)
    assert refused.value.reason == "routing_file_invalid"
    assert all(word in str(refused.value) for word in words), refused.value


def test_file_with_delivery_rules_alone_keeps_the_built_in_rules_of_analyses() -> None:
    assert read_rules(rule()).rules == Rules().rules


def test_called_ae_titles_of_the_settings_leave_the_delivery_rules_as_they_are() -> None:
    read = rules(rule() + '[[rules]]\nanalysis = "wrist_hand"\n')
    assert read.with_ae_titles({"WRIST": "wrist_hand"}).delivery_rules == read.delivery_rules


@given(text=st.text(min_size=1, max_size=30))
def test_decision_never_quotes_what_an_instance_says(text: str) -> None:
    name = f"zz{text}zz"
    one = analysed(
        body_part_examined=name,
        manufacturer=name,
        anatomic_region_code=name,
        study_description=name,
        identity=PatientIdentity(patient_id=name, patient_name=name),
    )
    conditions = ('body_parts = ["LEG"]', 'manufacturers = ["ACME"]', 'anatomic_region_codes = ["1"]')
    toml = "".join(rule(condition, name=str(number)) for number, condition in enumerate(conditions))
    assert all(name not in made.why for made in decide(toml, subject(one)).values())


def test_report_needs_review_while_it_is_unsigned_and_something_is_in_doubt() -> None:
    preliminary = ReportStatus.PRELIMINARY
    graded_c = cine_findings()[0].model_copy(update={"flags": ("grade_c",)})
    assert not needs_review(preliminary, cine_findings(), is_incomplete=False)
    assert needs_review(preliminary, cine_findings(), is_incomplete=True)
    assert needs_review(preliminary, (*cine_findings(), not_measured()), is_incomplete=False)
    assert needs_review(preliminary, (graded_c,), is_incomplete=False)
    assert not needs_review(ReportStatus.FINAL, (graded_c,), is_incomplete=True)


@pytest.mark.parametrize(
    ("toml", "kinds"),
    [
        ("", ("pdf", "rejection", "sr")),
        (rule('kinds = ["ko"]'), ("rejection",)),
        (rule('statuses = ["final"]'), ("rejection",)),
        (rule('statuses = ["cancelled"]', "send = false"), ()),
    ],
)
def test_withdrawal_of_what_was_sent_as_key_images_is_told_by_a_rejection_note_unless_kept_back(
    toml: str, kinds: tuple[str, ...]
) -> None:
    made = decide(toml, subject(status=ReportStatus.CANCELLED), pacs=["ko"])
    assert made["pacs"].kinds == kinds
    assert "rejection" not in made["record"].kinds


def test_withdrawn_report_is_sent_in_the_kinds_that_say_so_alone() -> None:
    destinations = {"pacs": ("ko", "pdf", "sc", "seg", "sr"), "record": ("fhir",), "viewer": ("seg",)}
    withdrawn = subject(status=ReportStatus.CANCELLED)
    made = {one.destination: one for one in choose_destinations(withdrawn, destinations, ())}
    assert {name: one.kinds for name, one in made.items()} == {"pacs": ("pdf", "sr"), "record": ("fhir",), "viewer": ()}
    assert (made["viewer"].selected, "withdrawn" in made["viewer"].why) == (False, True)
