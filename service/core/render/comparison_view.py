"""Comparisons of a report as the tables that a page or a PDF shows."""

from collections.abc import Sequence
from dataclasses import dataclass

from service.core.report import Comparison, EarlierComparison, SideComparison
from service.core.wording import compared_text, comparison_notes, date, quantity, signed


@dataclass(frozen=True, slots=True)
class ComparisonView:
    """One table of comparisons; the first cell of a row names it. Notes follow."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]


def comparison_views(comparisons: Sequence[Comparison]) -> list[ComparisonView]:
    """Left and right, then earlier studies; a table that has no row is left out."""
    sides = [one for one in comparisons if isinstance(one, SideComparison)]
    earlier = [one for one in comparisons if isinstance(one, EarlierComparison)]
    views = (
        ComparisonView("Left and right", ("Left", "Right", "Left minus right", "Asymmetry"), _side_rows(sides), _notes(sides)),
        ComparisonView(
            "Since earlier studies",
            ("Earlier study", "Then", "Now", "Change", "Relative change"),
            _rows(earlier),
            _notes(earlier),
        ),
    )
    return [view for view in views if view.rows]


def _side_rows(comparisons: Sequence[SideComparison]) -> tuple[tuple[str, ...], ...]:
    return tuple(
        (
            compared_text(one),
            quantity(one.left.value, one.unit),
            quantity(one.right.value, one.unit),
            signed(one.difference, one.unit),
            "" if one.asymmetry_percent is None else quantity(one.asymmetry_percent, "%"),
        )
        for one in comparisons
    )


def _rows(comparisons: Sequence[EarlierComparison]) -> tuple[tuple[str, ...], ...]:
    return tuple(
        (
            compared_text(one),
            date(one.earlier_study.study_date) or "",
            quantity(one.earlier.value, one.unit),
            quantity(one.now.value, one.unit),
            signed(one.change, one.unit),
            "" if one.change_percent is None else signed(one.change_percent, "%"),
        )
        for one in comparisons
    )


def _notes(comparisons: Sequence[Comparison]) -> tuple[str, ...]:
    """Each once; what holds for some rows only names them."""
    told: dict[str, list[str]] = {}
    for one in comparisons:
        for note in comparison_notes(one):
            told.setdefault(note, []).append(compared_text(one))
    return tuple(note if len(of) == len(comparisons) else f"{'; '.join(of)}: {note}" for note, of in told.items())
