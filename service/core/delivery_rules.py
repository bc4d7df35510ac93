"""Which destinations get a report, and the sentence that says why or why not.

A study's report goes as a whole: of its analysed instances one that meets all conditions of a rule is enough.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Self

from pydantic import Field, model_validator

from service.core.conditions import Arrival, InstanceConditions, RuleName
from service.core.findings import Finding, FindingKind
from service.core.quality import Grade, grade_in
from service.core.report import ReportStatus

#: What is made of a withdrawn report: all that says so in words, and no picture of what it had said.
SAYS_SO = frozenset({"sr", "comprehensive_sr", "pdf", "oru", "notice", "fhir"})
#: What a withdrawn report has no newer form of: a rejection note names those that a destination was sent.
RETRACTED = frozenset({"ko", "seg", "sc"})
#: The kind of such a note, `rejection.1`. No setting asks for it, and no rule leaves it out of what it sends.
REJECTION = "rejection"
#: No destination has an earlier version.
NOBODY: Mapping[str, Collection[str]] = MappingProxyType({})


class DeliveryRule(InstanceConditions):
    """What goes to some destinations. An empty list allows all; the first rule that applies to a destination decides."""

    name: RuleName
    destinations: tuple[str, ...] = ()
    #: False keeps the report from them.
    send: bool = True
    #: Narrows what the destination takes.
    kinds: tuple[Annotated[str, Field(pattern=r"^[a-z_]{1,32}$")], ...] = ()
    analyses: tuple[str, ...] = ()
    statuses: tuple[ReportStatus, ...] = ()
    #: None asks for neither.
    needs_review: bool | None = None

    @model_validator(mode="after")
    def _kinds_are_sent(self) -> Self:
        if self.kinds and not self.send:
            raise ValueError("kinds say what is sent, and send is false: leave out one of them")
        return self

    def is_for(self, destination: str) -> bool:
        """Whether the rule speaks of a destination."""
        return not self.destinations or destination in self.destinations


@dataclass(frozen=True, slots=True)
class Analysed:
    """One instance that a report rests on, and one analysis of it."""

    arrival: Arrival
    analysis_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliverySubject:
    """What delivery rules look at of one report version."""

    status: ReportStatus
    analysed: tuple[Analysed, ...]
    needs_review: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryDecision:
    """Whether a report goes to one destination. `why` is one sentence, without patient data."""

    destination: str
    selected: bool
    #: Those of the destination's kinds that go; empty when none does.
    kinds: tuple[str, ...] = ()
    #: The name of the rule that decided; None where none did.
    rule: str | None = None
    why: str


def needs_review(status: ReportStatus, findings: Sequence[Finding], *, is_incomplete: bool) -> bool:
    """Nobody has signed it, and something was not measured, is graded C, or could not be analysed (`is_incomplete`)."""
    doubts = (finding.kind is FindingKind.NOT_MEASURED or grade_in(finding.flags) is Grade.C for finding in findings)
    return status is ReportStatus.PRELIMINARY and (is_incomplete or any(doubts))


def choose_destinations(
    subject: DeliverySubject,
    destinations: Mapping[str, Collection[str]],
    rules: Sequence[DeliveryRule],
    *,
    reached: Mapping[str, Collection[str]] = NOBODY,
) -> tuple[DeliveryDecision, ...]:
    """One decision for each destination, given as name -> kinds, in their order.

    The first rule that applies decides. Where none does, a destination that a rule could have sent to gets nothing, and any
    other one everything; but one of `reached`, which has an earlier version of the report in these kinds, gets it in them.
    """
    has = {name: _to_be_replaced(subject.status, reached.get(name, ())) for name in destinations}
    made = {name: _made(subject.status, kinds, has[name]) for name, kinds in destinations.items()}
    return tuple(
        _decide(subject, name, kinds, rules, has=has[name]) if kinds else _nothing_says_so(name) for name, kinds in made.items()
    )


def withheld(destinations: Collection[str], reason: str) -> tuple[DeliveryDecision, ...]:
    """The decisions over a report that goes nowhere, whatever the rules say; `reason` is a clause."""
    return tuple(DeliveryDecision(destination=name, selected=False, why=f"Not sent: {reason}.") for name in destinations)


def mistakes(
    rules: Sequence[DeliveryRule], destinations: Mapping[str, Collection[str]] | None, analyses: Collection[str] | None
) -> Iterator[str]:
    """What a rule names and is not there, a clause each; what is None is not looked at."""
    for number, rule in enumerate(rules, 1):
        place = f"delivery rule {number} ({rule.name})"
        if analyses is not None:
            said = f"which this version does not have; it has: {_listed(analyses)}"
            yield from (f"{place} names the analysis {name}, {said}" for name in rule.analyses if name not in analyses)
        if destinations is not None:
            yield from (f"{place} {wrong}" for wrong in _mistakes_of_destinations(rule, destinations))


def _mistakes_of_destinations(rule: DeliveryRule, destinations: Mapping[str, Collection[str]]) -> Iterator[str]:
    for name in rule.destinations:
        if name not in destinations:
            yield f"names the destination {name}, which SONOMYO_DESTINATIONS does not have; it has: {_listed(destinations)}"
    asked = {name: frozenset(kinds) for name, kinds in destinations.items() if rule.is_for(name)}
    for kind in rule.kinds:
        if asked and not any(kind in kinds for kinds in asked.values()):
            yield f"sends {kind}, which none of its destinations takes"
    for name, kinds in asked.items() if rule.kinds and rule.destinations else ():
        if not kinds & set(rule.kinds):
            yield f"sends only {_listed(rule.kinds)} to {name}, which takes: {_listed(kinds)}"


def _listed(names: Collection[str]) -> str:
    return ", ".join(sorted(names)) or "none"


def _to_be_replaced(status: ReportStatus, reached: Collection[str]) -> frozenset[str]:
    """The kinds in which a destination has to hear of this version, for it has an earlier one."""
    is_rejected = status is ReportStatus.CANCELLED and not RETRACTED.isdisjoint(reached)
    return frozenset(reached) | ({REJECTION} if is_rejected else set())


def _made(status: ReportStatus, kinds: Collection[str], has: frozenset[str]) -> frozenset[str]:
    """Of the kinds that a destination takes, those that are made of a report in this status."""
    return (frozenset(kinds) & SAYS_SO) | (has & {REJECTION}) if status is ReportStatus.CANCELLED else frozenset(kinds)


def _nothing_says_so(name: str) -> DeliveryDecision:
    why = "Not sent: the report is withdrawn, and nothing that this destination takes can say so."
    return DeliveryDecision(destination=name, selected=False, why=why)


def _decide(
    subject: DeliverySubject, name: str, kinds: frozenset[str], rules: Sequence[DeliveryRule], *, has: frozenset[str]
) -> DeliveryDecision:
    unmet: list[str] = []
    for rule in rules:
        if not rule.is_for(name):
            continue
        clause = _unmet(rule, subject)
        if clause is None:
            return _by_rule(rule, name, kinds)
        if rule.send:
            unmet.append(f"{rule.name}: {clause}")
    if not unmet:
        why = "Sent: no delivery rule decides over this destination, so it gets all that it takes."
        return DeliveryDecision(destination=name, selected=True, kinds=tuple(sorted(kinds)), why=why)
    if kinds & has:
        why = "Sent: no delivery rule applies, but it takes the place of a version that this destination has."
        return DeliveryDecision(destination=name, selected=True, kinds=tuple(sorted(kinds & has)), why=why)
    return DeliveryDecision(destination=name, selected=False, why=f"Not sent: no delivery rule applies ({'; '.join(unmet)}).")


def _by_rule(rule: DeliveryRule, name: str, kinds: frozenset[str]) -> DeliveryDecision:
    if not rule.send:
        why = f"Not sent: the delivery rule {rule.name} applies, which keeps it back."
        return DeliveryDecision(destination=name, selected=False, rule=rule.name, why=why)
    left = kinds & {*rule.kinds, REJECTION} if rule.kinds else kinds
    if not left:
        why = f"Not sent: the delivery rule {rule.name} applies, which sends nothing that this destination takes."
        return DeliveryDecision(destination=name, selected=False, rule=rule.name, why=why)
    only = f", which sends {_listed(left)}" if left != kinds else ""
    why = f"Sent: the delivery rule {rule.name} applies{only}."
    return DeliveryDecision(destination=name, selected=True, kinds=tuple(sorted(left)), rule=rule.name, why=why)


def _unmet(rule: DeliveryRule, subject: DeliverySubject) -> str | None:
    """Which condition of the rule the report fails, a clause; None when it meets all."""
    if rule.statuses and subject.status not in rule.statuses:
        wished = " or ".join(status.value for status in rule.statuses)
        return f"the report is {subject.status.value} and the rule asks for {wished}"
    if rule.needs_review is not None and rule.needs_review != subject.needs_review:
        return f"{'something' if subject.needs_review else 'nothing'} in the report needs review"
    if not rule.analyses and not rule.asks_of_instances:
        return None
    clauses = [_unmet_by(rule, one) for one in subject.analysed]
    if None in clauses:
        return None
    told = dict.fromkeys(clause for clause in clauses if clause is not None)
    return f"no analysed instance fits: {', or '.join(told)}" if told else "nothing in the study was analysed"


def _unmet_by(rule: DeliveryRule, one: Analysed) -> str | None:
    if rule.analyses and one.analysis_name not in rule.analyses:
        return f"it was analysed by {one.analysis_name}"
    return rule.unmet(one.arrival)
