"""Training of the Video Diffusion Encoder; runs where torch is, in the training environment."""

import signal
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

pytest.importorskip("torch", reason="torch is only in the training environment (training/requirements.txt)")
pytest.importorskip("sklearn", reason="scikit-learn is only in the training environment (training/requirements.txt)")

import torch
from sklearn.metrics import recall_score, roc_auc_score
from sklearn.model_selection import StratifiedKFold

from service.core.clips import ClipShape
from tests.running import poll
from training.exporting import configuration
from training.vde.augment import jitter
from training.vde.classify import Clips, fit, mean_over_people
from training.vde.crossvalidate import FOLDS, person_scores
from training.vde.data import Cohort, load_cohort, runs_of
from training.vde.model import Encoder, VdeConfig, standardise
from training.vde.pretrain import METHODS, Schedule, encode, pretrain
from training.vde.served import ServedClassifier
from training.vde.statistics import auc, figures, once, resamples

TINY = VdeConfig(frames=16, size=32, widths=(8, 8, 16, 16), bottleneck=16, denoiser_widths=(8, 16))


def noise(count: int, seed: int = 0) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(1, 255, (count, 16, 32, 32), dtype=np.uint8)


def small_cohort() -> Cohort:
    """Four people, two videos each, two clips a video; the odd ones are in pain."""
    person = np.repeat(np.arange(4), 4)
    return Cohort(
        clips=noise(16),
        video=np.repeat(np.arange(8), 2),
        subject=np.array([f"p{i}" for i in person]),
        label=person % 2,
        site_type=np.where(person % 2, "latent", "control"),
    )


def test_standardise_takes_gain_and_offset_away_and_leaves_padding() -> None:
    clip = torch.from_numpy(noise(2)[:, None]).float()
    clip[..., :8, :] = 0
    inside = clip > 0
    brighter = torch.where(inside, 0.5 * clip + 20, clip)
    assert torch.allclose(standardise(clip), standardise(brighter), atol=0.1)  # of a spread of 1
    assert not standardise(clip)[~inside].any()


def test_standardise_leaves_what_is_flat_but_for_the_last_bit_nearly_flat() -> None:
    flat = 100 + torch.from_numpy(noise(1)[:, None] % 2).float()
    assert standardise(flat).abs().max() < 0.5


def test_standardise_takes_depth_gain_away() -> None:
    clip = torch.from_numpy(noise(1)[:, None]).float() / 2
    deep = clip * torch.linspace(0.5, 1.5, 32)[:, None]
    assert (standardise(clip) - standardise(deep)).abs().mean() < 0.2
    assert (clip - deep).abs().mean() > 10


def test_jitter_changes_each_clip_in_its_own_way_and_is_the_same_by_seed() -> None:
    clip = torch.from_numpy(noise(1)[:, None]).repeat(2, 1, 1, 1, 1)
    looks = [jitter(clip, torch.Generator().manual_seed(3)) for _ in range(2)]
    assert torch.equal(looks[0], looks[1])
    assert not torch.allclose(looks[0][0], looks[0][1])


@pytest.mark.parametrize("method", sorted(METHODS))
def test_method_learns_something_of_a_tiny_cohort(method: str, tmp_path: Path) -> None:
    cohort = small_cohort()
    pretrain(method, TINY, cohort, np.ones(16, np.bool_), Schedule(steps=2, batch=4), tmp_path)
    before, after = Encoder(TINY), pretrain(method, TINY, cohort, np.ones(16, np.bool_), Schedule(steps=4, batch=4), tmp_path)
    assert encode(after, cohort.clips).shape == (16, after.latent)
    assert not np.allclose(encode(before, cohort.clips), encode(after, cohort.clips))


def test_pretraining_that_was_killed_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    cohort, everybody = small_cohort(), np.ones(16, np.bool_)
    schedule = Schedule(steps=200, batch=4, save_every=2)
    whole = pretrain("vde", TINY, cohort, everybody, schedule, tmp_path / "whole")
    cut = tmp_path / "cut"
    process = get_context("spawn").Process(target=pretrain, args=("vde", TINY, cohort, everybody, schedule, cut))
    process.start()
    poll((cut / "last.pt").exists, timeout_seconds=60, what="a checkpoint")
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL, "it had ended before it could be killed"
    resumed = pretrain("vde", TINY, cohort, everybody, schedule, cut)
    assert np.allclose(encode(whole, cohort.clips), encode(resumed, cohort.clips), atol=1e-4)


def test_pretraining_never_reads_a_clip_that_was_not_chosen(tmp_path: Path) -> None:
    cohort = small_cohort()
    chosen = cohort.subject != "p3"
    other = replace(cohort, clips=np.where(chosen[:, None, None, None], cohort.clips, noise(16, seed=9)))
    trained = [
        pretrain("simclr", TINY, one, chosen, Schedule(steps=2, batch=4), tmp_path / str(number))
        for number, one in enumerate((cohort, other))
    ]
    assert np.array_equal(encode(trained[0], noise(3, seed=5)), encode(trained[1], noise(3, seed=5)))


def test_mean_over_people_weighs_videos_alike_however_long_they_are() -> None:
    clips = Clips(
        features=np.zeros((4, 1)), video=np.array([0, 0, 0, 1]), subject=np.array(["a"] * 4), label=np.array([1, 1, 1, 1])
    )
    assert mean_over_people(np.array([1.0, 1.0, 1.0, 5.0]), clips).tolist() == [3.0]


def separable(people: int = 12, clips: int = 3) -> Clips:
    random = np.random.default_rng(0)
    label = np.repeat(np.arange(people) % 2, clips)
    features = random.standard_normal((people * clips, 16)) + 2.0 * label[:, None] * (np.arange(16) == 0)
    return Clips(
        features.astype(np.float32),
        video=np.repeat(np.arange(people), clips),
        subject=np.repeat([f"p{i:02d}" for i in range(people)], clips),
        label=label,
    )


def test_classifier_tells_people_apart_by_what_differs() -> None:
    clips = separable()
    classifier = fit(clips)
    called = classifier.of_people(clips) > classifier.threshold
    assert (called == (clips.people()[1] == 1)).mean() >= 0.9
    assert np.abs(classifier.weights).argmax() == 0


def test_served_classifier_gives_the_classifiers_logits_its_copies_and_the_nearest_cases() -> None:
    clips = separable()
    served = ServedClassifier(clips)
    with torch.inference_mode():
        logits, distance, similarity, case_label = served(torch.from_numpy(clips.features))
    assert np.allclose(logits[:, 0].numpy(), fit(clips).logits(clips.features), atol=1e-4)
    assert logits.shape == (36, 101)
    assert float(logits.std(1).min()) > 0
    assert (distance <= 1).float().mean() > 0.9
    assert torch.all(similarity[:, :-1] >= similarity[:, 1:])
    assert set(np.unique(case_label.numpy())) <= {0.0, 1.0}


def test_cohort_table_that_is_wrong_names_the_line(tmp_path: Path) -> None:
    (tmp_path / "a.dcm").touch()
    (tmp_path / "cohort.csv").write_text("file,subject,label,site_type,side\na.dcm,p1,healthy,latent,left\n")
    with pytest.raises(SystemExit, match="line 2: label is mps or control"):
        load_cohort(tmp_path, ClipShape())
    (tmp_path / "cohort.csv").write_text("file,subject,label\n")
    with pytest.raises(SystemExit, match="site_type, side are missing"):
        load_cohort(tmp_path, ClipShape())


def test_statistics_are_scikit_learns_in_every_draw() -> None:
    random = np.random.default_rng(0)
    labels, scores = np.arange(30) % 3 // 2, random.standard_normal(30).round(1)
    counts = resamples(labels, 20)
    drawn = [np.repeat(np.arange(30), times) for times in counts]
    assert np.allclose(auc(labels, scores, counts), [roc_auc_score(labels[d], scores[d]) for d in drawn])
    assert once(auc, labels, scores) == pytest.approx(roc_auc_score(labels, scores))
    called = (scores > 0).astype(np.float64)
    assert figures(labels, scores, called)["specificity"]["value"] == recall_score(labels, called, pos_label=0)
    assert figures(labels, scores, called)["sensitivity"]["value"] == recall_score(labels, called)


def test_runs_of_a_cohort_whose_table_changed_are_others(tmp_path: Path) -> None:
    table = tmp_path / "cohort.csv"
    folders = []
    for text in ("file,subject\na.dcm,p1\n", "file,subject\nb.dcm,p1\n"):
        table.write_text(text)
        folders.append(runs_of(tmp_path, ClipShape(), tmp_path / "runs"))
    assert folders[0] != folders[1] != runs_of(tmp_path, ClipShape(size=96), tmp_path / "runs")


def test_export_of_a_second_version_keeps_what_is_stated_of_the_first() -> None:
    first = {"weights_sha256": "ab" * 32, "evidence": "simulated", "pretraining": "SimCLR"}
    template = Path("training/vde/vde_encoder.pbtxt.template")
    alone = configuration(template, "", [1], 1, first)
    second = {"weights_sha256": "cd" * 32, "evidence": "real", "pretraining": "Video Diffusion Encoder"}
    both = configuration(template, alone, [1, 2], 2, second)
    stated = [line for line in both.splitlines() if line.startswith("parameters")]
    assert [line for line in stated if '_1"' in line] == [line for line in alone.splitlines() if line.startswith("parameters")]
    assert sum("real" in line for line in stated) == 1
    assert "versions: [ 1, 2 ]" in both


def test_person_without_a_site_of_an_analysis_takes_no_part_in_it() -> None:
    people, site_types = np.arange(24), np.where(np.arange(24) % 2, "latent", "control")
    site_types[[1, 3, 5]] = "active"
    cohort = Cohort(
        clips=np.zeros((24, 1, 1, 1), np.uint8),
        video=people,
        subject=np.array([f"s{person:02d}" for person in people]),
        label=people % 2,
        site_type=site_types,
    )
    features = np.random.default_rng(0).standard_normal((24, 3)) + (people % 2)[:, None]
    folds = [test for _, test in StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(people, people % 2)]
    latent, both = (
        person_scores([features] * FOLDS, cohort, folds, kept)["scores"]
        for kept in (("control", "latent"), ("control", "latent", "active"))
    )
    assert np.flatnonzero(np.isnan(latent)).tolist() == [1, 3, 5]
    assert not np.isnan(both).any()


@pytest.mark.parametrize("row", ["a.dcm,s1,control,active,left", "a.dcm,s1,mps,control,left"])
def test_cohort_table_whose_sites_contradict_the_label_names_the_line(tmp_path: Path, row: str) -> None:
    (tmp_path / "a.dcm").touch()
    (tmp_path / "cohort.csv").write_text(f"file,subject,label,site_type,side\n{row}\n")
    with pytest.raises(SystemExit, match="line 2: sites of a control"):
        load_cohort(tmp_path, ClipShape())
