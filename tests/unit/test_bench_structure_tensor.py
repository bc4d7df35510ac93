"""The baseline's direction of drawn lines, and an offset that never comes from the group that it is used on."""

import numpy as np
import pytest

from bench.structure_tensor import shifted, tensor_angle_deg


@pytest.mark.parametrize("angle", [5.0, 17.0, -22.0])
def test_tensor_angle_of_drawn_lines_is_theirs_without_a_sign(angle: float) -> None:
    y, x = np.mgrid[:200, :240]
    across = x * np.sin(np.radians(angle)) + y * np.cos(np.radians(angle))
    lines = (127 + 100 * np.sin(across / 3)).astype(np.uint8)
    assert tensor_angle_deg(lines) == pytest.approx(abs(angle), abs=0.5)


def test_shifted_takes_each_groups_offset_from_the_others() -> None:
    answers = shifted([10.0, 10.0, 10.0, 10.0], [11.0, 11.0, 14.0, 14.0], ["a", "a", "b", "b"])
    assert list(answers) == [14.0, 14.0, 11.0, 11.0]
