"""The list of means of stages. Skipped without torch."""

import pytest

pytest.importorskip("torch", reason="torch is only in the training environment (training/requirements.txt)")

from bench.averages import shares_of_stages, table


def test_parts_of_a_mean_are_called_by_the_steps_of_their_stages() -> None:
    first, second = {"stopped_at": 2600}, {"stopped_at": 3000}
    checkpoint = {"averaged": [{"share": 2 / 3, "stages": [first]}, {"share": 1 / 3, "stages": [first, second]}]}
    assert shares_of_stages(checkpoint) == {"2,600 steps": 0.6667, "2,600 + 3,000 steps": 0.3333}


def test_table_tells_each_mean_with_its_share_and_interval() -> None:
    apart = {"value": 0.0011, "low": -0.0024, "high": 0.0045, "images": 108}
    row = {
        "shares_of_stages": {"2,600 steps": 0.7, "2,600 + 3,000 steps": 0.3},
        "gained_on_a_constant": 0.7633,
        "gained_per_millisecond": 0.2259,
        "gained_less_the_first_stage": apart,
    }
    assert table([row]).splitlines()[-1] == (
        "|0.7 of 2,600 steps, 0.3 of 2,600 + 3,000 steps|0.7633|0.2259|0.0011 (-0.0024 to 0.0045)|"
    )
