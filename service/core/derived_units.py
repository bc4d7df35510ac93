"""What follows from motor units that a person rejected, or whose rate a person set: how many are left, and at which rates."""

from collections.abc import Sequence

from service.core.amendment import RESTS_ON_AMENDED, as_said, resting, with_value
from service.core.findings import Finding
from service.core.measure.motor_band import COUNT_NAME, UNITS_FROM_SIMULATION
from service.core.measure.motor_findings import found_text


def follow_units(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """`findings` in which the count of each cine is that of its units that are left. Idempotent.

    A unit's own rate is the one that was set; its firings, regularity and twitch are the software's still, which a flag says.
    """
    made = [finding if finding.motor_unit is None else _unit(finding) for finding in findings]
    return tuple(_count(finding, _units_beside(finding, made)) if finding.name == COUNT_NAME else finding for finding in made)


def _unit(finding: Finding) -> Finding:
    said = as_said(finding).value
    rate = finding.value if isinstance(finding.value, float) else said
    if finding.motor_unit is None or not isinstance(rate, float):
        return finding
    told = finding.motor_unit.model_copy(update={"rate_hz": round(rate, 3)})
    flags = ("amended", UNITS_FROM_SIMULATION, RESTS_ON_AMENDED) if _is_set(finding) else finding.flags
    return finding.model_copy(update={"motor_unit": told, "flags": flags})


def _units_beside(count: Finding, findings: Sequence[Finding]) -> list[Finding]:
    uid, name = count.evidence.sop_instance_uid, count.analysis.name
    return [one for one in findings if one.motor_unit and one.evidence.sop_instance_uid == uid and one.analysis.name == name]


def _count(finding: Finding, units: Sequence[Finding]) -> Finding:
    """A count that a person set or rejected stands."""
    if not units or (finding.amended is not None and not finding.is_computed):
        return finding
    left = [one for one in units if not one.is_rejected]
    if len(left) == len(units):
        is_amended = any(map(_is_set, units))
        said = resting(as_said(finding) if finding.is_computed else finding, is_resting=is_amended)
        rates = [one.value for one in units if isinstance(one.value, float)]
        return said.model_copy(update={"text": found_text(rates, is_amended=is_amended)})
    if finding.is_computed and finding.value == len(left):
        return finding  # with whoever accepted it
    last = max((one.amended for one in units if one.is_rejected and one.amended), key=lambda amended: amended.at)
    amendment = last.model_copy(update={"method": "computed", "is_rejected": False})
    made = with_value(as_said(finding), float(len(left)), amendment, finding.evidence)
    return made.model_copy(update={"flags": (*made.flags, UNITS_FROM_SIMULATION)})


def _is_set(finding: Finding) -> bool:
    return finding.amended is not None and not finding.is_rejected
