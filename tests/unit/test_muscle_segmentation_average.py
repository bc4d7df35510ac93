"""Averages of networks: weights between those of the parts, what each went through, what is refused. Skipped without torch."""

import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="torch is only in the training environment (training/requirements.txt)")

import torch

from training.loop import save
from training.muscle_segmentation import average
from training.muscle_segmentation.card import model_card
from training.muscle_segmentation.evaluate import load_network
from training.muscle_segmentation.model import NETWORKS

SLIM = "subpixel-unet-slim"
FIRST: dict[str, Any] = {"network": SLIM, "steps": 20}
SECOND: dict[str, Any] = {"network": SLIM, "steps": 10}


@pytest.fixture
def runs(tmp_path: Path) -> tuple[Path, Path]:
    """A stage and the one that began with it."""
    for number, stages in enumerate(([FIRST], [FIRST, SECOND])):
        torch.manual_seed(number)
        folder = tmp_path / str(number)
        folder.mkdir()
        save({"weights": NETWORKS[SLIM]().state_dict(), "stages": stages}, folder / "last.pt")
    return tmp_path / "0", tmp_path / "1"


def _average(monkeypatch: pytest.MonkeyPatch, runs: tuple[Path, ...], shares: tuple[str, ...], out: Path) -> None:
    words = ["--runs", *map(str, runs), "--weights", *shares, "--out", str(out)]
    monkeypatch.setattr(sys, "argv", ["average", *words])
    average.main()


def _weights(run: Path) -> dict[str, Any]:
    weights: dict[str, Any] = torch.load(run / "last.pt", weights_only=True)["weights"]
    return weights


def test_average_of_two_runs_lies_between_them_by_its_weights(
    runs: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _average(monkeypatch, runs, (".75", ".25"), tmp_path / "out")
    one, other, found = (_weights(folder) for folder in (*runs, tmp_path / "out"))
    for name, value in found.items():
        if value.is_floating_point():
            torch.testing.assert_close(value, 0.75 * one[name] + 0.25 * other[name])
    assert load_network(tmp_path / "out" / "last.pt")


def test_average_of_two_runs_tells_the_stages_and_the_share_of_each(
    runs: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _average(monkeypatch, runs, (".75", ".25"), tmp_path / "out")
    kept = torch.load(tmp_path / "out" / "last.pt", weights_only=True)
    assert kept["averaged"] == [{"share": 0.75, "stages": [FIRST]}, {"share": 0.25, "stages": [FIRST, SECOND]}]
    assert kept["stages"] == [FIRST, SECOND]


@pytest.mark.parametrize(
    ("shares", "said"), [((".75", ".5"), "the weights come to 1.25"), (("1",), "2 runs but 1 weights: give one weight for each")]
)
def test_average_with_weights_that_do_not_fit_is_refused(
    shares: tuple[str, ...],
    said: str,
    runs: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        _average(monkeypatch, runs, shares, tmp_path / "out")
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_average_of_different_networks_is_refused(
    runs: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    save({"weights": NETWORKS["subpixel-unet"]().state_dict(), "stages": [FIRST]}, runs[1] / "last.pt")
    with pytest.raises(SystemExit):
        _average(monkeypatch, runs, (".5", ".5"), tmp_path / "out")
    assert "of different networks" in capsys.readouterr().err


def test_card_of_an_average_says_how_to_rebuild_its_parts_and_then_itself() -> None:
    stage = {"fold": "served", "seed": 1, "learning_rate": 0.001, "simulated_share": 0.25, "network": SLIM}
    first, second = ({**stage, "steps": steps, "stopped_at": steps} for steps in (20, 10))
    facts = {
        "digest": "0" * 64,
        "parameters": 1,
        "giga_multiply_accumulates": 0.5,
        "stages": [first, second],
        "averaged": [{"share": 0.75, "stages": [first]}, {"share": 0.25, "stages": [first, second]}],
        "remark": "",
        "served": "",
    }
    lines = [line for line in model_card(facts, {}).splitlines() if line.startswith("python -m training")]
    began = [line.split(" --network")[0].removeprefix("python -m training.muscle_segmentation.") for line in lines[:2]]
    assert began == ["train --data DLTRACK --out RUN/1 --steps 20", "train --data DLTRACK --out RUN/2 --steps 10"]
    assert "--start-from RUN/1/last.pt" in lines[1]
    assert lines[2] == "python -m training.muscle_segmentation.average --runs RUN/1 RUN/2 --weights 0.75 0.25 --out RUN/3"
    assert "evaluate --data DLTRACK --run RUN/3" in lines[3]
