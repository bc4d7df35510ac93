"""Findings as Observations of FHIR R4, in a bundle and by themselves."""

import json
from typing import Any

import pytest

from service.core import codes
from service.core.findings import Finding, FindingKind, FindingSite, Interval
from service.core.render import fhir
from service.core.report import ReportStatus
from service.errors import NotFound
from tests.calf_report import calf_report, cine_findings
from tests.fhir_models import read, references
from tests.fhir_parts import EVERYTHING, INSTANCES, PUBLISHED, bundle_of, components, finding, ids, observed, only, resources


def test_finding_of_a_newer_analysis_is_the_same_observation_and_one_of_another_cine_is_not() -> None:
    first = calf_report()
    newer = [
        one.model_copy(update={"finding_id": f"{number}", "analysis": one.analysis.model_copy(update={"version": "99"})})
        for number, one in enumerate(cine_findings())
    ]
    assert ids(bundle_of(calf_report(findings=newer, previous=first)), "Observation") == ids(bundle_of(first), "Observation")
    other = calf_report(findings=[*cine_findings(), *cine_findings("2.25.2")], previous=first)
    assert len(set(ids(bundle_of(other), "Observation"))) == 2 * len(cine_findings())


@pytest.mark.parametrize(
    ("status", "told"), [(ReportStatus.PRELIMINARY, "cancelled"), (ReportStatus.AMENDED, "entered-in-error")]
)
def test_finding_that_is_gone_is_taken_back_in_every_later_version_until_it_is_there_again(
    status: ReportStatus, told: str
) -> None:
    first = calf_report()
    without = calf_report(findings=cine_findings()[1:], previous=first)
    again = calf_report(findings=cine_findings()[1:], previous=without).model_copy(update={"status": status})
    bundle = bundle_of(again)
    (gone,) = (one for one in resources(bundle, "Observation") if one["status"] != status.value)
    assert (gone["id"], gone["status"]) == (ids(bundle_of(first), "Observation")[0], told)
    assert gone["dataAbsentReason"]["coding"][0]["code"] == "error"
    assert not {"valueQuantity", "referenceRange"} & set(gone)
    assert len(resources(bundle, "DiagnosticReport")[0]["result"]) == len(cine_findings()) - 1
    back = bundle_of(calf_report(previous=again))
    assert {one["status"] for one in resources(back, "Observation")} == {"preliminary"}


def test_observation_values_are_those_of_the_report_json() -> None:
    report = calf_report(findings=EVERYTHING)
    told = json.loads(report.model_dump_json())["findings"]
    for made, said in zip(resources(bundle_of(report), "Observation"), told, strict=True):
        if said["value"] is None:
            assert "valueQuantity" not in made
        else:
            quantity = made["valueQuantity"]
            assert (quantity["value"], quantity["code"]) == (said["value"], said["unit"])
            assert quantity["system"] == "http://unitsofmeasure.org"
        assert made["identifier"][0]["value"] == said["finding_id"]


def test_observation_code_of_ours_has_the_standard_concept_beside_it() -> None:
    (ours, parent) = observed(name="pennation_angle", unit="deg")["code"]["coding"]
    assert (ours["code"], ours["system"]) == ("PENNATION", f"urn:oid:{codes.PRIVATE_SCHEME_UID}")
    assert (parent["code"], parent["system"]) == ("1483009", "http://snomed.info/sct")


def test_body_site_says_the_side_in_words_in_a_code_and_in_a_component() -> None:
    made = observed()
    assert made["bodySite"]["text"] == "calf, left"
    assert [one["code"] for one in made["bodySite"]["coding"]] == ["53840002", "53840002:272741003=7771000"]
    assert components(made)["Laterality"]["valueCodeableConcept"]["coding"][0]["code"] == "7771000"


def test_body_site_of_mdc_is_written_as_a_context_free_code() -> None:
    site = FindingSite(code=codes.GASTROCNEMIUS, laterality="right")
    made = observed(site=site)
    assert made["bodySite"]["coding"] == [
        {"system": "urn:iso:std:iso:11073:10101", "code": str(7 * 65536 + 920), "display": "Musculus gastrocnemius"}
    ]
    assert made["bodySite"]["text"] == "musculus gastrocnemius, right"


def test_body_site_that_is_only_a_side_has_words_and_no_code() -> None:
    assert observed(site=FindingSite(laterality="left"))["bodySite"] == {"text": "left"}
    assert "bodySite" not in observed(site=None)


def test_observation_components_are_interval_extremes_probability_and_statistic() -> None:
    said = finding(interval=Interval(low=16.5, high=18.5, level=0.95), probability=0.25)
    found = components(only(calf_report(findings=[said]), "Observation"))
    assert said.range is not None
    numbers = {name: one["valueQuantity"]["value"] for name, one in found.items() if "valueQuantity" in one}
    assert numbers == {
        "Lower limit of 95 % interval": 16.5,
        "Upper limit of 95 % interval": 18.5,
        "Minimum": said.range[0],
        "Maximum": said.range[1],
        "Probability": 0.25,
    }
    assert found["Derivation"]["valueCodeableConcept"]["text"] == "Median"
    assert found["Probability"]["valueQuantity"]["code"] == "1"


@pytest.mark.parametrize("name", [*codes.FINDING_CODES, "a_name_that_no_table_has"])
def test_observation_of_any_name_has_no_component_of_its_own_code(name: str) -> None:
    said = finding(name=name, probability=0.25, value=0.25, unit="1", interval=Interval(low=0.1, high=0.4, level=0.9))
    made = only(calf_report().model_copy(update={"findings": (said,)}), "Observation")
    whole = {(one["system"], one["code"]) for one in made["code"]["coding"]}
    parts = {(one["system"], one["code"]) for part in made["component"] for one in part["code"]["coding"]}
    assert not whole & parts
    assert 0.25 in {made["valueQuantity"]["value"]} | {
        part["valueQuantity"]["value"] for part in made["component"] if part["code"]["text"] == "Probability"
    }


def test_observation_tells_range_flags_and_text_in_words() -> None:
    made = observed(reference_range="12 to 20 mm in adults", flags=("square_pixels_assumed",), text="A sentence.")
    assert made["referenceRange"] == [{"text": "12 to 20 mm in adults"}]
    notes = [note["text"] for note in made["note"]]
    assert "A sentence." in notes
    assert "Flags: square_pixels_assumed" in notes
    assert any("2.25.1" in note and "31" in note for note in notes)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"kind": FindingKind.NOT_MEASURED, "value": None}, ("dataAbsentReason", "not-performed")),
        ({"value": float("nan")}, ("dataAbsentReason", "not-a-number")),
        ({"kind": FindingKind.CLASSIFICATION, "value": "S3", "unit": None}, ("valueString", "S3")),
        ({"kind": FindingKind.SEGMENTATION, "value": None, "text": "Three structures."}, ("valueString", "Three structures.")),
        ({"value": 0.0, "unit": None}, ("valueQuantity", 0.0)),
    ],
)
def test_observation_of_another_kind_says_what_it_has(changes: dict[str, Any], expected: tuple[str, Any]) -> None:
    made = observed(**changes)
    read(made)
    name, value = expected
    shown = made[name]
    found = {"dataAbsentReason": lambda: shown["coding"][0]["code"], "valueQuantity": lambda: shown["value"]}
    assert found.get(name, lambda: shown)() == value
    assert len([key for key in made if key.startswith("value") or key == "dataAbsentReason"]) == 1


@pytest.mark.parametrize("findings", [cine_findings(), EVERYTHING])
def test_resource_by_itself_holds_or_names_what_nobody_serves(findings: tuple[Finding, ...]) -> None:
    report = calf_report(findings=findings)
    several = (
        fhir.report_resource(report, PUBLISHED),
        fhir.observation_resources(report)[-1],
        fhir.imaging_study_resource(report, INSTANCES, PUBLISHED),
    )
    for made in several:
        read(json.loads(fhir.encode(made)))
        inside = {f"#{one['id']}" for one in made.get("contained", [])}
        for reference in references(made):
            assert reference in inside or reference.partition("/")[0] in {"Observation", "ImagingStudy"}
        assert made["subject"] == {"type": "Patient", "identifier": {"value": "P-42"}, "display": "Jane Doe"}


def test_observation_by_itself_is_the_one_of_the_bundle() -> None:
    report = calf_report()
    inside = resources(bundle_of(report), "Observation")[1]
    made = fhir.observation_resource(report, inside["id"])
    assert made["meta"] == {"versionId": "1", **inside["meta"]}
    same = {"id", "status", "code", "valueQuantity", "component", "bodySite", "note"}
    assert {name: made[name] for name in same} == {name: inside[name] for name in same}


def test_observation_that_the_report_does_not_have_is_not_found() -> None:
    with pytest.raises(NotFound):
        fhir.observation_resource(calf_report(), f"{calf_report().report_id}.{'0' * 20}")
