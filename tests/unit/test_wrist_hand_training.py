"""Training of the wrist networks: what they take and give, what counts in the loss, and going on where it stopped."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is only in the training environment (training/requirements.txt)")

import torch

from service.core.wrist_planes import STRUCTURES, structure_number
from training.wrist_hand.model import CLASSES, NETWORKS, SERVED_NETWORK, ServedWristHand, giga_multiply_accumulates
from training.wrist_hand.scores import calibration_error
from training.wrist_hand.temperature import fitted_temperature, probabilities
from training.wrist_hand.train import Schedule, draw, load_network, structure_loss, train
from training.wrist_hand.volunteers import NAMES, SIZE, SPLITS, Pictures, Split, pictures_of

SCHEDULE = Schedule(steps=4, batch=2, warm_up=1, save_every=2)


@pytest.fixture(scope="module")
def pictures() -> Pictures:
    """Six of noise, each with a bright bar that is a structure."""
    random = np.random.default_rng(0)
    image = random.integers(1, 120, (6, SIZE, SIZE), dtype=np.uint8)
    structures = np.zeros_like(image)
    structures[:, 80:110, 30:160] = 1
    image[structures > 0] += 100
    return Pictures(image, structures, np.arange(6, dtype=np.uint8), np.ones(6, np.bool_), np.arange(6), np.full(6, 0.2))


def test_served_network_gives_planes_structures_and_how_sure_it_is() -> None:
    image = torch.randint(0, 255, (2, 1, SIZE, SIZE), dtype=torch.uint8)
    image[:, :, :20] = 0
    with torch.inference_mode():
        plane, number, sure = ServedWristHand(NETWORKS[SERVED_NETWORK]().eval())(image)
    assert plane.shape == (2, len(NAMES))
    assert plane.sum(1).tolist() == pytest.approx([1, 1], abs=1e-5)
    assert number.shape == sure.shape == (2, SIZE, SIZE)
    assert int(number.max()) <= len(STRUCTURES)
    assert int(number[:, :20].max()) == int(sure[:, :20].max()) == 0


def test_served_network_costs_less_than_a_tenth_of_each_reference() -> None:
    cost = {name: giga_multiply_accumulates(make().eval()) for name, make in NETWORKS.items()}
    assert 10 * cost[SERVED_NETWORK] < min(cost["resnet-50"], cost["hrnet-w18"])


def test_references_have_the_published_number_of_parameters() -> None:
    parameters = {name: sum(p.numel() for p in NETWORKS[name]().parameters()) / 1e6 for name in ("resnet-50", "hrnet-w18")}
    assert parameters["resnet-50"] == pytest.approx(23.5, abs=0.1)
    assert parameters["hrnet-w18"] == pytest.approx(9.6, abs=0.1)


def test_structures_that_nobody_drew_change_no_weight(pictures: Pictures, tmp_path: Path) -> None:
    unseen = replace(pictures, annotated=np.zeros(6, np.bool_))
    others = replace(unseen, structures=np.full_like(pictures.structures, 7))
    one, two = (train(given, SCHEDULE, tmp_path / str(number)) for number, given in enumerate((unseen, others)))
    assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), two.state_dict().values(), strict=True))


def test_structure_loss_is_least_for_the_structures_themselves() -> None:
    structures = torch.zeros(1, 8, 8, dtype=torch.long)
    structures[:, 2:5] = 3
    inside = torch.ones(1, 8, 8)
    right = 20 * torch.nn.functional.one_hot(structures, CLASSES).permute(0, 3, 1, 2).float()
    assert float(structure_loss(right, structures, inside)) < 0.01
    assert float(structure_loss(right.roll(2, dims=2), structures, inside)) > 1


def test_training_that_was_stopped_ends_with_the_same_weights(pictures: Pictures, tmp_path: Path) -> None:
    whole = train(pictures, SCHEDULE, tmp_path / "whole")
    train(pictures, SCHEDULE, tmp_path / "stopped", stop_at=2)
    again = train(pictures, SCHEDULE, tmp_path / "stopped")
    assert all(torch.equal(a, b) for a, b in zip(whole.state_dict().values(), again.state_dict().values(), strict=True))


def test_batch_is_mostly_of_pictures_whose_structures_are_drawn(pictures: Pictures) -> None:
    many = Pictures(*(np.concatenate([getattr(pictures, name)] * 20) for name in Pictures.__slots__))
    mixed = replace(many, annotated=np.arange(len(many.plane)) % 3 == 0)
    random = np.random.default_rng(0)
    chosen = draw(mixed.annotated, Schedule(batch=16), random)
    assert len(set(chosen.tolist())) == 16
    assert mixed.annotated[chosen].sum() == 12
    alone = draw(mixed.annotated, Schedule(batch=16, network="hrnet-w18"), random)
    assert mixed.annotated[alone].all()


def test_further_pictures_are_shown_where_a_structure_is_favoured_and_only_there(pictures: Pictures, tmp_path: Path) -> None:
    favouring = replace(SCHEDULE, favour="median_nerve")
    nerve = np.full_like(pictures.structures, structure_number("median_nerve"))
    further = replace(pictures, structures=nerve, annotated=np.ones(len(pictures.plane), np.bool_))
    trained = {
        name: train(pictures, schedule, tmp_path / name, more=more)
        for name, schedule, more in (
            ("usual", SCHEDULE, None),
            ("unasked", SCHEDULE, further),
            ("favoured", favouring, None),
            ("further", favouring, further),
        )
    }
    usual, unasked, favoured, more = (network.get_parameter("structure.bias") for network in trained.values())
    assert torch.equal(usual, unasked)
    assert not torch.equal(favoured, more)


def test_volunteers_of_some_planes_are_examined_in_those_alone() -> None:
    shown = pictures_of(2_001, Split("some", range(2_001, 2_002), planes=("S11",), elsewhere=0))
    assert len(shown.plane) == 6
    assert {NAMES[plane] for plane in shown.plane} <= {"none", "S11"}


def test_pictures_for_training_show_no_plane_in_a_fifth_of_them_or_more() -> None:
    kinds = [kind for name in SPLITS if name.startswith("train") for kind, _ in SPLITS[name].wanted * len(SPLITS[name].seeds)]
    assert sum(kind in {"between", "elsewhere"} for kind in kinds) >= 0.2 * len(kinds)


def test_logits_that_are_too_sure_are_as_sure_as_right_after_their_temperature() -> None:
    random = np.random.default_rng(0)
    logits = random.normal(0.0, 1.5, (4000, len(NAMES)))
    sure = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    plane = np.array([random.choice(len(NAMES), p=one) for one in sure], np.uint8)
    told = (3 * logits).astype(np.float32)
    temperature = fitted_temperature(told, plane)
    assert temperature == pytest.approx(3, rel=0.1)
    assert calibration_error(plane, probabilities(told)) > 0.1
    assert calibration_error(plane, probabilities(told, temperature)) < 0.03


def test_splits_share_no_volunteer() -> None:
    seeds = [seed for split in SPLITS.values() for seed in split.seeds]
    assert len(set(seeds)) == len(seeds)


def test_structure_loss_looks_at_the_pixels_of_the_drawing() -> None:
    structures = torch.zeros((1, 8, 8), dtype=torch.long)
    structures[:, :4] = 1
    logits = torch.full((1, CLASSES, 4, 4), -9.0)
    logits[:, 1, :2] = logits[:, 0, 2:] = 9.0
    inside = torch.ones((1, 8, 8))
    assert float(structure_loss(logits, structures, inside)) < 0.05
    assert float(structure_loss(logits.flip(2), structures, inside)) > 1


def test_second_stage_begins_with_the_average_of_the_first_and_remembers_it(pictures: Pictures, tmp_path: Path) -> None:
    first = train(pictures, SCHEDULE, tmp_path / "1")
    second = train(pictures, replace(SCHEDULE, learning_rate=0.0), tmp_path / "2", start_from=tmp_path / "1")
    _, stages = load_network(tmp_path / "2")
    assert [stage.learning_rate for stage in stages] == [SCHEDULE.learning_rate, 0.0]
    one, two = (dict(network.named_parameters()) for network in (first, second))
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_structure_loss_at_half_the_pixels_moves_no_outline_to_either_side() -> None:
    structures = torch.zeros((1, 8, 8), dtype=torch.long)
    structures[:, 3:5] = 1
    above = torch.zeros((1, CLASSES, 4, 4))
    above[:, 0] = 4.0
    above[:, 1, 1] = 6.0
    inside = torch.ones((1, 8, 8))
    assert float(structure_loss(above, structures, inside)) == pytest.approx(
        float(structure_loss(above.flip(2), structures, inside))
    )
