"""Values of FHIR R4 that are made of what DICOM holds."""

import pytest

from service.core.findings import Code
from service.core.render.fhir_values import clean, coding, day, human_names
from tests.fhir_models import read


@pytest.mark.parametrize(("value", "expected"), [("20261120", "2026-11-20"), ("20260231", None), ("2026", None), (None, None)])
def test_day_of_a_dicom_date_is_one_that_the_calendar_has(value: str | None, expected: str | None) -> None:
    assert day(value) == expected


@pytest.mark.parametrize(("value", "expected"), [(" a\x00b\n", "ab"), ("\t ", None), (None, None), ("Größe", "Größe")])
def test_clean_text_has_no_control_characters(value: str | None, expected: str | None) -> None:
    assert clean(value) == expected


def test_coding_of_an_unknown_scheme_has_no_system() -> None:
    assert coding(Code(scheme="99OTHER", value="X", meaning="Y")) == {"code": "X", "display": "Y"}


def test_name_of_three_groups_is_three_names_that_say_their_writing() -> None:
    names = human_names("Yamada^Tarou^^Dr.=山田^太郎=やまだ^たろう")
    assert [name["family"] for name in names] == ["Yamada", "山田", "やまだ"]
    assert [name["extension"][0]["valueCode"] for name in names] == ["ABC", "IDE", "SYL"]
    assert names[0]["prefix"] == ["Dr."]
    read({"resourceType": "Patient", "name": names})
