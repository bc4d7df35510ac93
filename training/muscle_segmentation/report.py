"""Everything that is said of a network, by one command: `python -m training.muscle_segmentation.report --data DLTRACK --run RUN`.

It scores the checkpoint on all folds, exports it, scores the file in int8 as served, measures the whole analysis
(`bench.accuracy`, `bench.intervals`; TimTrack's sets from SONOMYO_SHARED), and writes the tables (model card, bench/results) and
docs/img/segmentation.jpg: frame, labels and maps as served, of simulated subjects, for no picture of others is kept here.
"""

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from bench.bare_loop import TRITON_PACKAGES
from bench.runtimes import Variant, open_openvino
from simulator.device import DeviceGroup
from training.muscle_segmentation.evaluate import Network, evaluate_run, evaluate_served, picture, write_tables
from training.muscle_segmentation.export import describe, export_run
from training.muscle_segmentation.folds import split
from training.muscle_segmentation.real import Labelled, load_real
from training.muscle_segmentation.simulated import TEST_SEEDS, labelled_frames

RESULTS = Path("bench/results")
PICTURE = Path("docs/img/segmentation.jpg")
_STEPS = ("bench.accuracy", "bench.intervals")
_QUALITY, _SMALLER = 85, 2
_DEVICE_GROUPS: tuple[DeviceGroup, ...] = ("common", "held-out")
_SHOWN_OF_A_GROUP = 4


def main() -> None:
    """Each step after the other, in the training environment."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with DL_Track's images, masks and manifest.csv")
    parser.add_argument("--run", type=Path, required=True, help="folder with last.pt")
    parser.add_argument("--simulated-subjects", type=int, default=12, help="held-out subjects on each group of devices")
    parser.add_argument("--without-muscle", type=Path, help="folder with images of other anatomy that training never saw")
    parser.add_argument("--to", type=Path, default=Path("model_repository"))
    parser.add_argument("--runtime-from", type=Path, default=TRITON_PACKAGES)
    parser.add_argument(
        "--benchmarks", nargs="*", default=_STEPS, help="commands that measure the analysis; none keeps what is there"
    )
    given = parser.parse_args()
    tables = evaluate_run(given.run, given.data, given.simulated_subjects, given.without_muscle)
    model = export_run(given.run, given.to, RESULTS)
    sys.path.append(str(given.runtime_from))
    network = as_tensors(model)
    images = load_real(given.data)
    folds = split(images)
    write_tables(given.run, tables | evaluate_served(model, network, images, folds))
    shown = picture(subjects(), network)
    shown.reduce(_SMALLER).save(PICTURE, quality=_QUALITY)
    measure(given.benchmarks)
    describe(given.run, given.to, RESULTS)


def subjects() -> list[Labelled]:
    """Simulated, never trained on: some on devices of training's range, then some on others."""
    seeds = range(TEST_SEEDS, TEST_SEEDS + _SHOWN_OF_A_GROUP)
    return [item for group in _DEVICE_GROUPS for seed in seeds for item in labelled_frames(seed, group, count=1)]


def as_tensors(model: Path) -> Network:
    """The file in OpenVINO, as the service runs it."""
    network = open_openvino(Variant(model), 1)

    def called(image: Tensor) -> Tensor:
        return torch.from_numpy(network(image.numpy()))

    return called


def measure(benchmarks: Sequence[str]) -> None:
    """Each in a process of its own, as a person would start it."""
    for name in benchmarks:
        subprocess.run([sys.executable, "-m", name], check=True)  # noqa: S603 - our own modules


if __name__ == "__main__":
    main()
