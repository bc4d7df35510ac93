"""One finding as a person amends it: another value, a rejection, or back to what the software had said."""

import math
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field, StrictFloat, StrictInt, StrictStr

from service.core.compose import of_all_cines
from service.core.findings import Amendment, Finding, FindingKind, Said, Value
from service.core.measure.wrist_findings import PLANE_NAME
from service.core.plausible import limits_of
from service.core.review_words import finding_text
from service.core.wording import label, quantity_range
from service.core.wrist_planes import PLANES
from service.errors import Conflict, InputRejected

_LONGEST_CLASS = 64
#: What a person can have another opinion of; a reason why nothing was measured is no such thing.
_REJECTABLE = frozenset(set(FindingKind) - {FindingKind.NOT_MEASURED})
_WITH_A_VALUE = frozenset({FindingKind.MEASUREMENT, FindingKind.CLASSIFICATION})


class Author(Value):
    """The person who changes a report."""

    user_id: str
    full_name: str


class SetValue(Value):
    """Another value, a number in the finding's unit or the name of a class."""

    action: Literal["set"] = "set"
    finding_id: Annotated[str, Field(max_length=200)]
    value: StrictFloat | StrictInt | StrictStr


class Reject(Value):
    """The finding is wrong."""

    action: Literal["reject"]
    finding_id: Annotated[str, Field(max_length=200)]


class Restore(Value):
    """What the software had said holds after all."""

    action: Literal["restore"]
    finding_id: Annotated[str, Field(max_length=200)]


FindingChange = Annotated[SetValue | Reject | Restore, Field(discriminator="action")]


def amend_finding(finding: Finding, change: FindingChange, *, by: Author, at: datetime, why: str) -> Finding:
    """The finding after a change. Raises InputRejected for a value that cannot be, Conflict where there is nothing to change."""
    if of_all_cines([finding]):
        raise Conflict(f"{label(finding.name)} follows from the findings of the cines: amend those.", reason="derived_finding")
    match change:
        case Restore():
            if finding.amended is None:
                raise Conflict(f"{label(finding.name)} was not amended: there is nothing to restore.", reason="unamended")
            return as_said(finding)
        case Reject():
            return _rejected(as_said(finding), _amendment(finding, by, at, why, is_rejected=True))
        case SetValue():
            said = as_said(finding)
            return _changed(said, _checked(said, change.value), _amendment(finding, by, at, why, is_rejected=False))


def as_said(finding: Finding) -> Finding:
    """The finding as the software had it."""
    if finding.amended is None:
        return finding
    original = {name: getattr(finding.amended.original, name) for name in Said.model_fields}
    return finding.model_copy(update={**original, "amended_by": None, "amended": None})


def reapplied(amended: Finding, finding: Finding) -> Finding:
    """What a person made of `amended`, made of `finding`, which the software says of the same."""
    amendment = amended.amended
    if amendment is None:
        return finding
    amendment = amendment.model_copy(update={"original": _said(finding)})
    return _rejected(finding, amendment) if amendment.is_rejected else _changed(finding, amended.value, amendment)


def _amendment(finding: Finding, by: Author, at: datetime, why: str, *, is_rejected: bool) -> Amendment:
    said = _said(as_said(finding))
    return Amendment(by=by.full_name, user_id=by.user_id, at=at, why=why, is_rejected=is_rejected, original=said)


def _said(finding: Finding) -> Said:
    return Said(**{name: getattr(finding, name) for name in Said.model_fields})


def _rejected(finding: Finding, amendment: Amendment) -> Finding:
    """Without any number that a reader could take for a result, and without what was said of that number."""
    if finding.kind not in _REJECTABLE:
        raise Conflict("What was not measured cannot be rejected.", reason="not_amendable")
    nothing = dict.fromkeys(("value", "interval", "probability", "statistic", "range"))
    return _told(finding, amendment, {**nothing, "flags": ("rejected",)})


def _changed(finding: Finding, value: float | str | None, amendment: Amendment) -> Finding:
    """Interval, extremes and doubts were those of the model's number; grade and faults of a class are the picture's."""
    kept = finding.flags if finding.kind is FindingKind.CLASSIFICATION else ()
    nothing = dict.fromkeys(("interval", "probability", "statistic", "range"))
    return _told(finding, amendment, {**nothing, "value": value, "flags": (*kept, "amended")})


def _told(finding: Finding, amendment: Amendment, changes: dict[str, Any]) -> Finding:
    made = finding.model_copy(update={**changes, "amended_by": amendment.by, "amended": amendment})
    return made.model_copy(update={"text": finding_text(made)})


def _checked(finding: Finding, value: float | str) -> float | str:
    if finding.kind not in _WITH_A_VALUE or finding.value is None:
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
    if limits is not None and not limits[0] <= value <= limits[1]:
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
