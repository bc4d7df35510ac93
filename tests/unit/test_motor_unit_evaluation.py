"""The networks as they are served, asked as a table of figures asks them."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is only in the training environment (training/requirements.txt)")
pytest.importorskip("sklearn", reason="scikit-learn is only in the training environment (training/requirements.txt)")

from service.adapters.cine_decoder import FileCineReader
from service.core.analyses.motor_units import MAPS, TRAINS, MotorUnits
from service.core.measure.motor_maps import Floats
from service.core.measure.motor_velocity import MovingTissue
from simulator.motor_cine import MotorUnitsTruth
from simulator.motor_units import FRAME_RATE_HZ, Conditions, simulate_sequence
from simulator.write import simulate
from tests.running import ROOT
from training.motor_units.cines import of_cine, scored_units
from training.motor_units.evaluate import Networks, of_common_units, said_of, tell
from training.motor_units.figures import FIGURES
from training.motor_units.rivals import COLUMNS, keep_rows, tallies
from training.motor_units.scores import Agreement, Score, UnitTrace, score
from training.motor_units.sequences import CELLS
from training.onnx_networks import OnnxNetworks
from training.wrist_hand.results import keep


@dataclass(frozen=True, kw_only=True)
class OneWindow(MovingTissue):
    """Velocity that is known, instead of a cine's."""

    known: Floats

    def windows(self) -> Iterator[tuple[slice, Floats]]:
        yield slice(0, len(self.known)), self.known


def opened() -> OnnxNetworks:
    """Both networks as they are served."""
    models = ROOT / "model_repository"
    return OnnxNetworks.opened({one.model_name: models / one.model_name / "1/model.onnx" for one in (MAPS, TRAINS)})


def test_what_is_scored_is_what_the_analysis_says() -> None:
    models = ROOT / "model_repository"
    muscle = simulate_sequence(25, Conditions(12, 5.0, "linear"))
    unread: Any = None
    window = OneWindow(
        frames=iter(()),
        number_of_frames=len(muscle.velocity),
        frame_rate_hz=FRAME_RATE_HZ,
        placement=unread,
        sector=unread,
        calibration=unread,
        known=muscle.velocity,
    )
    units = MotorUnits().units(window, opened().infer)
    said = said_of(Networks.of(models), muscle)
    pairs = said.read().pairs
    served = score(said.truth, [UnitTrace(unit.mask, unit.twitch, unit.discharges_s) for unit in units]).pairs
    assert len(units) >= 10
    assert np.allclose([astuple(pair) for pair in served], [astuple(pair) for pair in pairs], atol=1e-5, equal_nan=True)


def test_served_networks_find_a_muscle_s_units_and_the_differences_are_told(tmp_path: Path) -> None:
    networks = Networks.of(ROOT / "model_repository")
    muscles = [simulate_sequence(seed, Conditions(5, 20.0, "linear")) for seed in (21, 22)]
    scores = [said_of(networks, muscle).read() for muscle in muscles]
    ours, common = tallies(scores), of_common_units(scores, scores)
    assert ours[:, 2].sum() >= 8
    path = tmp_path / "results.json"
    for cell in CELLS:
        keep_rows(path, "test", cell.name, {"networks": ours, "stICA": ours, "oracle": ours})
    tell({"common units": {cell.name: common for cell in CELLS}}, "test", len(muscles), path)
    told = json.loads(path.read_text(encoding="utf-8"))["networks on test"]
    assert list(told["less"]) == ["stICA"]
    for name in FIGURES:
        assert told["less"]["stICA"][CELLS[0].name][name] == {"value": 0.0, "low": 0.0, "high": 0.0}
    assert np.isclose(told["cells"][CELLS[0].name]["networks"]["recall"]["value"], ours[:, 2].sum() / ours[:, 0].sum())
    assert told["common units"][CELLS[0].name]["units"] == ours[:, 2].sum()
    assert told["common units"][CELLS[0].name]["twitch r"] == {"value": 0.0, "low": 0.0, "high": 0.0}
    assert "|networks less stICA|" in path.with_suffix(".test.md").read_text(encoding="utf-8")


def test_cine_of_two_windows_is_scored_against_the_whole_of_its_truth(tmp_path: Path) -> None:
    (path,) = simulate("motor-units", tmp_path, seed=400_002, number_of_frames=560)
    truth = MotorUnitsTruth.model_validate_json(path.with_suffix(".truth.json").read_text(encoding="utf-8"))
    reader = FileCineReader(memory_bytes=4 << 30, timeout_seconds=300, spares=0)
    try:
        scene, units = of_cine(path, opened(), reader)
    finally:
        reader.close()
    assert [tuple(unit.discharges_s.round(5).tolist()) for unit in scene.units] == [unit.firings_seconds for unit in truth.units]
    found = scored_units(scene, units)
    assert found.true == 6
    assert len(found.pairs) >= 5
    assert min(pair.rate_of_agreement for pair in found.pairs) > 0.8


@pytest.mark.parametrize(
    ("kept", "said"),
    [
        ({}, "no 4 test muscles of each cell for stICA: run `.* --split test --sequences 4 --baselines stICA` first"),
        ({"stICA": 4, "spatial ICA": 3}, "for spatial ICA: run `.* --baselines 'spatial ICA'` first"),
        ({"stICA": 3, "oracle": 3}, "for stICA: run"),
    ],
)
def test_evaluation_before_its_rivals_ends_with_what_to_run_first(kept: dict[str, int], said: str, tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    keep(path, least_scores=dict.fromkeys(kept, 0.1))
    for cell in CELLS if kept else ():
        keep_rows(path, "test", cell.name, {name: np.ones((count, len(COLUMNS))) for name, count in kept.items()})
    command = [
        sys.executable,
        "-m",
        "training.motor_units.evaluate",
        "--split",
        "test",
        "--sequences",
        "4",
        "--output",
        str(path),
    ]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert ended.returncode == 1
    assert re.search(said, ended.stderr)


def test_units_that_only_one_found_are_not_compared() -> None:
    pair = Agreement(dice=0.9, twitch_r=0.98, twitch_nrmse=0.02, rate_of_agreement=1.0, variation_error=0.0)
    worse = Agreement(dice=0.8, twitch_r=0.90, twitch_nrmse=0.06, rate_of_agreement=1.0, variation_error=0.0)
    ours = Score(3, 2, (pair, pair), (0, 2))
    theirs = Score(3, 2, (worse, worse), (2, 1))
    told = of_common_units([ours], [theirs])
    assert told["units"] == 1
    assert told["twitch r"]["value"] == pytest.approx(0.08)
    assert told["NRMSE"]["value"] == pytest.approx(-0.04)
