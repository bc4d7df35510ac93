"""`sonomyo explain`: what the rules decide over one DICOM file, without a database, a server or a destination."""

from pathlib import Path

from service.adapters.instance_store import read_instance
from service.bootstrap import Service
from service.core.conditions import Arrival, LookedAt, looked_at
from service.core.delivery_rules import Analysed, DeliverySubject, choose_destinations, withheld
from service.core.findings import Value
from service.core.report import ReportStatus
from service.core.routing import select_analyses
from service.explanation import ExplainedAnalysis, ExplainedDestination, analysis_now, told_destination


class FileExplanation(Value):
    """What would become of one file."""

    #: The rules file; null for the built-in rules.
    rules: str | None
    looked_at: LookedAt
    analyses: tuple[ExplainedAnalysis, ...]
    #: The report that is supposed for the destinations.
    report_status: ReportStatus
    needs_review: bool
    destinations: tuple[ExplainedDestination, ...]

    def lines(self) -> list[str]:
        """For people."""
        seen = self.looked_at.model_dump()
        review = "something" if self.needs_review else "nothing"
        return [
            f"rules: {self.rules or 'built in'}",
            "looked at:",
            *(f"  {name}: {_shown(value)}" for name, value in seen.items()),
            "analyses:",
            *(f"  {one.analysis_name}: {_yes(one.selected)}: [{one.rule}] {one.why}" for one in self.analyses),
            f"destinations of a {self.report_status.value} report in which {review} needs review:",
            *(
                f"  {one.destination}: {_yes(one.selected)}: [{one.rule or 'no rule'}] {one.why}"
                + (f" Kinds: {', '.join(one.kinds)}." if one.selected else "")
                for one in self.destinations
            ),
            *([] if self.destinations else ["  none is set (SONOMYO_DESTINATIONS)"]),
        ]


def explain_file(
    service: Service,
    file: Path,
    *,
    rules_file: Path | None,
    called_ae_title: str | None,
    calling_ae_title: str | None,
    status: ReportStatus,
    needs_review: bool,
) -> FileExplanation:
    """As if the file came by these AE titles, alone in its study. Raises InputRejected, NotFound, Unavailable."""
    rules = service.rules if rules_file is None else service.rules_of(rules_file)
    attributes, _ = read_instance(file)
    arrival = Arrival(attributes, called_ae_title, calling_ae_title)
    decisions = select_analyses(arrival, rules)
    analysed = tuple(Analysed(arrival, one.analysis_name) for one in decisions if one.selected)
    takes = {destination.name: destination.kinds for destination in service.settings.destinations}
    subject = DeliverySubject(status=status, analysed=analysed, needs_review=needs_review)
    destinations = (
        choose_destinations(subject, takes, rules.delivery_rules)
        if analysed
        else withheld(takes, "no analysis is selected, and a report on nothing goes nowhere")
    )
    source = rules_file or service.settings.routing_file
    return FileExplanation(
        rules=None if source is None else str(source),
        looked_at=looked_at(arrival),
        analyses=tuple(map(analysis_now, decisions)),
        report_status=status,
        needs_review=needs_review,
        destinations=tuple(told_destination(one, is_kept=False) for one in destinations),
    )


def _yes(selected: bool) -> str:  # noqa: FBT001 - it is all that there is to say
    return "yes" if selected else "no"


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return "\\".join(map(str, value)) or "absent"
    if isinstance(value, bool):
        return _yes(value)
    return "absent" if value is None else str(value)
