"""Composing a report from findings."""

from service.core.codes import SKELETAL_MUSCLE, SOLEUS
from service.core.comparison import EarlierReport, compare
from service.core.compose import Gaps, compose
from service.core.findings import AnalysisUsed, Code, Finding, FindingKind, FindingSite, Interval
from service.core.identifiers import ReportID
from service.core.report import Report, ReportStatus
from tests.calf_report import CREATED_AT, MODEL, SOFTWARE, calf_report, cine_findings, header, not_measured, quality
from tests.compared_findings import earlier_report, measured
from tests.every_report import motor_unit_missed_for_a_while

SIDES = (("left", 19.0), ("right", 20.0))


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


def test_limitations_name_the_motor_unit_that_was_not_found_throughout() -> None:
    limitations = motor_unit_missed_for_a_while().limitations
    assert [one for one in limitations if "could not" in one] == ["256 of 512 frames could not be measured for motor unit 2."]


def test_limitations_keep_failures_first_and_without_repeats() -> None:
    failure = "One instance could not be decoded: the pixel data is truncated."
    report = compose(
        report_id=ReportID("one"),
        study=header(),
        findings=cine_findings(),
        gaps=Gaps(failures=[failure, failure]),
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


def composed(*findings: Finding, before: tuple[EarlierReport, ...] = ()) -> Report:
    return compose(
        report_id=ReportID("one"),
        study=header(),
        findings=findings,
        comparisons=compare(header(), findings, before),
        created_at=CREATED_AT,
        software=SOFTWARE,
    )


def test_impression_with_comparisons_ends_in_one_sentence_of_the_first_quantity() -> None:
    both = [measured(value, side, uid=side, name=name) for name in ("pennation_angle", "thickness") for side, value in SIDES]
    report = composed(*both, before=(earlier_report([measured(18.0)]),))
    assert report.impression.splitlines()[-1] == (
        "Compared (muscle not coded): thickness, left minus right \N{MINUS SIGN}1.0 mm (asymmetry 5 %); "
        "left thickness +1.0 mm (+6 %) since 2026-05-02."
    )
    assert [(one.kind, one.name) for one in report.comparisons] == [
        ("left_right", "thickness"),
        ("left_right", "pennation_angle"),
        ("earlier", "thickness"),
    ]


def test_impression_with_a_comparison_of_a_coded_muscle_names_it() -> None:
    report = composed(*sides_of(SOLEUS))
    assert report.impression.endswith(
        "\nCompared: thickness of musculus soleus, left minus right \N{MINUS SIGN}1.0 mm (asymmetry 5 %)."
    )


def sides_of(muscle: Code) -> list[Finding]:
    return [measured(value, side, uid=side, muscle=muscle) for side, value in SIDES]


def test_impression_without_a_comparison_says_nothing_of_it() -> None:
    assert composed(measured(18.0)).impression == calf_report(findings=[measured(18.0)]).impression
    assert "Compared" not in composed(measured(18.0)).impression


def test_impression_says_what_limits_a_change() -> None:
    older = measured(17.0, analysis=AnalysisUsed(name="muscle_architecture", version="0.9.0"))
    assert (
        "since 2026-05-02, measured with two versions." in composed(measured(18.0), before=(earlier_report([older]),)).impression
    )
    wide = Interval(low=10, high=30, level=0.95)
    unsure = composed(measured(18.0, interval=wide), before=(earlier_report([measured(17.0, interval=wide)]),))
    assert unsure.impression.endswith("left thickness not shown to have changed since 2026-05-02.")
