"""Simulated frames as training arrays, made once and kept beside the runs."""

import pickle
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from service.core.cine import Box
from service.core.preprocess import model_input, model_labels, place
from simulator.calf import CALF_VERSION, CalfFrame, simulate_calf
from simulator.device import DeviceGroup
from simulator.nuisance import simulate_nuisance
from training.muscle_segmentation.real import Bytes, Labelled

_FRAMES_A_SUBJECT = 3
#: Subjects of training, and those kept for testing; the numbers are seeds.
TRAINING_SEEDS = 1_000_000
TEST_SEEDS = 2_000_000
NEGATIVE_SEEDS = 3_000_000
TEST_NEGATIVE_SEEDS = 4_000_000


def load_or_simulate(cache: Path, frames: int, negatives: int, processes: int = 1) -> list[Labelled]:
    """Frames of a third as many subjects, each on its own device, then frames without a muscle; every head is labelled."""
    if frames == 0:
        return []
    kept = cache / f"simulated-{CALF_VERSION}-{frames}-{negatives}.pickle"
    if not kept.exists():
        made = _simulate(frames, negatives, processes)
        cache.mkdir(parents=True, exist_ok=True)
        kept.write_bytes(pickle.dumps(made))
    return list(pickle.loads(kept.read_bytes()))  # noqa: S301 - a file that this function wrote


def labelled_frames(seed: int, device_group: DeviceGroup = "common", count: int = _FRAMES_A_SUBJECT) -> list[Labelled]:
    """A few moments of one subject's contraction, each cropped as another examiner would."""
    cine = simulate_calf(seed, device_group=device_group, mm_per_pixel=0.15)
    random = np.random.default_rng([seed, 6])
    moments = random.choice(np.arange(4, 36), count, replace=False)
    return [_labelled(cine.make(int(i)), f"{cine.truth.subject}-{i}", cine.truth.device, random) for i in moments]


def labelled_negative(seed: int) -> Labelled:
    """A frame on which every head is empty."""
    sector = simulate_nuisance(seed)
    placement = place(Box(0, 0, sector.shape[1], sector.shape[0]))
    image = model_input(sector, placement)
    empty = np.zeros((3, *image.shape), np.uint8)
    weights = np.repeat((image > 0)[None], 3, axis=0).astype(np.uint8)
    return Labelled(f"nuisance-{seed}", "simulated", image, empty, weights, placement, has_aponeurosis=True, has_fascicle=True)


def _simulate(frames: int, negatives: int, processes: int) -> list[Labelled]:
    subjects = range(TRAINING_SEEDS, TRAINING_SEEDS + frames // _FRAMES_A_SUBJECT)
    empty = range(NEGATIVE_SEEDS, NEGATIVE_SEEDS + negatives)
    with ProcessPoolExecutor(processes) as pool:
        made = [item for items in pool.map(labelled_frames, subjects, chunksize=4) for item in items]
        return made + list(pool.map(labelled_negative, empty, chunksize=4))


def _labelled(frame: CalfFrame, name: str, device: str, random: np.random.Generator) -> Labelled:
    box = _crop(frame, random)
    placement = place(box)
    image = model_input(frame.sector, placement)
    masks = (frame.masks.aponeurosis, frame.masks.fascicle, frame.masks.muscle_belly)
    targets: Bytes = np.stack([model_labels(mask, placement) for mask in masks])
    weights = np.repeat((image > 0)[None], 3, axis=0).astype(np.uint8)
    weights[0] &= (model_labels(frame.masks.uncertain, placement) < 20).astype(np.uint8)
    return Labelled(name, device, image, targets, weights, placement, has_aponeurosis=True, has_fascicle=True)


def _crop(frame: CalfFrame, random: np.random.Generator) -> Box:
    """Another depth and width setting; the belly stays in the picture."""
    height, width = frame.sector.shape
    lowest = int(np.flatnonzero(frame.masks.aponeurosis.any(1))[-1])
    y1 = int(random.integers(min(lowest + 6, height - 1), height + 1))
    x0, x1 = int(random.integers(0, width // 5)), width - int(random.integers(0, width // 5))
    return Box(x0, 0, x1, y1)
