"""A report as FHIR R4."""

import base64
import hashlib
import json
import re
import subprocess
import sys

import pytest
from pydicom.sr.codedict import codes as dictionary

from service.api.outcomes import outcome
from service.core.comparison import compare
from service.core.findings import Finding
from service.core.render import fhir
from service.core.render.published import Published
from service.core.report import RESEARCH_USE, ReportStatus
from service.errors import InputRejected
from tests.calf_report import MODEL, STUDY_UID, calf_report, cine_findings, header, instance, not_measured
from tests.compared_findings import measured
from tests.fhir_models import read, references, texts
from tests.fhir_parts import (
    EVERYTHING,
    INSTANCES,
    PAGE,
    PUBLISHED,
    SIGNED,
    bundle_of,
    finding,
    ids,
    only,
    resources,
)


@pytest.mark.parametrize("status", list(ReportStatus))
@pytest.mark.parametrize("findings", [(), cine_findings(), EVERYTHING], ids=["none", "measured", "all kinds"])
def test_bundle_of_any_report_fits_the_models(status: ReportStatus, findings: tuple[Finding, ...]) -> None:
    report = calf_report(findings=findings).model_copy(update={"status": status})
    bundle = bundle_of(report)
    read(bundle)
    for entry in bundle["entry"]:
        read(entry["resource"])
    assert len(resources(bundle, "Observation")) == len(findings)


def test_bundle_with_hardly_any_identity_fits_the_models() -> None:
    bare = header(**dict.fromkeys(("accession_number", "patient_id", "patient_name", "patient_birth_date", "patient_sex")))
    bundle = bundle_of(
        calf_report(study=bare.model_copy(update={"study_date": None, "description": None})), published=Published()
    )
    read(bundle)
    assert not resources(bundle, "Endpoint")
    assert set(resources(bundle, "Patient")[0]) == {"resourceType", "id"}


@pytest.mark.parametrize("hostile", ["\x1b$B", "  ", "a\0b", "é\u2028\x85", '"><script>', "x" * 5000])
@pytest.mark.parametrize("field", ["patient_name", "patient_id", "accession_number", "description", "issuer_of_patient_id"])
def test_bundle_with_hostile_text_fits_the_models(field: str, hostile: str) -> None:
    bundle = bundle_of(calf_report(study=header(**{field: hostile})))
    read(bundle)
    for text in texts(bundle):
        assert re.fullmatch(r"[ \r\n\t\S]+", text)
        assert not set(text) & {"\0", "\x1b", "\x85"}


def test_bundle_references_all_resolve_inside_of_it() -> None:
    bundle = bundle_of(calf_report(findings=EVERYTHING))
    names = [entry["fullUrl"] for entry in bundle["entry"]]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"urn:uuid:[0-9a-f-]{36}", name) for name in names)
    found = set(references(bundle))
    assert found
    assert found <= set(names)


def test_bundle_entries_are_puts_to_their_own_ids_and_the_study_is_made_only_once() -> None:
    bundle = bundle_of(calf_report())
    assert bundle["type"] == "transaction"
    for entry in bundle["entry"]:
        resource, request = entry["resource"], entry["request"]
        assert re.fullmatch(r"[A-Za-z0-9\-.]{1,64}", resource["id"])
        if resource["resourceType"] == "ImagingStudy":
            wanted = f"identifier=urn:dicom:uid|urn:oid:{STUDY_UID}"
            assert request == {"method": "POST", "url": "ImagingStudy", "ifNoneExist": wanted}
        else:
            assert request == {"method": "PUT", "url": f"{resource['resourceType']}/{resource['id']}"}


def test_bundle_of_the_same_report_is_the_same_bytes() -> None:
    assert fhir.bundle(calf_report(), INSTANCES, PUBLISHED) == fhir.bundle(calf_report(), tuple(reversed(INSTANCES)), PUBLISHED)


def test_bundle_of_another_version_has_the_same_resources_but_a_provenance_of_its_own() -> None:
    first = calf_report()
    one, other = bundle_of(first), bundle_of(calf_report(previous=first))
    for kind in ("Patient", "ServiceRequest", "ImagingStudy", "Device", "Endpoint", "DiagnosticReport", "Observation"):
        assert ids(one, kind) == ids(other, kind)
    assert ids(one, "Provenance") != ids(other, "Provenance")
    names = {one["value"] for one in resources(other, "DiagnosticReport")[0]["identifier"]}
    assert {f"urn:uuid:00000000-0000-4000-8000-{version:012}" for version in (1, 2)} < names


def test_report_after_a_withdrawn_one_is_another_report() -> None:
    withdrawn = calf_report().model_copy(update={"status": ReportStatus.CANCELLED})
    one, other = bundle_of(withdrawn), bundle_of(calf_report(previous=withdrawn))
    for kind in ("DiagnosticReport", "Observation"):
        assert not set(ids(one, kind)) & set(ids(other, kind))


def test_bundle_tells_no_time_but_those_of_report_and_study() -> None:
    times = {text for text in texts(bundle_of(calf_report())) if re.match(r"\d{4}-\d\d-\d\d(T|$)", text)}
    assert times == {"2026-11-20T09:30:15.250Z", "2026-11-20", "1970-01-02"}


def test_bundle_without_an_instance_of_the_evidence_is_refused() -> None:
    with pytest.raises(InputRejected, match="not at hand"):
        fhir.bundle(calf_report(), [], PUBLISHED)


@pytest.mark.parametrize("status", list(ReportStatus))
def test_status_of_report_and_observations_follows_the_report(status: ReportStatus) -> None:
    bundle = bundle_of(calf_report().model_copy(update={"status": status}))
    several = [*resources(bundle, "DiagnosticReport"), *resources(bundle, "Observation")]
    assert {one["status"] for one in several} == {status.value}


@pytest.mark.parametrize(
    ("status", "signed", "label"),
    [
        (ReportStatus.PRELIMINARY, False, "AIAST"),
        (ReportStatus.PRELIMINARY, True, "AIAST"),
        (ReportStatus.FINAL, False, "AIAST"),
        (ReportStatus.FINAL, True, "CLINAST_AIRPT"),
        (ReportStatus.AMENDED, True, "CLINAST_AIRPT"),
        (ReportStatus.CANCELLED, False, "AIAST"),
    ],
)
def test_security_label_is_a_clinicians_only_when_the_report_is_signed(status: ReportStatus, label: str, *, signed: bool) -> None:
    report = calf_report().model_copy(update={"status": status} | (SIGNED if signed else {}))
    bundle = bundle_of(report)
    labelled = [*resources(bundle, "DiagnosticReport"), *resources(bundle, "Observation")]
    assert {one["code"] for made in labelled for one in made["meta"]["security"]} == {label}
    is_asserted = label == "CLINAST_AIRPT"
    assert ("resultsInterpreter" in resources(bundle, "DiagnosticReport")[0]) is is_asserted
    people = {one["fullUrl"] for one in bundle["entry"] if one["resource"]["resourceType"] == "Practitioner"}
    (provenance,) = resources(bundle, "Provenance")
    verifiers = {one["who"]["reference"] for one in provenance["agent"] if one["type"]["coding"][0]["code"] == "verifier"}
    assert verifiers == (people if is_asserted else set())


def test_bundle_claims_no_profile() -> None:
    assert "profile" not in json.dumps(bundle_of(calf_report().model_copy(update={"status": ReportStatus.FINAL, **SIGNED})))


def test_research_use_stands_in_the_report_and_in_each_observation() -> None:
    bundle = bundle_of(calf_report(findings=EVERYTHING))
    assert RESEARCH_USE in resources(bundle, "DiagnosticReport")[0]["conclusion"]
    for made in resources(bundle, "Observation"):
        assert RESEARCH_USE in [note["text"] for note in made["note"]]


def test_patient_has_the_identity_and_the_issuer_as_assigner() -> None:
    patient = only(calf_report(study=header(issuer_of_patient_id="HOSPITAL")), "Patient")
    assert patient["identifier"] == [{"value": "P-42", "assigner": {"display": "HOSPITAL"}}]
    assert patient["name"] == [{"family": "Doe", "given": ["Jane"]}]
    assert (patient["gender"], patient["birthDate"]) == ("female", "1970-01-02")


def test_patient_of_another_issuer_is_another_patient() -> None:
    ids = {only(calf_report(study=header(issuer_of_patient_id=issuer)), "Patient")["id"] for issuer in (None, "A", "B")}
    assert len(ids) == 3


def test_patient_without_an_identifier_is_one_a_study() -> None:
    ids = {
        only(calf_report(study=header(patient_id=None, study_instance_uid=uid)), "Patient")["id"] for uid in ("2.25.8", "2.25.9")
    }
    assert len(ids) == 2


def test_accession_number_becomes_an_order_that_all_are_based_on() -> None:
    bundle = bundle_of(calf_report())
    (order,) = resources(bundle, "ServiceRequest")
    (identifier,) = order["identifier"]
    assert identifier["value"] == "A-17"
    assert identifier["type"]["coding"][0]["code"] == "ACSN"
    assert identifier["type"]["coding"][0]["system"] == "http://terminology.hl7.org/CodeSystem/v2-0203"
    (name,) = (entry["fullUrl"] for entry in bundle["entry"] if entry["resource"] is order or entry["resource"] == order)
    for kind in ("DiagnosticReport", "Observation", "ImagingStudy"):
        assert all(made["basedOn"] == [{"reference": name}] for made in resources(bundle, kind))


def test_report_without_an_accession_number_has_no_order() -> None:
    bundle = bundle_of(calf_report(study=header(accession_number=None)))
    assert not resources(bundle, "ServiceRequest")
    assert "basedOn" not in json.dumps(bundle)
    assert "ACSN" not in json.dumps(bundle)


def test_imaging_study_holds_the_series_and_instances_that_the_report_rests_on() -> None:
    findings = [*cine_findings("2.25.1"), *cine_findings("2.25.2"), *cine_findings("2.25.3")]
    behind = [
        instance("2.25.9"),
        instance("2.25.3", instance_number=3),
        instance("2.25.2", series_instance_uid="2.25.78", series_number=2, laterality="left"),
        instance("2.25.1", instance_number=1),
    ]
    (study,) = resources(bundle_of(calf_report(findings=findings), instances=behind), "ImagingStudy")
    assert study["identifier"] == [{"system": "urn:dicom:uid", "value": f"urn:oid:{STUDY_UID}"}]
    assert study["started"] == "2026-11-20"
    assert study["modality"] == [
        {"system": "http://dicom.nema.org/resources/ontology/DCM", "code": "US", "display": "Ultrasound"}
    ]
    assert [one["uid"] for one in study["series"]] == ["2.25.77", "2.25.78"]
    assert [[one["uid"] for one in series["instance"]] for series in study["series"]] == [["2.25.1", "2.25.3"], ["2.25.2"]]
    assert study["series"][0]["instance"][0]["sopClass"]["code"] == "urn:oid:1.2.840.10008.5.1.4.1.1.3.1"
    assert study["series"][1]["laterality"]["display"] == "Left"


def test_endpoint_tells_where_wado_is() -> None:
    endpoint = only(calf_report(), "Endpoint")
    assert (endpoint["connectionType"]["code"], endpoint["address"]) == ("dicom-wado-rs", PUBLISHED.wado_root)


def test_devices_are_this_software_and_each_analysis_with_its_model() -> None:
    other = MODEL.model_copy(update={"sha256": "ef" * 32})
    bundle = bundle_of(calf_report(findings=[*cine_findings(), finding(model=other), finding(model=None)]))
    software, *makers = resources(bundle, "Device")
    assert (software["manufacturer"], software["version"]) == ("Sonomyo", [{"value": "0.1.0"}])
    assert len(makers) == 3
    assert {MODEL.sha256 in str(maker.get("note")) for maker in makers} == {True, False}
    assert all(maker["parent"] for maker in makers)
    measured_by = [one["device"]["reference"] for one in resources(bundle, "Observation")]
    assert len(set(measured_by)) == 3
    assert len(set(measured_by[:7])) == 1


def test_conclusion_tells_the_comparisons() -> None:
    findings = [measured(18.0, "left"), measured(17.0, "right", uid="2.25.2")]
    report = calf_report(findings=findings).model_copy(update={"comparisons": compare(header(), findings)})
    assert report.comparisons
    made = only(report, "DiagnosticReport")
    assert all(one.text in made["conclusion"] for one in report.comparisons)


def test_report_code_is_in_the_dictionary_of_dicom() -> None:
    (code,) = only(calf_report(), "DiagnosticReport")["code"]["coding"]
    assert code["system"] == "http://loinc.org"
    assert code["code"] == dictionary.LN.UltrasoundReport.value
    assert code["display"] == dictionary.LN.UltrasoundReport.meaning


def test_report_presents_its_forms_with_size_and_checksum() -> None:
    html, pdf = only(calf_report(), "DiagnosticReport")["presentedForm"]
    assert base64.b64decode(html["data"]) == PAGE
    assert (html["contentType"], html["size"]) == ("text/html", len(PAGE))
    assert base64.b64decode(html["hash"]) == hashlib.sha1(PAGE, usedforsecurity=False).digest()
    assert pdf["contentType"] == "application/pdf"


def test_report_concludes_with_impression_and_limitations_and_lists_every_result() -> None:
    report = calf_report(findings=[*cine_findings(), not_measured()])
    bundle = bundle_of(report)
    (made,) = resources(bundle, "DiagnosticReport")
    assert report.impression in made["conclusion"]
    assert all(limitation in made["conclusion"] for limitation in report.limitations)
    names = {entry["fullUrl"] for entry in bundle["entry"] if entry["resource"]["resourceType"] == "Observation"}
    assert {one["reference"] for one in made["result"]} == names
    assert {one["value"] for one in made["identifier"]} == {f"urn:uuid:{report.report_id}", f"urn:oid:{STUDY_UID}", "A-17"}


def test_provenance_names_the_version_that_is_replaced() -> None:
    first = calf_report()
    assert "revision" not in json.dumps(only(first, "Provenance"))
    made = only(calf_report(previous=first), "Provenance")
    assert made["entity"][0]["what"]["identifier"]["value"] == f"urn:uuid:{first.report_id}"
    assert made["activity"]["coding"][0]["code"] == "UPDATE"


def test_resource_that_does_not_fit_is_refused_without_telling_what_it_holds() -> None:
    with pytest.raises(InputRejected, match="birthDate") as refused:
        fhir.encode({"resourceType": "Patient", "birthDate": "Canary", "name": [{"family": "Canary"}]})
    assert "Canary" not in str(refused.value)
    assert refused.value.__cause__ is None


@pytest.mark.parametrize("status", [401, 403, 404, 405, 406, 408, 409, 413, 415, 418, 422, 429, 500, 503, 507])
def test_outcome_of_any_status_fits_its_model(status: int) -> None:
    wrong = {"errors": [{"location": ["query", "date"], "message": "no such day"}]}
    made = outcome(status, "It went wrong.", reason="reason", extensions=wrong, request_id="7")
    read(made)
    assert [issue["details"]["text"] for issue in made["issue"]] == ["It went wrong.", "query.date: no such day"]


def test_models_of_fhir_are_not_imported_with_what_every_process_imports() -> None:
    program = "import sys, service.bootstrap, service.api.app; sys.exit('fhir' in sys.modules or 'fhir_core' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=60).returncode == 0
