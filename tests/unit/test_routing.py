"""Routing decisions and their reasons."""

import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.conditions import Arrival
from service.core.instance import InstanceAttributes
from service.core.routing import (
    ULTRASOUND_IMAGES,
    RoutingDecision,
    RoutingRule,
    RoutingRules,
    reason_left_out,
    select_analyses,
)
from service.core.rules_file import read_rules
from service.errors import InputRejected

CINE = InstanceAttributes(
    sop_instance_uid="1.2.3",
    sop_class_uid=ULTRASOUND_IMAGES[1],
    study_instance_uid="1.2",
    series_instance_uid="1.2.1",
    transfer_syntax_uid="1.2.840.10008.1.2.1",
    modality="US",
    number_of_frames=60,
    has_pixel_data=True,
)


def decide(attributes: InstanceAttributes, called: str | None = None, rules: RoutingRules | None = None) -> RoutingDecision:
    """On muscle architecture, the first rule."""
    decision = select_analyses(Arrival(attributes, called), rules or RoutingRules())[0]
    assert decision.analysis_name == "muscle_architecture"
    return decision


@pytest.mark.parametrize("sop_class_uid", ULTRASOUND_IMAGES)
@pytest.mark.parametrize("frames", [None, 1, 60])
def test_ultrasound_image_of_any_class_is_selected(sop_class_uid: str, frames: int | None) -> None:
    decision = decide(replace(CINE, sop_class_uid=sop_class_uid, number_of_frames=frames))
    assert decision.selected
    assert ("cine of 60 frames" if frames == 60 else "single ultrasound frame") in decision.why


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"sop_class_uid": "1.2.840.10008.5.1.4.1.1.6.2"}, "Enhanced US Volume"),
        ({"sop_class_uid": "1.2.840.10008.5.1.4.1.1.7.4"}, "Secondary Capture"),
        ({"sop_class_uid": "1.2.840.10008.5.1.4.1.1.88.34"}, "structured report"),
        ({"sop_class_uid": "1.2.840.10008.5.1.4.1.1.88.59"}, "key object"),
        ({"sop_class_uid": "1.2.840.10008.5.1.4.1.1.66.4"}, "segmentation"),
        ({"sop_class_uid": "1.2.840.10008.5.1.4.1.1.66"}, "1.2.840.10008.5.1.4.1.1.66"),
        ({"sop_class_uid": "1.2.840.10008.5.1.4.1.1.2"}, "SOP class"),
        ({"has_pixel_data": False}, "no pixel data"),
        ({"quality_control_image": True}, "quality control"),
        ({"region_data_types": (3, 10)}, "3H, AH"),
        ({"image_type": ("ORIGINAL", "PRIMARY", "", "0008")}, "0008"),
    ],
)
def test_instance_that_is_no_b_mode_image_is_not_selected_and_says_why(changes: dict[str, Any], word: str) -> None:
    decision = decide(replace(CINE, **changes))
    assert not decision.selected
    assert word in decision.why


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"region_data_types": (3, 1)}, "tissue region"),
        ({"region_data_types": (1,), "image_type": ("ORIGINAL", "PRIMARY", "", "0008")}, "tissue region"),
        ({"image_type": ("DERIVED", "PRIMARY", "", "0011")}, "2D mode"),
        ({"image_type": ("ORIGINAL", "PRIMARY", "", "xyz")}, "unstated mode"),
        ({"image_type": ("ORIGINAL", "PRIMARY", "", "0000")}, "unstated mode"),
    ],
)
def test_b_mode_evidence_is_named(changes: dict[str, Any], word: str) -> None:
    decision = decide(replace(CINE, **changes))
    assert decision.selected
    assert word in decision.why


def test_called_ae_title_asks_for_one_analysis_whatever_the_other_rules_say() -> None:
    rules = RoutingRules(
        rules=(RoutingRule(analysis="muscle_architecture", minimum_frames=100), RoutingRule(analysis="wrist_hand")),
        analysis_ae_titles={"MYO_ARCH": "muscle_architecture"},
    )
    asked, other = select_analyses(Arrival(CINE, "MYO_ARCH "), rules)
    assert asked.selected
    assert "MYO_ARCH" in asked.why
    assert not other.selected
    assert "muscle_architecture only" in other.why
    by_rule = select_analyses(Arrival(CINE, "SONOMYO"), rules)
    assert [decision.selected for decision in by_rule] == [False, True]


def test_called_ae_title_cannot_select_what_is_no_image() -> None:
    rules = RoutingRules(analysis_ae_titles={"MYO": "muscle_architecture"})
    assert not decide(replace(CINE, has_pixel_data=False), "MYO", rules).selected


@pytest.mark.parametrize(
    ("rule", "word"),
    [
        ("enabled = false", "switched off"),
        ("minimum_frames = 61", "at least 61"),
        ('called_ae_titles = ["OTHER"]', "AE titles"),
        ('body_parts = ["LEG"]', "Body Part Examined is not one"),
        ('none_of_body_parts = ["heart"]', "leaves out"),
        ('anatomic_region_codes = ["30021000"]', "Anatomic Region code is absent"),
        ('manufacturers = ["ACME"]', "Manufacturer is absent"),
    ],
)
def test_rule_from_toml_that_fails_is_named(rule: str, word: str) -> None:
    rules = read_rules(f'[[rules]]\nanalysis = "muscle_architecture"\n{rule}\n')
    decision = decide(replace(CINE, body_part_examined="HEART "), "SONOMYO", rules)
    assert not decision.selected
    assert word in decision.why


def test_rules_that_hold_select() -> None:
    rules = read_rules('[[rules]]\nanalysis = "muscle_architecture"\nbody_parts = ["leg"]\nminimum_frames = 2\n')
    assert decide(replace(CINE, body_part_examined="LEG"), None, rules).selected


@pytest.mark.parametrize("toml", ["[[rules", "[[rules]]\nname = 1\n", '[[rules]]\nanalysis = "a"\nminimum_frame = 2\n'])
def test_wrong_routing_file_is_rejected_by_name(toml: str) -> None:
    with pytest.raises(InputRejected, match="routing file") as caught:
        read_rules(toml)
    assert caught.value.reason == "routing_file_invalid"


@pytest.mark.parametrize(
    ("toml", "name"), [('[[rule]]\nanalysis = "muscle_architecture"\n', "rule"), ("[rulez]\n", "rulez"), ("pacs = 1\n", "pacs")]
)
def test_unknown_table_of_a_rules_file_is_named_beside_those_that_there_are(toml: str, name: str) -> None:
    with pytest.raises(InputRejected, match=re.escape(f"no table {name}: a rules file has [[rules]] and [[delivery_rules]]")):
        read_rules(toml)


def test_ae_title_for_an_unknown_analysis_stops_the_start() -> None:
    with pytest.raises(ValueError, match="no rule for the analysis cardiac"):
        RoutingRules().with_ae_titles({"HEART": "cardiac"})
    assert RoutingRules().with_ae_titles({"ARCH": "muscle_architecture"}).analysis_ae_titles == {"ARCH": "muscle_architecture"}


@given(text=st.text(max_size=40), frames=st.none() | st.integers())
def test_decision_never_quotes_free_text_of_the_instance(text: str, frames: int | None) -> None:
    name = f"zz{text}zz"
    attributes = replace(CINE, series_description=name, study_description=name, body_part_examined=name, number_of_frames=frames)
    rules = RoutingRules(rules=(RoutingRule(analysis="muscle_architecture", body_parts=("LEG",)),))
    assert name not in decide(attributes, None, rules).why


def test_reason_left_out_says_once_what_several_rules_say_and_each_that_differs() -> None:
    rules = RoutingRules(
        rules=(
            RoutingRule(analysis="muscle_architecture", minimum_frames=100),
            RoutingRule(analysis="muscle_state", minimum_frames=100),
            RoutingRule(analysis="wrist_hand", enabled=False),
        )
    )
    reason = "it has 60 frame(s) and the rule asks for at least 100; its rule is switched off"
    assert reason_left_out(select_analyses(Arrival(CINE), rules)) == reason


def test_reason_left_out_of_what_the_rules_would_select_today_blames_the_rules_of_its_day() -> None:
    assert reason_left_out(select_analyses(Arrival(CINE), RoutingRules())) == "no routing rule selected it when it came"


@pytest.mark.parametrize(
    ("changes", "selected"),
    [
        ({"anatomic_region_code": "31764008"}, ["myofascial_pain"]),
        ({"anatomic_region_code": "31764008", "number_of_frames": 1}, []),
        ({"anatomic_region_code": "30608006"}, ["muscle_architecture"]),
        ({}, ["muscle_architecture"]),
    ],
)
def test_built_in_rules_send_cines_of_the_trapezius_to_one_analysis_and_the_rest_to_another(
    changes: dict[str, Any], selected: list[str]
) -> None:
    decisions = select_analyses(Arrival(replace(CINE, **changes)), RoutingRules())
    assert [one.analysis_name for one in decisions if one.selected] == selected


@pytest.mark.parametrize(
    "changes",
    [
        {"anatomic_region_code": "74670003"},
        {"anatomic_region_code": "85562004", "body_part_examined": "LEG"},
        {"body_part_examined": "WRIST"},
        {"body_part_examined": "hand"},
    ],
)
@pytest.mark.parametrize("frames", [None, 300])
def test_picture_of_wrist_or_hand_goes_to_its_own_analysis_alone(changes: dict[str, Any], frames: int | None) -> None:
    decisions = select_analyses(Arrival(replace(CINE, number_of_frames=frames, **changes)), RoutingRules())
    assert [decision.analysis_name for decision in decisions if decision.selected] == ["wrist_hand"]


def test_coded_region_is_believed_before_the_body_part() -> None:
    attributes = replace(CINE, anatomic_region_code="30021000", body_part_examined="WRIST")
    decisions = select_analyses(Arrival(attributes), RoutingRules())
    assert [decision.analysis_name for decision in decisions if decision.selected] == ["muscle_architecture"]


SLOW_CALF = replace(CINE, number_of_frames=600, frame_time_ms=40.0, anatomic_region_code="53840002", has_pixel_data=True)


def test_slow_cine_of_a_calf_goes_to_no_motor_units_by_the_built_in_rules_and_the_reason_names_the_rate() -> None:
    decisions = {one.analysis_name: one for one in select_analyses(Arrival(SLOW_CALF), RoutingRules())}
    assert {name for name, one in decisions.items() if one.selected} == {"muscle_architecture", "muscle_state"}
    assert decisions["motor_units"].obstacle == "it has 25.0 frames a second and the rule asks for at least 249"


@pytest.mark.parametrize(("frame_time_ms", "selected"), [(40.0, False), (4.0, True), (None, False)])
def test_rule_of_ones_own_may_ask_for_a_frame_rate_beside_a_region(frame_time_ms: float | None, *, selected: bool) -> None:
    toml = """
        [[rules]]
        analysis = "muscle_state"
        anatomic_region_codes = ["53840002"]
        minimum_frame_rate = 100
    """
    (decision,) = select_analyses(Arrival(replace(SLOW_CALF, frame_time_ms=frame_time_ms)), read_rules(toml))
    assert decision.selected is selected
    assert selected or "the rule asks for at least 100" in decision.why


@pytest.mark.parametrize(
    ("frames", "selected"), [(300, ["muscle_architecture"]), (511, ["muscle_architecture"]), (512, ["motor_units"])]
)
def test_fast_cine_goes_to_motor_units_or_where_it_is_too_short_to_architecture(frames: int, selected: list[str]) -> None:
    fast = replace(CINE, number_of_frames=frames, frame_time_ms=4.0)
    decisions = select_analyses(Arrival(fast), RoutingRules())
    assert [one.analysis_name for one in decisions if one.selected] == selected
    (architecture,) = (one for one in decisions if one.analysis_name == "muscle_architecture")
    assert architecture.selected or architecture.obstacle == "the rule motor_units selects it, to which this one gives way"
    titles = RoutingRules().with_ae_titles({"LINES": "muscle_architecture"})
    asked = select_analyses(Arrival(fast, "LINES"), titles)
    assert [one.analysis_name for one in asked if one.selected] == ["muscle_architecture"]


def test_rule_gives_way_to_no_rule_that_is_switched_off() -> None:
    off = tuple(rule.model_copy(update={"enabled": rule.analysis != "motor_units"}) for rule in RoutingRules().rules)
    decisions = select_analyses(Arrival(replace(CINE, number_of_frames=600, frame_time_ms=4.0)), RoutingRules(rules=off))
    assert [one.analysis_name for one in decisions if one.selected] == ["muscle_architecture"]


@pytest.mark.parametrize("other", ["", '[[rules]]\nanalysis = "motor_units"\ngives_way_to = "muscle_architecture"'])
def test_rule_that_gives_way_to_what_has_no_rule_or_gives_way_itself_is_refused(other: str) -> None:
    toml = f'[[rules]]\nanalysis = "muscle_architecture"\ngives_way_to = "motor_units"\n{other}'
    with pytest.raises(InputRejected, match="gives_way_to"):
        read_rules(toml)
