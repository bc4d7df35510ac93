"""Which passwords are taken: long ones that are not made of what everybody tries first."""

from contextlib import suppress
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.passwords import FREE_FAILURES, LONGEST, LONGEST_PAUSE, SHORTEST, check_password, normalised, pause_after
from service.errors import InputRejected

OWN = ("anna.kowalska", "Dr Anna Kowalska")


@pytest.mark.parametrize(
    "password",
    [
        "correct horse battery staple",
        "mbqxvhtwzrkp",
        "żółta łódź pod mostem",
        "学校の裏の小さな川で泳ぐ",
        "🦀🐋🌵🪁🧊🎻🥕🛶🧭🪴🦉🎏",
        "        a lot of spaces",
        "wyj7Qm2pLx9Z" * 5,
        "q" + "mzpwkd xnvbie rjtuly" * 6,
    ],
)
def test_password_of_many_characters_is_taken(password: str) -> None:
    check_password(password, own=OWN)


@pytest.mark.parametrize(
    "password",
    [
        "aaaaaaaaaaaaaaaa",
        "abcabcabcabcabc",
        "123456789012345",
        "09876543210987",
        "qwertyuiopasdf",
        "Password2026!",
        "P@ssw0rd!P@ssw0rd!",
        "Willkommen123",
        "SonomyoSonomyo1",
        "Winter2026!!",
        "anna.kowalska",
        "Anna.Kowalska1",
        "KowalskaAnna26!",
        "akslawok.anna99",
        "DrAnnaKowalska1990",
        "AdministratorAdmin",
    ],
)
def test_password_that_is_easily_guessed_is_refused(password: str) -> None:
    with pytest.raises(InputRejected, match="easily guessed"):
        check_password(password, own=OWN)


@pytest.mark.parametrize("length", [SHORTEST - 1, LONGEST + 1])
def test_password_that_is_too_short_or_too_long_is_refused_with_the_number(length: int) -> None:
    with pytest.raises(InputRejected, match=f"{SHORTEST}|{LONGEST}"):
        check_password(("kw7 pzm qxv hdt " * 20)[:length], own=OWN)


def test_password_of_64_characters_and_more_is_taken() -> None:
    for length in (SHORTEST, 64, LONGEST):
        check_password(("kw7 pzm qxv hdt ugn bls yrc feo jia " * 4)[:length], own=OWN)


def test_password_typed_composed_or_decomposed_is_the_same() -> None:
    assert normalised("Żo\u0301łw") == normalised("Z\u0307ółw")


@given(st.text(max_size=200), st.lists(st.text(max_size=40), max_size=3))
def test_password_that_is_taken_is_long_enough_whatever_it_is_made_of(password: str, own: list[str]) -> None:
    with suppress(InputRejected):
        check_password(password, own=own)
        assert SHORTEST <= len(normalised(password)) <= LONGEST
        assert len(set(normalised(password))) > 1


@given(st.integers(min_value=0, max_value=10**9))
def test_pause_after_failures_grows_and_never_locks_for_good(failures: int) -> None:
    assert timedelta() <= pause_after(failures) <= pause_after(failures + 1) <= LONGEST_PAUSE
    assert (pause_after(failures) == timedelta()) == (failures <= FREE_FAILURES)
