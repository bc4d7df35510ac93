"""When a destination that does not answer is left alone, and for how long.

After each pause there is one trial, instead of one by each object that waits.
"""

FAILURES_BEFORE_A_PAUSE = 5
FIRST_PAUSE_SECONDS = 10.0
#: A trial a minute costs nobody anything, and nobody waits longer for a destination that is back.
LONGEST_PAUSE_SECONDS = 60.0
#: Beyond it a pause is the longest for certain; two to the power of all failures is no number to work with.
_MOST_DOUBLINGS = 10


def pause_after(failures: int) -> float:
    """Seconds, after so many failures in a row; 0 before it comes to a pause."""
    if failures < FAILURES_BEFORE_A_PAUSE:
        return 0.0
    doublings = min(failures - FAILURES_BEFORE_A_PAUSE, _MOST_DOUBLINGS)
    return min(FIRST_PAUSE_SECONDS * float(2**doublings), LONGEST_PAUSE_SECONDS)
