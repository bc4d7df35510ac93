"""Models in shadow mode against the served ones: how often both answer, and how far apart their numbers are."""

import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from service.core.compose import is_measured
from service.core.findings import Finding, Value


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowPair:
    """What both made of one instance."""

    analysis_name: str
    model_versions: Mapping[str, str]
    served: tuple[Finding, ...]
    shadow: tuple[Finding, ...]


class ShadowComparison(Value):
    """Of one quantity: differences are shadow less served, in `unit`, over the instances that both measured."""

    analysis: str
    #: Of the models in shadow.
    model_versions: dict[str, str]
    name: str
    unit: str
    both: int
    only_served: int
    only_shadow: int
    mean_difference: float | None = None
    #: Null below two instances.
    sd_of_differences: float | None = None
    mean_absolute_difference: float | None = None
    largest_absolute_difference: float | None = None


@dataclass(slots=True)
class _Tally:
    differences: list[float] = field(default_factory=list)
    only_served: int = 0
    only_shadow: int = 0


def compare_shadow(pairs: Iterable[ShadowPair]) -> tuple[ShadowComparison, ...]:
    """One comparison for each analysis, set of versions, quantity and unit, in order of their names."""
    tallies: dict[tuple[str, tuple[tuple[str, str], ...], str, str], _Tally] = {}
    for pair in pairs:
        served, shadow = _numbers(pair.served), _numbers(pair.shadow)
        for name, unit in served.keys() | shadow.keys():
            key = (pair.analysis_name, tuple(sorted(pair.model_versions.items())), name, unit)
            tally = tallies.setdefault(key, _Tally())
            one, other = served.get((name, unit)), shadow.get((name, unit))
            if one is not None and other is not None:
                tally.differences.append(other - one)
            else:
                tally.only_served += one is not None
                tally.only_shadow += other is not None
    return tuple(_compared(*key, tally) for key, tally in sorted(tallies.items(), key=lambda item: item[0]))


def _numbers(findings: Iterable[Finding]) -> dict[tuple[str, str], float]:
    return {(f.name, f.unit or "1"): f.value for f in findings if is_measured(f) and isinstance(f.value, float)}


def _compared(analysis: str, versions: tuple[tuple[str, str], ...], name: str, unit: str, tally: _Tally) -> ShadowComparison:
    differences = tally.differences
    sizes = [abs(difference) for difference in differences]
    return ShadowComparison(
        analysis=analysis,
        model_versions=dict(versions),
        name=name,
        unit=unit,
        both=len(differences),
        only_served=tally.only_served,
        only_shadow=tally.only_shadow,
        mean_difference=statistics.fmean(differences) if differences else None,
        sd_of_differences=statistics.stdev(differences) if len(differences) > 1 else None,
        mean_absolute_difference=statistics.fmean(sizes) if sizes else None,
        largest_absolute_difference=max(sizes, default=None),
    )
