"""The report as HL7 v2 ORU^R01, read back as a receiver reads it."""

from typing import Any

import pytest

from service.core.findings import Code
from service.core.hl7_acknowledgement import control_id_of, judge_acknowledgement
from service.core.render.hl7 import control_id, render_oru
from service.core.report import RESEARCH_USE, Report, ReportStatus
from service.errors import InputRejected, Unavailable
from tests.calf_report import calf_report, cine_findings, header, not_measured


def segments(report: Report, name: str) -> list[list[str]]:
    """Fields of each segment of one name, by their number."""
    message = render_oru(report).decode()
    assert message.endswith("\r")
    assert "\n" not in message
    found = [line.split("|") for line in message.split("\r") if line.startswith(f"{name}|")]
    # MSH-1 is the separator itself.
    return [[fields[0], "|", *fields[1:]] for fields in found] if name == "MSH" else found


def of(**study: Any) -> Report:
    report = calf_report()
    return report.model_copy(update={"study": header().model_copy(update=study)})


def test_message_header_says_what_it_is_and_in_which_character_set() -> None:
    (msh,) = segments(calf_report(), "MSH")
    assert (msh[2], msh[9], msh[11], msh[12], msh[18]) == ("^~\\&", "ORU^R01^ORU_R01", "P", "2.5.1", "UNICODE UTF-8")
    assert msh[7] == "20261120093015+0000"


def test_control_id_is_stable_short_and_another_for_each_version() -> None:
    report = calf_report()
    assert control_id_of(render_oru(report)) == control_id_of(render_oru(report)) == control_id(report)
    assert len(control_id(report)) <= 20
    assert control_id(report.model_copy(update={"version": 2})) != control_id(report)


def test_patient_and_order_are_those_of_the_study() -> None:
    report = of(patient_name="Müller^Иван^A^Dr^Jr=山", issuer_of_patient_id="WARD")
    (pid,) = segments(report, "PID")
    (orc,) = segments(report, "ORC")
    (obr,) = segments(report, "OBR")
    assert (pid[3], pid[5], pid[7], pid[8]) == ("P-42^^^WARD", "Müller^Иван^A^Jr^Dr", "19700102", "F")
    assert (orc[1], orc[3], obr[3], obr[7], obr[24]) == ("RE", "A-17", "A-17", "20261120090000", "RAD")


def test_study_without_accession_number_is_named_by_its_uid() -> None:
    (obr,) = segments(of(accession_number=None), "OBR")
    assert obr[3] == header().study_instance_uid


@pytest.mark.parametrize(
    ("field", "value"),
    [("patient_birth_date", "1970"), ("patient_sex", "unknown"), ("patient_name", None), ("patient_birth_date", "19700102|X")],
)
def test_identity_that_is_no_value_of_hl7_is_left_empty(field: str, value: str | None) -> None:
    (pid,) = segments(of(**{field: value}), "PID")
    assert [*pid, "", ""][{"patient_birth_date": 7, "patient_sex": 8, "patient_name": 5}[field]] == ""


def test_text_with_separators_and_line_breaks_stays_in_its_field() -> None:
    (pid,) = segments(of(patient_id="P|4^2&~\\\r\nOBX|1"), "PID")
    assert pid[3] == "P\\F\\4\\S\\2\\T\\\\R\\\\E\\ OBX\\F\\1"
    report = calf_report().model_copy(update={"impression": "first\nOBX|1|NM"})
    assert [note[3] for note in segments(report, "NTE")][1] == "first\\.br\\OBX\\F\\1\\F\\NM"


@pytest.mark.parametrize(
    ("status", "letter"), [(ReportStatus.PRELIMINARY, "P"), (ReportStatus.FINAL, "F"), (ReportStatus.AMENDED, "C")]
)
def test_status_of_the_report_is_that_of_order_and_observations(status: ReportStatus, letter: str) -> None:
    report = calf_report().model_copy(update={"status": status})
    (obr,) = segments(report, "OBR")
    assert obr[25] == letter
    assert {obx[11] for obx in segments(report, "OBX")} == {letter}


def test_observation_has_code_value_unit_and_no_abnormal_flag() -> None:
    report = calf_report()
    first, *others = segments(report, "OBX")
    assert (first[2], first[3], first[6]) == ("NM", "59089-3^Thickness^LN", "mm^mm^UCUM")
    thickness = next(finding for finding in report.findings if finding.name == "thickness")
    assert isinstance(thickness.value, float)
    assert float(first[5]) == pytest.approx(thickness.value, rel=1e-5)
    assert {obx[8] for obx in (first, *others)} == {""}
    assert [obx[4] for obx in (first, *others)] == [str(number) for number in range(1, len(others) + 2)]


@pytest.mark.parametrize(("value", "written"), [(1.5e-7, "0.00000015"), (1234567.0, "1234570"), (-0.5, "-0.5"), (0.0, "0")])
def test_number_is_written_without_an_exponent(value: float, written: str) -> None:
    finding = cine_findings()[0].model_copy(update={"value": value})
    (obx,) = segments(calf_report(findings=(finding,)), "OBX")
    assert obx[5] == written


def test_code_of_an_unknown_finding_is_local_and_its_own_code_goes_before() -> None:
    known = cine_findings()[0]
    unknown = known.model_copy(update={"name": "new_quantity"})
    coded = known.model_copy(update={"code": Code(scheme="LN", value="1-8", meaning="A^B")})
    first, second = segments(calf_report(findings=(unknown, coded)), "OBX")
    assert (first[3].split("^")[0], first[3].split("^")[2]) == ("new_quantity", "L")
    assert second[3] == "1-8^A\\S\\B^LN"


def test_what_could_not_be_measured_is_said_without_a_value() -> None:
    (obx,) = segments(calf_report(findings=(not_measured(),)), "OBX")
    assert (obx[2], obx[5], obx[11]) == ("", "", "X")


def test_message_says_that_it_is_for_research() -> None:
    assert segments(calf_report(), "NTE")[0][3] == RESEARCH_USE


CONTROL_ID = "ABC"


def acknowledgement(code: str, about: str = CONTROL_ID) -> bytes:
    return f"MSH|^~\\&|RIS||SONOMYO||20261120||ACK|9|P|2.5.1\rMSA|{code}|{about}\rERR|||207^Doe^Jane\r".encode()


@pytest.mark.parametrize("code", ["AA", "CA"])
def test_acknowledgement_that_accepts_is_a_success(code: str) -> None:
    judge_acknowledgement(acknowledgement(code), CONTROL_ID)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (acknowledgement("AE"), Unavailable),
        (acknowledgement("CE"), Unavailable),
        (acknowledgement("AR"), InputRejected),
        (acknowledgement("CR"), InputRejected),
        (acknowledgement("AA", "OTHER"), Unavailable),
        (acknowledgement("ZZ"), Unavailable),
        (b"MSA", Unavailable),
        (b"\xff\xfe", Unavailable),
        (b"", Unavailable),
    ],
)
def test_other_acknowledgement_is_judged_and_none_of_its_words_repeated(answer: bytes, error: type[Exception]) -> None:
    with pytest.raises(error) as raised:
        judge_acknowledgement(answer, CONTROL_ID)
    assert "Doe" not in str(raised.value)
