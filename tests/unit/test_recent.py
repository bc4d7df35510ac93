"""What was made lately is not made again."""

import pytest

from service.core.recent import Recent


def test_value_is_made_once_while_it_is_asked_for_and_again_after_others_took_its_place() -> None:
    made: list[str] = []
    recent: Recent[str, str] = Recent(2)

    def ask(key: str) -> str:
        def make() -> str:
            made.append(key)
            return key.upper()

        return recent.get_or_make(key, make)

    assert [ask(key) for key in "abacab"] == list("ABACAB")
    assert made == ["a", "b", "c", "b"]


def test_value_whose_making_fails_is_made_anew() -> None:
    recent: Recent[str, int] = Recent(2)
    with pytest.raises(ZeroDivisionError):
        recent.get_or_make("a", lambda: 1 // 0)
    assert recent.get_or_make("a", lambda: 2) == 2
