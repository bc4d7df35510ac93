"""A report that a person has worked on, as FHIR R4 and HL7 v2: statuses, persons, and no number that does not hold."""

import json
from typing import Any

import pytest

from service.core.render import fhir
from service.core.render.hl7 import render_oru
from service.core.report import Report
from tests.calf_report import calf_report, instance
from tests.reviewed_report import AUTHOR, WHY, amended, signed, withdrawn


def entries(report: Report) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(fhir.bundle(report, [instance()]))["entry"]
    return found


def of_type(report: Report, kind: str) -> list[dict[str, Any]]:
    return [one["resource"] for one in entries(report) if one["resource"]["resourceType"] == kind]


def obx(report: Report, name: str) -> list[str]:
    """Fields of the OBX of one concept."""
    lines = render_oru(report).decode().split("\r")
    (found,) = [line.split("|") for line in lines if line.startswith("OBX|") and f"^{name}^" in line]
    return found


def obr(report: Report) -> list[str]:
    (found,) = [line.split("|") for line in render_oru(report).decode().split("\r") if line.startswith("OBR|")]
    return found


@pytest.mark.parametrize(
    ("report", "status", "untouched", "rejected", "letter"),
    [
        (amended(), "preliminary", "preliminary", "cancelled", "P"),
        (signed(), "final", "final", "entered-in-error", "F"),
        (signed(amended(signed()), official=signed()), "amended", "final", "entered-in-error", "C"),
        (withdrawn(amended()), "cancelled", "cancelled", "cancelled", "X"),
        (withdrawn(), "entered-in-error", "entered-in-error", "entered-in-error", "X"),
    ],
    ids=["draft", "final", "amended", "draft given up", "withdrawn"],
)
def test_status_of_report_and_findings_follows_the_person(
    report: Report, status: str, untouched: str, rejected: str, letter: str
) -> None:
    assert [one["status"] for one in of_type(report, "DiagnosticReport")] == [status]
    by_name = {one["code"]["text"]: one["status"] for one in of_type(report, "Observation")}
    assert (by_name["Pennation angle"], by_name["Echo intensity"]) == (untouched, rejected)
    assert obr(report)[25] == letter


def test_finding_changed_after_a_signature_stays_amended_in_every_later_version() -> None:
    first = signed(calf_report())
    change = [{"action": "set", "finding_id": "2.25.1:thickness", "value": 19.5}]
    second = signed(amended(first, findings=change), official=first)
    third = signed(amended(second, findings=[], comment="Seen again."), official=second)
    for report in (second, third):
        by_name = {one["code"]["text"]: one["status"] for one in of_type(report, "Observation")}
        changed = {name for name, status in by_name.items() if status == "amended"}
        assert changed == {"Thickness", "Fascicle length"}  # which follows from it
        assert {by_name[name] for name in by_name.keys() - changed} == {"final"}


def test_every_reference_of_a_reviewed_bundle_resolves() -> None:
    for report in (amended(), signed(), withdrawn()):
        known = {one["fullUrl"] for one in entries(report)}
        text = json.dumps(entries(report))
        assert {word for word in text.split('"') if word.startswith("urn:uuid:") and f'"reference": "{word}"' in text} <= known


def test_signed_bundle_names_the_person_as_interpreter_and_legal_authenticator() -> None:
    (person,) = of_type(signed(), "Practitioner")
    (provenance,) = of_type(signed(), "Provenance")
    (report,) = of_type(signed(), "DiagnosticReport")
    address = next(one["fullUrl"] for one in entries(signed()) if one["resource"] == person)
    assert (person["name"], person["identifier"][0]["value"]) == ([{"text": AUTHOR.full_name}], AUTHOR.user_id)
    assert report["resultsInterpreter"] == [{"reference": address}]
    agent = provenance["agent"][-1]
    assert (agent["who"], agent["role"][0]["coding"][0]["code"]) == ({"reference": address}, "LA")


def test_provenance_of_an_amendment_or_a_withdrawal_says_why_and_what_was_done() -> None:
    (changed,), (nullified,) = of_type(amended(), "Provenance"), of_type(withdrawn(), "Provenance")
    assert (changed["reason"], changed["activity"]["coding"][0]["code"]) == ([{"text": WHY}], "UPDATE")
    assert nullified["reason"] == [{"text": "the cine is of another patient"}]
    assert nullified["activity"]["coding"][0]["code"] == "NULLIFY"


def test_rejected_finding_has_no_value_and_an_amended_one_the_persons_without_interval() -> None:
    several = {one["code"]["text"]: one for one in of_type(signed(), "Observation")}
    assert several["Thickness"]["valueQuantity"]["value"] == 18.4
    assert "performer" in several["Thickness"]
    assert "valueQuantity" not in several["Echo intensity"]
    assert several["Echo intensity"]["dataAbsentReason"]["coding"][0]["code"] == "error"


def test_message_names_who_signed_and_whose_word_a_number_is() -> None:
    assert obr(signed())[32] == "u-7&Dr Anna Grau"
    assert len(obr(amended())) == 26
    assert (obx(signed(), "Thickness")[5], obx(signed(), "Thickness")[11], obx(signed(), "Thickness")[16]) == (
        "18.4",
        "F",
        "u-7^Dr Anna Grau",
    )


def test_message_posts_a_rejected_or_withdrawn_number_as_wrong_and_deletes_it() -> None:
    rejected, withdrew = obx(signed(), "Mean grey level of the muscle belly"), obx(withdrawn(), "Thickness")
    for field in (rejected, withdrew):
        assert (field[2], field[5], field[11]) == ("NM", '""', "W")
    assert rejected[4] == "7"  # as it was before
    assert "18.4" not in render_oru(withdrawn()).decode()
