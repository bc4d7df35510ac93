"""Whether versions of models that somebody asks for are of use in a study."""

from collections.abc import Collection, Iterable, Mapping, Sequence

from service.core.analyses.analysis import Analysis
from service.core.routing import RoutingDecision, reason_left_out


def of_no_use(
    asked: Collection[str],
    analyses: Mapping[str, Analysis],
    running: Collection[str],
    routed: Iterable[Sequence[RoutingDecision]],
) -> str | None:
    """A sentence about models that none of the `running` analyses uses, and why those that would do not run; None without any.

    `routed` has the decisions on each instance of the study.
    """
    uses = {name: {model.model_name for model in analysis.models} for name, analysis in analyses.items()}
    used = {model for name in running for model in uses.get(name, ())}
    left = sorted(set(asked) - used)
    if not left:
        return None
    wanted = {name for name, models in uses.items() if models & set(left)}
    of_wanted = ([one for one in decisions if one.analysis_name in wanted] for decisions in routed)
    reasons = dict.fromkeys(reason_left_out(decisions) for decisions in of_wanted if decisions)
    why = "; ".join(reasons) or "no routing rule is for it"
    return f"Nothing in this study is analysed with {', '.join(left)}: {why}."
