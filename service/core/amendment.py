"""One finding as a person amends it: another value, a rejection, back to what the software had said, or left as it is."""

import math
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field, StrictFloat, StrictInt, StrictStr

from service.core.compose import of_all_cines
from service.core.findings import Acceptance, Amendment, Evidence, Finding, FindingKind, Said, Value
from service.core.measure.wrist_findings import PLANE_NAME
from service.core.plausible import can_be_zero, limits_of
from service.core.review_words import finding_text
from service.core.wording import label, quantity_range
from service.core.wrist_planes import PLANES
from service.errors import Conflict, InputRejected

#: On a number of the software that rests on one that a person amended since, and cannot be computed anew.
RESTS_ON_AMENDED = "rests_on_amended"

_LONGEST_CLASS = 64
_REJECTABLE = frozenset(set(FindingKind) - {FindingKind.NOT_MEASURED})
#: Of a finding that is the software's alone.
_NOBODYS = {"amended_by": None, "amended": None, "accepted": None}
_WITH_A_VALUE = frozenset({FindingKind.MEASUREMENT, FindingKind.CLASSIFICATION})


#: A reason stands in the report, so it must say something and fit on a line.
Why = Annotated[
    str,
    Field(
        min_length=3,
        max_length=500,
        pattern=r"^[^\x00-\x1f\x7f]*[^\x00-\x20\x7f][^\x00-\x1f\x7f]*$",
        description="Stands in the report; name no patient.",
    ),
]
#: Of one change, where it has another reason than the whole.
_OwnWhy = Annotated[Why | None, Field(description="Of this change; where it is left out, the reason of the whole.")]


class Author(Value):
    """The person who changes a report."""

    user_id: str
    full_name: str


class SetValue(Value):
    """Another value, a number in the finding's unit or the name of a class."""

    action: Literal["set"] = "set"
    finding_id: Annotated[str, Field(max_length=200)]
    value: StrictFloat | StrictInt | StrictStr
    why: _OwnWhy = None


class Reject(Value):
    """The finding is wrong."""

    action: Literal["reject"]
    finding_id: Annotated[str, Field(max_length=200)]
    why: _OwnWhy = None


class Restore(Value):
    """What the software had said holds after all."""

    action: Literal["restore"]
    finding_id: Annotated[str, Field(max_length=200)]


class Accept(Value):
    """The finding was looked at, and is left as it is."""

    action: Literal["accept"]
    finding_id: Annotated[str, Field(max_length=200)]


FindingChange = Annotated[SetValue | Reject | Restore | Accept, Field(discriminator="action")]


def amend_finding(finding: Finding, change: FindingChange, *, by: Author, at: datetime, why: str) -> Finding:
    """The finding after a change. Raises InputRejected for a value that cannot be, Conflict where there is nothing to change."""
    if of_all_cines([finding]):
        raise Conflict(f"{label(finding.name)} follows from the findings of the cines: amend those.", reason="derived_finding")
    match change:
        case Accept():
            return _accepted(finding, by, at)
        case Restore():
            if finding.is_computed:
                follows = f"{label(finding.name)} follows from what was amended: restore that, or set another value."
                raise Conflict(follows, reason="computed_finding")
            if finding.amended is None:
                raise Conflict(f"{label(finding.name)} was not amended: there is nothing to restore.", reason="unamended")
            return as_said(finding)
        case Reject():
            return _rejected(as_said(finding), _amendment(finding, by, at, change.why or why, is_rejected=True))
        case SetValue():
            said = as_said(finding)
            return _changed(said, _checked(said, change.value), _amendment(finding, by, at, change.why or why))


def with_value(finding: Finding, value: float, amendment: Amendment, evidence: Evidence) -> Finding:
    """A finding as the software said it, with a number that was measured or computed; `amendment` says how, and for whom."""
    said = _said(finding).model_copy(update={"evidence": finding.evidence})
    # No number of geometry is good to a millionth, and nothing is minus nothing.
    return _changed(finding, round(value, 6) + 0.0, amendment.model_copy(update={"original": said}), evidence)


def amendment_of(finding: Finding, *, by: Author, at: datetime, why: str) -> Amendment:
    """That a person changed a finding now."""
    return _amendment(finding, by, at, why)


def as_said(finding: Finding) -> Finding:
    """The finding as the software had it, without what a person set or accepted."""
    if finding.amended is None:
        return finding if finding.accepted is None else finding.model_copy(update={"accepted": None})
    original = {name: getattr(finding.amended.original, name) for name in Said.model_fields}
    evidence = finding.amended.original.evidence or finding.evidence
    return finding.model_copy(update={**original, "evidence": evidence, **_NOBODYS})


def resting(finding: Finding, *, is_resting: bool) -> Finding:
    """The finding with the flag that it rests on amended ones, or without it."""
    if is_resting is (RESTS_ON_AMENDED in finding.flags):
        return finding
    others = tuple(flag for flag in finding.flags if flag != RESTS_ON_AMENDED)
    return finding.model_copy(update={"flags": (*others, RESTS_ON_AMENDED) if is_resting else others})


def is_rejectable(finding: Finding) -> bool:
    """Whether a person can say that it is wrong; a reason why nothing was measured is no such thing."""
    return finding.kind in _REJECTABLE


def is_settable(finding: Finding) -> bool:
    """Whether it is a number or a class, in the place of which another can be set."""
    return finding.kind in _WITH_A_VALUE and finding.value is not None


def reapplied(amended: Finding, finding: Finding) -> Finding:
    """What a person made of `amended`, made of `finding`, which the software says of the same."""
    amendment = amended.amended
    if amendment is None:
        return finding
    if amendment.method == "drawn" and isinstance(amended.value, float):
        return with_value(finding, amended.value, amendment, amended.evidence)
    amendment = amendment.model_copy(update={"original": _said(finding)})
    return _rejected(finding, amendment) if amendment.is_rejected else _changed(finding, amended.value, amendment)


def is_plausible(finding: Finding, value: float) -> bool:
    """Whether a number can be that of a finding, in its unit."""
    limits = limits_of(finding.name, finding.unit)
    is_within = limits is None or limits[0] <= value <= limits[1]
    return math.isfinite(value) and is_within and (value > 0 or can_be_zero(finding.name))


def _accepted(finding: Finding, by: Author, at: datetime) -> Finding:
    if finding.is_rejected:
        raise Conflict(f"{label(finding.name)} was rejected: restore it before you accept it.", reason="rejected_finding")
    return finding.model_copy(update={"accepted": Acceptance(by=by.full_name, user_id=by.user_id, at=at)})


def _amendment(finding: Finding, by: Author, at: datetime, why: str, *, is_rejected: bool = False) -> Amendment:
    said = _said(as_said(finding))
    return Amendment(by=by.full_name, user_id=by.user_id, at=at, why=why, is_rejected=is_rejected, original=said)


def _said(finding: Finding) -> Said:
    """The evidence stays the finding's own."""
    return Said(**{name: getattr(finding, name) for name in Said.model_fields if name != "evidence"})


def _rejected(finding: Finding, amendment: Amendment) -> Finding:
    """Without any number that a reader could take for a result, and without what was said of that number."""
    if not is_rejectable(finding):
        raise Conflict("What was not measured cannot be rejected.", reason="not_amendable")
    nothing = dict.fromkeys(("value", "interval", "probability", "statistic", "range"))
    return _told(finding, amendment, {**nothing, "flags": ("rejected",)})


def _changed(finding: Finding, value: float | str | None, amendment: Amendment, evidence: Evidence | None = None) -> Finding:
    """Interval, extremes and doubts were those of the model's number; grade and faults of a class are the picture's."""
    kept = finding.flags if finding.kind is FindingKind.CLASSIFICATION else ()
    nothing = dict.fromkeys(("interval", "probability", "statistic", "range"))
    flag = "computed_anew" if amendment.method == "computed" else "amended"
    shown = {"evidence": evidence or finding.evidence}
    return _told(finding, amendment, {**nothing, **shown, "value": value, "flags": (*kept, flag)})


def _told(finding: Finding, amendment: Amendment, changes: dict[str, Any]) -> Finding:
    made = finding.model_copy(update={**changes, "amended_by": amendment.by, "amended": amendment, "accepted": None})
    return made.model_copy(update={"text": finding_text(made)})


def _checked(finding: Finding, value: float | str) -> float | str:
    if not is_settable(finding):
        said = f"{label(finding.name)} is no value that can be set; it can be rejected, or a comment can be written."
        raise Conflict(said, reason="not_amendable")
    if isinstance(finding.value, str):
        return _class(finding, value)
    if isinstance(value, str):
        raise InputRejected(f"{label(finding.name)} is a number{_in_unit(finding)}.", reason="value")
    return _number(finding, float(value))


def _number(finding: Finding, value: float) -> float:
    limits = limits_of(finding.name, finding.unit)
    if not math.isfinite(value):
        raise InputRejected(f"{label(finding.name)} must be a finite number{_in_unit(finding)}.", reason="value")
    if value == 0 and not can_be_zero(finding.name):
        raise InputRejected(f"{label(finding.name)} must be above 0.", reason="implausible_value")
    if limits is not None and not is_plausible(finding, value):
        between = quantity_range(*limits, finding.unit)
        said = f"{label(finding.name)} outside {between} is not plausible: is the unit right?"
        raise InputRejected(said, reason="implausible_value")
    return value


def _class(finding: Finding, value: float | str) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > _LONGEST_CLASS or not value.isprintable():
        raise InputRejected(f"{label(finding.name)} is a printable name of at most {_LONGEST_CLASS} characters.", reason="value")
    names = [plane.name for plane in PLANES]
    if finding.name == PLANE_NAME and value not in names:
        raise InputRejected(f"{label(finding.name)} is one of {', '.join(names)}.", reason="value")
    return value


def _in_unit(finding: Finding) -> str:
    return f" in {finding.unit.strip('{}')}" if finding.unit and finding.unit != "1" else ""
