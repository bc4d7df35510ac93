"""How good a picture is, in one vocabulary for every analysis: a grade, and the faults that decided it.

Grades are those of Tang (Radiology 2026): A is as it should be, B is usable with one fault or two, C is not. A and B together
are a standard picture.
"""

from collections.abc import Collection
from enum import StrEnum
from typing import Literal

from service.core.findings import Value

_FAULTS_OF_B = 2


class Grade(StrEnum):
    """From good to bad."""

    A = "A"
    B = "B"
    C = "C"

    @property
    def flag(self) -> str:
        """As findings carry it: `grade_a`."""
        return f"grade_{self.value.lower()}"


#: What an examiner can do about a picture.
Move = Literal["left", "right", "tilt", "press", "more_depth", "less_depth"]


class Fault(Value):
    """One thing that is wrong with a picture."""

    #: A stable word for programs.
    reason: str
    #: A clause for people, which says what to do about it where that is known.
    text: str
    #: Enough by itself for a C.
    is_grave: bool = False
    #: Which way to go, where that is known.
    move: Move | None = None


def grade_of(faults: Collection[Fault]) -> Grade:
    """A without faults, B with one or two, C with more or with a grave one."""
    if any(fault.is_grave for fault in faults) or len(faults) > _FAULTS_OF_B:
        return Grade.C
    return Grade.B if faults else Grade.A


def grade_in(flags: Collection[str]) -> Grade | None:
    """The grade that a finding's flags tell; None where they tell none."""
    return next((grade for grade in Grade if grade.flag in flags), None)


def told(faults: Collection[Fault]) -> str:
    """All of them as one clause."""
    return "; ".join(fault.text for fault in faults)


def stated(faults: Collection[Fault]) -> str:
    """The grade as a sentence to follow others, with what decided it."""
    because = f": {told(faults)}" if faults else ""
    return f" Grade {grade_of(faults)}{because}."
