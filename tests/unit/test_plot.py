"""Series as SVG."""

import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.amendment import SetValue, amend_finding
from service.core.findings import Change, Contraction, Finding, Interval, Series
from service.core.render.plot import nice_ticks, plot_series
from tests.calf_report import CREATED_AT, cine_findings
from tests.reviewed_report import AUTHOR, WHY, amended

SVG = "{http://www.w3.org/2000/svg}"


def with_values(*values: float | None, times: bool = True) -> Finding:
    seconds = tuple(index / 10 if times else None for index in range(len(values)))
    return cine_findings()[0].model_copy(update={"series": Series(time_seconds=seconds, values=values, unit="mm")})


def elements(finding: Finding, name: str) -> list[ET.Element]:
    drawing = plot_series([finding])
    assert drawing is not None
    return ET.fromstring(drawing).findall(f"{SVG}{name}")  # noqa: S314 - our own drawing


def elements_of(finding: Finding, name: str, of_class: str) -> list[ET.Element]:
    return [one for one in elements(finding, name) if one.get("class") == of_class]


def test_plot_of_gaps_breaks_the_line_and_shows_lone_points() -> None:
    finding = with_values(1, 2, None, 3, None, None, 4, 5, 6)
    assert [len((line.get("points") or "").split()) for line in elements(finding, "polyline")] == [2, 3]
    assert len([circle for circle in elements(finding, "circle") if circle.get("class") == "lone"]) == 1


def test_plot_without_time_axis_counts_frames() -> None:
    assert elements(with_values(1, 2, 3, times=False), "text")[-1].text == "Frame"
    assert elements(with_values(1, 2, 3), "text")[-1].text == "Time (s)"


def test_plot_rings_the_best_frame_only_where_it_was_measured() -> None:
    def rings(finding: Finding) -> int:
        return len([circle for circle in elements(finding, "circle") if circle.get("class") == "shown"])

    values = [float(number) for number in range(40)]
    assert rings(with_values(*values)) == 1
    assert rings(with_values(*values[:30], None, *values[31:])) == 0


def smoothed(*, left_out: tuple[int, ...] = (), outlier: float = 12.0) -> Finding:
    """Ten frames that rise from 10 to 19; the fourth is odd, and the sixth and seventh have no value."""
    curve = tuple(float(number) for number in range(10, 20))
    values = tuple(None if index in {5, 6} else outlier if index == 3 else value for index, value in enumerate(curve))
    series = Series(
        time_seconds=tuple(index / 10 for index in range(10)),
        values=values,
        unit="mm",
        smoothed=(*curve[:5], None, None, *curve[7:]),
        low=(*(value - 1 for value in curve[:5]), None, None, *(value - 1 for value in curve[7:])),
        high=(*(value + 1 for value in curve[:5]), None, None, *(value + 1 for value in curve[7:])),
        left_out=left_out,
    )
    return cine_findings()[0].model_copy(update={"series": series, "value": None})


def contraction(rest: int, peak: int) -> Contraction:
    change = Change(rest=10, peak=19, excursion=9, low=8, high=10, unit="deg")
    return Contraction(rest_frame=rest, peak_frame=peak, has_ended=False, pennation=change)


def of_class(finding: Finding, name: str, *contractions: Contraction) -> list[ET.Element]:
    drawing = plot_series([finding], contractions)
    assert drawing is not None
    return [element for element in ET.fromstring(drawing).iter() if element.get("class") == name]  # noqa: S314 - our own


def test_plot_of_a_smoothed_series_shows_dots_curve_and_band_in_each_run() -> None:
    assert len(of_class(smoothed(), "dot")) == 8
    assert [len((line.get("points") or "").split()) for line in of_class(smoothed(), "values")] == [5, 3]
    assert [len((band.get("points") or "").split()) for band in of_class(smoothed(), "band")] == [10, 6]


def test_plot_carries_the_interval_along_the_curve_wider_where_a_length_is_larger() -> None:
    finding = smoothed().model_copy(update={"value": 15.0, "interval": Interval(low=12.0, high=18.0, level=0.9)})
    areas = [
        [tuple(map(float, point.split(","))) for point in (area.get("points") or "").split()]
        for area in of_class(finding, "interval")
    ]
    assert [len(area) for area in areas] == [10, 6]
    first, last = (areas[0][0], areas[0][-1]), (areas[1][2], areas[1][3])
    heights = [abs(one[1] - other[1]) for one, other in (first, last)]
    assert heights[1] / heights[0] == pytest.approx(19 / 10, rel=0.01)
    assert of_class(smoothed(), "interval") == []


def test_plot_of_an_impossible_frame_shows_a_cross_and_keeps_its_scale() -> None:
    finding = smoothed(left_out=(4,), outlier=900.0)
    assert len(of_class(finding, "left-out")) == 1
    assert len(of_class(finding, "dot")) == 7
    assert "900" not in {tick.text for tick in of_class(finding, "tick")}


def test_plot_marks_rest_and_peak_of_each_contraction() -> None:
    words = [word.text for word in of_class(smoothed(), "word", contraction(1, 10))]
    assert words == ["rest", "peak"]
    many = [contraction(1, 3), contraction(4, 5), contraction(8, 9), contraction(9, 10), contraction(2, 10)]
    assert {word.text for word in of_class(smoothed(), "word", *many)} == {None}


def test_plot_leaves_out_the_mark_of_a_frame_without_a_curve() -> None:
    assert [word.text for word in of_class(smoothed(), "word", contraction(6, 10))] == ["peak"]


def test_plot_of_plain_series_has_no_dots_band_or_marks() -> None:
    finding = with_values(1, 2, 3)
    assert not [name for name in ("dot", "band", "word") if of_class(finding, name, contraction(1, 3))]


@pytest.mark.parametrize("values", [(), (1.0,), (None, None, None), (None, 2.0)])
def test_plot_of_fewer_than_two_values_is_none(values: tuple[float | None, ...]) -> None:
    assert plot_series([with_values(*values)]) is None


@given(st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6)), min_size=2, max_size=40))
def test_plot_of_any_series_stays_inside_its_panel(values: list[float | None]) -> None:
    finding = with_values(*values).model_copy(update={"value": None})
    if plot_series([finding]) is None:
        return
    for polyline in elements(finding, "polyline"):
        for point in (polyline.get("points") or "").split():
            x, y = (float(part) for part in point.split(","))
            assert 0 <= x <= 560
            assert 0 <= y <= 200


@given(low=st.floats(-1e6, 1e6), span=st.floats(0, 1e6), count=st.integers(2, 10))
def test_nice_ticks_span_the_values_with_few_round_steps(low: float, span: float, count: int) -> None:
    ticks = nice_ticks(low, low + span, count)
    tolerance = max(abs(low), span, 1e-6) * 1e-6
    assert ticks[0] <= low + tolerance
    assert ticks[-1] >= low + span - tolerance
    assert 2 <= len(ticks) <= count + 3


def test_plot_of_an_amended_value_has_its_line_within_the_scale_and_no_summary_of_the_software() -> None:
    finding = next(one for one in amended().findings if one.name == "thickness")
    (line,), (words,) = (elements_of(finding, kind, "amended") for kind in ("line", "text"))
    assert words.text == "amended 18.4 mm"
    grid = sorted(float(one.get("y1") or 0) for one in elements_of(finding, "line", "grid") if one.get("y1") == one.get("y2"))
    assert grid[0] <= float(line.get("y1") or 0) < grid[-1]
    assert not elements_of(finding, "line", "summary")
    assert not elements_of(cine_findings()[0], "line", "amended")


def test_plot_of_an_amended_probability_keeps_the_whole_scale() -> None:
    likely = with_values(0.4, 0.5, 0.45).model_copy(update={"name": "myofascial_pain_probability", "unit": "1", "value": 0.45})
    likely = likely.model_copy(update={"probability": 0.45})
    change = SetValue(finding_id=likely.finding_id, value=0.6)
    made = amend_finding(likely, change, by=AUTHOR, at=CREATED_AT, why=WHY)
    for finding in (likely, made):
        ticks = [one.text for one in elements_of(finding, "text", "tick")]
        assert {"0", "0.25", "0.5", "0.75", "1"} <= set(ticks)
