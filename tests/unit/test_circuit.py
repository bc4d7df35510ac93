"""How long a destination that does not answer is left alone."""

from service.core.circuit import FAILURES_BEFORE_A_PAUSE, FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, pause_after


def test_few_failures_make_no_pause() -> None:
    assert {pause_after(failures) for failures in range(FAILURES_BEFORE_A_PAUSE)} == {0.0}


def test_pause_doubles_from_the_first_to_the_longest_and_stays() -> None:
    pauses = [pause_after(FAILURES_BEFORE_A_PAUSE + more) for more in range(7)]
    assert pauses[0] == FIRST_PAUSE_SECONDS
    assert pauses[1:3] == [2 * before for before in pauses[:2]]
    assert pauses[3:] == [LONGEST_PAUSE_SECONDS] * 4
    assert pause_after(10**9) == LONGEST_PAUSE_SECONDS
