"""Lines as SCOORD can hold them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.render.scoord import inside_image, outline

COORDINATES = st.floats(-2000, 2000)
LINES = st.lists(st.tuples(COORDINATES, COORDINATES), min_size=2, max_size=6)


@given(points=LINES)
def test_inside_image_of_any_line_stays_inside(points: list[tuple[float, float]]) -> None:
    cut = inside_image(np.array(points), columns=640, rows=480)
    if cut is not None:
        assert ((cut >= 0) & (cut <= (640, 480))).all()
        assert len(cut) > 1


@given(points=st.lists(st.tuples(st.integers(0, 640), st.integers(0, 480)), min_size=2, max_size=6, unique=True))
def test_inside_image_of_line_inside_keeps_its_points(points: list[tuple[int, int]]) -> None:
    cut = inside_image(np.array(points, dtype=float), columns=640, rows=480)
    assert cut is not None
    assert cut.tolist() == [list(point) for point in points]


def test_inside_image_cuts_where_the_line_leaves() -> None:
    cut = inside_image(np.array([(600.0, 100.0), (680.0, 180.0)]), columns=640, rows=480)
    assert cut == pytest.approx(np.array([(600, 100), (640, 140)]))


def test_inside_image_of_line_beside_the_image_is_none() -> None:
    assert inside_image(np.array([(700.0, 10.0), (700.0, 400.0)]), columns=640, rows=480) is None


def test_outline_of_two_lines_is_closed_and_holds_them() -> None:
    closed = outline([np.array([(0.0, 0.0), (10.0, 0.0)]), np.array([(0.0, 5.0), (10.0, 6.0)])])
    assert closed[0] == pytest.approx(closed[-1])
    assert {tuple(point) for point in closed} == {(0, 0), (10, 0), (0, 5), (10, 6)}


def test_outline_of_one_line_is_that_line() -> None:
    line = np.array([(0.0, 0.0), (5.0, 1.0), (10.0, 0.0)])
    assert outline([line]) is line


def test_outline_of_collinear_lines_is_the_first() -> None:
    first = np.array([(0.0, 0.0), (5.0, 5.0)])
    assert outline([first, np.array([(6.0, 6.0), (9.0, 9.0)])]) is first
