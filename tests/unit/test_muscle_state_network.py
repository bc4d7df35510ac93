"""The networks of muscle states: what they take and give, training that goes on where it stopped, intervals, one fold."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is only in the training environment (training/requirements.txt)")

import torch

from service.core.analyses.muscle_architecture import MODEL as SEGMENTATION
from tests.running import ROOT
from training.muscle_state.frames import Frames, folder_of, frames_of, joined, write
from training.muscle_state.model import NETWORKS, ServedStates
from training.muscle_state.one_muscle import of_one_muscle
from training.muscle_state.people import SPLITS, STATES, Split, held_out_in
from training.muscle_state.protocol import held_out, main, results, table
from training.muscle_state.scores import coverage
from training.muscle_state.served import served_frames
from training.muscle_state.train import Answers, Schedule, ask, load_network, seen_by_another_scanner, train, weights_of, widening
from training.onnx_networks import OnnxNetworks

MAPS = ROOT / "model_repository" / SEGMENTATION.model_name / SEGMENTATION.model_version / "model.onnx"
SCHEDULE = Schedule(steps=4, batch=4, warm_up=1, save_every=2)


@pytest.fixture(scope="module")
def frames() -> Frames:
    """Three people of eight moments each."""
    return joined([frames_of(seed, count=8) for seed in (501, 502, 503)])


@pytest.mark.parametrize("name", NETWORKS)
def test_network_gives_a_mean_and_a_deviation_of_each_state_in_its_units(name: str, frames: Frames) -> None:
    network = NETWORKS[name]()
    network.head.fit(torch.from_numpy(frames.scalars), torch.from_numpy(frames.targets))
    answers = ask(network, frames)
    assert answers.mean.shape == answers.deviation.shape == (24, len(STATES))
    assert np.all(answers.deviation > 0)
    # Untrained it says about the mean of what it was fitted to, with about its spread.
    assert np.abs(answers.mean.mean(0) - frames.targets.mean(0)) / frames.targets.std(0) == pytest.approx(np.zeros(4), abs=1.0)


def test_network_has_about_a_quarter_of_a_million_parameters_and_the_baseline_forty_times_as_many() -> None:
    parameters = {name: sum(p.numel() for p in make().parameters()) for name, make in NETWORKS.items()}
    assert 0.2e6 < parameters["states"] < 0.3e6
    assert 11e6 < parameters["resnet-18"] < 12e6


def test_network_does_not_see_gain_but_sees_where_a_pixel_is() -> None:
    network = NETWORKS["states"]().eval()
    patches, scalars = torch.rand(1, 2, 64, 128) * 100 + 20, torch.zeros(1, 5)
    with torch.inference_mode():
        plain, brighter, turned = (network(one, scalars)[0] for one in (patches, 2 * patches, patches.flip(2)))
    assert torch.allclose(plain, brighter, atol=1e-3)
    assert not torch.allclose(plain, turned, atol=1e-3)


def test_another_scanner_keeps_the_geometry_and_changes_every_picture() -> None:
    patches = torch.zeros(16, 2, 64, 128)
    patches[:, :, 20:24] = 200.0
    patches[:, :, 40:44, :64] = 120.0
    seen = seen_by_another_scanner(patches, torch.Generator().manual_seed(1))
    rows = seen.mean((1, 3)) > 1
    assert all(torch.equal(row.nonzero().ravel(), torch.tensor([20, 21, 22, 23, 40, 41, 42, 43])) for row in rows)
    halves = seen[:, 0, 41, :64].mean(1) > seen[:, 0, 41, 64:].mean(1)
    assert 0 < int(halves.sum()) < 16


def test_training_stopped_half_way_comes_to_the_same(frames: Frames, tmp_path: Path) -> None:
    whole = train(frames, SCHEDULE, tmp_path / "whole")
    train(frames, SCHEDULE, tmp_path / "halves", stop_at=2)
    train(frames, SCHEDULE, tmp_path / "halves")
    loaded, schedule = load_network(tmp_path / "halves")
    assert schedule == SCHEDULE
    assert ask(loaded, frames).mean == pytest.approx(ask(whole, frames).mean, abs=1e-5)


def test_steady_person_counts_as_much_as_one_whose_states_vary(frames: Frames) -> None:
    targets = frames.targets.copy()
    steady = frames.person == 501
    targets[steady] *= 0.5
    weights = weights_of(replace(frames, targets=targets))
    assert weights.mean(0) == pytest.approx(np.ones(4), abs=1e-5)
    assert np.all(weights[steady][0] > weights_of(frames)[steady][0])
    assert np.all(np.ptp(weights[steady], axis=0) == 0)


def test_training_learns_what_is_shown_again_and_again(frames: Frames, tmp_path: Path) -> None:
    train(frames, replace(SCHEDULE, steps=60, batch=24, save_every=20), tmp_path)
    losses = [json.loads(line)["loss"] for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert losses[-1] < losses[0] - 0.1


def test_training_that_begins_with_a_network_goes_on_from_its_answers(frames: Frames, tmp_path: Path) -> None:
    begun = train(frames.of((501,)), SCHEDULE, tmp_path / "begun")
    still = replace(SCHEDULE, learning_rate=0.0)
    after = train(frames.without((501,)), still, tmp_path / "after", begin_with=begun)
    assert ask(after, frames).mean == pytest.approx(ask(begun, frames).mean, abs=1e-4)


def test_widening_makes_intervals_hold_nine_of_ten() -> None:
    truth = np.random.default_rng(5).normal(size=(5000, 4)) * 3
    answers = Answers(np.zeros_like(truth), np.ones_like(truth))
    assert widening(truth, answers) == pytest.approx(np.full(4, 3.0), abs=0.2)
    assert coverage(truth, answers.mean, answers.deviation * widening(truth, answers)) == pytest.approx(
        np.full(4, 0.9), abs=0.001
    )


def test_fold_gives_each_held_out_person_beside_ridge_and_mean(frames: Frames, tmp_path: Path) -> None:
    known = frames.without((503,))
    asked = held_out(train(known, SCHEDULE, tmp_path), known, frames.of((503,)), frames.of((501,)))
    assert list(asked) == [503]
    assert asked[503]["truth"] == pytest.approx(frames.of((503,)).targets)
    found = results([asked[503], asked[503]])
    assert found["people"] == 2
    difference = found["network"]["r2"]["joint_moment"]["mean"] - found["ridge"]["r2"]["joint_moment"]["mean"]
    assert found["network less ridge"]["joint_moment"]["mean"] == pytest.approx(difference)
    assert table("one", found).count("\n") == 2 + 3 * 4 + 2


@pytest.mark.parametrize(
    ("asked", "title", "people"), [(["--folds", "3"], "folds-3", 2), (["--held-out-device"], "held-out-device", 16)]
)
def test_protocol_command_writes_results_and_says_of_how_many_people(
    asked: list[str],
    title: str,
    people: int,
    frames: Frames,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for split in SPLITS.values():
        folder_of(split, tmp_path).mkdir(parents=True, exist_ok=True)
        for seed in split.seeds:
            write(replace(frames.of((501 + seed % 3,)), person=np.full(8, seed)), folder_of(split, tmp_path) / f"{seed}.npz")
    main(["--data", str(tmp_path), "--out", str(tmp_path), "--steps", "2", "--further-steps", "1", *asked])
    found = json.loads((tmp_path / f"states-2-{title}.json").read_text())
    assert found["people"] == people
    assert found["network"]["coverage"]["joint_angle"]["people"] == people
    assert f"states-2-{title}: {people} people, simulated" in capsys.readouterr().out
    assert held_out_in(3) == (SPLITS["people"].seeds[6], SPLITS["people"].seeds[7])


def test_served_network_tells_units_widens_and_takes_a_middle_person_for_unknown_lengths(frames: Frames) -> None:
    network = NETWORKS["states"]().eval()
    network.head.fit(torch.from_numpy(frames.scalars), torch.from_numpy(frames.targets))
    served = ServedStates(network, torch.tensor([1.0, 2.0, 1.0, 3.0])).eval()
    answers = ask(network, frames)
    with torch.inference_mode():
        states, log_variances = served(torch.from_numpy(frames.patches), torch.from_numpy(frames.scalars))
        unknown, _ = served(torch.from_numpy(frames.patches[:4]), torch.full((4, 5), torch.nan))
        middle, _ = served(torch.from_numpy(frames.patches[:4]), network.head.scalar_mean.repeat(4, 1))
    assert states.numpy() == pytest.approx(answers.mean, rel=1e-4, abs=1e-4)
    wider = np.exp(0.5 * log_variances.numpy()) / answers.deviation
    assert wider == pytest.approx(np.tile([1.0, 2.0, 1.0, 3.0], (len(wider), 1)), rel=1e-4)
    assert torch.equal(unknown, middle)


def test_frames_as_served_are_those_of_lines_that_were_found() -> None:
    split = Split("few", range(601, 602))
    networks = OnnxNetworks.opened({SEGMENTATION.model_name: MAPS})
    seen, found = served_frames(split, 6, networks)
    drawn = frames_of(601, count=6)
    assert found.summary()["answered"] == 1.0
    assert all(line["p95_mm"] < 0.5 for line in found.summary()["lines"].values())
    assert seen.targets == pytest.approx(drawn.targets)
    # The picture is not narrowed as in training; its lengths are the same within what the lines may be off by.
    assert seen.scalars[:, :4] == pytest.approx(drawn.scalars[:, :4], abs=1.5)


def test_one_muscle_is_flatter_by_one_factor_a_person_and_tells_its_angle_but_no_length(frames: Frames) -> None:
    alone = of_one_muscle(frames)
    assert not alone.patches[:, 1].any()
    assert not alone.scalars[:, 1:].any()
    angles = alone.scalars[:, 0]
    assert np.all(angles < frames.geometry[:, 0] + 5)
    assert np.corrcoef(angles, frames.geometry[:, 0])[0, 1] > 0.3
    assert (alone.targets == frames.targets).all()
    assert (of_one_muscle(frames).patches == alone.patches).all()
    # The same picture over fewer columns: what is seen changes less from column to column.
    changes = [np.abs(np.diff(one.patches[:, 0].astype(float), axis=2)).mean((1, 2)) for one in (frames, alone)]
    assert np.all(changes[1] < changes[0])
