"""Simulated upper trapezius: people, sites, cines, DICOM files and the cohort's table."""

import csv
from pathlib import Path

import numpy as np
import pydicom
import pytest

from simulator.dicom import write_cine
from simulator.trapezius import GRID, SITES_A_PERSON, TrapeziusTruth, draw_site, label_of, simulate_trapezius
from simulator.write import COHORT_FILE, simulate
from tests.dciodvfy import complaints


@pytest.mark.parametrize("first", [1, 17, 100_001])
def test_any_24_people_in_a_row_have_13_in_pain(first: int) -> None:
    assert [label_of(person) for person in range(first, first + 24)].count("mps") == 13


def test_person_in_pain_has_active_and_latent_sites_and_others_have_neither() -> None:
    for person in range(1, 60):
        kinds = {draw_site(person, number).site_type for number in range(SITES_A_PERSON)}
        assert kinds == ({"active", "latent"} if label_of(person) == "mps" else {"control"})


def test_people_in_pain_have_more_of_each_sign_and_as_many_distractors() -> None:
    sites = [draw_site(person, number) for person in range(1, 400) for number in range(SITES_A_PERSON)]
    pain = [site for site in sites if site.label == "mps"]
    others = [site for site in sites if site.label == "control"]
    for sign in (lambda s: s.disorder, lambda s: len(s.nodules), lambda s: sum(n.area_cm2 for n in s.nodules)):
        assert np.mean([sign(site) for site in pain]) > 1.2 * np.mean([sign(site) for site in others])
    distractors = [np.mean([len(site.distractors) for site in group]) for group in (pain, others)]
    assert distractors[0] == pytest.approx(distractors[1], abs=0.08)


def test_nodules_do_not_overlap_and_lie_in_the_muscle() -> None:
    for person in range(1, 200):
        places = sorted((n.centre_mm for n in draw_site(person, 0).nodules), key=lambda centre: centre[0])
        assert all(0 < x < GRID.width_mm and 0 < share < 1 for x, share in places)
        assert len({int(x / (GRID.width_mm / max(1, len(places)))) for x, _ in places}) == len(places)


def test_frame_of_equal_seeds_is_equal_and_of_another_site_is_not() -> None:
    one, same, other = (simulate_trapezius(seed, 3).make(1).sector for seed in (5, 5, 6))
    assert np.array_equal(one, same)
    assert one.shape == other.shape
    assert not np.array_equal(one, other)


def test_cine_moves_and_keeps_its_brightness() -> None:
    cine = simulate_trapezius(5)
    frames = [cine.make(index).sector.astype(np.float32) for index in (0, 12, 24)]
    assert np.abs(frames[0] - frames[1]).mean() > 2
    assert np.ptp([frame.mean() for frame in frames]) < 6


def test_write_cine_passes_the_validator_and_names_muscle_and_side(tmp_path: Path) -> None:
    write_cine(simulate_trapezius(7, 2), tmp_path / "a.dcm", "jpeg")
    assert complaints(tmp_path / "a.dcm") == []
    read = pydicom.dcmread(tmp_path / "a.dcm")
    assert read.Laterality == "L"
    assert read.AnatomicRegionSequence[0].CodeValue == "31764008"


def test_simulate_four_seeds_give_one_study_and_the_cohorts_table(tmp_path: Path) -> None:
    paths = list(simulate("trapezius", tmp_path, 5, 1, "jpeg", number_of_frames=2))
    read = [pydicom.dcmread(path, stop_before_pixels=True) for path in paths]
    assert len({one.StudyInstanceUID for one in read[:4]}) == 1
    assert read[4].StudyInstanceUID != read[0].StudyInstanceUID
    assert len({one.SOPInstanceUID for one in read}) == 5
    truths = [TrapeziusTruth.model_validate_json(path.with_suffix(".truth.json").read_text()) for path in paths]
    with (tmp_path / COHORT_FILE).open() as file:
        rows = list(csv.DictReader(file))
    assert [row["file"] for row in rows] == [path.name for path in paths]
    assert [row["label"] for row in rows] == [truth.label for truth in truths]
    assert [row["side"] for row in rows] == ["right", "right", "left", "left", "right"]
