"""What the model card tells of the analysis: half-widths of baselines stand beside those of the intervals."""

import json
from pathlib import Path
from typing import Any

from training.muscle_segmentation.served_figures import served_figures

DIGEST = "ab" * 32
COVERED = {"answers": 10, "groups": 10, "share_held": 0.9, "interval": [0.8, 1.0], "median_half_width": 2.0}


def _errors(constants: list[float], unit: str) -> dict[str, Any]:
    groups = {f"calf-{number}": {"constant": error, "structure_tensor": None} for number, error in enumerate(constants)}
    row = {"frames": 10, "groups": len(groups), "answered": 10, "answered_interval": [1.0, 1.0], "unit": unit, "bias": 0.0}
    means = {"mean_absolute_error": 1.0, "interval": [0.5, 1.5], "constant": 5.0, "structure_tensor": None, "human": None}
    return row | means | {"by_group": groups}


def _table(folder: Path, constants: list[float]) -> str:
    sets = {"simulated, known devices": {"pennation_angle": _errors(constants, "deg")}}
    accuracy = {"errors": sets, "measured_without_muscle": {}, "not_measured_with_muscle": {}}
    coverage = {"simulated, known devices": {"pennation_angle, stills": COVERED}}
    for name, figures in (("accuracy.json", accuracy), ("intervals.json", {"coverage": coverage})):
        (folder / name).write_text(json.dumps({"weights_sha256": DIGEST, **figures}))
    return served_figures(DIGEST, folder).splitlines()[-1]


def test_a_constants_half_width_holds_nine_tenths_of_the_subjects(tmp_path: Path) -> None:
    assert _table(tmp_path, [float(error) for error in range(1, 20)]).endswith("|2.00|18.00 deg||")


def test_of_fewer_than_ten_subjects_no_half_width_is_told(tmp_path: Path) -> None:
    assert _table(tmp_path, [1.0, 2.0, 3.0]).endswith("|2.00|||")
