"""The structured report: TID 1500, read back with highdicom."""

import io
import time
from collections.abc import Sequence
from dataclasses import replace

import highdicom.sr as hd
import pytest
from pydicom import Dataset, dcmread

from service.core import codes
from service.core.findings import Polyline
from service.core.instance import InstanceAttributes
from service.core.measure.pain_findings import NOT_VALIDATED
from service.core.render.sr import COMPREHENSIVE_3D_SR, COMPREHENSIVE_SR, render_sr
from service.core.report import RESEARCH_USE, Report, object_uid
from service.errors import InputRejected
from tests.analysed_contraction import SOP_INSTANCE_UID, contraction_findings
from tests.calf_report import FRAMES, calf_report, cine_findings, header, instance, not_measured, quality
from tests.trapezius_parts import analyse, networks, spot_cine

RETIRED_MULTI_FRAME = "1.2.840.10008.5.1.4.1.1.3"
RETIRED_SINGLE_FRAME = "1.2.840.10008.5.1.4.1.1.6"


def small(**identity: str | None) -> Report:
    """A report of one measurement: quick to render, where the measurements do not matter."""
    return calf_report(study=header(**identity), findings=cine_findings()[1:2])


def read(report: Report, instances: Sequence[InstanceAttributes] | None = None) -> Dataset:
    return dcmread(io.BytesIO(render_sr(report, instances or [instance()])))


def measurement_groups(sr: Dataset) -> list[Dataset]:
    (measurements,) = items(sr, "126010")
    return items(measurements, "125007")


@pytest.fixture(scope="module")
def calf_sr() -> Dataset:
    return read(calf_report())


def items(node: Dataset, code_value: str) -> list[Dataset]:
    return [item for item in node.ContentSequence if item.ConceptNameCodeSequence[0].CodeValue == code_value]


def texts(node: Dataset) -> list[str]:
    return [item.TextValue for item in node.ContentSequence if item.ValueType == "TEXT"]


def test_sr_of_same_report_is_the_same_bytes() -> None:
    assert render_sr(small(), [instance()]) == render_sr(small(), [instance()])


def test_sr_carries_derived_uids_and_times_of_the_report(calf_sr: Dataset) -> None:
    report, sr = calf_report(), calf_sr
    assert sr.SOPInstanceUID == sr.file_meta.MediaStorageSOPInstanceUID == object_uid(report.report_id, 1, "sr")
    local = report.created_at.astimezone()
    assert (sr.ContentDate, sr.ContentTime) == (f"{local:%Y%m%d}", f"{local:%H%M%S.%f}")
    assert sr.StudyInstanceUID == report.study.study_instance_uid
    other = small().model_copy(update={"report_id": "of another installation"})
    assert sr.SeriesInstanceUID != read(other).SeriesInstanceUID


def test_comprehensive_sr_beside_the_other_is_an_object_of_its_own_and_names_its_own_predecessor() -> None:
    report = small().model_copy(update={"version": 2, "predecessor": "earlier"})
    flat, spatial = (
        dcmread(io.BytesIO(render_sr(report, [instance()], sop_class_uid=one))) for one in (COMPREHENSIVE_SR, COMPREHENSIVE_3D_SR)
    )
    assert flat.SOPInstanceUID == object_uid(report.report_id, 2, "comprehensive_sr") != spatial.SOPInstanceUID
    assert flat.SeriesInstanceUID != spatial.SeriesInstanceUID
    before = [one.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence[0] for one in (flat, spatial)]
    assert [item.ReferencedSOPInstanceUID for item in before] == [
        object_uid("earlier", 1, kind) for kind in ("comprehensive_sr", "sr")
    ]


def test_sr_content_time_is_the_local_time_of_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "JST-9")
        time.tzset()
        sr = read(small())
    time.tzset()
    assert (sr.ContentDate, sr.ContentTime) == ("20261120", "183015.250000")
    assert sr.ObservationDateTime == "20261120183015.250000+0900"
    assert "TimezoneOffsetFromUTC" not in sr


def test_sr_read_by_highdicom_gives_every_value_of_the_report() -> None:
    report = calf_report()
    document = hd.srread(io.BytesIO(render_sr(report, [instance()])))
    assert isinstance(document.content, hd.MeasurementReport)
    group = document.content.get_planar_roi_measurement_groups()[0]
    read_back = {
        (measurement.name.value, measurement.derivation.meaning): (measurement.value, measurement.unit.value)
        for measurement in group.get_measurements()
        if measurement.derivation is not None
    }
    expected = {}
    for finding in report.findings:
        assert finding.range is not None
        values = (("Median", finding.value), ("Minimum", finding.range[0]), ("Maximum", finding.range[1]))
        code = codes.FINDING_CODES[finding.name].value
        expected.update({(code, statistic): (value, finding.unit) for statistic, value in values})
    assert read_back == expected


def test_sr_of_a_contraction_gives_count_excursions_and_velocity_with_their_units() -> None:
    report = calf_report(findings=contraction_findings())
    group = measurement_groups(read(report, [instance(SOP_INSTANCE_UID)]))[0]
    found = {finding.name: finding for finding in report.findings}
    for name, unit in (("contraction_count", "1"), ("pennation_excursion", "deg"), ("shortening_velocity", "mm/s")):
        item, *limits = items(group, codes.FINDING_CODES[name].value)
        measured = item.MeasuredValueSequence[0]
        assert float(measured.NumericValue) == pytest.approx(found[name].value)
        assert measured.MeasurementUnitsCodeSequence[0].CodeValue == unit
        assert len(limits) == (0 if found[name].interval is None else 2)


def test_sr_gives_the_limits_of_each_interval_with_their_level() -> None:
    report = calf_report(findings=contraction_findings())
    document = hd.srread(io.BytesIO(render_sr(report, [instance(SOP_INSTANCE_UID)])))
    assert isinstance(document.content, hd.MeasurementReport)
    read_back = {
        (measurement.name.value, measurement.derivation.meaning): measurement.value
        for group in document.content.get_planar_roi_measurement_groups()[:1]
        for measurement in group.get_measurements()
        if measurement.derivation is not None and measurement.derivation.scheme_designator == codes.PRIVATE_SCHEME
    }
    expected: dict[tuple[str, str], float] = {}
    for name, interval in ((codes.FINDING_CODES[finding.name].value, finding.interval) for finding in report.findings):
        if interval is not None:
            percent = f"{100 * interval.level:.0f} % interval"
            expected |= {(name, f"Lower limit of {percent}"): interval.low, (name, f"Upper limit of {percent}"): interval.high}
    assert {meaning for _, meaning in expected} == {
        f"{end} limit of {level} % interval" for end in ("Lower", "Upper") for level in (90, 95)
    }
    assert read_back == pytest.approx(expected)


def test_sr_is_an_unverified_draft_by_a_device_with_the_research_banner(calf_sr: Dataset) -> None:
    flags = (calf_sr.PreliminaryFlag, calf_sr.VerificationFlag, calf_sr.CompletionFlag)
    assert flags == ("PRELIMINARY", "UNVERIFIED", "COMPLETE")
    assert RESEARCH_USE in texts(calf_sr)
    assert calf_report().impression in texts(calf_sr)
    assert items(calf_sr, "121005")[0].ConceptCodeSequence[0].CodeMeaning == "Device"


def test_sr_group_names_algorithm_version_model_and_site(calf_sr: Dataset) -> None:
    group = measurement_groups(calf_sr)[0]
    assert items(group, "111001")[0].TextValue == "muscle_architecture"
    assert items(group, "111003")[0].TextValue == "1.0.0"
    assert f"muscle_segmentation version 1, sha256 {'ab' * 32}" in items(group, "111002")[0].TextValue
    (site,) = items(group, "363698007")
    assert site.ContentSequence[0].ConceptCodeSequence[0].CodeMeaning == "Left"


def test_sr_groups_have_what_viewers_need() -> None:
    """OHIF: an image library, a tracking UID for each group, and a region on one frame wherever there is a number."""
    report = calf_report(findings=(*cine_findings(), not_measured()))
    sr = read(report, [instance(), instance("2.25.2")])
    groups = measurement_groups(sr)
    identifiers = [items(group, "112040")[0].UID for group in groups]
    assert len(set(identifiers)) == len(groups)
    for group in groups:
        if any(item.ValueType == "NUM" for item in group.ContentSequence):
            (region,) = items(group, "111030")
            assert region.ContentSequence[0].ReferencedSOPSequence[0].ReferencedFrameNumber == 31
    assert items(sr, "111028")


def test_sr_draws_each_line_once_and_cuts_it_at_the_edge_of_the_image(calf_sr: Dataset) -> None:
    regions = {
        items(group, "121071")[0].ConceptCodeSequence[0].CodeMeaning: items(group, "111030")[0].GraphicData
        for group in measurement_groups(calf_sr)[1:]
    }
    assert regions["Superficial aponeurosis"] == pytest.approx([40, 152, 320, 148.5, 600, 146])
    assert regions["Muscle fascicle"] == pytest.approx([180.5, 371, 640, 172.87103], abs=1e-3)
    assert len(regions) == 3


def test_sr_of_several_fascicles_draws_the_longest_of_a_frame() -> None:
    finding = cine_findings()[5]
    fascicles = [Polyline(label="fascicle", frame=31, points=((10.0, 10.0), (end, 20.0))) for end in (50.0, 300.0, 90.0)]
    evidence = finding.evidence.model_copy(update={"lines": tuple(fascicles)})
    _, line = measurement_groups(read(calf_report(findings=[finding.model_copy(update={"evidence": evidence})])))
    assert list(items(line, "111030")[0].GraphicData) == [10, 10, 300, 20]


def test_sr_of_quality_gives_its_number_and_its_words() -> None:
    group = measurement_groups(read(calf_report(findings=(*cine_findings(), quality()))))[0]
    number, words = items(group, codes.IMAGE_QUALITY.value)
    assert number.MeasuredValueSequence[0].FloatingPointValue == quality().value
    assert words.TextValue == quality().text


def test_sr_of_not_measured_gives_the_coded_concept_and_the_reason() -> None:
    (group,) = measurement_groups(read(calf_report(findings=[not_measured("2.25.1")])))
    (statement,) = items(group, codes.NOT_MEASURED.value)
    assert statement.TextValue == "No muscle was recognised in any frame."
    assert statement.ConceptNameCodeSequence[0].CodingSchemeDesignator == codes.PRIVATE_SCHEME


def test_sr_items_stand_for_themselves(calf_sr: Dataset) -> None:
    continuity = [element.value for element in calf_sr.iterall() if element.keyword == "ContinuityOfContent"]
    assert len(continuity) > 3
    assert set(continuity) == {"SEPARATE"}


def test_sr_declares_the_private_coding_scheme(calf_sr: Dataset) -> None:
    (scheme,) = calf_sr.CodingSchemeIdentificationSequence
    assert scheme.CodingSchemeDesignator == codes.PRIVATE_SCHEME
    assert scheme.CodingSchemeUID.startswith("2.25.")


def test_sr_with_accession_number_refers_to_the_request(calf_sr: Dataset) -> None:
    (request,) = calf_sr.ReferencedRequestSequence
    assert request.AccessionNumber == "A-17"
    assert "ReferencedRequestSequence" not in read(small(accession_number=None))


def test_sr_of_second_version_names_its_predecessor(calf_sr: Dataset) -> None:
    first = calf_report()
    (study,) = read(calf_report(findings=cine_findings()[1:2], previous=first)).PredecessorDocumentsSequence
    (series,) = study.ReferencedSeriesSequence
    (reference,) = series.ReferencedSOPSequence
    assert series.SeriesInstanceUID == calf_sr.SeriesInstanceUID
    assert reference.ReferencedSOPInstanceUID == calf_sr.SOPInstanceUID
    assert "PredecessorDocumentsSequence" not in calf_sr


@pytest.mark.parametrize(
    "name", ["Yamada^Tarou=山田^太郎=やまだ^たろう", "Hong^Gildong=洪^吉洞=홍^길동", "Иванова^Юлия", "Doe^Jane^^Dr", "単一"]
)
def test_sr_person_name_in_any_script_round_trips(name: str) -> None:
    sr = read(small(patient_name=name))
    assert sr.SpecificCharacterSet == "ISO_IR 192"
    assert str(sr.PatientName) == name


@pytest.mark.parametrize(
    ("field", "keyword", "value"),
    [
        ("patient_id", "PatientID", "9" * 70),
        ("accession_number", "AccessionNumber", "A" * 20),
        ("study_id", "StudyID", "<script>alert(1)</script>"),
    ],
)
def test_sr_keeps_an_identifier_that_breaks_its_vr(field: str, keyword: str, value: str) -> None:
    sr = read(small(**{field: value}))
    with pytest.warns(UserWarning, match="exceeds the maximum length"):
        assert sr[keyword].value == value


@pytest.mark.parametrize(
    ("field", "keyword", "value"),
    [
        ("patient_birth_date", "PatientBirthDate", "1970-01-02"),
        ("patient_sex", "PatientSex", "unknown"),
        ("study_time", "StudyTime", "morning"),
    ],
)
def test_sr_leaves_out_a_date_time_or_sex_that_cannot_be_read(field: str, keyword: str, value: str) -> None:
    assert not read(small(**{field: value}))[keyword].value


@pytest.mark.parametrize(("sop_class_uid", "frames"), [(RETIRED_MULTI_FRAME, FRAMES), (RETIRED_SINGLE_FRAME, None)])
def test_sr_refers_to_retired_ultrasound_classes_by_their_own_uid(sop_class_uid: str, frames: int | None) -> None:
    sr = read(small(), [instance(sop_class_uid=sop_class_uid, number_of_frames=frames)])
    (series,) = sr.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
    assert series.ReferencedSOPSequence[0].ReferencedSOPClassUID == sop_class_uid
    references = [element.value for element in sr.iterall() if element.keyword == "ReferencedSOPClassUID"]
    assert set(references) == {sop_class_uid}


def test_sr_of_single_frame_image_names_no_frame() -> None:
    sr = read(small(), [instance(number_of_frames=1)])
    assert not any(element.keyword == "ReferencedFrameNumber" for element in sr.iterall())


def test_sr_without_an_instance_of_the_evidence_is_refused() -> None:
    with pytest.raises(InputRejected):
        render_sr(calf_report(), [instance("2.25.9")])


def test_sr_of_another_sop_class_is_refused() -> None:
    with pytest.raises(InputRejected):
        render_sr(calf_report(), [instance()], sop_class_uid="1.2.840.10008.5.1.4.1.1.88.11")


def test_sr_of_several_cines_says_what_they_say_together_and_that_it_was_not_validated() -> None:
    first = analyse(spot_cine("1.2.826.0.1.1"), networks(offset=-1.0))
    second = analyse(spot_cine("1.2.826.0.1.2", side="right"), networks(offset=3.0))
    report = calf_report(findings=[*first.values(), *second.values()])
    sources = [replace(instance(), sop_instance_uid=f"1.2.826.0.1.{number}") for number in (1, 2)]
    together, *cines = measurement_groups(read(report, sources))
    (value,) = [item for item in items(together, "MYOFASCIAL-STUDY") if not has_derivation(item)]
    found = {finding.name: finding.value for finding in report.findings}
    assert float(value.MeasuredValueSequence[0].NumericValue) == pytest.approx(found["myofascial_pain_probability_of_study"])
    assert NOT_VALIDATED in value.ConceptNameCodeSequence[0].CodeMeaning
    assert len([item for item in together.ContentSequence if item.ValueType == "IMAGE"]) == 2
    assert all(not items(group, "MYOFASCIAL-STUDY") for group in cines)


def has_derivation(measurement: Dataset) -> bool:
    return any(item.ConceptNameCodeSequence[0].CodeValue == "121401" for item in measurement.get("ContentSequence", ()))
