"""Models in shadow against the served ones: what is counted, and how differences are told."""

import pytest

from service.core.findings import AnalysisUsed, Evidence, Finding, FindingKind
from service.core.shadow import ShadowPair, compare_shadow


def finding(name: str, value: float | None, unit: str = "mm") -> Finding:
    return Finding(
        finding_id=name,
        name=name,
        kind=FindingKind.MEASUREMENT if value is not None else FindingKind.NOT_MEASURED,
        analysis=AnalysisUsed(name="any", version="1"),
        value=value,
        unit=unit,
        text="",
        evidence=Evidence(sop_instance_uid="1.2.3"),
    )


def pair(served: float | None, shadow: float | None, version: str = "2") -> ShadowPair:
    return ShadowPair(
        analysis_name="any",
        model_versions={"network": version},
        served=(finding("thickness", served),),
        shadow=(finding("thickness", shadow),),
    )


def test_comparison_of_numbers_is_shadow_less_served() -> None:
    (found,) = compare_shadow([pair(10.0, 11.0), pair(12.0, 11.0), pair(10.0, 13.0)])
    assert (found.both, found.only_served, found.only_shadow) == (3, 0, 0)
    assert found.mean_difference == pytest.approx(1.0)
    assert found.sd_of_differences == pytest.approx(2.0)
    assert found.mean_absolute_difference == pytest.approx(5 / 3)
    assert found.largest_absolute_difference == pytest.approx(3.0)


def test_comparison_counts_what_only_one_of_them_measured() -> None:
    (found,) = compare_shadow([pair(10.0, None), pair(None, 9.0), pair(None, 8.0)])
    assert (found.both, found.only_served, found.only_shadow) == (0, 1, 2)
    assert found.mean_difference is None


def test_comparison_keeps_versions_apart() -> None:
    found = compare_shadow([pair(10.0, 11.0), pair(10.0, 12.0, version="3")])
    assert [one.model_versions["network"] for one in found] == ["2", "3"]
    assert found[0].sd_of_differences is None


def test_comparison_of_nothing_is_empty() -> None:
    assert compare_shadow([]) == ()
