"""Composing a report from findings."""

from service.core.codes import SKELETAL_MUSCLE
from service.core.compose import compose
from service.core.findings import FindingKind, FindingSite
from service.core.identifiers import ReportID
from service.core.report import ReportStatus
from tests.calf_report import CREATED_AT, MODEL, SOFTWARE, calf_report, cine_findings, header, not_measured, quality


def test_compose_same_arguments_gives_equal_report() -> None:
    assert calf_report().model_dump_json() == calf_report().model_dump_json()


def test_compose_first_version_is_an_unsigned_draft() -> None:
    report = calf_report()
    assert (report.version, report.status, report.predecessor) == (1, ReportStatus.PRELIMINARY, None)
    assert report.signed_by is None


def test_compose_with_previous_names_its_predecessor() -> None:
    first = calf_report()
    second = calf_report(previous=first)
    assert (second.version, second.predecessor) == (2, first.report_id)
    assert second.report_id != first.report_id


def test_impression_of_calibrated_cine_states_headlines_with_range_and_basis() -> None:
    impression = calf_report().impression
    assert impression == (
        "Muscle architecture, calf, left: thickness 17.5 mm (16.6 to 18.4 mm); pennation angle 21.2° (16.5 to 25.5°); "
        "fascicle length 49.3 mm (41.7 to 57.7 mm). Median (with range) over 58 of 60 frames."
    )


def test_impression_of_uncalibrated_cine_is_in_pixels_and_limitation_says_why() -> None:
    report = calf_report(findings=cine_findings(calibrated=False))
    assert " px " in report.impression
    assert "mm" not in report.impression
    assert "Lengths are in pixels, not millimetres: the cine has no calibrated region." in report.limitations


def test_impression_of_two_cines_numbers_them_and_gives_the_reason_of_the_unmeasured() -> None:
    report = calf_report(findings=(*cine_findings(), not_measured(text="Not measured: no muscle was recognised.")))
    first, second = report.impression.splitlines()
    assert first.startswith("Cine 1: Muscle architecture")
    assert second == "Cine 2: Muscle architecture: not measured. No muscle was recognised."
    assert "Cine 2: Not measured: no muscle was recognised." in report.limitations


def test_impression_without_findings_says_that_nothing_was_measured() -> None:
    report = calf_report(findings=())
    assert report.impression.startswith("Nothing was measured")
    assert report.limitations == ()


def test_limitations_count_frames_once_for_all_measurements() -> None:
    (limitation,) = calf_report().limitations
    assert limitation.startswith("2 of 60 frames could not be measured for thickness, pennation angle,")


def test_limitations_keep_failures_first_and_without_repeats() -> None:
    failure = "One instance could not be decoded: the pixel data is truncated."
    report = compose(
        report_id=ReportID("one"),
        study=header(),
        findings=cine_findings(),
        failures=[failure, failure],
        created_at=CREATED_AT,
        software=SOFTWARE,
    )
    assert report.limitations[0] == failure
    assert report.limitations.count(failure) == 1


def test_limitations_name_a_model_known_on_simulated_images_only() -> None:
    simulated = MODEL.model_copy(update={"evidence": "simulated"})
    findings = [finding.model_copy(update={"model": simulated}) for finding in cine_findings()]
    assert any("simulated images only" in limitation for limitation in calf_report(findings=findings).limitations)


def test_limitations_without_time_axis_say_so() -> None:
    finding = cine_findings()[0]
    assert finding.series is not None
    timeless = finding.series.model_copy(update={"time_seconds": (None,) * len(finding.series.values)})
    report = calf_report(findings=[finding.model_copy(update={"series": timeless})])
    assert "The cine carries no time axis; series are by frame number." in report.limitations


def test_impression_of_classification_uses_the_words_of_the_analysis() -> None:
    finding = cine_findings()[0].model_copy(
        update={"kind": FindingKind.CLASSIFICATION, "value": "S1", "text": "Standard plane S1, grade 3."}
    )
    assert "Standard plane S1, grade 3." in calf_report(findings=[finding]).impression


def test_provenance_lists_each_model_once() -> None:
    report = calf_report(findings=(*cine_findings(), not_measured()))
    assert report.provenance.models == (MODEL,)
    assert report.provenance.service_version == SOFTWARE.service_version


def test_limitations_take_the_reasons_of_the_quality_finding_instead_of_counting_again() -> None:
    report = calf_report(findings=(*cine_findings(), quality()))
    assert report.limitations == (quality().text,)


def test_limitations_count_frames_that_the_quality_finding_did_not() -> None:
    report = calf_report(findings=(*cine_findings(), quality(value=50.0)))
    assert len(report.limitations) == 2


def test_limitations_say_flags_that_change_how_a_number_is_read() -> None:
    findings = [finding.model_copy(update={"flags": ("mostly_extrapolated",)}) for finding in cine_findings()]
    matching = [one for one in calf_report(findings=findings).limitations if "beyond what is seen" in one]
    assert len(matching) == 1


def test_impression_leaves_out_a_site_that_says_nothing() -> None:
    findings = [
        finding.model_copy(update={"site": FindingSite(code=SKELETAL_MUSCLE, laterality="right")}) for finding in cine_findings()
    ]
    assert calf_report(findings=findings).impression.startswith("Muscle architecture, right: thickness")
