"""Training of the motor-unit networks: what they take and give, what they are taught, and what maps are read as."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is only in the training environment (training/requirements.txt)")

import torch

from service.core.measure.motor_maps import CENTRE, CHANNELS, EMBEDDING, EXTENT, OFFSET, TERRITORY, Floats, matched, territories
from simulator.motor_units import Conditions, MotorSequence, simulate_sequence
from tests.running import ROOT
from training.motor_units.lessons import lesson_of
from training.motor_units.losses import embedding_loss, focal, map_loss, train_loss
from training.motor_units.model import MotorUnitMaps, TwitchTrains
from training.motor_units.scores import dice
from training.motor_units.targets import jittered, map_targets, train_targets
from training.motor_units.train import Schedule, load_network, train

MODELS = ROOT / "model_repository"


@pytest.fixture(scope="module")
def muscle() -> MotorSequence:
    return simulate_sequence(12, Conditions(8, 20.0, "saturating"))


def perfect_maps(muscle: MotorSequence) -> Floats:
    """What a network that knows the truth would say."""
    wanted = map_targets(muscle.units)
    maps = np.zeros((CHANNELS, *wanted.heat.shape), np.float32)
    maps[CENTRE] = np.where(wanted.heat == 1, 6, -6)
    maps[TERRITORY] = np.where(wanted.territory, 6, -6)
    for number, (row, column) in enumerate(wanted.pixels):
        maps[EXTENT, row, column], maps[OFFSET, row, column] = wanted.extent[number], wanted.offset[number]
        maps[EMBEDDING.start + number % 8][wanted.owner == number] = 3 * (1 + number // 8)
    return maps


def test_networks_give_maps_of_a_sequence_and_trains_of_a_unit_whatever_the_scale() -> None:
    maps, trains = MotorUnitMaps().eval(), TwitchTrains().eval()
    velocity, given = torch.randn(1, 1, 512, 64, 64), torch.randn(3, 10, 512)
    with torch.inference_mode():
        said = maps(velocity)
        twitch, discharge = trains(given)
        assert torch.allclose(maps(7 * velocity), said, atol=1e-3)
        assert torch.allclose(trains(7 * given)[0], twitch, atol=1e-3)
    assert said.shape == (1, CHANNELS, 64, 64)
    assert twitch.shape == discharge.shape == (3, 512)


def test_networks_have_as_many_parameters_as_their_card_may_say() -> None:
    maps, trains = (sum(p.numel() for p in network.parameters()) / 1e6 for network in (MotorUnitMaps(), TwitchTrains()))
    assert 0.5 < maps < 1.0
    assert 0.1 < trains < 0.2


def test_maps_of_the_truth_are_read_as_its_territories(muscle: MotorSequence) -> None:
    found = [one.mask for one in territories(perfect_maps(muscle))]
    true = [unit.mask for unit in muscle.units]
    pairs = matched(true, found)
    assert len(pairs) == len(found) == len(true)
    assert np.mean([dice(true[one], found[other]) for one, other in pairs]) > 0.9


def test_maps_without_a_centre_are_read_as_nothing(muscle: MotorSequence) -> None:
    maps = perfect_maps(muscle)
    maps[CENTRE] = -6
    assert territories(maps) == []


def test_loss_of_the_truth_is_less_than_that_of_nothing(muscle: MotorSequence) -> None:
    wanted = [map_targets(muscle.units)]
    best, none = (map_loss(torch.from_numpy(one)[None], wanted) for one in (perfect_maps(muscle), 0 * perfect_maps(muscle)))
    for part in best:
        assert float(best[part]) < 0.2 * float(none[part]), part


def test_focal_loss_forgives_what_is_near_a_centre() -> None:
    heat = torch.zeros(1, 9, 9)
    heat[0, 4, 4], heat[0, 4, 5] = 1, 0.9
    near, far = torch.full((1, 9, 9), -6.0), torch.full((1, 9, 9), -6.0)
    near[0, 4, 5] = far[0, 0, 0] = 3.0
    assert float(focal(near, heat)) < float(focal(far, heat))


def test_embeddings_of_two_units_are_pushed_apart(muscle: MotorSequence) -> None:
    wanted = map_targets(muscle.units[:2])
    alike = torch.zeros(8, 64, 64)
    apart = alike.clone()
    apart[0][torch.from_numpy(wanted.owner == 1)] = 2.0
    assert float(embedding_loss(apart, wanted)) < 0.01 < float(embedding_loss(alike, wanted))


def test_loss_of_a_train_is_least_for_the_train_itself(muscle: MotorSequence) -> None:
    twitch, spikes = (torch.from_numpy(one)[None] for one in train_targets(muscle.units[0], 512))
    scaled = (twitch - twitch.mean()) / twitch.std()
    right, wrong = train_loss(scaled, 12 * spikes - 6, twitch, spikes), train_loss(-scaled, -12 * spikes + 6, twitch, spikes)
    for part in right:
        assert float(right[part]) < 0.05, part
        assert float(wrong[part]) > 1, part
    assert spikes.sum() == pytest.approx(3 * len(muscle.units[0].discharges_s), abs=2)


def test_territory_as_a_segmentation_might_find_it_is_still_near_the_true_one(muscle: MotorSequence) -> None:
    mask = max((unit.mask for unit in muscle.units), key=lambda one: int(one.sum()))
    random = np.random.default_rng(1)
    others = [jittered(mask, random) for _ in range(20)]
    assert {int(one.sum()) for one in others} != {int(mask.sum())}
    assert min(dice(mask, one) for one in others) > 0.6


def test_second_network_learns_from_units_as_the_first_one_finds_them_and_as_others_might() -> None:
    lesson = lesson_of(500_001, MODELS)
    found, count = len(lesson.given), len(lesson.twitch)
    assert lesson.given.shape == (found, 10, 512)
    assert count < found <= 2 * count
    assert set(lesson.unit.tolist()) <= set(range(count))
    again = lesson_of(500_001, MODELS)
    assert np.array_equal(lesson.given, again.given)
    unmixed_r = [
        abs(np.corrcoef(given[0], lesson.twitch[unit])[0, 1]) for given, unit in zip(lesson.given, lesson.unit, strict=True)
    ]
    assert np.median(unmixed_r) > 0.9


def test_training_that_was_stopped_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    schedule = Schedule("trains", steps=2, batch=1, warm_up=1, save_every=1)
    whole = train(schedule, tmp_path / "whole", models=MODELS)
    train(schedule, tmp_path / "parts", stop_at=1, models=MODELS)
    parts = train(schedule, tmp_path / "parts", models=MODELS)
    assert all(torch.equal(a, b) for a, b in zip(whole.state_dict().values(), parts.state_dict().values(), strict=True))
    loaded, stored = load_network(tmp_path / "parts")
    assert stored == schedule
    assert not loaded.training
