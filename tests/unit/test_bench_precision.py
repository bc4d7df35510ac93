"""How the benchmark of precision judges errors that are known."""

import numpy as np
import pytest

from bench.accuracy import Answers, error_of_each
from bench.precision import difference, verdict

GROUPS = [f"S{index // 10}" for index in range(100)]


def answers(off: np.typing.NDArray[np.float64], missing: tuple[int, ...] = ()) -> Answers:
    answered = [float("nan") if index in missing else 20.0 + one for index, one in enumerate(off.tolist())]
    return Answers(answered=answered, true=[20.0] * len(GROUPS), groups=list(GROUPS))


def noise(seed: int) -> np.typing.NDArray[np.float64]:
    return np.random.default_rng(seed).normal(0, 1, len(GROUPS))


def test_error_of_a_missing_answer_is_that_of_the_constant() -> None:
    found = answers(noise(1), missing=(0, 1))
    assert error_of_each(found, "pennation_angle")[:2] == pytest.approx([0.0, 0.0])
    assert error_of_each(found, "thickness")[5] == pytest.approx(5 * abs(noise(1)[5]))


def test_difference_of_equal_answers_is_nothing() -> None:
    row = difference(answers(noise(1)), answers(noise(1)), "fascicle_angle")
    assert (row["difference"], row["is_beyond"], row["is_worse"]) == (0.0, False, False)


def test_difference_of_a_small_but_steady_loss_is_worse_and_not_beyond() -> None:
    away = np.sign(noise(1)) * 0.02
    row = difference(answers(noise(1) + away), answers(noise(1)), "fascicle_angle")
    assert row["difference"] == pytest.approx(0.02)
    assert (row["is_beyond"], row["is_worse"]) == (False, True)


def test_difference_of_errors_twice_as_large_is_beyond() -> None:
    assert difference(answers(2 * noise(1)), answers(noise(1)), "fascicle_angle")["is_beyond"]


def test_verdict_of_the_fastest_variant_that_loses_the_numbers_chooses_the_next() -> None:
    fine, lost = {"is_beyond": False, "is_worse": False}, {"is_beyond": True, "is_worse": True}
    places = [f"{runtime}, 1 cores" for runtime in ("openvino", "onnxruntime")]
    took = {"fp32": 20.0, "int8": 10.0, "int8, coarse": 5.0}
    figures = {
        "milliseconds_a_frame": {name: {place: {"processor": each} for place in places} for name, each in took.items()},
        "errors": {name: {"set": {"angle": lost if "coarse" in name else fine}} for name in took},
    }
    found = verdict(figures)
    assert found["fastest_that_keeps_the_numbers"]["openvino"] == {"variant": "int8", "times_as_fast_as_fp32": 2.0}
    assert found["beyond"]["int8, coarse"] == ["set: angle"]
