"""Every standard code stands in pydicom's copy of the PS3.16 dictionaries with that very meaning."""

from collections.abc import Iterator
from typing import cast

import pytest
from pydicom.sr._concepts_dict import concepts

from service.core import codes
from service.core.findings import Code

MAXIMUM_CODE_VALUE = 16  # SH, PS3.5 6.2
MAXIMUM_CODE_MEANING = 64  # LO


def _all_codes() -> Iterator[Code]:
    for value in vars(codes).values():
        if isinstance(value, Code):
            yield value
        elif isinstance(value, dict):
            yield from (code for code in value.values() if isinstance(code, Code))


def _meanings(code: Code) -> set[str]:
    keywords = cast("dict[str, dict[str, tuple[str, list[int]]]]", concepts[code.scheme])
    return {entry[code.value][0] for entry in keywords.values() if code.value in entry}


ALL = sorted(set(_all_codes()), key=lambda code: (code.scheme, code.value))
#: UCUM knows more units than CID 7181 lists.
NOT_IN_PS3_16 = {"{pixels}", "N.m"}
STANDARD = [code for code in ALL if not codes.is_private(code) and code.value not in NOT_IN_PS3_16]
PRIVATE = [code for code in ALL if codes.is_private(code)]


@pytest.mark.parametrize("code", STANDARD, ids=lambda code: f"{code.scheme}-{code.value}")
def test_standard_code_stands_in_the_dictionary_with_its_meaning(code: Code) -> None:
    assert code.meaning in _meanings(code)


def test_codes_were_found_at_all() -> None:
    assert len(STANDARD) > 40
    assert {code.scheme for code in STANDARD} == {"DCM", "SCT", "LN", "UCUM", "MDC"}


@pytest.mark.parametrize("code", PRIVATE, ids=lambda code: code.value)
def test_private_code_fits_the_attributes_that_carry_it(code: Code) -> None:
    assert len(code.value) <= MAXIMUM_CODE_VALUE
    assert len(code.meaning) <= MAXIMUM_CODE_MEANING


def test_private_code_values_are_unique() -> None:
    assert len({code.value for code in PRIVATE}) == len(PRIVATE)


def test_private_measurement_has_a_standard_parent_where_there_is_one() -> None:
    without = {
        "not_measured",
        "contraction_count",
        "shortening_velocity",
        "fascicle_extrapolated_share",
        "nearest_training_cases",
        "standard_plane",
        "joint_moment",
        "agreement_with_pennation",
        "motor_unit",
        "motor_unit_count",
    }
    measured = {name: code for name, code in codes.FINDING_CODES.items() if name not in without}
    private = {code.value for code in measured.values() if codes.is_private(code)}
    assert private == set(codes.STANDARD_PARENTS)


def test_statistics_and_sides_have_a_code_each() -> None:
    assert set(codes.LATERALITIES) == {"left", "right", "bilateral"}
    assert "median" in codes.STATISTICS
