"""An impression that gives numbers of networks which saw nobody says so, in every language."""

from collections.abc import Callable, Sequence

import pytest

from service.core.compose import impression_of
from service.core.findings import Finding
from service.core.render.language import language_of
from tests import calf_parts, motor_parts
from tests.calf_report import calf_report, cine_findings
from tests.reviewed_report import amended

SAID = "Learnt from simulated pictures only, not validated in people."


def states() -> Sequence[Finding]:
    return list(calf_parts.analyse(calf_parts.scanned(), uid="2.25.1").values())


def relative_states() -> Sequence[Finding]:
    return list(calf_parts.analyse(calf_parts.scanned(), uid="2.25.1", is_calibrated=False).values())


def units() -> Sequence[Finding]:
    return motor_parts.analyse(motor_parts.motor_cine("2.25.1"))


@pytest.mark.parametrize("findings", [states, relative_states, units])
def test_impression_with_numbers_of_simulation_says_simulated(findings: Callable[[], Sequence[Finding]]) -> None:
    impression = impression_of(findings(), ())
    assert SAID in impression
    german = language_of("de").text(impression)
    assert "Nur an simulierten Bildern gelernt, nicht an Menschen validiert." in german


def test_impression_of_other_analyses_or_without_numbers_does_not_say_simulated() -> None:
    nothing = motor_parts.analyse(motor_parts.motor_cine("2.25.1"), units=())
    for findings in (list(cine_findings()), nothing):
        assert "simulated" not in impression_of(findings, ())


def test_impression_of_numbers_that_a_person_has_set_is_that_persons_word() -> None:
    whole = units()
    changes = [{"action": "set", "finding_id": whole[0].finding_id, "value": 4.0}]
    assert "simulated" not in amended(calf_report(findings=whole), why="Gezählt.", findings=changes).impression
